"""The log: a line for each start, refusal and end, for the operator who asks for it."""

import json
import os
import shlex
import signal
import socket
import subprocess

import pytest

from http2 import Http2
from ringside import HOST, PATIENCE_S, server_binary
from wire import RawWebSocket, exchange, read_answer

ENGINES = pytest.mark.parametrize("engine", ["auto", "io_uring_fd", "epoll"])


class Log:
    """What a server has written to its log_file so far."""

    def __init__(self, path, read=json.loads):
        self.path = path
        self.read = read

    def lines(self, **fields):
        """Those that have these fields."""
        text = self.path.read_text() if self.path.exists() else ""
        whole = [self.read(line) for line in text.split("\n")[:-1]]
        return [line for line in whole if fields.items() <= line.items()]


@pytest.fixture
def logged(start_server, tmp_path):
    """logged(setting=value, …) -> (server, its log)"""

    def start(args=(), shards=2, **config):
        path = tmp_path / "ringside.log"
        settings = {"log": "json", "log_file": path, **config}
        return start_server(config=settings, args=args, shards=shards), Log(path)

    return start


def logfmt(line):
    return dict(pair.split("=", 1) for pair in shlex.split(line))


@ENGINES
def test_each_refusal_and_end_has_a_line(logged, eventually, engine):
    server, log = logged(engine=engine)
    headers = {"X-Request-Id": "abc-1"}
    assert server.get("/nowhere?secret=1", headers=headers).status == 404
    [line] = eventually(lambda: log.lines(event="refused"), "the refusal's line")
    assert line == line | {"client": HOST, "port": "plain", "transport": "http", "status": 404,
                           "reason": "not_found", "path": "/nowhere", "request": "abc-1"}
    ends = eventually(lambda: log.lines(event="closed", conn=line["conn"]), "the end's line")
    assert ends[0]["reason"] == "done" and ends[0]["request"] == "abc-1"
    assert "secret" not in log.path.read_text()


def test_the_end_of_a_websocket_has_its_reason(logged, eventually):
    server, log = logged()
    client = RawWebSocket(server, "/ws?channel=a")
    client.send(b"\x83\x80abcd")  # an opcode that there is not
    [line] = eventually(lambda: log.lines(reason="ws_protocol"), "the line")
    assert (line["event"], line["transport"], line["path"]) == ("closed", "websocket", "/ws")


def test_start_reload_and_end_have_lines(logged, eventually, tmp_path):
    (tmp_path / "api.key").write_text("k" * 32 + "\n")
    server, log = logged(api_keys=f"file:{tmp_path}/api.key")
    eventually(lambda: log.lines(event="start"), "the start's line")
    server.signal(signal.SIGHUP)
    eventually(lambda: log.lines(event="reload", text="keys"), "the reload's line")
    server.stop()
    assert [line["event"] for line in log.lines()][-2:] == ["drain", "end"]


def test_a_log_that_was_moved_is_opened_anew(logged, eventually):
    server, log = logged()
    old = log.path.with_suffix(".1")
    eventually(lambda: log.lines(event="start"), "the start's line")
    log.path.rename(old)
    server.signal(signal.SIGHUP)
    eventually(log.path.exists, "the new file")
    assert server.get("/nowhere").status == 404
    eventually(lambda: log.lines(event="refused"), "its line")
    assert "refused" not in old.read_text()


def test_stderr_and_logfmt_are_the_other_way(start_server, eventually):
    server = start_server(config={"log": "logfmt"})
    assert server.get("/no=where").status == 404
    eventually(lambda: "event=refused" in server.output(), "the line")
    line = next(line for line in server.output().split("\n") if "event=refused" in line)
    assert logfmt(line)["path"] == "/no=where"


