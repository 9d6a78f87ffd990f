"""WebSocket as Python's `websockets` speaks it, and a few exchanges by hand."""

import asyncio
import json
import time

import pytest
import websockets

from foreign import (
    Refused, asynchronous, close_code, connect, publish, receive, receive_json, status_of,
)
from ringside import target
from wire import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    RawWebSocket,
    dial,
    frame,
    read_head,
    upgrade,
)


@asynchronous
async def test_raw_frame_is_the_payload(server):
    async with connect(server, channel="c") as socket:
        await publish(server, "c", '{"anything": 1}')
        assert await receive(socket) == '{"anything": 1}'


@asynchronous
async def test_text_where_it_is_utf8_else_binary(server):
    async with connect(server, channel="c") as socket:
        for payload in (b"text", "世界".encode(), b"\xff\xfe", b"\xc0\x80", b"\xed\xa0\x80", b""):
            await publish(server, "c", payload)
        got = [await receive(socket) for _ in range(6)]
    assert got == ["text", "世界", b"\xff\xfe", b"\xc0\x80", b"\xed\xa0\x80", ""]


@asynchronous
async def test_messages_come_in_order(server):
    async with connect(server, channel="c") as socket:
        for n in range(100):
            await publish(server, "c", f"{n}")
        assert [await receive(socket) for _ in range(100)] == [f"{n}" for n in range(100)]


@asynchronous
async def test_only_the_channel_asked_for(server):
    async with connect(server, channel="mine") as socket:
        await publish(server, "other", "no")
        await publish(server, "mine", "yes")
        assert await receive(socket) == "yes"


@asynchronous
async def test_envelope_opens_with_the_position(server):
    published = await publish(server, "c", "before")
    position = f"{published['epoch']}.{published['offset']}"
    async with connect(server, channel="c", envelope=1) as socket:
        first = await receive_json(socket)
        assert first["position"] == position
        assert isinstance(first["recovered"], bool)
        published = await publish(server, "c", "after")
        assert await receive_json(socket) == {
            "channel": "c",
            "offset": published["offset"],
            "data": "after",
            "position": f"{published['epoch']}.{published['offset']}",
        }


@asynchronous
async def test_envelope_of_bytes(server):
    async with connect(server, channel="c", envelope=1) as socket:
        await receive(socket)
        await publish(server, "c", b"\xff\x00\xfe")
        message = await receive_json(socket)
    assert message["data"] == "/wD+" and message["base64"] is True


@asynchronous
async def test_several_channels(server):
    names = [f"n{n}" for n in range(8)]
    async with connect(server, channel=names, envelope=1) as socket:
        first = await receive_json(socket)
        assert len(first["position"].split("~")) == len(names)
        for name in names:
            await publish(server, name, f"to {name}")
        got = [await receive_json(socket) for _ in names]
    assert sorted((m["channel"], m["data"]) for m in got) == [(n, f"to {n}") for n in names]


@asynchronous
async def test_several_channels_need_the_envelope(server):
    with pytest.raises(Refused) as refused:
        await connect(server, channel=["a", "b"])
    assert status_of(refused) == 400


@asynchronous
async def test_resume_by_since(server):
    position = server.position("c")
    for text in ("missed 1", "missed 2"):
        await publish(server, "c", text)
    async with connect(server, channel="c", since=position) as socket:
        assert [await receive(socket), await receive(socket)] == ["missed 1", "missed 2"]
        await publish(server, "c", "live")
        assert await receive(socket) == "live"


@asynchronous
async def test_resume_in_envelopes(server):
    position = server.position("c")
    await publish(server, "c", "missed")
    async with connect(server, channel="c", since=position, envelope=1) as socket:
        assert (await receive_json(socket))["recovered"] is True
        message = await receive_json(socket)
        assert message["data"] == "missed"
    async with connect(server, channel="c", since=message["position"], envelope=1) as socket:
        assert (await receive_json(socket))["recovered"] is True
        await publish(server, "c", "live")
        assert (await receive_json(socket))["data"] == "live"


