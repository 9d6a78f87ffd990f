"""permessage-deflate (RFC 7692): what foreign clients agree upon and inflate, and what by hand."""

import json
import os
import zlib

import pytest
import websockets
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from foreign import (
    asynchronous, close_code, connect, extensions_of, publish, receive, receive_json,
)
from http2 import Http2
from wire import BINARY, CLOSE, PING, PONG, TEXT, RawWebSocket, dial, frame, read_head, upgrade

CONFIG = {"websocket_deflate": "on", "websocket_publish": "on", "echo": "on"}
OFFER = "permessage-deflate; client_max_window_bits"
RSV1 = 4
LONG = json.dumps([{"instrument": f"RING{i}", "price": 17.25, "volume": 300} for i in range(20)])


@pytest.fixture
def server(start_server):
    return start_server(config=CONFIG)


def deflated(payload):
    """A message as RFC 7692 section 7.2.1 has it."""
    state = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (state.compress(payload) + state.flush(zlib.Z_SYNC_FLUSH))[:-4]


def inflated(payload, window_bits=12):
    return zlib.decompressobj(-window_bits).decompress(payload + b"\0\0\xff\xff")


class Deflating(RawWebSocket):
    """By hand, with permessage-deflate agreed upon."""

    def __init__(self, server, path="/ws?channel=c", offer=OFFER):
        self.offer = offer
        super().__init__(server, path)

    def open(self, path):
        self.connection.sendall(upgrade(path, Sec_WebSocket_Extensions=self.offer))
        status, self.head, self.pending = read_head(self.connection)
        assert status == 101, self.head

    def read(self):
        """The next frame: (opcode, payload inflated). Notes whether it was deflated."""
        first = self.take(1)[0]
        self.was_deflated = bool(first & 0x40)
        self.pending = bytes([first & ~0x40]) + self.pending
        opcode, payload = super().read()
        return opcode, inflated(payload) if self.was_deflated else payload


# ---- foreign clients ----

@asynchronous
async def test_websockets_inflates(server):
    async with connect(server, channel="c") as socket:
        (extension,) = extensions_of(socket)
        assert extension.remote_no_context_takeover and extension.local_no_context_takeover
        for text in (LONG, "short", LONG[::-1], "世界" * 500):
            await publish(server, "c", text)
            assert await receive(socket) == text
        await publish(server, "c", b"\xff\xfe" * 500)
        assert await receive(socket) == b"\xff\xfe" * 500
    assert server.metric("ringside_deflate_accepted_total") == 1
    assert server.metric("ringside_deflates_total") == 4


@asynchronous
async def test_websockets_publishes_deflated(server):
    async with connect(server, channel="c") as socket:
        for text in (LONG, "x", "", "世界" * 5000):
            await socket.send(text)
            assert await receive(socket) == text
        await socket.send(os.urandom(50000))
        assert len(await receive(socket)) == 50000
    assert server.metric("ringside_inflates_total") == 5


@asynchronous
async def test_envelopes_are_deflated(server):
    async with connect(server, channel="c", envelope=1) as socket:
        await receive_json(socket)
        published = await publish(server, "c", LONG)
        message = await receive_json(socket)
        assert message["data"] == LONG and message["offset"] == published["offset"]
        await socket.send(json.dumps({"channel": "c", "data": LONG}))
        answers = [await receive_json(socket), await receive_json(socket)]
    assert {"published" in answer for answer in answers} == {True, False}
    assert server.metric("ringside_deflates_total") == 2


