"""What clients begin and do not finish: bounded in bytes, over all of them, and in time."""

import re
import select
import struct

import pytest
from wire import (
    BINARY,
    PING,
    PONG,
    TEXT,
    RawWebSocket,
    dial,
    frame,
    read_answer,
    read_to_end,
)

MIB = 1024 * 1024


def half_message(size):
    """The beginning of a frame: a head that announces more than what follows."""
    return struct.pack(">BBQI", 0x80 | BINARY, 0xFF, size + 1000, 0) + bytes(size)


def half_body(channel, size):
    head = f"POST /publish?channel={channel} HTTP/1.1\r\nHost: a\r\n"
    return f"{head}Content-Length: {size + 1000}\r\n\r\n".encode() + bytes(size)


@pytest.mark.parametrize("fin", [True, False])
def test_the_first_byte_is_refused_where_nobody_may_publish(server, fin):
    for data in [half_message(66000), frame(TEXT, b"part", fin=fin)]:
        socket = RawWebSocket(server)
        socket.send(data)
        assert socket.read_close_frame() == 1008
        socket.close()
    assert server.metric("ringside_input_bytes") < MIB


def test_half_messages_hold_nothing_where_nobody_may_publish(server, eventually):
    sockets = [RawWebSocket(server) for _ in range(40)]
    for socket in sockets:
        try:
            socket.send(half_message(MIB - 5000))
        except OSError:
            pass  # it was refused meanwhile
    eventually(lambda: server.closed("ws_policy") == 40, "all of them refused")
    assert server.metric("ringside_input_bytes") < MIB
    for socket in sockets:
        socket.close()


def opened(server, kind, size):
    """A connection that has left `size` bytes unfinished."""
    if kind == "body":
        connection = dial(server)
        connection.sendall(half_body("c", size))
        return connection
    socket = RawWebSocket(server)
    socket.send(half_message(size))
    return socket.connection


def can_be_read(connection):
    return bool(select.select([connection], [], [], 0)[0])


@pytest.mark.parametrize("kind", ["body", "message"])
def test_the_one_with_most_unfinished_for_longest_goes(start_server, kind, eventually):
    server = start_server(
        shards=1, config={"websocket_publish": "on", "input_total_bytes_max": 4 * MIB}
    )
    first = opened(server, kind, 900000)
    eventually(lambda: server.metric("ringside_input_bytes") > 900000, "the first")
    small = RawWebSocket(server, "/ws?channel=s")
    small.send(frame(TEXT, b"still ", fin=False))
    others = []
    while not can_be_read(first):
        others.append(opened(server, kind, 900000))
        assert len(others) < 10
        eventually(lambda: can_be_read(first)
                   or server.metric("ringside_input_bytes") > 900000 * (len(others) + 1),
                   "it is charged, or one is told")
        assert server.metric("ringside_input_bytes") <= 4 * MIB
    told = read_to_end(first)
    if kind == "body":
        assert told.startswith(b"HTTP/1.1 503 ") and b'"overloaded"' in told
        assert b"\r\nRetry-After: " in told and b"\r\nConnection: close" in told
    else:
        assert told[0] == 0x88 and told[2:4] == struct.pack(">H", 1013)
        assert re.fullmatch(rb"input_total retry_ms=\d+", told[4:])
    first.close()
    server.until_closed("input_total")
    small.send(frame(0, b"here"))
    assert small.read() == (TEXT, b"still here")
    assert server.closed("input_total") == 1
    for connection in [small, *others]:
        connection.close()
    eventually(lambda: server.metric("ringside_input_bytes") == 0, "nothing held")


def test_a_body_that_comes_in_pieces_is_taken_beside_those_that_do_not_end(
    start_server, eventually
):
    server = start_server(shards=1, config={"input_total_bytes_max": 2 * MIB})
    squatters = [opened(server, "body", 300000) for _ in range(4)]
    eventually(lambda: server.metric("ringside_input_bytes") > MIB, "half bodies")
    with dial(server) as connection:
        connection.sendall(half_body("c", 900000) + bytes(500))
        eventually(lambda: any(can_be_read(other) for other in squatters), "room for it")
        connection.sendall(bytes(500))
        assert read_answer(connection)[0] == 200
    for connection in squatters:
        connection.close()


def test_half_a_head_is_charged_with_what_is_kept_of_it(server, eventually):
    """A byte of a frame keeps how far it has come, and where."""
    socket = RawWebSocket(server)
    socket.send(b"\x82")
    eventually(lambda: server.metric("ringside_input_bytes") > 200, "more than its byte")
    socket.send(b"\xfe\x01")
    assert 200 < server.metric("ringside_input_bytes") < 1000
    socket.close()
    eventually(lambda: server.metric("ringside_input_bytes") == 0, "nothing held")


def test_half_a_message_has_its_time(start_server, eventually):
    """However many pings are answered meanwhile."""
    server = start_server(
        config={"websocket_publish": "on", "body_timeout_ms": 3500, "heartbeat_ms": 1000}
    )
    socket = RawWebSocket(server)
    socket.send(frame(TEXT, b"half", fin=False))
    pings = 0
    while (received := socket.read())[0] == PING:
        socket.send(frame(PONG, received[1]))
        pings += 1
    assert received[1][:2] == struct.pack(">H", 1008)
    assert received[1][2:] == b"ws_timeout"
    assert pings >= 2
    eventually(lambda: server.closed("ws_timeout") == 1, "its end")
    socket.close()


def test_messages_in_many_fragments_have_time_for_each(start_server, eventually):
    server = start_server(
        config={"websocket_publish": "on", "body_timeout_ms": 3500, "heartbeat_ms": 1000}
    )
    socket = RawWebSocket(server)
    for i in range(5):
        # One message ends in the send in which the next begins: something is always half done.
        socket.send((frame(0, b"-end") if i else b"") + frame(TEXT, b"%d" % i, fin=False))
        while i and (received := socket.read())[0] != TEXT:
            assert received[0] == PING
            socket.send(frame(PONG, received[1]))
        if i:
            assert received[1] == b"%d-end" % (i - 1)
        heartbeats = server.metric("ringside_pings_total")
        eventually(lambda: server.metric("ringside_pings_total") > heartbeats, "a heartbeat")
    assert server.closed("ws_timeout") == 0
    socket.close()
