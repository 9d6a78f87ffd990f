"""The server under the profiles of packaging/seccomp: all that it calls is allowed there."""

import json
import os
import signal
from pathlib import Path

import pytest
import seccomp

from ringside import wait_until
from wire import RawWebSocket

FOLDER = Path(__file__).resolve().parent.parent.parent / "packaging" / "seccomp"

pytestmark = pytest.mark.not_in("asan", "tsan", why="a sanitizer calls more, to look at memory")


def confine(name):
    """What is run in the new process before the server."""
    profile = json.loads((FOLDER / name).read_text())
    known = seccomp.SyscallFilter(seccomp.ERRNO(profile["defaultErrnoRet"]))
    for rule in profile["syscalls"]:
        assert rule["action"] == "SCMP_ACT_ALLOW"
        for call in rule["names"]:
            known.add_rule(seccomp.ALLOW, call)
    return known.load


@pytest.mark.parametrize("profile", ("io_uring.json", "epoll.json"))
@pytest.mark.parametrize("secure", (False, True))
def test_it_serves(start_server, profile, secure):
    server = start_server(secure=secure, before=confine(profile))
    (engine,) = [labels["name"] for name, labels, value in server.plain().samples()
                 if name == "ringside_engine" and value == 1]
    assert (engine == "epoll") == (profile == "epoll.json")
    client = RawWebSocket(server, "/ws?channel=a")
    server.publish("a", "hello")
    assert client.read() == (1, b"hello")
    server.signal(signal.SIGHUP)
    assert server.poll("a")["messages"]


def test_a_successor_is_started_there(start_server):
    server = start_server(before=confine("io_uring.json"))
    server.signal(signal.SIGUSR2)
    wait_until(lambda: server.process.poll() is not None, "the end of the old one")
    pid = int(server.output().split("SIGUSR2: process ")[1].split()[0])
    assert server.get("/healthz").status == 200
    os.kill(pid, signal.SIGTERM)
