"""Ports that the kernel chooses, and ports that several want at once."""

import http.client
import re
import socket
import subprocess

import pytest

from ringside import HOST, PATIENCE_S, hold_port, port_of, server_binary
from secure import client_context, pair

# What the first line says is read by scripts: docs/OPERATING.md.
LISTENS = re.compile(r"ringside-server listens on http://127\.0\.0\.1:(\d+)/"
                     r"(?: and https://127\.0\.0\.1:(\d+)/)? with \d+ shards?, for up to \d+ ")


@pytest.fixture
def launch():
    """launch(arguments) -> the process; all are ended."""
    started = []

    def start(*arguments):
        started.append(subprocess.Popen(
            [server_binary(), "--set", "drain_ms=0", *arguments], text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        return started[-1]

    yield start
    for process in started:
        process.terminate()
        with process:
            assert process.wait(PATIENCE_S) in (0, 1)


def test_the_kernel_chooses_one_port_for_all_shards(launch):
    servers = [launch("--listen", f"{HOST}:0", "--tls-listen", f"{HOST}:0",
                      "--tls-certificate", pair("local"), "--shards", "3") for _ in range(4)]
    ports = []
    for process in servers:
        plain, secure = map(int, LISTENS.match(process.stdout.readline()).groups())
        ports += [plain, secure]
        for connection in (
            http.client.HTTPConnection(HOST, plain, timeout=PATIENCE_S),
            http.client.HTTPSConnection(HOST, secure, timeout=PATIENCE_S,
                                        context=client_context()),
        ):
            connection.request("GET", "/healthz")
            assert connection.getresponse().status == 200
            connection.close()
        assert listening_sockets(plain) == listening_sockets(secure) == 3
    assert len(set(ports)) == len(ports) and 0 not in ports


def listening_sockets(port):
    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] == "0A" for row in rows)


def test_of_many_that_want_a_port_one_has_it(launch):
    """Sockets with SO_REUSEPORT could share it, each server with a part of the clients."""
    with hold_port() as held:
        address = f"{HOST}:{port_of(held)}"
        servers = [launch("--listen", address, "--shards", "2") for _ in range(8)]
        said = [process.stdout.readline() for process in servers]
        lives = [process for process, line in zip(servers, said) if LISTENS.match(line)]
        assert len(lives) == 1, said
        for process in servers:
            if process not in lives:
                assert process.wait(PATIENCE_S) == 1
                assert "another program has it" in process.stderr.read()


def test_a_held_port_is_nobody_elses(launch):
    """What the tests rely on: no connection comes from it, and a server can listen on it."""
    with hold_port() as held:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((HOST, port_of(held)), timeout=PATIENCE_S)
        process = launch("--listen", f"{HOST}:{port_of(held)}")
        assert LISTENS.match(process.stdout.readline())
