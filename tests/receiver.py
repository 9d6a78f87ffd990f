"""A receiver of webhooks: an HTTP server on a loopback port that keeps what it is sent, and answers
as it is told: well, badly, slowly, or not at all."""

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MUTE_S = 60


class Received:
    def __init__(self, path, headers, body):
        self.path, self.headers, self.body = path, headers, body
        self.id = headers["webhook-id"]

    def json(self):
        return json.loads(self.body)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        receiver = self.server.receiver
        if len(body) < int(self.headers["Content-Length"]):
            self.close_connection = True  # whoever posts has gone
            return
        received = Received(self.path, dict(self.headers), body)
        with receiver.lock:
            receiver.all.append(received)
            answer = receiver.answers.get(self.path, 200)
        if callable(answer):
            answer = answer(self, received)
        if answer is None:
            self.close_connection = True
            return
        status, fields = answer if isinstance(answer, tuple) else (answer, {})
        self.send_response_only(status)
        for name, value in {"Content-Length": "0", **fields}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_words):
        pass


class Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, _request, _address):
        """A client that leaves in the middle is the test's own doing."""


class Receiver:
    """`answers` by path: a status, (status, fields), or what is called with the handler and what
    came, and returns such; None: it has said all itself. The rest is answered 200."""

    def __init__(self, context=None):
        self.all, self.answers, self.lock = [], {}, threading.Lock()
        self.http = Listener(("127.0.0.1", 0), Handler)
        self.http.receiver = self
        if context:
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.scheme = "https" if context else "http"
        self.port = self.http.server_address[1]
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def url(self, path="/"):
        return f"{self.scheme}://127.0.0.1:{self.port}{path}"

    def of(self, path="/"):
        with self.lock:
            return [received for received in self.all if received.path == path]

    def stop(self):
        self.http.shutdown()
        self.http.server_close()


def endless(handler, _received):
    """A body that does not end."""
    handler.wfile.write(b"HTTP/1.1 500 No\r\n\r\n")
    try:
        while True:
            handler.wfile.write(b"x" * 65536)
    except OSError:
        return None


def broken(handler, _received):
    handler.connection.shutdown(socket.SHUT_RDWR)
