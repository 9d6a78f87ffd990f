"""Whose connection or request it is, as proxies say: PROXY protocol, X-Forwarded-For, Forwarded.

Limits by address show whom the server believes. The proxies here are sockets; those of strangers
are in test_foreign_proxies.py.
"""

import socket
import struct
import subprocess
import time

import pytest

from ringside import HOST, PATIENCE_S, server_binary
from secure import RecordClient
from wire import TEXT, RawWebSocket, frame, read_answer, read_to_end

ENGINES = pytest.mark.parametrize("engine", ["auto", "io_uring_fd", "epoll"])
PORTS = pytest.mark.parametrize("secure", [False, True])
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
EXPECTED = {"proxy_protocol": "on", "tls_proxy_protocol": "on"}
PROXY = "127.0.0.9"


@pytest.fixture
def limited(start_server):
    """limited(setting=value, …) -> (server, operator), who is not limited."""

    def start(secure=False, shards=2, **config):
        settings = {"admin_listen": f"{HOST}:0", **config}
        server = start_server(secure=secure, shards=shards, config=settings)
        return server, server.operator()

    return start


def version1(source, family="TCP4", to="192.0.2.1"):
    return f"PROXY {family} {source} {to} 56324 443\r\n".encode()


def version2(source, extra=b"", command=1):
    ipv6 = ":" in source
    family = socket.AF_INET6 if ipv6 else socket.AF_INET
    packed = socket.inet_pton(family, source)
    rest = packed + packed + struct.pack(">HH", 56324, 443) + extra
    return SIGNATURE + bytes([0x20 | command, 0x21 if ipv6 else 0x11]) + struct.pack(
        ">H", len(rest)
    ) + rest


HEADERS = {
    "version 1": lambda source: version1(source, "TCP6" if ":" in source else "TCP4",
                                         "::1" if ":" in source else "192.0.2.1"),
    "version 2": version2,
    "with values": lambda source: version2(source, b"\x02\0\x0bexample.org" + b"\x04\0\x01x"),
}


def dial(server, address=PROXY):
    connection = socket.create_connection(
        (HOST, server.port), timeout=PATIENCE_S, source_address=(address, 0)
    )
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def ask(connection, path="/poll?channel=c", method="GET", body=b"", **fields):
    head = [f"{method} {path} HTTP/1.1", "Host: h", f"Content-Length: {len(body)}"]
    head += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    connection.sendall("\r\n".join([*head, "", ""]).encode() + body)
    return read_answer(connection)


def arrive(server, header):
    """A connection that begins with a header, and has been answered; raises if it is closed."""
    connection = dial(server)
    connection.sendall(header)
    connection = server.wrap(connection)
    assert ask(connection)[0] == 200
    return connection


def is_turned_away(server, header):
    try:
        arrive(server, header).close()
    except (ConnectionError, AssertionError):
        return True
    return False


# ---- the PROXY protocol ----

@ENGINES
@PORTS
@pytest.mark.parametrize("form", HEADERS)
def test_a_connection_is_whose_the_header_says(limited, eventually, engine, secure, form):
    server, operator = limited(
        secure=secure, engine=engine, address_connections_max=2, **EXPECTED
    )
    header = HEADERS[form]
    held = [arrive(server, header("203.0.113.5")) for _ in range(2)]
    assert is_turned_away(server, header("203.0.113.5"))
    held += [arrive(server, header("203.0.113.6"))]
    # An IPv6 network is one client, however it is written.
    held += [arrive(server, header(f"2001:db8:1:2::{n}")) for n in (1, 2)]
    assert is_turned_away(server, header("2001:db8:1:2:3:4:5:6"))
    held += [arrive(server, header("2001:db8:1:3::1"))]
    operator.until_closed("address_connections", 2)
    assert operator.metric("ringside_addresses_counted") == 6
    for connection in held:
        connection.close()
    eventually(lambda: operator.metric("ringside_addresses_counted") == 0, "all given back")
    arrive(server, header("203.0.113.5")).close()


@PORTS
@pytest.mark.parametrize("form", HEADERS)
def test_it_may_come_byte_by_byte(limited, secure, form):
    server, _operator = limited(secure=secure, **EXPECTED)
    connection = dial(server)
    for byte in HEADERS[form]("203.0.113.5"):
        connection.sendall(bytes([byte]))
        time.sleep(0.0005)
    connection = server.wrap(connection)
    assert ask(connection)[0] == 200
    connection.close()


@pytest.mark.parametrize("form", HEADERS)
def test_requests_may_follow_in_the_same_segment(limited, form):
    server, _operator = limited(**EXPECTED)
    connection = dial(server)
    request = b"GET /poll?channel=c HTTP/1.1\r\nHost: h\r\n\r\n"
    connection.sendall(HEADERS[form]("203.0.113.5") + request)
    assert read_answer(connection)[0] == 200
    connection.close()


