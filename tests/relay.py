"""Connections that go through here can be cut: the client sees a reset, the server too."""

import socket
import struct
import threading

from ringside import HOST

# With a linger of zero a close is a reset.
RESET = struct.pack("ii", 1, 0)


class Relay:
    """Listens, and passes on what comes to `port`, both ways."""

    def __init__(self, port):
        self.target = port
        self.listening = socket.create_server((HOST, 0))
        self.port = self.listening.getsockname()[1]
        self.lock = threading.Lock()
        self.open = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listening.accept()
            except OSError:
                return
            server = socket.create_connection((HOST, self.target))
            with self.lock:
                self.open += [client, server]
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    @staticmethod
    def _pass_on(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def cut(self):
        """Ends all connections; others may come."""
        with self.lock:
            ended, self.open = self.open, []
        for one in ended:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # its peer was faster
            one.close()

    def close(self):
        self.listening.close()
        self.cut()