def test_a_trusted_proxy_says_whose_request_it_is(logged, eventually):
    server, log = logged(trusted_proxies=HOST)
    with socket.create_connection((HOST, server.port)) as proxy:
        for client in ("192.0.2.1", "192.0.2.2", None):
            told = f"X-Forwarded-For: {client}\r\n" if client else ""
            proxy.sendall(f"GET /nowhere HTTP/1.1\r\nHost: a\r\n{told}\r\n".encode())
            assert read_answer(proxy)[0] == 404
    lines = eventually(lambda: log.lines(event="closed", path="/nowhere"), "the end's line")
    assert "client" not in lines[0]
    refused = [line.get("client") for line in log.lines(event="refused")]
    assert refused == ["192.0.2.1", "192.0.2.2", None]


def test_a_proxy_header_says_whose_connection_it_is(logged, eventually):
    server, log = logged(proxy_protocol="on", admin_listen=f"{HOST}:0")
    with socket.create_connection((HOST, server.port)) as proxy:
        proxy.sendall(b"PROXY TCP4 192.0.2.9 192.0.2.1 1 2\r\nGET /nowhere HTTP/1.1\r\n"
                      b"Host: a\r\n\r\n")
        assert read_answer(proxy)[0] == 404
    eventually(lambda: log.lines(event="closed", client="192.0.2.9"), "the end's line")


def test_streams_have_the_client_of_their_connection(logged, eventually):
    server, log = logged()
    with Http2(server) as client:
        assert client.get("/nowhere").status == 404
        [line] = eventually(lambda: log.lines(event="refused"), "the refusal's line")
    assert (line["stream"], line["client"], line["path"]) == (1, HOST, "/nowhere")
    end = eventually(lambda: log.lines(event="closed", transport="http2"), "the connection's end")
    assert "stream" not in end[0]


def test_what_is_beyond_the_rate_is_counted(logged, eventually):
    """Each reason has its first line all the same."""
    server, log = logged(shards=1, log_lines_per_s=1)
    with socket.create_connection((HOST, server.port)) as client:
        for _ in range(50):
            client.sendall(b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n")
            read_answer(client)
        client.sendall(b"GET /poll HTTP/1.1\r\nHost: a\r\n\r\n")
        read_answer(client)
    eventually(lambda: log.lines(reason="no_channel"), "the line of another reason")
    told = eventually(lambda: log.lines(event="suppressed"), "the line that counts")
    counted = server.metric("ringside_log_lines_total", result="suppressed")
    assert told[0]["lost"] == 0 and 0 < told[0]["suppressed"] <= counted
    refusals = 51
    assert len(log.lines(event="refused")) + counted >= refusals


def test_a_log_that_nobody_reads_holds_nothing_up(start_server, tmp_path, eventually):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    settings = {"log": "json", "log_file": fifo, "log_lines_per_s": 1000000}
    server = start_server(config=settings, shards=1)

    def lost():
        request = b"GET /nowhere HTTP/1.1\r\nHost: a\r\n"
        last = request + b"Connection: close\r\n\r\n"
        answers = exchange(server, (request + b"\r\n") * 199 + last)
        assert answers.count(b"HTTP/1.1 404 ") == 200
        return server.metric("ringside_log_lines_total", result="lost") > 0

    eventually(lost, "lines that had no room")
    server.stop()
    os.close(reader)


def test_a_log_file_that_cannot_be_opened_is_said(tmp_path):
    missing = tmp_path / "none" / "log"
    command = [server_binary(), "--listen", f"{HOST}:0", "--set", "log=json",
               "--set", f"log_file={missing}"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert ran.returncode == 1
    assert f"log_file {missing}: No such file" in ran.stderr


def test_a_full_disk_is_said_once(start_server, eventually):
    server = start_server(config={"log": "json", "log_file": "/dev/full"}, shards=1)
    for _ in range(3):
        before = server.metric("ringside_log_lines_total", result="lost")
        exchange(server, b"GET /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        eventually(
            lambda was=before: server.metric("ringside_log_lines_total", result="lost") > was,
            "a line that is lost")
    assert server.output().count("log_file /dev/full: No space left on device; lines are lost") == 1