@asynchronous
async def test_resume_of_several_channels(server):
    names = ["a", "b", "c"]
    position = server.position(names)
    for name in names:
        await publish(server, name, f"missed {name}")
    async with connect(server, channel=names, since=position, envelope=1) as socket:
        assert (await receive_json(socket))["recovered"] is True
        got = [await receive_json(socket) for _ in names]
        assert sorted(m["data"] for m in got) == ["missed a", "missed b", "missed c"]
    last = got[-1]["position"]
    async with connect(server, channel=names, since=last, envelope=1) as socket:
        assert (await receive_json(socket))["recovered"] is True
        await publish(server, "b", "live")
        assert (await receive_json(socket))["data"] == "live"


@asynchronous
async def test_unknown_epoch_is_not_recovered(server):
    published = await publish(server, "c", "x")
    epoch = f"{int(published['epoch'], 16) ^ 1:x}"
    async with connect(server, channel="c", since=f"{epoch}.1", envelope=1) as socket:
        assert (await receive_json(socket))["recovered"] is False


@asynchronous
async def test_raw_socket_cannot_say_so_and_is_closed(server):
    """Between payloads there is no room for a word about a lost position."""
    published = await publish(server, "c", "x")
    epoch = f"{int(published['epoch'], 16) ^ 1:x}"
    async with connect(server, channel="c", since=f"{epoch}.1") as socket:
        assert await close_code(socket) == 4410


@asynchronous
async def test_long_replay_is_given_whole(start_server):
    server = start_server(config={"history_messages_max": 3000})
    position = server.position("c")
    loop = asyncio.get_running_loop()

    def publish_all():
        connection = server.connect()
        for n in range(2500):
            connection.request("POST", "/publish?channel=c", body=f"{n}")
            connection.getresponse().read()
        connection.close()

    await loop.run_in_executor(None, publish_all)
    async with connect(server, channel="c", since=position) as socket:
        assert [await receive(socket) for _ in range(2500)] == [f"{n}" for n in range(2500)]


@asynchronous
async def test_publish_where_the_config_allows_it(start_server):
    server = start_server(config={"websocket_publish": "true"})
    async with connect(server, channel="c") as one, connect(server, channel="c") as two:
        await one.send("from a socket")
        assert await receive(one) == "from a socket"
        assert await receive(two) == "from a socket"
        await two.send(b"\xff\x00")
        assert await receive(one) == b"\xff\x00"
    assert len(server.poll("c")["messages"]) == 2


@asynchronous
async def test_envelopes_of_clients(start_server):
    """Other members are passed over, however many; what is wrong anywhere is refused."""
    server = start_server(config={"websocket_publish": "true"})
    some = {"more": [0] * 300_000, "data": 'a,[{"\\ \u00e9\U0001f600\0', "channel": "c"}
    text = json.dumps(some)
    bad = [
        text[:-1], text + "}", text[:-1] + ', "data": "b"}', "[" + text + "]", "{}",
        text[:-1] + ', "x": [01]}', text[:-1] + ', "x": ' + "[" * 40 + "]" * 40 + "}",
        json.dumps({**some, "base64": True}), json.dumps({**some, "base64": 1}),
        json.dumps({**some, "data": 1}), json.dumps({**some, "channel": "d"}),
    ]
    async with connect(server, channel="c", envelope=1) as socket:
        await receive(socket)
        for sent in [text, text.replace('"channel"', '"\\u0063hannel"')]:
            await socket.send(sent)
            while "data" not in (message := json.loads(await receive(socket))):
                pass
            assert message["data"] == some["data"]
    for sent in bad:
        async with connect(server, channel="c", envelope=1) as socket:
            await receive(socket)
            await socket.send(sent)
            assert await close_code(socket) == 1003
    assert len(server.poll("c")["messages"]) == 2


@asynchronous
async def test_publish_where_it_is_not_allowed(server):
    async with connect(server, channel="c") as socket:
        await socket.send("not wanted")
        assert await close_code(socket) == 1008
    assert server.poll("c")["messages"] == []


