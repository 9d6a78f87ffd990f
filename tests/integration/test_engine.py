"""Which engine serves: asked for, fallen back to, and what bounds it."""

import errno
import resource

import pytest

from ringside import HOST, data_of
from without_uring import (
    KILL,
    SYS_IO_URING_ENTER,
    SYS_IO_URING_REGISTER,
    fails_with,
    forbid_io_uring,
)
from test_trouble import assert_refused_in_one_line, run_server
from wire import RawWebSocket, dial, read_head

REFUSALS = pytest.mark.parametrize("error", [errno.EPERM, errno.ENOSYS], ids=["EPERM", "ENOSYS"])


def descriptors(count):
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))


def assert_serves_with(server, engine):
    samples = [labels for name, labels, number in server.samples() if name == "ringside_engine"]
    assert samples == [{"name": engine}]
    assert f"engine {engine}" in server.output()
    socket = RawWebSocket(server)
    server.publish("c", "hello")
    assert socket.read()[1] == b"hello"
    socket.close()
    assert data_of(server.poll("c")) == ["hello"]


def test_io_uring_is_the_default(server):
    assert_serves_with(server, "io_uring")


@pytest.mark.parametrize("engine", ["io_uring", "io_uring_fd", "epoll"])
def test_engine_that_is_asked_for(start_server, engine):
    assert_serves_with(start_server(config={"engine": engine}), engine)


# ---- io_uring is forbidden ----

@REFUSALS
def test_falls_back_and_says_why(start_server, error):
    server = start_server(before=lambda: forbid_io_uring(fails_with(error)))
    assert_serves_with(server, "epoll")
    line = next(line for line in server.output().splitlines() if "engine epoll" in line)
    reason = "io_uring is forbidden" if error == errno.EPERM else "this kernel has no io_uring"
    assert f"because {reason}" in line
    assert "RLIMIT_NOFILE" in line


@REFUSALS
@pytest.mark.parametrize("call", [SYS_IO_URING_ENTER, SYS_IO_URING_REGISTER])
def test_a_filter_that_forgot_half_of_it_is_found_at_the_start(start_server, error, call):
    """A ring can be made, and then not be used."""
    server = start_server(before=lambda: forbid_io_uring(fails_with(error), call))
    assert_serves_with(server, "epoll")
    assert "engine epoll, because " in server.output()


@REFUSALS
def test_does_not_fall_back_when_told_so(error):
    result = run_server(
        "--listen",
        f"{HOST}:0",
        "--set",
        "engine=io_uring",
        preexec_fn=lambda: forbid_io_uring(fails_with(error)),
    )
    assert_refused_in_one_line(result, "io_uring")


def test_epoll_does_not_even_ask(start_server):
    """Where the attempt alone ends the process."""
    server = start_server(config={"engine": "epoll"}, before=lambda: forbid_io_uring(KILL))
    assert_serves_with(server, "epoll")


# ---- descriptors ----

DESCRIPTOR_EACH = pytest.mark.parametrize("engine", ["epoll", "io_uring_fd"])


@DESCRIPTOR_EACH
def test_stays_below_the_limit_of_descriptors(start_server, eventually, engine):
    """Whoever comes above it is told so, and strands nobody behind."""
    server = start_server(
        shards=1, config={"engine": engine}, before=lambda: descriptors(256)
    )
    assert "for up to 147 connections" in server.output()
    held = []
    status = 200
    while status == 200 and len(held) < 200:
        connection = dial(server)
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
        status = read_head(connection)[0]
        held.append(connection)
    assert status == 503
    assert len(held) == 148
    for connection in held:
        connection.close()
    eventually(lambda: server.get("/healthz").status == 200, "room again")
    assert server.metric("ringside_accept_refused_total") == 0


@DESCRIPTOR_EACH
def test_lowers_what_is_too_much(start_server, engine):
    server = start_server(
        shards=2,
        config={"engine": engine, "max_connections": 1000},
        before=lambda: descriptors(512),
    )
    assert "for up to 308 connections" in server.output()
    warning = next(line for line in server.output().splitlines() if "lowered" in line)
    for word in (f"1000 is more than {engine} can", "512 descriptors", "308", "ulimit -n 1303"):
        assert word in warning
    assert_serves_with(server, engine)


def test_io_uring_is_not_bounded_by_descriptors(start_server):
    server = start_server(
        shards=1, config={"max_connections": 100000}, before=lambda: descriptors(256)
    )
    assert "for up to 100000 connections" in server.output()
    assert "lowered" not in server.output()