@pytest.mark.parametrize("form", HEADERS)
def test_a_hello_may_follow_in_the_same_segment(limited, form):
    server, _operator = limited(secure=True, **EXPECTED)
    with RecordClient(server) as client:
        client.send(HEADERS[form]("203.0.113.5") + client.hello())
        client.handshake()
        client.send(client.seal(b"GET /poll?channel=c HTTP/1.1\r\nHost: h\r\n\r\n"))
        assert client.read().startswith(b"HTTP/1.1 200")


@PORTS
def test_a_proxy_may_speak_for_itself(limited, secure):
    server, operator = limited(secure=secure, address_connections_max=1, **EXPECTED)
    own = [version2("203.0.113.5", command=0), b"PROXY UNKNOWN\r\n",
           b"PROXY UNKNOWN and whatever it likes\r\n", SIGNATURE + b"\x21\0\0\0"]
    held = [arrive(server, header) for header in own * 2]
    assert operator.metric("ringside_addresses_counted") == 0
    for connection in held:
        connection.close()


@PORTS
def test_what_is_no_header_is_closed_at_once(limited, eventually, secure):
    server, operator = limited(secure=secure, **EXPECTED)
    wrong = [b"G", b"\x16", b"PROXI", b"\r\n\r\n\r", version1("203.0.113.05"),
             b"PROXY TCP4 203.0.113.5\r\n", SIGNATURE + b"\x31", SIGNATURE + b"\x21\x11\xff\xff",
             SIGNATURE + b"\x21\x12\0\x0c"]
    for bytes_ in wrong:
        with dial(server) as connection:
            connection.sendall(bytes_)
            assert read_to_end(connection) == b"", bytes_
    eventually(lambda: operator.closed("proxy") == len(wrong), "each is counted")
    arrive(server, version1("203.0.113.5")).close()


@PORTS
@pytest.mark.parametrize("beginning", [b"", b"PROXY TCP4 ", SIGNATURE])
def test_a_header_must_come_in_time(limited, secure, beginning):
    server, operator = limited(
        secure=secure, head_timeout_ms=200, tls_handshake_timeout_ms=200, **EXPECTED
    )
    with dial(server) as connection:
        connection.sendall(beginning)
        assert read_to_end(connection) == b""
    operator.until_closed("proxy")


@PORTS
def test_bytes_do_not_buy_it_time(limited, secure):
    server, operator = limited(
        secure=secure, head_timeout_ms=300, tls_handshake_timeout_ms=300, **EXPECTED
    )
    header = version2("203.0.113.5", b"\x04\x07\x80" + bytes(0x780))
    with dial(server) as connection:
        with pytest.raises(ConnectionError):
            for byte in header:
                connection.sendall(bytes([byte]))
                time.sleep(0.02)
    operator.until_closed("proxy")