@pytest.mark.parametrize("bits", [9, 12, 15])
@asynchronous
async def test_each_window(start_server, bits):
    """Autobahn 13.x: windows that a client asks for, and offers to fall back on."""
    server = start_server(config={**CONFIG, "deflate_window_bits": bits})
    for theirs in range(9, 16):
        factory = ClientPerMessageDeflateFactory(
            server_max_window_bits=theirs, client_max_window_bits=theirs)
        async with websockets.connect(
                server.ws_url("/echo"), extensions=[factory], compression=None) as socket:
            assert bool(extensions_of(socket)) == (theirs >= bits)
            await socket.send(LONG * 20)
            assert await receive(socket) == LONG * 20
        async with websockets.connect(
                server.ws_url("/echo"), compression=None,
                extensions=[factory, ClientPerMessageDeflateFactory()]) as socket:
            assert extensions_of(socket)
            await socket.send(LONG * 20)
            assert await receive(socket) == LONG * 20


# ---- one frame for all ----

def test_a_message_is_deflated_once_for_all_who_share_it(start_server):
    server = start_server(shards=1, config=CONFIG)
    readers = [Deflating(server) for _ in range(20)] + [RawWebSocket(server) for _ in range(5)]
    server.publish("c", LONG)
    assert {reader.read() for reader in readers} == {(TEXT, LONG.encode())}
    assert server.metric("ringside_deflates_total") == 1
    assert server.metric("ringside_deflate_bytes_plain_total") == len(LONG)
    assert server.metric("ringside_deflate_bytes_total") < len(LONG) / 4


def test_what_is_short_or_gets_no_smaller_is_sent_as_it_is(server):
    reader = Deflating(server)
    noise = os.urandom(5000)
    for payload, opcode, smaller in (
            (b"a" * 127, TEXT, False), (b"a" * 128, TEXT, True), (noise, BINARY, False)):
        server.publish("c", payload)
        assert reader.read() == (opcode, payload)
        assert reader.was_deflated is smaller


def test_what_one_reader_alone_gets_is_sent_as_it_is(server):
    server.publish("c", LONG)
    reader = Deflating(server, "/ws?channel=c&since=start")
    assert reader.read() == (TEXT, LONG.encode()) and not reader.was_deflated
    several = Deflating(server, "/ws?channel=c&channel=d&envelope=1")
    several.read()
    server.publish("c", LONG)
    assert LONG in json.loads(several.read()[1])["data"] and not several.was_deflated


# ---- the handshake ----

def offers(server, *values, path="/ws?channel=c"):
    """The status, and what is answered to these fields."""
    request = upgrade(path)[:-2] + b"".join(
        b"Sec-WebSocket-Extensions: %s\r\n" % value.encode() for value in values) + b"\r\n"
    with dial(server) as connection:
        connection.sendall(request)
        status, head, _ = read_head(connection)
    fields = [line.split(b": ", 1)[1].decode() for line in head.split(b"\r\n")
              if line.lower().startswith(b"sec-websocket-extensions")]
    return status, fields


def test_what_is_answered(server):
    whole = ("permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
             "server_max_window_bits=12")
    assert offers(server, OFFER) == (101, [whole])
    assert offers(server, "permessage-deflate; server_max_window_bits=10", OFFER) == (101, [whole])
    assert offers(server) == (101, [])
    assert offers(server, "x-webkit-deflate-frame") == (101, [])


@pytest.mark.parametrize("parameter", [
    "server_max_window_bits", "server_max_window_bits=7", "server_max_window_bits=16",
    "server_max_window_bits=012", "client_max_window_bits=0", "client_no_context_takeover=1",
    "server_no_context_takeover; server_no_context_takeover", "unknown",
    "server_max_window_bits=11",
])
def test_an_offer_that_is_declined_leaves_a_plain_websocket(server, parameter):
    offer = f"permessage-deflate; {parameter}"
    assert offers(server, offer) == (101, [])
    assert server.metric("ringside_deflate_declined_total") == 1
    reader = RawWebSocket.__new__(RawWebSocket)
    reader.connection = dial(server)
    reader.connection.sendall(upgrade(Sec_WebSocket_Extensions=offer))
    _, _, reader.pending = read_head(reader.connection)
    server.publish("c", LONG)
    assert reader.read() == (TEXT, LONG.encode())
    reader.send(frame(TEXT, deflated(b"x"), rsv=RSV1))
    assert reader.read_close() == 1002


