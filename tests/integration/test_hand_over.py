"""A server that is replaced while clients connect, and one whose sockets somebody else opened."""

import asyncio
import contextlib
import os
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import h3
from ringside import PATIENCE_S, check_output, server_binary, wait_until
from wire import RawWebSocket

TAKES_OVER = re.compile(r"SIGUSR2: process (\d+) is to take over")


def is_there(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def successor(server):
    """Has the server replaced, returns the number of the process that did it, and ends that."""
    pids = []

    def replace():
        server.signal(signal.SIGUSR2)
        found = wait_until(lambda: TAKES_OVER.findall(server.output())[len(pids):], "a successor")
        pids.append(int(found[0]))
        return pids[-1]

    yield replace
    for pid in filter(is_there, pids):
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda one=pid: not is_there(one), "the end of the successor")
    check_output(server.output())


class Newcomers(threading.Thread):
    """Connects, asks once and leaves, until it is stopped."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server = server
        self.enough = threading.Event()
        self.answered = self.cut = 0
        self.refused = []

    def run(self):
        while not self.enough.is_set():
            try:
                with socket.create_connection((self.server.host, self.server.port)) as connection:
                    # Resets at its end: ports of the many are not to be kept for a minute each.
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                          struct.pack("ii", 1, 0))
                    connection.settimeout(30)
                    self.ask(connection)
            except OSError as error:
                self.refused.append(error)

    def ask(self, connection):
        """A connection that the old server has accepted may end with it: clients come back then."""
        try:
            connection.sendall(b"GET /poll?channel=a HTTP/1.1\r\nHost: a\r\n\r\n")
            status = connection.recv(4096)[9:12]
        except ConnectionError:
            status = b""
        self.answered += status == b"200"
        self.cut += status != b"200"


def test_no_connect_is_refused(server, successor):
    clients = [RawWebSocket(server, "/ws?channel=news") for _ in range(50)]
    newcomers = Newcomers(server)
    newcomers.start()
    pid = successor()
    assert server.wait() == 0
    before = newcomers.answered
    wait_until(lambda: newcomers.answered > before + 20, "newcomers at the successor")
    newcomers.enough.set()
    newcomers.join()
    assert newcomers.refused == [] and is_there(pid)
    for client in clients:
        assert client.read_close() == 1001
    again = RawWebSocket(server, "/ws?channel=news")
    server.publish("news", "from the successor")
    assert again.read() == (1, b"from the successor")


def test_one_that_cannot_start_changes_nothing(server, successor):
    path = server.folder / "ringside.ini"
    settings = path.read_text()
    path.write_text(settings + "nothing_of_that_name = 1\n")
    pid = successor()
    wait_until(lambda: f"process {pid} has ended before it took over (status 1)" in server.output(),
               "word of its end")
    assert server.poll("a")["messages"] == []
    path.write_text(settings)
    successor()
    assert server.wait() == 0
    assert server.poll("a")["messages"] == []


def test_a_change_of_address_takes_a_restart(start_server, tmp_path):
    """The sockets are of the old one."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        done = activated(listening, "--listen", "127.0.0.1:1", text=True).communicate()[0]
    assert "handed over for plain: they are of another address than the settings" in done


# ---- QUIC ----

NO_ERROR = 0x100
TOKEN_BYTES = 16
# A Retry is answered to the process that has said it, by the tag in its connection ID.
QUIC = {"http3": "on", "drain_ms": 3600000, "quic_retry_over": 0}


def listens(server, times):
    wait_until(lambda: server.output().count("ringside-server listens on") == times,
               "a successor that serves")


async def ask_once(port):
    """Returns by which name the server knew the connection, and the token of a reset for it. One
    whose handshake an old server has ended in its last moments is told so, and comes again."""
    while True:
        async with h3.connect(port) as client:
            answer = await client.get("/healthz")
            if answer.status == 200:
                peer = client._quic._peer_cid
                return peer.cid, peer.stateless_reset_token
            await client.until(lambda c=client: c.ended)
            assert client.ended.error_code == NO_ERROR, client.ended


def ask_many(port):
    async def many():
        return await asyncio.gather(*(ask_once(port) for _ in range(16)))

    h3.load()
    return asyncio.run(asyncio.wait_for(many(), PATIENCE_S * 2))


def are_of_this_server(port, names):
    """A packet of a connection that has ended is answered by a reset, with a token that only the
    process knows which had the connection."""
    return all(reset_of(port, cid)[-TOKEN_BYTES:] == token for cid, token in names)


def reset_of(port, cid):
    """What comes to a socket that is about to be closed is lost, as anywhere."""
    for _ in range(PATIENCE_S):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.connect(("127.0.0.1", port))
            udp.settimeout(1)
            udp.send(b"\x40" + cid + bytes(60))
            with contextlib.suppress(TimeoutError):
                return udp.recv(2048)
    raise AssertionError("no answer")


