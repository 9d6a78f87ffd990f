"""HEAD asks for what GET would say about its answer, and OPTIONS for what may be asked."""

import pytest

from ringside import target
from wire import dial, read_answer, read_head

HELD = [target("/sse", channel="c"), target("/longpoll", channel="c")]
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"


def head_of(connection, path, *fields):
    lines = [f"HEAD {path} HTTP/1.1", "Host: h", *fields, "", ""]
    connection.sendall("\r\n".join(lines).encode())
    return read_head(connection)


@pytest.mark.parametrize("path", ["/", "/healthz", target("/poll", channel="c"), *HELD])
def test_head_has_no_body_and_keeps_the_connection(server, path):
    server.publish("c", "something")
    with dial(server) as connection:
        for _ in range(3):
            status, head, rest = head_of(connection, path)
            assert (status, rest) == (200, b"")
            assert b"\r\ndate:" in head.lower()
            assert b"transfer-encoding" not in head.lower()
        connection.sendall(HEALTH)
        status, _head, body = read_answer(connection)
        assert (status, body) == (200, b'{"status":"ok"}\n')


def test_head_of_a_poll_tells_its_length(server):
    server.publish("c", "something")
    body = server.get(target("/poll", channel="c")).body
    with dial(server) as connection:
        _status, head, _rest = head_of(connection, target("/poll", channel="c"))
    assert b"\r\nContent-Length: %d\r\n" % len(body) in head + b"\r\n"


@pytest.mark.parametrize("path", HELD)
def test_head_waits_for_nothing_and_subscribes_to_nothing(server, path):
    with dial(server) as connection:
        assert head_of(connection, path)[0] == 200
        assert server.metric("ringside_subscriptions") == 0
        assert server.metric("ringside_longpolls_held") == 0
        assert server.metric("ringside_streams_sse") == 0


def test_head_of_a_stream_says_what_a_stream_is(server):
    with dial(server) as connection:
        _status, head, _rest = head_of(connection, target("/sse", channel="c"))
    assert b"text/event-stream" in head.lower()


@pytest.mark.parametrize("path", ["/poll", "/longpoll", "/sse"])
def test_head_is_refused_as_get_is(server, path):
    with dial(server) as connection:
        status, _head, rest = head_of(connection, path)
    assert (status, rest) == (400, b"")
    assert server.refused("no_channel") == 1


def test_head_of_a_websocket_is_no_handshake(server):
    with dial(server) as connection:
        status, _head, rest = head_of(
            connection, target("/ws", channel="c"), "Upgrade: websocket", "Connection: Upgrade",
            "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
    assert 400 <= status < 500
    assert rest == b""
    assert server.metric("ringside_streams_websocket") == 0


def test_options_of_the_server_as_a_whole(server):
    with dial(server) as connection:
        connection.sendall(b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n" + HEALTH)
        status, head, rest = read_head(connection)
        assert status == 204
        assert b"\r\nAllow: GET, HEAD, POST, OPTIONS" in head
        assert rest.startswith(b"HTTP/1.1 200 ") or read_head(connection)[0] == 200


@pytest.mark.parametrize("path", ["/poll", "/longpoll", "/sse", "/ws"])
def test_options_names_head(server, path):
    allowed = server.request("OPTIONS", path).headers["Allow"]
    assert allowed == "GET, HEAD, OPTIONS"


def test_preflight_allows_what_clients_send(server):
    page = {"Origin": "https://app.example", "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "authorization,cache-control,last-event-id"}
    headers = server.request("OPTIONS", "/sse", headers=page).headers
    allowed = headers["Access-Control-Allow-Headers"]
    names = {name.strip().lower() for name in allowed.split(",")}
    assert {"authorization", "cache-control", "content-type", "last-event-id"} <= names