@pytest.mark.parametrize("value", ["permessage-deflate;", 'permessage-deflate; a="b', "a b"])
def test_what_is_no_list_of_extensions_is_refused(server, value):
    assert offers(server, value) == (400, [])
    assert server.refused("handshake_extension") == 1


def test_a_refused_handshake_leaves_nothing_behind(server):
    """The next one on the same connection offers nothing."""
    with dial(server) as connection:
        connection.sendall(upgrade("/ws?channel=a&channel=b", Sec_WebSocket_Extensions=OFFER))
        assert read_head(connection)[0] == 400
        connection.sendall(upgrade())
        status, head, _ = read_head(connection)
    assert status == 101 and b"permessage-deflate" not in head


def test_off_by_default(start_server):
    server = start_server()
    assert offers(server, OFFER) == (101, [])
    assert server.metric("ringside_deflate_declined_total") == 0


# ---- bad input ----

def test_what_is_inflated_has_the_bound_of_a_message(start_server):
    server = start_server(config={**CONFIG, "message_bytes_max": 10000})
    for size in (10000, 10001, 10_000_000):
        socket = Deflating(server, "/echo")
        socket.send(frame(BINARY, deflated(bytes(size)), rsv=RSV1))
        if size == 10000:
            assert socket.read() == (BINARY, bytes(size))
        else:
            assert socket.read_close() == 1009
    server.until_closed("ws_too_big", 2)


def test_a_bomb_in_fragments(start_server):
    server = start_server(config={**CONFIG, "message_bytes_max": 10000})
    socket = Deflating(server, "/echo")
    bomb = deflated(bytes(5_000_000))
    socket.send(frame(BINARY, bomb[:1000], fin=False, rsv=RSV1))
    socket.send(frame(PING, b"still there"))
    assert socket.read() == (PONG, b"still there")
    socket.send(frame(0, bomb[1000:]))
    assert socket.read_close() == 1009


def test_bombs_by_the_dozen(start_server):
    """Each may be; all of them at once are more than a turn does for a client."""
    server = start_server(config={**CONFIG, "message_bytes_max": 100_000})
    socket = Deflating(server, "/echo")
    bomb = frame(BINARY, deflated(bytes(100_000)), rsv=RSV1)
    for _ in range(3):
        socket.send(bomb)
        assert socket.read() == (BINARY, bytes(100_000))
    socket.send(bomb * 12)
    assert socket.read_close() == 1008
    server.until_closed("ws_bombs", 1)


@pytest.mark.parametrize("payload", [
    b"\x06", b"\x00\x05\x00\xfa\xfe", b"\x00\x09\x00\xf6\xffHello", deflated(b"a" * 99)[:-2],
    b"\x02\x08\x82\x00", bytes.fromhex("f348cdc9c90700"),
], ids=["block", "length", "stored", "cut", "far", "final"])
def test_what_is_no_deflate(server, payload):
    socket = Deflating(server)
    socket.send(frame(TEXT, payload, rsv=RSV1))
    assert socket.read_close() == 1007
    server.until_closed("ws_inflate", 1)


@pytest.mark.parametrize("payload", [
    "f248cdc9c90700", "000500faff48656c6c6f00", "f348cdc9c9070000", "f248050000 00ffffcac9c90700",
])
def test_examples_of_rfc_7692(server, payload):
    socket = Deflating(server)
    socket.send(frame(TEXT, bytes.fromhex(payload), rsv=RSV1))
    assert socket.read() == (TEXT, b"Hello")


def test_utf8_is_looked_at_when_it_is_inflated(server):
    socket = Deflating(server)
    socket.send(frame(BINARY, deflated(b"\xff" * 10), rsv=RSV1))
    assert socket.read() == (BINARY, b"\xff" * 10)
    socket.send(frame(TEXT, deflated("世界".encode()), fin=False, rsv=RSV1) + frame(0))
    assert socket.read() == (TEXT, "世界".encode())
    socket.send(frame(TEXT, deflated(b"\xff" * 10), rsv=RSV1))
    assert socket.read_close() == 1007
    server.until_closed("ws_utf8", 1)


