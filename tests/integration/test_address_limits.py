"""Limits by address: reached, given back, and nothing to the neighbours. 127.0.0.0/8 is ours."""

import ctypes
import socket
import struct
import subprocess
import threading

import pytest

from ringside import HOST, PATIENCE_S, target
from wire import TEXT, RawWebSocket, frame, read_answer, read_head

ENGINES = pytest.mark.parametrize("engine", ["auto", "io_uring_fd", "epoll"])
PORTS = pytest.mark.parametrize("secure", [False, True])
CLONE_NEWNET = 0x40000000


def test_that_nothing_is_limited_is_said_where_strangers_connect(start_server):
    said = "nothing is limited by address"
    assert said not in start_server().output()
    assert said in start_server(listen="0.0.0.0").output()
    limits = {"address_requests_per_s": 1000}
    assert said not in start_server(listen="0.0.0.0", config=limits).output()


@pytest.fixture
def limited(start_server):
    """limited(setting=value, …) -> (server, operator), who is not limited."""

    def start(secure=False, shards=2, host=HOST, **config):
        settings = {"admin_listen": f"{HOST}:0", **config}
        server = start_server(secure=secure, shards=shards, config=settings, host=host)
        return server, server.operator()

    return start


class From:
    """The server as somebody from another address sees it."""

    def __init__(self, server, address):
        self.server, self.address = server, address
        self.host, self.port = server.host, server.port

    def dial(self):
        return socket.create_connection(
            (self.host, self.port), timeout=PATIENCE_S, source_address=(self.address, 0)
        )

    def wrap(self, connection):
        return self.server.wrap(connection)

    def connect(self):
        """A connection that is open and has been answered on; raises ConnectionError if reset."""
        connection = self.wrap(self.dial())
        self.ask(connection)
        return connection

    def ask(self, connection, path="/poll?channel=c", method="GET", body=b""):
        """Returns (status, head, body)."""
        connection.sendall(
            f"{method} {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        return read_answer(connection)

    def is_reset(self):
        try:
            self.connect().close()
        except (ConnectionError, AssertionError):
            return True
        return False


def header(head, name):
    for line in head.decode().split("\r\n"):
        if line.lower().startswith(name.lower() + ":"):
            return line.split(":", 1)[1].strip()
    return None


@ENGINES
@PORTS
def test_connections_are_limited_and_given_back(limited, eventually, engine, secure):
    server, operator = limited(secure=secure, engine=engine, address_connections_max=3)
    one, other = From(server, "127.0.0.5"), From(server, "127.0.0.6")
    held = [one.connect() for _ in range(3)]
    assert one.is_reset() and one.is_reset()
    operator.until_closed("address_connections", 2)
    neighbours = [other.connect() for _ in range(3)]
    for connection in held + neighbours:
        one.ask(connection)  # those who are in notice nothing

    held.pop().close()
    eventually(lambda: operator.metric("ringside_addresses_counted") == 5, "one place free")
    held.append(one.connect())
    assert one.is_reset()
    for connection in held + neighbours:
        connection.close()
    eventually(lambda: operator.metric("ringside_addresses_counted") == 0, "all given back")
    for connection in [one.connect() for _ in range(3)]:
        connection.close()
    assert operator.metric("ringside_addresses_untracked_total") == 0


@ENGINES
def test_all_shards_count_together(limited, engine):
    server, operator = limited(shards=4, engine=engine, address_connections_max=8)
    one = From(server, "127.0.0.5")
    held = [one.connect() for _ in range(8)]
    assert all(one.is_reset() for _ in range(24))
    assert operator.metric("ringside_addresses_counted") == 8
    for connection in held:
        connection.close()


def test_every_end_gives_back(limited, eventually):
    """A reset, a half request, a WebSocket, a stream, a refusal: each is one less."""
    server, operator = limited(address_connections_max=5, head_timeout_ms=1000)
    one = From(server, "127.0.0.5")
    for _ in range(3):
        reset = one.connect()
        reset.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        half, bad = one.dial(), one.dial()
        half.sendall(b"GET / HT")
        bad.sendall(b"GARBAGE\r\n\r\n")
        stream, waits = one.dial(), one.dial()
        stream.sendall(b"GET /sse?channel=c HTTP/1.1\r\nHost: h\r\n\r\n")
        waits.sendall(b"GET /longpoll?channel=c HTTP/1.1\r\nHost: h\r\n\r\n")
        eventually(lambda: operator.metric("ringside_longpolls_held") == 1, "all have come")
        for connection in (reset, bad, stream, waits):
            connection.close()
        assert half.recv(1000).startswith(b"HTTP/1.1 408")
        half.close()
        eventually(lambda: operator.metric("ringside_addresses_counted") == 0, "all given back")


@ENGINES
@PORTS
def test_new_connections_are_limited_in_a_second(limited, engine, secure):
    server, operator = limited(
        secure=secure, engine=engine, address_connects_per_s=1, address_burst_ms=0
    )
    one = From(server, "127.0.0.5")
    reset = sum(one.is_reset() for _ in range(10))
    assert 0 < reset < 10
    operator.until_closed("address_connects", reset)
    assert not any(From(server, f"127.0.0.{n}").is_reset() for n in range(10, 20))


@PORTS
def test_requests_are_limited(limited, eventually, secure):
    server, operator = limited(secure=secure, address_requests_per_s=1, address_burst_ms=2000)
    one = From(server, "127.0.0.5")

    def answer_to(client):
        connection = client.wrap(client.dial())
        try:
            status, head, body = client.ask(connection)
            return status, head, body, connection.recv(1) if status == 429 else None
        finally:
            connection.close()

    answers = [answer_to(one) for _ in range(20)]
    refused = [answer for answer in answers if answer[0] == 429]
    assert [status for status, *_ in answers[:3]] == [200, 200, 200] and refused
    for _status, head, body, behind in refused:
        assert b'"error":"address_requests"' in body and b'"retry_ms":' in body
        assert int(header(head, "Retry-After")) >= 1
        assert behind == b"", "the connection ends"
    assert operator.refused("address_requests") == len(refused)
    operator.until_closed("address_requests", len(refused))
    assert answer_to_status(From(server, "127.0.0.6")) == 200
    eventually(lambda: answer_to_status(one) == 200, "a place in the next second")


def answer_to_status(client):
    connection = client.wrap(client.dial())
    try:
        return client.ask(connection)[0]
    finally:
        connection.close()


def test_a_refused_event_stream_is_told_when_to_come(limited):
    """An EventSource gives up for good after any status but 200."""
    server, _operator = limited(address_requests_per_s=1, address_burst_ms=0)
    one = From(server, "127.0.0.5")
    for _ in range(10):
        with one.dial() as connection:
            connection.sendall(b"GET /sse?channel=c HTTP/1.1\r\nHost: h\r\n\r\n")
            status, head, stream = read_head(connection)
        if b"chunked" not in head:
            break
    else:
        pytest.fail("never refused")
    assert (status, header(head, "Content-Type")) == (200, "text/event-stream")
    assert 1 <= int(stream.removeprefix(b"retry: ")) <= 1000


def test_publishes_are_limited_apart(limited):
    server, operator = limited(address_publishes_per_s=1, address_burst_ms=0)
    one = From(server, "127.0.0.5")

    def publish(client):
        with client.dial() as connection:
            return client.ask(connection, target("/publish", channel="c"), "POST", b"x" * 100)

    answers = [publish(one) for _ in range(10)]
    refused = [answer for answer in answers if answer[0] == 429]
    assert answers[0][0] == 200 and refused
    assert all(b'"error":"address_publishes"' in body for _, _, body in refused)
    assert operator.refused("address_publishes") == len(refused)
    assert operator.metric("ringside_published_total") == 10 - len(refused)
    assert publish(From(server, "127.0.0.6"))[0] == 200
    assert answer_to_status(one) == 200, "reading is another matter"
    assert operator.publish("c", "x") and operator.publish("c", "x")


@PORTS
def test_publishes_on_a_websocket_are_limited(limited, eventually, secure):
    server, operator = limited(
        secure=secure, websocket_publish="on", address_publishes_per_s=1, address_burst_ms=0
    )
    client = RawWebSocket(server)
    for _ in range(10):
        client.send(frame(TEXT, b"x"))
    while (message := client.read())[0] == TEXT:
        pass
    code, reason = struct.unpack(">H", message[1][:2])[0], message[1][2:].decode()
    assert code == 1013
    assert reason.startswith("address_publishes retry_ms=")
    client.close()
    eventually(lambda: operator.closed("address_publishes") == 1, "the reason is counted")


def test_the_operator_is_not_limited(limited):
    _server, operator = limited(
        address_connections_max=1, address_connects_per_s=1, address_requests_per_s=1,
        address_publishes_per_s=1, address_burst_ms=0,
    )
    for _ in range(5):
        assert operator.get("/healthz").status == 200
        operator.publish("c", "x")


def test_more_addresses_than_are_remembered(limited):
    """Who finds no place is not limited, and not sent away either."""
    server, operator = limited(addresses_max=8, address_connections_max=1)
    held = [From(server, f"127.0.1.{n}").connect() for n in range(1, 21)]
    assert operator.metric("ringside_addresses_counted") == 8
    assert operator.metric("ringside_addresses_untracked_total") == 12
    for n in range(1, 9):
        assert From(server, f"127.0.1.{n}").is_reset()
    for connection in held:
        connection.close()


def test_without_limits_nothing_is_counted(server):
    held = [From(server, "127.0.0.5").connect() for _ in range(50)]
    assert server.metric("ringside_addresses_counted") == 0
    for connection in held:
        connection.close()


# ---- IPv6: in a network of its own, in which a whole /16 is local ----

def make_network():
    """Puts this thread, and what it starts, into a network namespace; False: it may not."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        return False
    for command in ("link set lo up", "-6 route add local fd00::/16 dev lo"):
        subprocess.run(["ip", *command.split()], check=True)
    with open("/proc/sys/net/ipv6/ip_nonlocal_bind", "w") as sysctl:
        sysctl.write("1")
    return True


def in_network(body):
    """Runs body() there; the namespace goes with the thread."""
    ended = []

    def run():
        try:
            ended.append(body() if make_network() else "may not")
        except BaseException as error:  # whatever it is, the test's thread raises it
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if isinstance(ended[0], BaseException):
        raise ended[0]
    if ended[0] == "may not":
        pytest.skip("may not make a network namespace")


@ENGINES
def test_an_ipv6_network_is_one_address(start_server, engine):
    def body():
        server = start_server(
            host="::1", listen="::",
            config={"engine": engine, "admin_listen": "[::1]:0", "address_connections_max": 2},
        )
        server.host = "fd00::1"
        household = [From(server, f"fd00:1:2:3:{n}::1") for n in range(3)]
        held = [client.connect() for client in household[:2]]
        assert household[2].is_reset()
        held += [From(server, address).connect() for address in ("fd00:1:2:4::1", "fd00:1:3:3::1")]
        # By the same port, IPv4 counts each address.
        server.host = HOST
        held += [From(server, f"127.0.0.{n}").connect() for n in (5, 5, 6, 6)]
        assert From(server, "127.0.0.5").is_reset()
        for connection in held:
            connection.close()
        server.signal()
        server.wait()

    in_network(body)
