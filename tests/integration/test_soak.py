"""Clients come and go, and the server is as large as before. The kernel hands out slots in turn, so
that each client's line is a new one until all have been used, and the heap spreads likewise: with
few slots that is soon, and what still grows then is a leak."""

import resource
import socket
import struct

import pytest

from ringside import target
from wire import dial, upgrade

SLOTS = 512
TOGETHER = 50
ROUND = 1500
ROUNDS_UNTIL_USED = 9
ROUNDS = 12
GROWTH_MAX_KB = 32  # 7 bytes of each client
# By itself the heap keeps for each thread what it has freed, and takes and gives back 40 or 80 KB
# at moments of its own.
EXACT_HEAP = "narenas:1,tcache:false,dirty_decay_ms:0,muzzy_decay_ms:0"

KINDS = {
    "health": b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n",
    "poll": b"GET /poll?channel=a&channel=b HTTP/1.1\r\nHost: h\r\n\r\n",
    "publish": b"POST /publish?channel=a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
    "sse": b"GET /sse?channel=a&channel=b&since=start HTTP/1.1\r\nHost: h\r\n\r\n",
    "websocket": upgrade(target("/ws", channel="a")),
    "refused": b"GET /poll HTTP/1.1\r\nHost: h\r\n\r\n",
    "half": b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\nGET /healthz HT",
}


def few_slots():
    resource.setrlimit(resource.RLIMIT_NOFILE, (SLOTS, SLOTS))


def memory_kb(server):
    with open(f"/proc/{server.process.pid}/smaps_rollup", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Anonymous:"))


def come_and_go(server, request):
    for group in range(ROUND // TOGETHER):
        clients = [dial(server) for _ in range(TOGETHER)]
        for client in clients:
            client.sendall(request)
        for client in clients:
            client.recv(4096)
            if group % 2 == 0:
                linger = struct.pack("ii", 1, 0)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            client.close()


@pytest.mark.not_in("asan", "tsan", why="a sanitizer keeps what was freed")
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_left(start_server, eventually, monkeypatch, kind):
    monkeypatch.setenv("MALLOC_CONF", EXACT_HEAP)
    server = start_server(
        before=few_slots, config={"history_messages_max": 16, "max_connections": 256})

    def memory_after_a_round():
        come_and_go(server, KINDS[kind])
        eventually(lambda: server.metric("ringside_connections") <= 1, "all to be gone")
        return memory_kb(server)

    sizes = [memory_after_a_round() for _ in range(ROUNDS)]
    assert sizes[-1] - sizes[ROUNDS_UNTIL_USED - 1] <= GROWTH_MAX_KB, sizes