@pytest.mark.parametrize("frames", [
    frame(PING, b"p", rsv=RSV1),
    frame(CLOSE, b"\x03\xe8", rsv=RSV1),
    frame(TEXT, b"a", fin=False) + frame(0, b"b", rsv=RSV1),
    frame(TEXT, b"a", fin=False, rsv=RSV1) + frame(0, b"b", rsv=RSV1),
    frame(TEXT, b"a", rsv=2),
    frame(TEXT, b"a", rsv=RSV1 | 1),
], ids=["ping", "close", "continuation", "each", "rsv2", "rsv3"])
def test_reserved_bits(server, frames):
    socket = Deflating(server)
    socket.send(frames)
    assert socket.read_close() == 1002


def test_nothing_is_inflated_where_clients_may_not_publish(start_server):
    server = start_server(config={"websocket_deflate": "on"})
    socket = Deflating(server)
    socket.send(frame(TEXT, deflated(b"x" * 1000), rsv=RSV1))
    assert socket.read_close() == 1008
    assert server.metric("ringside_inflates_total") == 0


@asynchronous
async def test_a_session_is_one_whether_it_is_deflated_or_not(server):
    """What the server pushes goes as it is; what the client says is inflated."""
    async with connect(server, "/connection/websocket") as socket:
        assert extensions_of(socket)
        await socket.send(json.dumps({"id": 1, "connect": {"name": "x" * 200}}))
        assert "connect" in await receive_json(socket)
        await socket.send(json.dumps({"id": 2, "subscribe": {"channel": "c"}}))
        assert (await receive_json(socket))["id"] == 2
        await publish(server, "c", LONG)
        push = await receive_json(socket)
        assert push["push"]["channel"] == "c"
    assert server.metric("ringside_inflates_total") >= 1


# ---- HTTP/2 (RFC 8441) ----

def test_on_a_stream(server):
    with Http2(server) as client:
        socket = client.websocket("/ws?channel=c", fields=(
            ("sec-websocket-version", "13"), ("sec-websocket-extensions", OFFER)))
        assert socket.status == 200
        assert socket.headers["sec-websocket-extensions"].startswith("permessage-deflate; server_")
        server.publish("c", LONG)
        client.until(lambda: socket.data, "a frame")
        assert socket.data[0] == 0xC1
        assert inflated(client.hear(socket)[1]) == LONG.encode()
        client.send(socket, frame(TEXT, deflated(b"back"), rsv=RSV1))
        assert client.hear(socket) == (TEXT, b"back")


# ---- sessions ----

@asynchronous
async def test_pushes_to_sessions_are_deflated_once_for_all(start_server):
    """Of several channels each, and in strings and deltas as well."""
    server = start_server(shards=1, config=CONFIG)
    sockets = []
    for i in range(4):
        socket = await connect(server, "/connection/websocket")
        assert extensions_of(socket)
        await socket.send('{"id":1,"connect":{}}')
        await receive_json(socket)
        for number, channel in enumerate(("a", "b"), 2):
            delta = "fossil" if i > 1 else ""
            await socket.send(json.dumps(
                {"id": number, "subscribe": {"channel": channel, "delta": delta}}))
            await receive_json(socket)
        sockets.append(socket)
    before = server.metric("ringside_deflates_total")
    for channel in ("a", "b"):
        await publish(server, channel, LONG)
        for i, socket in enumerate(sockets):
            push = (await receive_json(socket))["push"]
            data = json.loads(push["pub"]["data"]) if i > 1 else push["pub"]["data"]
            assert push["channel"] == channel and data == json.loads(LONG)
    assert server.metric("ringside_deflates_total") - before == 4  # two channels, two encodings
    for socket in sockets:
        await socket.close()
