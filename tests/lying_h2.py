"""HTTP/2 in front of a server that speaks HTTP/1.1, by python3-h2: what the bench's HTTP/2 clients
are tested against is neither the server's code nor theirs.

Each stream becomes a request of HTTP/1.1 on a connection of its own, and its answer the stream's:
the head, then what was in chunks, had a length, or is a WebSocket (RFC 8441).
"""

import asyncio
import contextlib

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
KEY = "bHlpbmcgbGlhciBvbiBIMg=="
LIMIT = 4 << 20
PASSED_ON = ("content-type", "retry-after")
STREAMS_MAX = 1000


class Peeked:
    """A reader of which the first bytes were looked at."""

    def __init__(self, first, reader):
        self.bytes, self.reader = first, reader

    async def more(self):
        piece = await self.reader.read(LIMIT)
        if not piece:
            raise asyncio.IncompleteReadError(self.bytes, None)
        self.bytes += piece

    def take(self, count):
        taken, self.bytes = self.bytes[:count], self.bytes[count:]
        return taken

    async def readuntil(self, end):
        while end not in self.bytes:
            await self.more()
        return self.take(self.bytes.index(end) + len(end))

    async def readexactly(self, count):
        while len(self.bytes) < count:
            await self.more()
        return self.take(count)

    async def read(self, count):
        return self.take(count) if self.bytes else await self.reader.read(count)


class Answer:
    """The writer of one stream: takes what HTTP/1.1 answers, and says it in frames."""

    def __init__(self, connection, stream):
        self.connection, self.stream = connection, stream
        self.bytes, self.left, self.ended = b"", None, False
        self.take = self.head

    def write(self, data):
        self.bytes += data
        while self.bytes and self.take():
            pass
        self.connection.send()

    def writelines(self, pieces):
        for piece in pieces:
            self.write(piece)

    async def drain(self):
        await self.connection.writer.drain()

    def close(self):
        self.say(b"", ends=True)
        self.connection.send()

    def say(self, data, ends=False):
        if self.ended:
            return
        self.ended = ends
        with contextlib.suppress(h2.exceptions.StreamClosedError):
            state = self.connection.state
            size = state.max_outbound_frame_size
            for at in range(0, len(data) or 1, size):
                last = at + size >= len(data)
                state.send_data(self.stream, data[at:at + size], end_stream=ends and last)

    def head(self):
        end = self.bytes.find(b"\r\n\r\n")
        if end < 0:
            return False
        first, *lines = self.bytes[:end].decode().split("\r\n")
        self.bytes = self.bytes[end + 4:]
        fields = dict((name.lower(), value.strip()) for name, value in
                      (line.split(":", 1) for line in lines))
        status = first.split()[1]
        with contextlib.suppress(h2.exceptions.StreamClosedError):
            self.connection.state.send_headers(
                self.stream, [(":status", "200" if status == "101" else status),
                              *((name, fields[name]) for name in PASSED_ON if name in fields)])
        self.take = self.chunk if "transfer-encoding" in fields else self.raw
        if "content-length" in fields:
            self.left, self.take = int(fields["content-length"]), self.body
        return True

    def raw(self):
        self.say(self.bytes)
        self.bytes = b""
        return False

    def body(self):
        piece, self.bytes = self.bytes[:self.left], self.bytes[self.left:]
        self.left -= len(piece)
        self.say(piece, ends=self.left == 0)
        return False

    def chunk(self):
        end = self.bytes.find(b"\r\n")
        size = int(self.bytes[:end], 16) if end > 0 else 0
        if end <= 0 or len(self.bytes) < end + 2 + size + 2:
            return False
        self.say(self.bytes[end + 2:end + 2 + size], ends=size == 0)
        self.bytes = self.bytes[end + 2 + size + 2:]
        return True


def request_of(headers):
    fields = dict(headers)
    lines = [f"GET {fields[':path']} HTTP/1.1", f"Host: {fields[':authority']}"]
    lines += [f"{name}: {value}" for name, value in headers if name[0] != ":"]
    if fields[":method"] == "CONNECT":
        assert fields[":protocol"] == "websocket"
        lines += ["Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Key: {KEY}"]
    else:
        assert fields[":method"] == "GET"
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode()


class Connection:
    """One client. `relate(reader, writer)` carries a request to the server behind."""

    def __init__(self, reader, writer, relate):
        self.reader, self.writer, self.relate = reader, writer, relate
        self.streams, self.tasks = {}, set()
        self.state = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self.state.local_settings = h2.settings.Settings(client=False, initial_values={
            h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL: 1,
            h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: STREAMS_MAX})

    def send(self):
        said = self.state.data_to_send()
        if not self.writer.is_closing():
            self.writer.write(said)

    async def run(self):
        self.state.initiate_connection()
        self.send()
        try:
            while piece := await self.reader.read(LIMIT):
                for event in self.state.receive_data(piece):
                    self.handle(event)
                self.send()
                await self.writer.drain()
        finally:
            for reader in self.streams.values():
                reader.feed_eof()
            self.writer.close()
            await asyncio.gather(*self.tasks)

    def handle(self, event):
        if isinstance(event, h2.events.RequestReceived):
            reader = self.streams[event.stream_id] = asyncio.StreamReader(limit=LIMIT)
            reader.feed_data(request_of(event.headers))
            self.tasks.add(asyncio.create_task(
                self.relate(reader, Answer(self, event.stream_id))))
        elif isinstance(event, h2.events.DataReceived):
            self.state.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            self.streams[event.stream_id].feed_data(event.data)
        elif isinstance(event, h2.events.StreamReset):
            self.streams.pop(event.stream_id).feed_eof()
