"""The bench's relay: bytes survive it, in order, and nothing is early. How late something may be is
the relay's own count, and no test's business."""

import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from ringside import ServerFault, check_output, hold_port, port_of

SERVER = Path(os.environ.get("RINGSIDE_SERVER", "build/release/server/ringside-server"))
RELAY = SERVER.parent.parent / "bench" / "relay" / "ringside-relay"


class Relay:
    def __init__(self, to, *options):
        self.held = hold_port()
        self.port = port_of(self.held)
        self.process = subprocess.Popen(
            [RELAY, "--listen", f"127.0.0.1:{self.port}", "--to", f"127.0.0.1:{to}", *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def connect(self):
        for _ in range(500):
            try:
                return socket.create_connection(("127.0.0.1", self.port), timeout=60)
            except ConnectionRefusedError:
                assert self.process.poll() is None
                time.sleep(0.01)
        raise AssertionError("the relay does not listen")

    def stop(self):
        """Ends it; returns the figures of its line."""
        self.process.send_signal(signal.SIGTERM)
        text, complaints = self.process.communicate(timeout=60)
        check_output(complaints)
        if self.process.returncode != 0:
            raise ServerFault(f"the relay left with {self.process.returncode}: {complaints}")
        return {name: int(value) for name, value in
                (word.split("=") for word in text.split() if "=" in word)}


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        yield server


@pytest.fixture
def relay(listener):
    started = []
    port = listener.getsockname()[1]

    def start(*options):
        started.append(Relay(port, *options))
        return started[-1]

    yield start
    for one in started:
        one.held.close()
        if one.process.returncode is None:
            one.stop()


def read_all(connection):
    pieces = []
    while piece := connection.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


def test_bytes_survive_both_ways(relay, listener):
    """More than the windows hold, with jitter: nothing is lost, doubled or out of order."""
    path = relay("--rtt-ms", "4", "--jitter-ms", "3", "--seed", "7", "--window-bytes", "4096")
    up = bytes(i * 7 % 251 for i in range(300_000))
    down = bytes(i * 5 % 253 for i in range(300_000))
    client = path.connect()
    server, _ = listener.accept()
    got = {}

    def talk(name, connection, what):
        def send():
            connection.sendall(what)
            connection.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        got[name] = read_all(connection)
        sender.join()

    sides = [threading.Thread(target=talk, args=side) for side in
             (("client", client, up), ("server", server, down))]
    for side in sides:
        side.start()
    for side in sides:
        side.join()
    assert got["server"] == up
    assert got["client"] == down
    figures = path.stop()
    assert figures["up_bytes"] == len(up)
    assert figures["down_bytes"] == len(down)
    assert figures["full"] > 0


def test_never_early(relay, listener):
    """A round trip takes at least what was asked, and a first one the handshake's as well."""
    path = relay("--rtt-ms", "80")
    client = path.connect()
    server, _ = listener.accept()
    times = []
    for _ in range(3):
        began = time.monotonic()
        client.sendall(b"ping")
        assert server.recv(16) == b"ping"
        server.sendall(b"pong")
        assert client.recv(16) == b"pong"
        times.append(time.monotonic() - began)
    assert times[0] >= 0.15
    assert all(taken >= 0.079 for taken in times)
    assert path.stop()["late_max_ns"] >= 0


def test_no_delay_is_allowed(relay, listener):
    path = relay()
    client = path.connect()
    server, _ = listener.accept()
    client.sendall(b"x" * 1000)
    client.shutdown(socket.SHUT_WR)
    assert read_all(server) == b"x" * 1000
    server.close()
    assert read_all(client) == b""


def test_a_reset_is_passed_on(relay, listener):
    path = relay("--rtt-ms", "2")
    client = path.connect()
    server, _ = listener.accept()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    with pytest.raises(ConnectionResetError):
        server.recv(1)


def test_more_connections_than_it_has_places(relay, listener):
    path = relay("--connections", "2")
    kept = [path.connect() for _ in range(2)]
    servers = [listener.accept()[0] for _ in kept]
    with pytest.raises(ConnectionResetError):
        path.connect().recv(1)
    for one, server in zip(kept, servers):
        one.sendall(b"still here")
        assert server.recv(16) == b"still here"
    kept[0].close()
    assert servers[0].recv(1) == b""
    servers[0].close()
    assert path.stop()["refused"] == 1


def test_a_server_that_is_not_there(relay, listener):
    listener.close()
    path = relay()
    with pytest.raises(ConnectionResetError):
        path.connect().recv(1)
    assert path.stop()["unreachable"] == 1
