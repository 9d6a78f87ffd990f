"""gather_us: what trickles in from several connections waits a moment; nothing is lost."""

import socket
import time

import pytest

from wire import TEXT, RawWebSocket

READERS = 4
MESSAGES = 60


@pytest.mark.parametrize("gather_us", [0, 100, 10000])
def test_a_trickle_reaches_everybody_in_order(start_server, gather_us):
    server = start_server(shards=2, config={"gather_us": gather_us})
    readers = [RawWebSocket(server) for _ in range(READERS)]
    for n in range(MESSAGES):
        server.publish("c", f"{n}")
    for reader in readers:
        for n in range(MESSAGES):
            assert reader.read() == (TEXT, f"{n}".encode())
        reader.close()


def ask(connection):
    """One request and its answer; returns when each was there."""
    sent = time.monotonic()
    connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
    answer = b""
    while b"ok" not in answer:
        answer += connection.recv(4096)
    return sent, time.monotonic()


def test_a_trickle_is_let_gather(start_server):
    """Two requests of two connections within a millisecond, the first sent to the second answered,
    are a trickle; what comes behind them is not looked at for 10 ms. Now and then the shard has
    something else to do, so it is nearly all of them. How quick an answer is does not matter."""
    server = start_server(shards=1, config={"gather_us": 10000})
    sides = [socket.create_connection((server.host, server.port), timeout=30) for _ in range(2)]
    waited = []
    for turn in range(5000):
        first, second = sides[turn % 2], sides[(turn + 1) % 2]
        sent, _ = ask(first)
        began, answered = ask(second)
        if answered - sent < 0.001:
            waited.append(ask(first)[1] - began >= 0.01)
        if len(waited) == 20:
            break
    assert len(waited) == 20, "this machine is too slow for a trickle"
    assert sum(waited) >= 16
    for side in sides:
        side.close()
