"""Answers that nobody reads: no further request is looked at, and no more is owed."""

import base64
import json
import re
import socket
from socket import SO_RCVBUF, SOL_SOCKET

import pytest
from ringside import target
from wire import (
    PING, PONG, TEXT, EventStream, RawWebSocket, dial, exchange, frame, publish_all, read_head,
    read_to_end, slow_reader,
)

MIB = 1024 * 1024
BLOCK = 64 * 1024
# Valid UTF-8, each byte of which JSON writes as six: \u0001.
WIDE = b"\x01" * MIB


def get(path):
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


def split_body(head, rest):
    """The body behind a head, and what is behind that."""
    if b"transfer-encoding: chunked" not in head.lower():
        length = int(re.search(rb"(?i)content-length: (\d+)", head).group(1))
        assert len(rest) >= length
        return rest[:length], rest[length:]
    body, at = [], 0
    while True:
        line = rest.index(b"\r\n", at)
        size = int(rest[at:line], 16)
        at = line + 2 + size + 2
        assert len(rest) >= at and rest[at - 2:at] == b"\r\n"
        if size == 0:
            return b"".join(body), rest[at:]
        body.append(rest[line + 2:line + 2 + size])


def answers(received):
    """The bodies of a run of answers."""
    bodies = []
    while received:
        head, rest = received.split(b"\r\n\r\n", 1)
        assert head.startswith(b"HTTP/1.1 200 "), head
        body, received = split_body(head, rest)
        bodies.append(body)
    return bodies


def read_more(connection):
    chunk = connection.recv(MIB)
    assert chunk, "it was closed"
    return chunk


def waits(server):
    """An answer does: a piece of it is made, and what is to be written into it is kept."""
    return (server.metric("ringside_sends_short_total") > 0
            and server.metric("ringside_kept_bytes") > 0)


def requests(server):
    return server.metric("ringside_requests_total")


@pytest.mark.parametrize("secure", [False, True])
def test_pipelined_polls_unread_are_not_answered(start_server, secure, eventually):
    server = start_server(secure=secure)
    server.publish("wide", WIDE)
    before = requests(server)
    with dial(server) as connection:
        connection.sendall(get("/poll?channel=wide") * 400)
        eventually(lambda: waits(server), "an answer that waits")
        for _ in range(20):
            assert server.get("/healthz").status == 200
            assert server.metric("ringside_queue_bytes") < MIB
            assert server.metric("ringside_kept_bytes") < 2 * MIB
        # Each round asks twice: what is left are the first poll, and one more at the most.
        assert requests(server) - before < 100


def test_answers_that_are_read_late_are_all_right(server, eventually):
    server.publish("wide", WIDE)
    count = 12
    with dial(server) as connection:
        connection.sendall(get("/poll?channel=wide") * count)
        connection.shutdown(socket.SHUT_WR)
        eventually(lambda: waits(server), "an answer that waits")
        bodies = answers(read_to_end(connection))
    assert len(bodies) == count
    assert all(body.count(rb"\u0001") == MIB for body in bodies)


@pytest.mark.parametrize("secure", [False, True])
def test_a_long_pipeline_is_answered_in_order_to_its_end(start_server, secure):
    server = start_server(secure=secure)
    for i in range(4):
        server.publish(f"c{i}", f"data {i}")
    paths = ["/healthz", "/metrics", "/", *(f"/poll?channel=c{i}" for i in range(4))]
    order = [paths[i * i % len(paths)] for i in range(600)]
    with dial(server) as connection:
        connection.sendall(b"".join(map(get, order)))
        if secure:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            order.append("/healthz")
        else:
            connection.sendall(b"GET /half HTTP/1.1\r\n")
            connection.shutdown(socket.SHUT_WR)
        bodies = answers(read_to_end(connection))
    assert len(bodies) == len(order)
    for path, body in zip(order, bodies):
        if "poll" in path:
            assert f'"data {path[-1]}"'.encode() in body
        elif path == "/healthz":
            assert body == b'{"status":"ok"}\n'
        else:
            assert len(body) > 2000


def test_metrics_that_nobody_reads_are_not_written(server, eventually):
    before = requests(server)
    with dial(server) as connection:
        connection.setsockopt(SOL_SOCKET, SO_RCVBUF, 4096)
        connection.sendall(get("/metrics") * 5000)
        eventually(lambda: server.metric("ringside_sends_short_total") > 0, "a full socket")
        for _ in range(20):
            assert server.metric("ringside_queue_bytes") < MIB
        assert requests(server) - before < 2500


def test_a_long_poll_behind_big_answers_is_held(server, eventually):
    server.publish("wide", WIDE)
    with dial(server) as connection:
        connection.sendall(
            get("/poll?channel=wide") * 3
            + get(target("/longpoll", channel="later", timeout=20))
            + get("/healthz") * 100
        )
        eventually(lambda: waits(server), "an answer that waits")
        assert server.metric("ringside_longpolls_held") == 0
        received = bytearray()
        while len(received) < 18 * MIB:
            received += read_more(connection)
        eventually(lambda: server.metric("ringside_longpolls_held") == 1, "a held poll")
        server.publish("later", "now")
        while b'"now"' not in received[-MIB:]:  # an end that comes earlier ends the hold
            received += read_more(connection)
        connection.shutdown(socket.SHUT_WR)
        bodies = answers(bytes(received) + read_to_end(connection))
    assert len(bodies) == 104
    assert b'"now"' in bodies[3]


