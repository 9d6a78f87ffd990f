"""What HTTP/2 lets a client do to a server for a few bytes, and where that ends: each bound has a
name, and costs nobody else anything."""

import struct

import pytest

from http2 import Http2
from ringside import PATIENCE_S

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, CONTINUATION = 0, 1, 2, 3, 4, 6, 9
WINDOW_UPDATE = 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1
PROTOCOL_ERROR, REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM = 1, 7, 8, 11


def frames(kind, flags, stream, payload, count):
    head = struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream)
    return (head + payload) * count


def flooded(server, kind):
    server.until_closed("http2_flood")
    return server.metric("ringside_http2_floods_total", kind=kind)


def bystander(server):
    """Somebody else, who is to notice nothing."""
    client = Http2(server)
    stream = client.open("/sse?channel=c")
    client.until(lambda: stream.data, "its beginning")
    return client, stream


def hears(server, client, stream):
    server.publish("c", "still here")
    client.until(lambda: b"data: still here\n\n" in stream.data, "a message")
    client.close()
    return True


@pytest.fixture
def other(server):
    client, stream = bystander(server)
    yield lambda: hears(server, client, stream)
    client.close()


@pytest.mark.parametrize("kind, flags, payload", [
    (PING, 0, b"12345678"), (SETTINGS, 0, b""), (PRIORITY, 0, b"\x00\x00\x00\x00\x10"),
    (0xB0, 0, b""),
])
def test_frames_that_do_nothing(server, other, kind, flags, payload):
    client = Http2(server)
    client.get("/healthz")
    stream = 0 if kind in (PING, SETTINGS) else 1001
    client.raw(frames(kind, flags, stream, payload, 3000))
    assert client.until_closed() in (ENHANCE_YOUR_CALM, None)
    assert flooded(server, "idle_frames") == 1
    assert other()


def test_empty_data(server, other):
    client = Http2(server)
    stream = client.open("/publish?channel=c", method="POST", end=False)
    client.until(lambda: client.settings, "SETTINGS")
    client.raw(frames(DATA, 0, stream.number, b"", 3000))
    assert client.until_closed() in (ENHANCE_YOUR_CALM, None)
    assert flooded(server, "idle_frames") == 1
    assert other()


def test_rapid_reset(start_server):
    server = start_server(config={"http2_resets_per_s": 10})
    client, stream = bystander(server)
    attacker = Http2(server)
    for _ in range(300):
        attacker.reset(attacker.open("/poll?channel=c"))
        if attacker.closed:
            break
    assert attacker.until_closed() in (ENHANCE_YOUR_CALM, None)
    assert flooded(server, "resets") == 1
    assert hears(server, client, stream)


def test_streams_that_we_are_made_to_reset(start_server):
    """A window that is given too much is an error of the stream, which the server resets."""
    server = start_server(config={"http2_resets_per_s": 10})
    attacker = Http2(server)
    for _ in range(300):
        stream = attacker.open("/longpoll?channel=c")
        attacker.frame(WINDOW_UPDATE, 0, stream.number, b"\x7f\xff\xff\xff")
        if attacker.closed:
            break
    assert attacker.until_closed() in (ENHANCE_YOUR_CALM, None)
    assert flooded(server, "resets") == 1


def test_resets_as_a_page_makes_them(server):
    """A page that closes all of its streams is no attack."""
    with Http2(server) as client:
        for _ in range(4):
            streams = [client.open("/sse?channel=c") for _ in range(90)]
            client.until(lambda: all(stream.data for stream in streams), "their beginnings")
            for stream in streams:
                client.reset(stream)
        assert client.get("/healthz").status == 200


def test_continuations_without_end(server, other):
    client = Http2(server)
    client.get("/healthz")
    block = client.h2.encoder.encode([(":method", "GET"), (":scheme", "http"), (":path", "/")])
    client.raw(frames(HEADERS, END_STREAM, 1001, block, 1))
    client.raw(frames(CONTINUATION, 0, 1001, b"", 100))
    client.until_closed()
    assert flooded(server, "continuations") == 1
    assert other()


def test_a_head_that_unpacks_to_more_than_it_was(server, other):
    """One field in the table, and a byte for each time that it is meant."""
    client = Http2(server)
    client.get("/healthz")
    fields = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")]
    block = client.h2.encoder.encode([*fields, ("x", "y" * 3900)])
    client.raw(frames(HEADERS, END_STREAM | END_HEADERS, 1001, block + b"\xbe" * 4000, 1))
    client.until_closed()
    assert flooded(server, "head") == 1
    assert other()


def test_answers_that_are_not_read(start_server):
    """Its socket is full, and it goes on asking for answers to PING. It is not read from."""
    server = start_server(config={"stall_timeout_ms": 1500})
    server.publish("c", "x" * 900000)
    with Http2(server) as client:
        client.h2.increment_flow_control_window(2**30)
        client.flush()
        for _ in range(20):
            stream = client.open("/sse?channel=c&since=start")
            client.h2.increment_flow_control_window(2**30, stream.number)
            client.flush()
        server.until_closed("stalled")
    assert server.get("/healthz").status == 200


