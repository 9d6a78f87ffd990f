"""The last answer: behind it the server ends its stream at once, and then waits for the client, but
not for ever. Bytes that the client goes on sending must not cost it the answer."""

import socket
import struct

import pytest

from ringside import HOST, PATIENCE_S, target
from wire import CLOSE, TEXT, RawWebSocket, dial, frame, read_answer

REFUSED = b"POST /nowhere HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n"
MUCH = b"x" * (1 << 20)


@pytest.fixture(params=["io_uring", "epoll"])
def engine(request):
    return {"engine": request.param}


def end_of(connection):
    """What comes before the end of the stream. A reset is no end."""
    received = b""
    while (chunk := connection.recv(65536)):
        received += chunk
    return received


def refused(server):
    """A connection that has read its refusal, and is still to send the body."""
    connection = dial(server)
    connection.sendall(REFUSED)
    status, head, _body = read_answer(connection)
    assert status == 404 and b"connection: close" in head.lower()
    return connection


def broken_websocket(server):
    client = RawWebSocket(server)
    client.send(frame(TEXT, b"x", mask=None))
    assert client.read_close_frame() == 1002
    return client


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_the_stream_ends_behind_a_refusal(start_server, eventually, engine, secure):
    """Had the server waited for the client, it would count its patience as over."""
    server = start_server(config=engine, secure=secure)
    for _ in range(20):
        connection = refused(server)
        assert end_of(connection) == b""
        connection.close()
    eventually(lambda: server.closed("bad_request") == 20, "the connections to be gone")
    assert server.metric("ringside_lingers_cut_total") == 0


def test_close_notify_goes_before_the_end(start_server, engine):
    server = start_server(config=engine, secure=True)
    raw = socket.create_connection((HOST, server.port), timeout=PATIENCE_S)
    connection = server.context.wrap_socket(
        raw, server_hostname=HOST, suppress_ragged_eofs=False
    )
    connection.sendall(REFUSED)
    assert read_answer(connection)[0] == 404
    assert end_of(connection) == b""  # without close_notify this were an error
    connection.close()


@pytest.mark.parametrize("what", ["broken", "asked"])
def test_the_server_ends_a_websocket_first(start_server, eventually, engine, what):
    """RFC 6455 section 7.1.1; the client here waits for it and does not close."""
    server = start_server(config=engine)
    if what == "broken":
        client = broken_websocket(server)
    else:
        client = RawWebSocket(server)
        client.send(frame(CLOSE, struct.pack(">H", 1000)))
        assert client.read_close_frame() == 1000
    assert end_of(client.connection) == b""
    client.close()
    reason = "ws_protocol" if what == "broken" else "done"
    eventually(lambda: server.closed(reason) >= 1, "the connection to be gone")
    assert server.metric("ringside_lingers_cut_total") == 0


def test_who_does_not_close_is_not_waited_for(start_server, eventually, engine):
    server = start_server(config=engine)
    holders = [refused(server), broken_websocket(server).connection]
    assert [end_of(holder) for holder in holders] == [b"", b""]
    eventually(lambda: server.metric("ringside_lingers_cut_total") == 2, "both to be given up")
    server.until_closed("bad_request")
    server.until_closed("ws_protocol")
    for holder in holders:
        holder.close()


def test_a_body_that_goes_on_does_not_cost_the_refusal(start_server, engine):
    server = start_server(config={**engine, "message_bytes_max": 1000})
    with dial(server) as connection:
        connection.sendall(b"POST /publish?channel=c HTTP/1.1\r\nHost: h\r\n"
                           b"Content-Length: 99999999\r\n\r\n")
        for _ in range(4):
            connection.sendall(MUCH)
        answer = end_of(connection)
    assert answer.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("code", [1008, 4410])
def test_frames_that_go_on_do_not_cost_the_close_code(start_server, engine, code):
    """Neither of them is the peer's mistake in a frame: what it sends behind is well-formed."""
    path, may_publish = "/ws?channel=c", "off"
    if code == 4410:  # what comes before it is known that the position is gone is taken
        path, may_publish = target("/ws", channel="c", since="123.1"), "on"
    server = start_server(config={**engine, "websocket_publish": may_publish})
    # Made before, for the server does not wait long for who goes on after a close frame.
    frames = 20 * frame(TEXT, MUCH[:60000])
    client = RawWebSocket(server, path)
    client.send(frames)
    assert client.read_close_frame() == code
    client.send(frame(CLOSE, struct.pack(">H", code)))
    assert end_of(client.connection) == b""
    client.close()