@asynchronous
async def test_ping_is_answered(server):
    async with connect(server, channel="c") as socket:
        await asyncio.wait_for(await socket.ping(b"are you there"), 20)


@asynchronous
async def test_message_of_a_mebibyte(server):
    payload = "0123456789abcdef" * 65536
    async with connect(server, channel="c") as socket:
        await publish(server, "c", payload)
        assert await receive(socket) == payload


@asynchronous
async def test_sixteen_mebibytes_when_set(start_server):
    size = 16 << 20
    server = start_server(
        args=["--echo"], config={"message_bytes_max": size, "queue_bytes_max": 4 * size}
    )
    payload = bytes(range(256)) * (size // 256)
    async with connect(server, "/echo") as socket:
        await socket.send(payload)
        assert await receive(socket) == payload


@asynchronous
async def test_echo(start_server):
    server = start_server(args=["--echo"])
    async with connect(server, "/echo") as socket:
        for size in (0, 1, 125, 126, 127, 1000, 65535, 65536, 100_000, 1 << 20):
            await socket.send("e" * size)
            assert await receive(socket) == "e" * size
            await socket.send(b"\x80" * size)
            assert await receive(socket) == b"\x80" * size


@asynchronous
async def test_echo_of_many_in_flight(start_server):
    server = start_server(args=["--echo"])
    async with connect(server, "/echo") as socket:
        sent = [f"{n}" * (n % 50) for n in range(500)]
        for text in sent:
            await socket.send(text)
        assert [await receive(socket) for _ in sent] == sent


@asynchronous
async def test_echo_of_fragments(start_server):
    server = start_server(args=["--echo"])
    async with connect(server, "/echo") as socket:
        await socket.send(["Gr", "ü", "ße", "", " an alle"])
        assert await receive(socket) == "Grüße an alle"


@asynchronous
async def test_echo_is_off_unless_asked_for(server):
    with pytest.raises(Refused) as refused:
        await connect(server, "/echo")
    assert status_of(refused) == 404


@asynchronous
async def test_message_over_the_limit(start_server):
    server = start_server(args=["--echo"])
    async with connect(server, "/echo") as socket:
        await socket.send(b"x" * ((1 << 20) + 1))
        assert await close_code(socket) == 1009


@asynchronous
async def test_fragments_over_the_limit(start_server):
    server = start_server(args=["--echo"], config={"message_bytes_max": 1000})
    async with connect(server, "/echo") as socket:
        with pytest.raises(websockets.ConnectionClosed):
            await socket.send(["x" * 300] * 4)
            await receive(socket)
        assert socket.close_code == 1009


@pytest.mark.parametrize("code", [1000, 1001, 3000, 4999])
@asynchronous
async def test_close_is_answered_with_its_code(server, code):
    async with connect(server, channel="c") as socket:
        await socket.close(code, "so long")
        assert socket.close_code == code


@asynchronous
async def test_origin_is_checked(start_server):
    server = start_server(config={"allowed_origins": "https://app.example"})
    async with connect(server, channel="c", headers={"Origin": "https://app.example"}) as socket:
        await publish(server, "c", "x")
        assert await receive(socket) == "x"
    with pytest.raises(Refused) as refused:
        await connect(server, channel="c", headers={"Origin": "https://other.example"})
    assert status_of(refused) == 403


def test_ping_between_fragments_is_answered_at_once(start_server):
    server = start_server(args=["--echo"])
    socket = RawWebSocket(server, "/echo")
    socket.send(frame(TEXT, b"one ", fin=False) + frame(PING, b"p"))
    assert socket.read() == (PONG, b"p")
    socket.send(frame(0, b"two"))
    assert socket.read() == (TEXT, b"one two")
    socket.close()


def test_character_split_over_fragments(start_server):
    server = start_server(args=["--echo"])
    socket = RawWebSocket(server, "/echo")
    text = "\U0001f600".encode()
    for n, byte in enumerate(text):
        opcode = TEXT if n == 0 else 0
        socket.send(frame(opcode, bytes([byte]), fin=n == len(text) - 1))
    assert socket.read() == (TEXT, text)
    socket.close()


def test_frame_one_byte_at_a_time(start_server):
    server = start_server(args=["--echo"])
    socket = RawWebSocket(server, "/echo")
    for byte in frame(BINARY, b"z" * 200):
        socket.send(bytes([byte]))
    assert socket.read() == (BINARY, b"z" * 200)
    socket.close()


def test_close_without_a_code(server):
    socket = RawWebSocket(server)
    socket.send(frame(CLOSE))
    opcode, _payload = socket.read()
    assert opcode == CLOSE
    assert socket.connection.recv(1) == b""


def test_nothing_is_answered_behind_a_close(start_server):
    server = start_server(args=["--echo"])
    socket = RawWebSocket(server, "/echo")
    socket.send(frame(CLOSE, b"\x03\xe8") + frame(TEXT, b"late") + frame(PING))
    assert socket.read()[0] == CLOSE
    assert socket.connection.recv(1) == b""


def test_server_pings(start_server):
    server = start_server(config={"heartbeat_ms": 1000})
    socket = RawWebSocket(server)
    opcode, payload = socket.read()
    assert opcode == PING
    socket.send(frame(PONG, payload))
    assert socket.read()[0] == PING
    socket.close()


def test_heartbeats_on_their_way_into_phase_leave_time_for_an_answer(start_server):
    """None comes before half of the interval is over, whichever phase the slot has."""
    begun = time.monotonic()
    server = start_server(shards=1, config={"heartbeat_ms": 1500})
    sockets = [RawWebSocket(server) for _ in range(130)]  # three phases
    for beat in range(1, 5):
        for socket in (sockets[0], sockets[64], sockets[129]):
            assert socket.read()[0] == PING
            assert time.monotonic() - begun >= beat * 0.75
            socket.send(frame(PONG, b""))
    for socket in sockets:
        socket.connection.close()


def test_heartbeats_between_pings_ask_for_no_answer(start_server):
    server = start_server(config={"heartbeat_ms": 1000, "heartbeats_per_ping": 3})
    socket = RawWebSocket(server)
    assert socket.read()[0] == PING
    socket.send(frame(PONG, b""))
    assert [socket.read()[0] for _ in range(3)] == [PONG, PONG, PING]
    socket.close()


def test_raw_position_that_is_gone_has_a_close_code_of_its_own(server, eventually):
    """There is nothing around a raw payload in which to say it."""
    published = server.publish("c", "kept")
    position = f"{int(published['epoch'], 16) ^ 1:x}.1"
    socket = RawWebSocket(server, target("/ws", channel="c", since=position))
    assert socket.read_close() == 4410
    socket.close()
    eventually(lambda: server.closed("unrecoverable") == 1, "the closed connection")


def test_peer_that_never_answers_a_ping_is_dropped(start_server):
    server = start_server(config={"heartbeat_ms": 200})
    socket = RawWebSocket(server)
    with pytest.raises((EOFError, ConnectionResetError)):
        while True:
            opcode, _payload = socket.read()
            assert opcode in (PING, CLOSE)


def test_frames_in_the_same_segment_as_the_handshake(start_server):
    """A client may not wait for the answer before it sends; nothing may be lost."""
    server = start_server(args=["--echo"])
    with dial(server) as connection:
        connection.sendall(upgrade("/echo") + frame(TEXT, b"early"))
        status, _head, rest = read_head(connection)
        assert status == 101
        while len(rest) < 7:
            rest += connection.recv(100)
    assert rest == b"\x81\x05early"


def test_envelope_is_one_json_document_a_frame(server):
    server.publish("c", "x")
    socket = RawWebSocket(server, "/ws?channel=c&envelope=1")
    opcode, payload = socket.read()
    assert opcode == TEXT
    assert set(json.loads(payload)) == {"position", "recovered"}
    socket.close()
