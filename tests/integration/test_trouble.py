"""Slow, silent, vanishing and too many clients, and a machine that cannot: each has its reason."""

import ctypes
import socket
import struct
import subprocess

import pytest

from ringside import HOST, PATIENCE_S, server_binary
from wire import TEXT, RawWebSocket, dial, exchange, read_head, read_to_end, upgrade


SO_ATTACH_FILTER = 26


def reset(connection):
    """Closes with RST, as a machine that lost power and came back would."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def fall_silent(connection):
    """A socket filter that drops everything comes before TCP: nothing is acknowledged any more."""
    drop_all = ctypes.create_string_buffer(struct.pack("=HBBI", 0x06, 0, 0, 0))  # BPF_RET | BPF_K
    program = struct.pack("@HP", 1, ctypes.addressof(drop_all))
    connection.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


# ---- clients ----

@pytest.mark.parametrize("start", [b"GET /healthz HTTP/1.1\r\nHost:", b"G"], ids=["half", "byte"])
def test_head_that_never_ends(start_server, eventually, start):
    server = start_server(config={"head_timeout_ms": 300})
    answer = exchange(server, start)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert server.refused("head_timeout") == 1
    eventually(lambda: server.closed("head_timeout") == 1, "the connection to end")


def test_head_that_drips(start_server):
    """Each byte in time does not make the head in time."""
    server = start_server(config={"head_timeout_ms": 500})
    with dial(server) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\n")
        connection.settimeout(0.05)
        answer = b""
        while not answer:
            try:
                connection.sendall(b"a")
                answer = connection.recv(65536)
            except TimeoutError:
                continue
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_subscriber_is_not_held_to_the_head_timeout(start_server):
    server = start_server(config={"head_timeout_ms": 1500})
    quick = RawWebSocket(server)
    exchange(server, b"GET ")
    server.publish("c", "still here")
    assert quick.read() == (TEXT, b"still here")
    quick.close()


@pytest.mark.parametrize("leave", [reset, lambda c: c.close()], ids=["reset", "close"])
def test_peers_that_vanish(server, eventually, leave):
    stays = RawWebSocket(server)
    going = [RawWebSocket(server) for _ in range(20)]
    eventually(lambda: server.metric("ringside_subscriptions") == 21, "21 subscriptions")
    for other in going:
        leave(other.connection)
    server.publish("c", "who is there")
    assert stays.read() == (TEXT, b"who is there")
    eventually(lambda: server.metric("ringside_subscriptions") == 1, "one subscription")
    stays.close()


@pytest.mark.parametrize("path", ["/ws?channel=c", "/sse?channel=c"])
def test_reader_that_stops_reading(start_server, eventually, path):
    """Its queue is bounded in bytes; then it is dropped, and the others have everything."""
    server = start_server(config={"queue_bytes_max": 256 * 1024})
    stuck = socket.socket()
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stuck.connect((HOST, server.port))
    plain = f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode()
    stuck.sendall(upgrade(path) if path.startswith("/ws") else plain)
    stuck.recv(10)
    reader = RawWebSocket(server)
    payload = b"p" * 100_000
    for n in range(120):
        server.publish("c", b"%03d" % n + payload)
        assert reader.read() == (TEXT, b"%03d" % n + payload)
    eventually(lambda: server.closed("slow_reader") == 1, "the slow reader to go")
    stuck.close()
    reader.close()


def test_a_full_socket_holds_little(start_server, eventually):
    """The kernel takes no megabytes for a reader that stands still: the queue has the bound."""
    server = start_server(config={"queue_bytes_max": 64 * 1024, "unsent_bytes_max": 64 * 1024})
    stuck = RawWebSocket(server)
    for _n in range(40):
        server.publish("c", b"p" * 25_000)
    eventually(lambda: server.closed("slow_reader") == 1, "the slow reader to go")
    stuck.close()


@pytest.mark.parametrize(
    ("start", "reason"),
    [(upgrade("/ws?channel=c"), "heartbeat"),
     (b"GET /sse?channel=c HTTP/1.1\r\nHost: h\r\n\r\n", "stalled"),
     (b"GET /sse?channel=c HTTP/1.1\r\nHos", "head_timeout")],
    ids=["websocket", "sse", "half a head"])
def test_peers_that_fall_silent(start_server, eventually, start, reason):
    """They neither acknowledge nor end: what a lost battery looks like."""
    server = start_server(
        config={"heartbeat_ms": 600, "stall_timeout_ms": 1000, "head_timeout_ms": 1000})
    gone = dial(server)
    gone.sendall(start)
    if reason != "head_timeout":
        gone.recv(10)
    fall_silent(gone)
    server.until_closed(reason)
    eventually(lambda: server.metric("ringside_connections") == 1, "nobody but who asks")
    reset(gone)


def test_full_table(start_server, eventually):
    server = start_server(shards=1, config={"max_connections": 16})
    held = []
    status = 200
    while status == 200 and len(held) < 64:
        connection = dial(server)
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
        status, head, _rest = read_head(connection)
        held.append(connection)
    assert status == 503
    assert b"retry-after:" in head.lower()
    assert 8 <= len(held) <= 17
    for connection in held:
        connection.close()
    eventually(lambda: server.get("/healthz").status == 200, "room again")
    assert server.refused("table_full") >= 1
    eventually(lambda: server.closed("table_full") >= 1, "the one who was refused to be gone")


def test_a_large_body_does_not_cost_the_refusal_of_a_full_table(start_server):
    """What is on its way when the server closes would reset the 503 away."""
    server = start_server(shards=1, config={"max_connections": 16})
    held = [RawWebSocket(server) for _ in range(16)]
    with dial(server) as connection:
        connection.sendall(b"POST /publish?channel=c HTTP/1.1\r\nHost: h\r\n"
                           b"Content-Length: 4000000\r\n\r\n")
        for _ in range(4):
            connection.sendall(b"x" * 1_000_000)
        answer = read_to_end(connection)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b'"table_full"' in answer
    for client in held:
        client.close()


def test_too_many_connections_come_and_go(start_server, eventually):
    """A full table must not strand what waits behind it."""
    server = start_server(shards=1, config={"max_connections": 16})
    for _round in range(5):
        crowd = [dial(server) for _ in range(40)]
        for connection in crowd:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        answers = [read_to_end(connection) for connection in crowd]
        for connection in crowd:
            connection.close()
        assert any(answer.startswith(b"HTTP/1.1 200") for answer in answers)
    eventually(lambda: server.get("/healthz").status == 200, "room again")


# ---- the machine, at start ----

def run_server(*arguments, **options):
    return subprocess.run(
        [server_binary(), *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        **options,
    )


def assert_refused_in_one_line(result, *words):
    assert result.returncode == 1, result
    said = [line for line in result.stderr.splitlines() if line.strip()]
    assert len(said) == 1, result.stderr
    for word in words:
        assert word in said[0], said[0]


def test_port_in_use(server):
    assert_refused_in_one_line(run_server("--listen", server.address), str(server.port))


def test_address_that_is_not_ours(tmp_path):
    assert_refused_in_one_line(run_server("--listen", "192.0.2.1:8080"), "192.0.2.1")


@pytest.mark.parametrize("listen", ["", "nonsense", "127.0.0.1", "127.0.0.1:99999", "127.0.0.1:x"])
def test_address_that_is_none(listen):
    assert_refused_in_one_line(run_server("--listen", listen), "listen", listen)


@pytest.mark.parametrize("option", [["--nonsense"], ["--shards", "9999"], ["--shards", "x"]])
def test_option_that_is_none(option):
    result = run_server("--listen", f"{HOST}:0", *option)
    assert result.returncode > 0
    assert result.stderr


def test_help():
    result = run_server("--help")
    assert result.returncode == 0
    for option in ("--listen", "--shards", "--cpus", "--config", "--echo"):
        assert option in result.stdout


def test_config_file_that_is_not_there(tmp_path):
    missing = tmp_path / "nothing.ini"
    assert_refused_in_one_line(run_server("--config", str(missing)), str(missing))


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("no_such_setting = 1\n", "no_such_setting"),
        ("congestion_control = carrier_pigeon\n", "congestion_control"),
        ("engine = steam\n", "engine"),
        ("message_bytes_max = many\n", "message_bytes_max"),
        ("message_bytes_max = -1\n", "message_bytes_max"),
        ("message_bytes_max = 99999999999999999999\n", "message_bytes_max"),
    ],
)
def test_config_that_is_wrong(tmp_path, text, word):
    path = tmp_path / "ringside.ini"
    path.write_text(text)
    listen = f"{HOST}:0"
    assert_refused_in_one_line(run_server("--listen", listen, "--config", str(path)), word)