def test_more_streams_than_one_may_have(start_server):
    server = start_server(config={"http2_streams_max": 5})
    with Http2(server) as client:
        client.get("/healthz")
        client.h2.remote_settings.update({3: 100})  # it knows better
        client.h2.remote_settings.acknowledge()
        for _ in range(6):
            client.open("/longpoll?channel=c")
        assert client.until_closed() == PROTOCOL_ERROR
    server.until_closed("http2_error")


def test_more_streams_than_all_may_have(start_server, eventually):
    server = start_server(shards=1, config={"streams_max": 3})
    with Http2(server) as first, Http2(server) as second:
        held = [first.open("/sse?channel=c") for _ in range(3)]
        first.until(lambda: all(stream.data for stream in held), "their beginnings")
        assert second.get("/healthz").reset == REFUSED_STREAM
        first.reset(held[0])
        eventually(lambda: server.metric("ringside_streams") == 2, "a place")
        assert second.get("/healthz").status == 200
    assert server.refused("table_full") == 1


# ---- windows ----

@pytest.mark.parametrize("policy", ["disconnect", "keep_latest"])
def test_a_closed_window_is_a_slow_reader(start_server, policy):
    server = start_server(
        shards=1, config={"queue_bytes_max": 4096, "slow_reader": policy, "heartbeat_ms": 100000}
    )
    with Http2(server, window=0) as client:
        slow = client.open("/sse?channel=c")
        quick = client.open("/sse?channel=c")
        client.give(quick, 1 << 20)
        client.until(lambda: quick.data, "its beginning")
        for i in range(40):
            server.publish("c", f"{i:04}" + "x" * 500)
            client.until(lambda: b"data: %04d" % i in quick.data, "a message")
        assert slow.data == b"" and slow.status == 200
        if policy == "disconnect":
            assert client.whole(slow).reset == CANCEL
            assert server.metric("ringside_streams_closed_total", reason="slow_reader") == 1
        else:
            client.give(slow, 1 << 20)
            client.until(lambda: b"data: 0039" in slow.data, "the latest")
            assert slow.data.count(b"data: ") < 5
        server.publish("c", "the last")
        client.until(lambda: b"data: the last\n\n" in quick.data, "the last")


def test_a_window_that_stays_closed_is_a_stalled_reader(start_server):
    server = start_server(config={"stall_timeout_ms": 1500})
    with Http2(server, window=0) as client:
        stream = client.open("/sse?channel=c")
        assert client.whole(stream).reset == CANCEL
        assert server.metric("ringside_streams_closed_total", reason="stalled") == 1
        other = client.open("/healthz")
        client.give(other, 100)
        assert client.whole(other).data == b'{"status":"ok"}\n'


def test_a_window_of_a_byte(start_server):
    server = start_server()
    with Http2(server, window=1, acknowledge=False) as client:
        stream = client.open("/healthz")
        while not stream.over:
            client.read()
            if not stream.over and stream.data:
                client.give(stream, 1)
        assert stream.data == b'{"status":"ok"}\n'
        assert stream.frames >= 16


def test_the_window_of_the_connection_holds_up_all(server):
    with Http2(server, acknowledge=False) as client:
        client.post("/publish?channel=c", b"x" * 60000)
        streams = [client.open("/poll?channel=c") for _ in range(3)]
        heard = client.streams.values()
        client.until(lambda: sum(len(one.data) for one in heard) == 65535, "all of the window")
        client.h2.increment_flow_control_window(1 << 20)
        client.flush()
        for stream in streams:
            assert len(client.whole(stream).data) > 60000


# ---- deadlines ----

def test_a_connection_that_asks_for_nothing(start_server):
    server = start_server(config={"head_timeout_ms": 300})
    with Http2(server) as client:
        assert client.until_closed() in (0, None)
    server.until_closed("head_timeout")


def test_a_peer_that_answers_no_ping(start_server):
    server = start_server(config={"heartbeat_ms": 1000})
    client = Http2(server)
    stream = client.open("/sse?channel=c")
    client.until(lambda: stream.data, "its beginning")
    # From here on it reads, and says nothing.
    client.connection.settimeout(PATIENCE_S)
    try:
        while client.connection.recv(65536):
            pass
    except ConnectionResetError:
        pass
    server.until_closed("heartbeat")


def test_a_body_that_stops(start_server):
    server = start_server(config={"body_timeout_ms": 1500})
    with Http2(server) as client:
        stream = client.open("/publish?channel=c", method="POST", end=False)
        client.send(stream, b"half")
        assert client.whole(stream).status == 408
        assert client.get("/healthz").status == 200


def test_garbage_behind_the_preface(server, other):
    client = Http2(server)
    client.get("/healthz")
    client.raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 10)
    client.until_closed()
    server.until_closed("http2_error")
    assert other()
