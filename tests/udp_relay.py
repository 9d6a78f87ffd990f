"""A bad network of datagrams between peers of WebRTC and a server: what is lost, and what comes
twice, is chosen by a seed. Whoever connects posts his offer to `url`, and is told the relay's port
in place of the server's, which has one shard: each has a port of its own."""

import http.server
import random
import re
import selectors
import socket
import threading
import urllib.request

from ringside import HOST

DATAGRAM_MAX = 2048


class UdpRelay:
    """For each address of a client a socket of its own towards the server."""

    def __init__(self, server, loss=0.0, twice=0.0, seed=1, meddle=None):
        """`meddle(datagram, to_server)` says which datagrams go on in the place of one."""
        self.server, self.loss, self.twice = server, loss, twice
        self.meddle = meddle or (lambda datagram, to_server: [datagram])
        self.random = random.Random(seed)
        self.lost = self.doubled = 0
        self.front = self._socket()
        self.target = None
        self.backs = {}  # by the client's address
        self.stopped = threading.Event()
        self.http = http.server.ThreadingHTTPServer((HOST, 0), self._handler())
        self.url = f"http://{HOST}:{self.http.server_port}/rtc"
        self.threads = [threading.Thread(target=run, daemon=True)
                        for run in (self._run, self.http.serve_forever)]
        for thread in self.threads:
            thread.start()

    @staticmethod
    def _socket():
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        made.bind((HOST, 0))
        return made

    def answered(self, sdp):
        """The answer of the server, as its clients are to see it."""
        port = re.search(r"^m=application (\d+) ", sdp, re.M)[1]
        self.target = (HOST, int(port))
        return re.sub(rf"\b{port}\b", str(self.front.getsockname()[1]), sdp)

    def _handler(relay):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                offer = self.rfile.read(int(self.headers["Content-Length"]))
                request = urllib.request.Request(relay.server.url("/rtc"), offer,
                                                 {"Content-Type": "application/sdp"})
                with urllib.request.urlopen(request) as answer:
                    sdp = relay.answered(answer.read().decode()).encode()
                    self.send_response(answer.status)
                    self.send_header("Location", answer.headers["Location"])
                self.send_header("Content-Type", "application/sdp")
                self.send_header("Content-Length", str(len(sdp)))
                self.end_headers()
                self.wfile.write(sdp)

            def log_message(self, *_):
                pass

        return Handler

    def rebind(self):
        """From now on the server sees all clients come from other ports."""
        self.backs = {client: self._socket() for client in self.backs}

    def _pass(self, sender, datagram, to):
        if self.random.random() < self.loss:
            self.lost += 1
            return
        sender.sendto(datagram, to)
        if self.random.random() < self.twice:
            self.doubled += 1
            sender.sendto(datagram, to)

    def _take(self, source, selector):
        datagram, sender = source.recvfrom(DATAGRAM_MAX)
        if source is self.front:
            if sender not in self.backs:
                self.backs[sender] = self._socket()
            for each in self.meddle(datagram, True):
                self._pass(self.backs[sender], each, self.target)
        for client, back in list(self.backs.items()):
            if back not in selector.get_map():
                selector.register(back, selectors.EVENT_READ)
            if back is source:
                for each in self.meddle(datagram, False):
                    self._pass(self.front, each, client)

    def _run(self):
        with selectors.DefaultSelector() as selector:
            selector.register(self.front, selectors.EVENT_READ)
            while not self.stopped.is_set():
                for key, _ in selector.select(0.1):
                    self._take(key.fileobj, selector)

    def close(self):
        self.stopped.set()
        self.http.shutdown()
        self.http.server_close()
        for thread in self.threads:
            thread.join()
        for each in (self.front, *self.backs.values()):
            each.close()
