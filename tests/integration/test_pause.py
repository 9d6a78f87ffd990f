"""A server that stood still: whoever answered meanwhile is not silent."""

import selectors
import signal
import time

import pytest

from wire import PONG, dial, frame, read_head, upgrade

# A ping comes 1.5 intervals after opening at the latest, the end of who did not answer after two:
# half of one is the time to open all.
HEARTBEAT_MS = 8000
SOCKETS = 1300  # more than one turn takes in: 1,024


def open_all(server):
    """All at once: one after the other they would need a good part of their time."""
    sockets = [dial(server) for _ in range(SOCKETS)]
    for socket in sockets:
        socket.sendall(upgrade())
    for socket in sockets:
        status, _head, rest = read_head(socket)
        assert (status, rest) == (101, b"")
    return sockets


def read_pings(sockets):
    """Waits until each has been pinged once, and answers none."""
    selector = selectors.DefaultSelector()
    for socket in sockets:
        selector.register(socket, selectors.EVENT_READ)
    waiting = len(sockets)
    while waiting:
        for key, _ in selector.select():
            assert key.fileobj.recv(64) == b"\x89\x00"
            selector.unregister(key.fileobj)
            waiting -= 1


@pytest.mark.alone
def test_answers_that_lie_unread_are_not_silence(start_server):
    server = start_server(shards=1, args=["--set", f"heartbeat_ms={HEARTBEAT_MS}"])
    sockets = open_all(server)
    read_pings(sockets)
    server.signal(signal.SIGSTOP)
    try:
        for socket in sockets:
            socket.sendall(frame(PONG))
        time.sleep(HEARTBEAT_MS / 1000 + 0.5)
    finally:
        server.signal(signal.SIGCONT)
    server.get("/healthz")
    assert server.closed("heartbeat") == 0
    assert server.metric("ringside_subscriptions") == SOCKETS
    for socket in sockets:
        socket.close()