def hand_over(server, pid, turn):
    """While it drains both have the port. Returns the successor's number and a connection of it."""
    stays = RawWebSocket(server.plain(), "/ws?channel=news")  # for so long the old server drains
    old = ask_many(server.port)
    os.kill(pid, signal.SIGUSR2)
    ask_many(server.port)
    listens(server, turn)
    new = ask_many(server.port)
    assert are_of_this_server(server.port, old)
    assert are_of_this_server(server.port, new)
    stays.close()
    wait_until(lambda: not is_there(pid), "the end of the old server")
    assert are_of_this_server(server.port, new)
    assert not are_of_this_server(server.port, old[:1])
    return int(TAKES_OVER.findall(server.output())[-1])


# One socket alone is in no group; and a process that took over is taken over from.
@pytest.mark.parametrize("shards, turns", [(1, 1), (2, 2)])
def test_packets_find_the_process_of_their_connection(start_server, shards, turns):
    server = start_server(secure=True, shards=shards, config=QUIC)
    pid = server.process.pid
    try:
        for turn in range(turns):
            pid = hand_over(server, pid, turn + 2)
    finally:
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not is_there(pid), "the end of the successor")


def rows_of(base, shards):
    """Which of the first two rows of ports are bound."""
    bound = set()
    for name in ("udp", "udp6"):
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
            bound.add(int(line.split()[1].rpartition(":")[2], 16))
    return [all(base + row * shards + shard in bound for shard in range(shards))
            for row in range(2)]


def test_webrtc_takes_turns_with_two_rows_of_ports(start_server, eventually):
    base = random.randrange(20000, 30000)
    server = start_server(shards=2, config={"rtc_address": "127.0.0.1", "rtc_port": base})
    pid = server.process.pid
    for row in (1, 0):
        os.kill(pid, signal.SIGUSR2)
        eventually(lambda one=row: rows_of(base, 2) == [one == 0, one == 1], "the other row alone")
        eventually(lambda one=pid: not is_there(one), "the end of the old server")
        pid = int(TAKES_OVER.findall(server.output())[-1])
    os.kill(pid, signal.SIGTERM)
    eventually(lambda: not is_there(pid), "the end of the last")


# ---- as systemd hands sockets over ----

WRAPPER = """
import os, sys
os.environ["LISTEN_PID"] = str(os.getpid())
os.dup2(int(sys.argv[1]), 3)
os.execv(sys.argv[2], sys.argv[2:])
"""


def activated(listening, *arguments, names=None, **options):
    env = {**os.environ, "LISTEN_FDS": "1"}
    if names:
        env["LISTEN_FDNAMES"] = names
    return subprocess.Popen(
        [sys.executable, "-c", WRAPPER, str(listening.fileno()), server_binary(), *arguments],
        pass_fds=[listening.fileno()], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        **options)


@pytest.mark.parametrize("names", (None, "plain", "ringside.socket"))
def test_sockets_of_systemd(names):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = listening.getsockname()
        client = socket.create_connection(address)  # before there is a server
        process = activated(listening, "--listen", "%s:%d" % address, "--shards", "2", names=names)
    try:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 200")
    finally:
        client.close()
        process.terminate()
        output = process.communicate()[0].decode()
    assert process.returncode == 0, output
    check_output(output)


def ask(client):
    client.settimeout(PATIENCE_S)
    client.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    return client.recv(4096)


@pytest.mark.parametrize("replaced", (False, True))
def test_a_socket_of_systemd_goes_on_listening(replaced):
    """Who connects between two processes waits for the second."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = listening.getsockname()
        arguments = ("--listen", "%s:%d" % address, "--shards", "2")
        first = activated(listening, *arguments)
        with socket.create_connection(address) as client:
            assert ask(client).startswith(b"HTTP/1.1 200")
        last = first.pid
        if replaced:
            first.send_signal(signal.SIGUSR2)
            wait_until(lambda: first.poll() is not None, "the first to go")
            told = TAKES_OVER.search(first.stdout.read1().decode())
            last = int(told.group(1))
        os.kill(last, signal.SIGTERM)
        wait_until(lambda: first.poll() is not None and not is_there(last), "the end")
        with socket.create_connection(address) as client:
            second = activated(listening, *arguments)
            try:
                assert ask(client).startswith(b"HTTP/1.1 200")
            finally:
                second.terminate()
                output = second.communicate()[0].decode()
    assert second.returncode == 0, output
    check_output(output)


def test_a_name_that_is_no_port():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        done = activated(listening, names="web", text=True).communicate()[0]
    assert "is called web; FileDescriptorName= says plain, tls or admin" in done


def test_a_socket_for_a_port_that_is_not_set():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        done = activated(listening, names="tls", text=True).communicate()[0]
    assert "handed over for tls: the settings say nothing of such a port" in done


def test_the_service_manager_hears(start_server, tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        server = start_server()
        assert manager.recv(100).decode() == f"READY=1\nMAINPID={server.process.pid}"
        server.stop()
        assert manager.recv(100) == b"STOPPING=1"


def test_a_crowd_comes_back_and_misses_nothing():
    """`restart.py --clients 100000` is the same with a real crowd."""
    command = [sys.executable, str(Path(__file__).parents[1] / "restart.py"), "--clients", "300",
               "--drain-s", "2"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=4 * PATIENCE_S)
    assert ran.returncode == 0, ran.stdout + ran.stderr
