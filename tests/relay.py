"""Connections that go through here can be cut: the client sees a reset, the server too. Or nothing
passes any more, and nobody is told: a partition."""

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
        self.flows = threading.Event()
        self.flows.set()
        self.open = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listening.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client):
        self.flows.wait()
        try:
            server = socket.create_connection((HOST, self.target))
        except OSError:
            client.close()
            return
        with self.lock:
            self.open += [client, server]
        for source, sink in ((client, server), (server, client)):
            threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source, sink):
        try:
            while data := source.recv(65536):
                self.flows.wait()
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def freeze(self):
        """Nothing passes, until thaw."""
        self.flows.clear()

    def thaw(self):
        self.flows.set()

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
        self.thaw()
        self.cut()
