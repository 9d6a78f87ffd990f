"""Bytes by hand, for what no well-behaved client would send, and readers that show all of it."""

import base64
import os
import queue
import re
import socket
import struct
import subprocess
import threading

from ringside import PATIENCE_S

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


# ---- raw TCP and HTTP ----

def dial(server):
    connection = socket.create_connection((server.host, server.port), timeout=PATIENCE_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return server.wrap(connection)


def read_to_end(connection):
    """Everything until the server closes. A reset counts as an end: the server may not read on."""
    received = bytearray()
    while True:
        try:
            chunk = connection.recv(65536)
        except ConnectionResetError:
            return bytes(received)
        if not chunk:
            return bytes(received)
        received += chunk


def read_head(connection):
    """Reads one response head; returns (status, head, what came behind it)."""
    received = b""
    while b"\r\n\r\n" not in received:
        chunk = connection.recv(65536)
        assert chunk, f"closed inside the head: {received!r}"
        received += chunk
    head, rest = received.split(b"\r\n\r\n", 1)
    return int(head.split(b" ")[1]), head, rest


def read_answer(connection):
    """Reads one answer with a Content-Length; returns (status, head, body)."""
    status, head, body = read_head(connection)
    length = int(re.search(rb"(?im)^content-length: *(\d+)", head).group(1))
    while len(body) < length:
        chunk = connection.recv(65536)
        assert chunk, f"closed inside the body: {body!r}"
        body += chunk
    return status, head, body


def exchange(server, request):
    """Sends raw bytes on a fresh connection and reads until the server closes it."""
    with dial(server) as connection:
        connection.sendall(request)
        return read_to_end(connection)


# ---- WebSocket frames ----

def frame(opcode, payload=b"", fin=True, rsv=0, mask=b"\x11\x22\x33\x44", length=None):
    """A client's frame. `mask=None`: unmasked; `length`: its encoding, as (7 bits, bytes)."""
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    if length is not None:
        short, extended = length
    elif len(payload) < 126:
        short, extended = len(payload), b""
    elif len(payload) < 65536:
        short, extended = 126, struct.pack(">H", len(payload))
    else:
        short, extended = 127, struct.pack(">Q", len(payload))
    if mask is None:
        return bytes([first, short]) + extended + payload
    masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
    return bytes([first, 0x80 | short]) + extended + mask + masked


def upgrade(path="/ws?channel=c", **fields):
    """A valid opening handshake; a keyword replaces a field, or removes it with None."""
    head = {
        "Host": "localhost",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        "Sec-WebSocket-Version": "13",
    }
    head.update({name.replace("_", "-"): value for name, value in fields.items()})
    lines = [f"{name}: {value}" for name, value in head.items() if value is not None]
    return "\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode()


class RawWebSocket:
    """A WebSocket whose frames are written and read by hand. When it is made its subscription
    stands."""

    def __init__(self, server, path="/ws?channel=c"):
        self.connection = dial(server)
        self.open(path)

    def open(self, path):
        self.connection.sendall(upgrade(path))
        status, head, self.pending = read_head(self.connection)
        assert status == 101, head

    def send(self, data):
        self.connection.sendall(data)

    def take(self, count):
        while len(self.pending) < count:
            chunk = self.connection.recv(65536)
            if not chunk:
                raise EOFError
            self.pending += chunk
        taken, self.pending = self.pending[:count], self.pending[count:]
        return taken

    def read(self):
        """The next frame: (opcode, payload). Servers don't mask and need not fragment."""
        first, second = self.take(2)
        assert first & 0x70 == 0 and second & 0x80 == 0, (first, second)
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack(">H", self.take(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", self.take(8))
        return first & 0x0F, self.take(length)

    def read_close_frame(self):
        """Reads on to the close frame; returns its code."""
        while True:
            opcode, payload = self.read()
            if opcode == CLOSE:
                payload[2:].decode()
                return struct.unpack(">H", payload[:2])[0]

    def read_close(self):
        """The same, and answers it: the server must then end the connection."""
        code = self.read_close_frame()
        try:
            self.send(frame(CLOSE, struct.pack(">H", code)))
        except (ConnectionResetError, BrokenPipeError):
            return code  # it did not care to wait
        assert read_to_end(self.connection) == b""
        return code

    def close(self):
        self.connection.close()


def slow_reader(server, path="/ws?channel=c"):
    """A RawWebSocket whose socket holds little."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.settimeout(PATIENCE_S)
    raw.connect((server.host, server.port))
    reader = RawWebSocket.__new__(RawWebSocket)
    reader.connection = server.wrap(raw)
    reader.open(path)
    return reader


def publish_all(server, payloads, channel="c"):
    """One after the other on one connection without TLS: a handshake for each would take so long
    on a busy machine that a slow reader, which takes nothing meanwhile, is closed as stalled."""
    connection = server.plain().connect()
    for payload in payloads:
        connection.request("POST", f"/publish?channel={channel}", payload)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        answer.read()
    connection.close()


# ---- server-sent events ----

class EventStream:
    """curl -N on /sse, its output parsed into events by a thread, so that reads can give up. It
    hears what is published from now on."""

    def __init__(self, url, *headers, options=()):
        command = ["curl", "-sSNi", *options, "--noproxy", "*", "--max-time", str(2 * PATIENCE_S)]
        for header in headers:
            command += ["-H", header]
        self.process = subprocess.Popen([*command, url], stdout=subprocess.PIPE)
        self.queue = queue.Queue()
        self.live = threading.Event()  # the first position has come: the subscription is live
        self.status, self.headers = self._read_head()
        self.comments = 0
        self.retry_ms = None
        self.thread = threading.Thread(target=self._read_events, daemon=True)
        self.thread.start()
        if self.status == 200:
            assert self.live.wait(PATIENCE_S), "no position, and no end"

    def _read_head(self):
        status = int(self.process.stdout.readline().split()[1])
        headers = {}
        while (line := self.process.stdout.readline().strip()):
            name, value = line.decode().split(":", 1)
            headers[name.lower()] = value.strip()
        return status, headers

    def _read_events(self):
        event = {}
        for line in self.process.stdout:
            name, _, value = line.decode().rstrip("\n").partition(":")
            value = value.removeprefix(" ")
            if not name and not value and line == b"\n":
                if "data" in event:
                    self.queue.put(event)
                event = {}
            elif not name:
                self.comments += 1
            elif name == "retry":
                self.retry_ms = int(value)
            elif name == "data" and "data" in event:
                event["data"] += "\n" + value
            else:
                event[name] = value
            if name == "id":
                self.live.set()
        self.live.set()
        self.queue.put(None)

    def next(self):
        """The next event as a dict of its fields, or None at the end of the stream."""
        return self.queue.get(timeout=PATIENCE_S)

    def data(self, count):
        return [self.next()["data"] for _ in range(count)]

    def close(self):
        """Returns curl's exit code: 0 if the server had ended the stream well."""
        if self.process.poll() is None and not self.queue.empty() and self.queue.queue[-1] is None:
            self.process.wait(PATIENCE_S)
        if self.process.poll() is None:
            self.process.kill()
        return self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