def test_only_the_newest_pong_is_owed(server, eventually):
    """RFC 6455 section 5.5.3. The client sends pings for as long as it can, and reads nothing."""
    flood = b"".join(frame(PING, b"%05d" % i + b"p" * 100) for i in range(20000))
    newest = b"newest" + b"p" * 119
    socket = RawWebSocket(server, "/ws?channel=quiet")
    socket.connection.setsockopt(SOL_SOCKET, SO_RCVBUF, 4096)
    sent = server.metric("ringside_bytes_received_total")
    for _ in range(3):
        socket.send(flood)
        assert server.metric("ringside_queue_bytes") < MIB
    socket.send(frame(PING, newest))
    size = 3 * len(flood)
    eventually(
        lambda: server.metric("ringside_bytes_received_total") - sent > size, "all of it received"
    )
    last, pongs = b"", 0
    while last != newest:
        opcode, last = socket.read()
        assert opcode == PONG
        pongs += 1
    assert 0 < pongs < 3 * 20000
    socket.close()


def test_pings_unread_cost_the_neighbours_nothing(start_server, eventually):
    """Each of them waits with the same total; the flood is not what is behind."""
    server = start_server(shards=1, args=["--set", "queue_total_bytes_max=4194304"])
    flood = b"".join(frame(PING, b"p" * 125) for _ in range(4000))
    sockets = [RawWebSocket(server, "/ws?channel=quiet") for _ in range(30)]
    for socket in sockets:
        socket.connection.setsockopt(SOL_SOCKET, SO_RCVBUF, 4096)
    victim = RawWebSocket(server, "/ws?channel=busy")
    for _ in range(3):
        for socket in sockets:
            socket.send(flood)
        assert server.metric("ringside_queue_bytes") < 4 * MIB
    server.publish("busy", "still here")
    assert victim.read() == (TEXT, b"still here")
    assert server.closed("queue_total") == 0
    for socket in [victim, *sockets]:
        socket.close()


def test_whoever_holds_most_for_longest_goes(start_server, eventually):
    """Two read nothing of a busy channel. A crowd is some way behind, and one reads all."""
    server = start_server(
        shards=1,
        args=["--set", "queue_total_bytes_max=8388608", "--set", "queue_bytes_max=16777216"],
    )
    crowd = [RawWebSocket(server, "/ws?channel=small") for _ in range(8)]
    deaf = [RawWebSocket(server, "/ws?channel=big") for _ in range(2)]
    reader = EventStream(server.url("/sse", channel="small"))
    for socket in deaf:
        socket.connection.setsockopt(SOL_SOCKET, SO_RCVBUF, 4096)

    eventually(
        lambda: server.publish("small", b"x" * 30000)
        and server.metric("ringside_queue_bytes") > 400000,
        "frames that wait",
    )
    published = server.publish("small", "last")["offset"]
    while server.closed("queue_total") == 0:
        server.publish("big", b"y" * 500000)
    assert server.closed("queue_total") == 2  # they wait for the same frames
    assert server.metric("ringside_streams_websocket") == 8
    for socket in crowd:
        for _ in range(published - 1):
            assert socket.read() == (TEXT, b"x" * 30000)
        assert socket.read() == (TEXT, b"last")
        socket.close()
    reader.close()
    for socket in deaf:
        socket.close()


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("policy", ["disconnect", "drop_oldest", "keep_latest"])
def test_what_slow_readers_held_is_given_back(start_server, eventually, policy, secure):
    """At rest a shard has two blocks at most: those that it writes to, of which one is for what
    full sockets leave over. A message's frames go with its last delivery."""
    config = {"queue_bytes_max": BLOCK, "unsent_bytes_max": BLOCK, "slow_reader": policy}
    server = start_server(secure=secure, shards=1, config=config)
    slow = [slow_reader(server) for _ in range(8)]
    publish_all(server, (b"x" * 16384 for _ in range(60)))
    if policy == "disconnect":
        server.plain().until_closed("slow_reader", len(slow))
    else:
        assert server.plain().metric("ringside_messages_dropped_total") > 0
        assert server.plain().metric("ringside_queue_bytes") > 0
    for reader in slow:
        reader.close()
    eventually(lambda: server.plain().metric("ringside_queue_bytes") <= 2 * BLOCK, "the blocks")


