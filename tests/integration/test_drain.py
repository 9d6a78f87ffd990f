"""Being told to stop: streams end, held polls are answered, WebSockets get 1001, exit code 0."""

import select
import signal
import subprocess
import time

import pytest

from ringside import data_of, target, wait_until
from wire import EventStream, RawWebSocket, dial, read_answer, read_head


@pytest.fixture(params=[signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def number(request):
    return request.param


def test_idle_server_stops(server, number):
    server.signal(number)
    assert server.wait() == 0


def test_sighup_is_harmless(start_server, eventually):
    """Without certificates there is nothing to read again; and a drain goes on to its end."""
    server = start_server(config={"drain_ms": 500})
    server.signal(signal.SIGHUP)
    eventually(lambda: "SIGHUP: there is nothing to read again" in server.output(), "a sentence")
    client = RawWebSocket(server)
    server.signal(signal.SIGTERM)
    assert client.read_close_frame() == 1001
    server.signal(signal.SIGHUP)
    client.close()
    assert server.wait() == 0


def test_websockets_get_1001(server, number):
    sockets = [RawWebSocket(server) for _ in range(20)]
    server.signal(number)
    assert [socket.read_close() for socket in sockets] == [1001] * 20
    assert server.wait() == 0


def test_streams_end_well(server, number):
    """curl exits 0 only when the body had a proper end."""
    streams = [EventStream(server.url("/sse", channel="c")) for _ in range(10)]
    server.signal(number)
    for stream in streams:
        assert stream.next() is None
        assert stream.close() == 0
    assert server.wait() == 0


def test_held_polls_are_answered(server, number, eventually):
    position = server.position("c")
    path = target("/longpoll", channel="c", since=position, timeout=25)
    command = ["curl", "-sSf", "--noproxy", "*", f"http://{server.address}{path}"]
    held = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(5)]
    eventually(lambda: server.metric("ringside_longpolls_held") == 5, "five held polls")
    server.signal(number)
    for process in held:
        output, _ = process.communicate(timeout=30)
        assert process.returncode == 0
        assert position.encode() in output
    assert server.wait() == 0


def test_what_was_accepted_is_delivered_first(server, number):
    socket = RawWebSocket(server)
    for n in range(50):
        server.publish("c", f"{n}")
    server.signal(number)
    assert [socket.read()[1] for _ in range(50)] == [b"%d" % n for n in range(50)]
    assert socket.read_close() == 1001
    assert server.wait() == 0


def test_kept_connections_do_not_hold_it_up(server, number):
    connections = [dial(server) for _ in range(10)]
    for connection in connections:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
        assert read_head(connection)[0] == 200
    server.signal(number)
    assert server.wait() == 0


def test_half_a_request_does_not_hold_it_up(server, number):
    connection = dial(server)
    connection.sendall(b"GET /healthz HTTP/1.1\r\n")
    server.signal(number)
    assert server.wait() == 0
    connection.close()


@pytest.mark.parametrize(
    "half",
    [b"POST /publish?channel=c HTTP/1.1\r\nHost: h\r\nContent-Length: 900000\r\n\r\nxxx",
     b"GET /healthz HTTP/1.1\r\nHos"],
    ids=["body", "head"])
def test_half_a_request_is_refused(start_server, eventually, number, half):
    """It will not be served: its client is told so, and what it still sends does not hide it."""
    server = start_server(config={"drain_ms": 500})
    with dial(server) as connection:
        connection.sendall(half)
        eventually(lambda: server.metric("ringside_input_bytes") > 0, "it to be read")
        server.signal(number)
        if half.startswith(b"POST"):
            connection.sendall(b"x" * 800_000)
        status, head, body = read_answer(connection)
    assert status == 503
    assert b"draining" in body
    assert b"retry-after:" in head.lower()
    assert server.wait() == 0


def test_goodbyes_are_spread_over_those_who_are_there(start_server, number):
    """After a rush most slots are free, and those who stayed may have the last ones."""
    server = start_server(shards=1, config={"drain_ms": 3000})
    rush = [RawWebSocket(server) for _ in range(200)]
    stay = [RawWebSocket(server) for _ in range(20)]
    for client in rush:
        client.close()
    wait_until(lambda: server.metric("ringside_streams_websocket") == len(stay), "it to leave")
    begin = time.monotonic()
    server.signal(number)
    gone = []
    waiting = {client.connection: client for client in stay}
    while waiting:
        for connection in select.select(list(waiting), [], [])[0]:
            gone.append(time.monotonic() - begin)
            waiting.pop(connection).read_close()
    early = sum(moment < 2.1 for moment in gone)
    assert len(stay) / 3 <= early <= len(stay)
    assert server.wait() == 0


def test_peer_that_ignores_the_close_does_not_hold_it_up(server, number):
    socket = RawWebSocket(server)
    server.signal(number)
    assert server.wait() == 0
    socket.close()


def test_address_is_free_afterwards(start_server, number):
    first = start_server()
    socket = RawWebSocket(first)
    first.signal(number)
    assert first.wait() == 0
    socket.close()
    first.start()
    first.publish("c", "a new life")
    assert data_of(first.poll("c")) == ["a new life"]


def test_new_life_is_a_new_epoch(start_server):
    """Offsets start again at 1: a reader of the old life must be told, not misled."""
    server = start_server()
    server.publish("c", "old 1")
    position = server.position("c")
    server.stop()
    server.start()
    for text in ("new 1", "new 2", "new 3"):
        server.publish("c", text)
    answer = server.poll("c", since=position)
    assert answer["recovered"] is False