def test_who_is_not_told_to_expect_it_does_not(limited):
    server, operator = limited(address_connections_max=1, tls_proxy_protocol="on")
    with dial(server) as connection:
        connection.sendall(version1("203.0.113.5") + b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        assert read_to_end(connection) == b"", "a line of no HTTP"
    operator.until_closed("bad_request")
    assert (operator.refused("version"), operator.closed("proxy")) == (1, 0)


def test_a_full_server_answers_behind_the_header(limited):
    server, _operator = limited(shards=1, max_connections=2, **EXPECTED)
    held = [arrive(server, version1("203.0.113.5")) for _ in range(2)]
    with dial(server) as connection:
        connection.sendall(version1("203.0.113.5") + b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 503")
    for connection in held:
        connection.close()


# ---- fields of a request ----

BEHIND = {"trusted_proxies": f"{PROXY} 10.0.0.0/8", "address_burst_ms": 0}


def status_of(connection, value, field="X_Forwarded_For"):
    return ask(connection, **{field: value})[0]


def burst(connection, value, **more):
    """The statuses of twenty requests of one client."""
    return [status_of(connection, value, **more) for _ in range(20)]


@ENGINES
@PORTS
def test_requests_count_for_whom_a_trusted_proxy_names(limited, engine, secure):
    server, operator = limited(
        secure=secure, engine=engine, address_requests_per_s=1, **BEHIND
    )
    connection = server.wrap(dial(server))
    statuses = burst(connection, "203.0.113.5")
    assert statuses[0] == 200 and 429 in statuses
    # The connection goes on, for it has others' requests, too.
    for other in ("203.0.113.6", "2001:db8::1", "203.0.113.7:4711", "[2001:db8:1::1]:4711"):
        assert status_of(connection, other) == 200
    assert operator.closed("address_requests") == 0
    assert operator.refused("address_requests") == statuses.count(429)
    # Whoever else sends the field counts as himself.
    statuses = []
    for n in range(20):
        with server.wrap(dial(server, "127.0.0.5")) as other:
            statuses.append(status_of(other, f"203.0.113.{100 + n}"))
    assert statuses[0] == 200 and 429 in statuses
    connection.close()


@pytest.mark.parametrize("value", [
    "203.0.113.5", "1.2.3.{n}, 203.0.113.5", "203.0.113.5, 10.1.2.3",
    "nonsense, 203.0.113.5,10.1.2.3", '", 203.0.113.5',
    "203.0.113.{n}\r\nX-Forwarded-For: 203.0.113.5",
])
def test_the_client_is_the_last_who_is_not_trusted(limited, value):
    server, _operator = limited(address_requests_per_s=1, **BEHIND)
    connection = dial(server)
    statuses = [status_of(connection, value.replace("{n}", str(n))) for n in range(20)]
    assert statuses[0] == 200 and 429 in statuses
    connection.close()


@pytest.mark.parametrize("value", ["", "unknown", "203.0.113.5, nonsense", "10.1.2.3", PROXY])
def test_without_a_client_it_is_the_proxys_own(limited, value):
    server, operator = limited(
        address_requests_per_s=1, address_connections_max=1, address_connects_per_s=1, **BEHIND
    )
    held = [dial(server) for _ in range(5)]
    for connection in held:
        assert burst(connection, value) == [200] * 20
        connection.close()
    assert operator.metric("ringside_addresses_counted") == 0


def test_only_one_field_is_believed(limited):
    server, _operator = limited(address_requests_per_s=1, proxy_header="forwarded", **BEHIND)
    connection = dial(server)
    assert burst(connection, "203.0.113.5") == [200] * 20, "not this one"
    statuses = [
        ask(connection, Forwarded='for="[2001:db8::1]:47";proto=https',
            X_Forwarded_For=f"203.0.113.{n}")[0]
        for n in range(20)
    ]
    assert statuses[0] == 200 and 429 in statuses
    assert status_of(connection, "for=203.0.113.5", field="Forwarded") == 200
    connection.close()


def test_a_refused_body_ends_the_proxys_connection(limited):
    server, operator = limited(address_requests_per_s=1, **BEHIND)
    connection = dial(server)
    for _ in range(20):
        status, head, _ = ask(connection, "/publish?channel=c", "POST", b"x" * 1000,
                              X_Forwarded_For="203.0.113.5")
        if status == 429:
            break
    assert status == 429 and b"Connection: close" in head
    assert read_to_end(connection) == b""
    connection.close()
    assert status_of(dial(server), "203.0.113.6") == 200


def test_publishes_count_for_the_client(limited):
    server, operator = limited(address_publishes_per_s=1, websocket_publish="on", **BEHIND)

    def publish(client):
        with dial(server) as connection:
            return ask(connection, "/publish?channel=c", "POST", b"x", X_Forwarded_For=client)[0]

    statuses = [publish("203.0.113.5") for _ in range(20)]
    assert statuses[0] == 200 and 429 in statuses
    assert publish("203.0.113.6") == 200

    class Through(RawWebSocket):
        def open(self, path):
            self.connection.close()
            self.connection = dial(server)
            super().open(f"{path} HTTP/1.1\r\nX-Forwarded-For: {self.client}\r\nX-Rest:")

    for client, fails in (("203.0.113.7", True), ("203.0.113.8", False)):
        Through.client = client
        socket_ = Through(server)
        for _ in range(10 if fails else 1):
            socket_.send(frame(TEXT, b"x"))
        opcode, payload = socket_.read()
        while fails and opcode == TEXT:
            opcode, payload = socket_.read()
        assert (opcode == TEXT) is not fails
        if fails:
            assert struct.unpack(">H", payload[:2])[0] == 1013
        socket_.close()


def test_a_trusted_proxy_behind_the_proxy_protocol(limited):
    """A balancer passes connections of a network of proxies on, which name their clients."""
    server, _operator = limited(address_requests_per_s=1, **BEHIND, **EXPECTED)
    connection = dial(server, "127.0.0.1")
    connection.sendall(version1("10.1.2.3"))
    statuses = burst(connection, "203.0.113.5")
    assert statuses[0] == 200 and 429 in statuses
    assert status_of(connection, "203.0.113.6") == 200
    connection.close()


@pytest.mark.parametrize("value, said", [
    ("10.0.0.1/8", "trusted_proxies: 10.0.0.1/8 is no address, and no range"),
    ("proxy.example", "trusted_proxies: proxy.example is no address"),
    (" ".join(f"10.0.0.{n}" for n in range(65)), "trusted_proxies: more than 64"),
])
def test_a_list_that_cannot_be_read(value, said):
    command = [server_binary(), "--listen", f"{HOST}:0", "--set", f"trusted_proxies={value}"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert ended.returncode == 1 and said in ended.stderr