@pytest.mark.parametrize("path", ["/poll", "/longpoll"])
def test_an_answer_has_one_bound_over_its_channels(server, path):
    """In bytes of payload. What has no room is behind the position that is told."""
    names = [f"bound{i}" for i in range(6)]
    for i in range(5):
        for name in names:
            server.publish(name, b"\x01" * 80000 + f"{name} {i}".encode())
    position, got, answered = "start", {name: [] for name in names}, 0
    while sum(map(len, got.values())) < 30:
        answer = server.get(target(path, channel=names, since=position, timeout=20))
        assert answer.status == 200 and len(answer.body) < 6 * MIB + 4096
        for message in answer.json()["messages"]:
            assert message["offset"] == len(got[message["channel"]]) + 1
            got[message["channel"]].append(message["data"].lstrip("\x01"))
        assert answer.json()["messages"]
        position = answer.json()["position"]
        answered += 1
    assert got == {name: [f"{name} {i}" for i in range(5)] for name in names}
    assert answered >= 30 * 80000 // MIB


@pytest.mark.parametrize("path", ["/poll", "/longpoll"])
@pytest.mark.parametrize("secure", [False, True])
def test_a_large_answer_is_made_piece_by_piece(start_server, eventually, path, secure):
    """A turn makes a piece of it, and none while the one before waits."""
    server = start_server(shards=1, secure=secure)
    names = [f"large{i}" for i in range(8)]
    for name in names:
        server.publish(name, b"\x01" * 100000)
        server.publish(name, b"\xff" * 20000)
    with dial(server) as connection:
        connection.sendall(get(target(path, channel=names, since="start")) + get("/healthz"))
        eventually(lambda: waits(server), "an answer that waits")
        assert server.metric("ringside_queue_bytes") < 4 * 65536
        assert 960000 <= server.metric("ringside_kept_bytes") < MIB
        status, head, received = read_head(connection)
        assert status == 200 and b"content-length" not in head.lower()
        received = bytearray(received)
        while not received.endswith(b'{"status":"ok"}\n'):
            received += connection.recv(MIB)
    body, behind = split_body(head, bytes(received))
    assert [len(message["data"]) for message in json.loads(body)["messages"]] == [
        100000, len(base64.b64encode(bytes(20000)))] * len(names)
    assert answers(behind) == [b'{"status":"ok"}\n']
    eventually(lambda: server.metric("ringside_kept_bytes") == 0, "nothing kept")


def test_a_large_answer_on_http_1_0_ends_with_the_connection(server):
    server.publish("wide", WIDE)
    for field in [b"", b"Connection: keep-alive\r\n"]:
        received = exchange(server, b"GET /poll?channel=wide HTTP/1.0\r\n" + field + b"\r\n")
        head, body = received.split(b"\r\n\r\n", 1)
        assert b"\r\nConnection: close" in head and b"Transfer-Encoding" not in head
        assert json.loads(body)["messages"][0]["data"].encode() == WIDE


def test_head_of_a_large_answer_has_no_body(server):
    server.publish("wide", WIDE)
    with dial(server) as connection:
        connection.sendall(b"HEAD /poll?channel=wide HTTP/1.1\r\nHost: h\r\n\r\n"
                           + get("/healthz"))
        status, head, rest = read_head(connection)
        assert status == 200 and b"\r\nTransfer-Encoding: chunked" in head
        assert rest.startswith(b"HTTP/1.1 200 ") or read_head(connection)[0] == 200


@pytest.mark.parametrize("size", [100000, 400000])
def test_a_large_message_reaches_all_who_hold(server, eventually, size):
    """Up to a bound it is encoded once for all, beyond it for each of them in pieces."""
    holders = [server.connect() for _ in range(6)]
    for holder in holders:
        holder.request("GET", target("/longpoll", channel="c", timeout=20))
    eventually(lambda: server.metric("ringside_longpolls_held") == 6, "held")
    server.publish("c", b"x" * size)
    for holder in holders:
        answer = json.loads(holder.getresponse().read())
        assert [len(message["data"]) for message in answer["messages"]] == [size]
        holder.request("GET", target("/poll", channel="c", since=answer["position"]))
        assert json.loads(holder.getresponse().read())["messages"] == []
        holder.close()


@pytest.mark.parametrize("path", ["/poll", "/longpoll"])
def test_one_message_is_given_however_large(server, path):
    for name in ["large0", "large1"]:
        server.publish(name, WIDE)
    position = "start"
    for _ in range(2):
        answer = server.get(
            target(path, channel=["large0", "large1"], since=position, timeout=20)
        ).json()
        assert [len(message["data"]) for message in answer["messages"]] == [MIB]
        position = answer["position"]
    assert server.get(target("/poll", channel=["large0", "large1"], since=position)).json()[
        "messages"
    ] == []


def test_a_hold_that_is_over_at_once_is_answered(start_server):
    """Also when the channel's home is another shard, whose answer is still on its way."""
    server = start_server(shards=4)
    connection = server.connect()
    for i in range(40):
        connection.request("GET", target("/longpoll", channel=f"hold{i}", timeout=0))
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200, body
        if i % 10 == 0:
            server.publish(f"hold{i}", "x")
    connection.close()
    assert server.refused("overloaded") == 0
