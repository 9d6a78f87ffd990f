"""Bytes that no good client sends: each is refused with its status or close code, under a named
reason that is counted, and nobody else notices."""

import json
import socket
import struct
import threading

import pytest

from ringside import data_of, refusal, target
from wire import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    RawWebSocket,
    dial,
    exchange,
    frame,
    read_answer,
    read_head,
    read_to_end,
    upgrade,
)

GET = b"GET /healthz HTTP/1.1\r\nHost: h\r\n"
POST = b"POST /publish?channel=c HTTP/1.1\r\nHost: h\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

# What two implementations could read in two ways, or what no implementation should read at all.
MALFORMED = {
    "bare LF": (b"GET /healthz HTTP/1.1\nHost: h\n\n", 400, "line_end"),
    "bare LF after a field": (b"GET /healthz HTTP/1.1\r\nHost: h\nA: b\r\n\r\n", 400, "line_end"),
    "bare CR in a value": (GET + b"A: b\rc\r\n\r\n", 400, "line_end"),
    "folded field": (GET + b"A: b\r\n c\r\n\r\n", 400, "field_folded"),
    "space before the colon": (GET + b"A : b\r\n\r\n", 400, "field_name"),
    "field without a colon": (GET + b"Ab\r\n\r\n", 400, "field_name"),
    "field without a name": (GET + b": b\r\n\r\n", 400, "field_name"),
    "NUL in a value": (GET + b"A: \x00\r\n\r\n", 400, "field_value"),
    "no Host": (b"GET /healthz HTTP/1.1\r\n\r\n", 400, "host"),
    "two Hosts": (GET + b"Host: h\r\n\r\n", 400, "host"),
    "no target": (b"GET HTTP/1.1\r\nHost: h\r\n\r\n", 400, "target"),
    "control character in the target": (b"GET /a\x01b HTTP/1.1\r\nHost: h\r\n\r\n", 400, "target"),
    "two spaces": (b"GET  /healthz HTTP/1.1\r\nHost: h\r\n\r\n", 400, "version"),
    "no version": (b"GET /healthz\r\nHost: h\r\n\r\n", 400, "target"),
    "version in lower case": (b"GET /healthz http/1.1\r\nHost: h\r\n\r\n", 400, "version"),
    "version 2": (b"GET /healthz HTTP/2.0\r\nHost: h\r\n\r\n", 505, "version_major"),
    "method that is no token": (b"G@T /healthz HTTP/1.1\r\nHost: h\r\n\r\n", 400, "method"),
    "unknown method": (b"BREW /healthz HTTP/1.1\r\nHost: h\r\n\r\n", 501, "method_unknown"),
    "TLS": (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 32 + b"\r\n\r\n",
        400,
        "method",
    ),
    "length and chunked": (
        POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "framing",
    ),
    "two lengths": (
        POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        400,
        "content_length",
    ),
    "list of lengths": (POST + b"Content-Length: 3, 3\r\n\r\nabc", 400, "content_length"),
    "negative length": (POST + b"Content-Length: -3\r\n\r\n", 400, "content_length"),
    "signed length": (POST + b"Content-Length: +3\r\n\r\nabc", 400, "content_length"),
    "length with a blank": (POST + b"Content-Length: 1 2\r\n\r\n", 400, "content_length"),
    "hexadecimal length": (POST + b"Content-Length: 0x3\r\n\r\nabc", 400, "content_length"),
    "coding other than chunked": (
        POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
        501,
        "transfer_coding",
    ),
    "chunked twice": (
        POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        501,
        "transfer_coding",
    ),
    "a coding that says no end": (POST + b"Transfer-Encoding: gzip\r\n\r\n", 400, "framing"),
    "chunked and then another": (
        POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        400,
        "framing",
    ),
    "chunked and then another, in two fields": (
        POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
        400,
        "framing",
    ),
    "chunk size and a blank": (CHUNKED + b"3 \r\nabc\r\n0\r\n\r\n", 400, "chunk_size"),
    "chunk size that is no number": (CHUNKED + b"xyz\r\n", 400, "chunk_size"),
    "chunk size with a prefix": (CHUNKED + b"0x3\r\nabc\r\n", 400, "chunk_size"),
    "chunk size without an end": (
        CHUNKED + b"0" * 64 + b"3\r\nabc\r\n0\r\n\r\n",
        400,
        "chunk_size",
    ),
    "chunk size in bare LF": (CHUNKED + b"3\nabc\r\n0\r\n\r\n", 400, "chunk_size"),
    "chunk longer than its size": (CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n", 400, "chunk_end"),
    "chunked on HTTP/1.0": (
        b"POST /publish?channel=c HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "framing",
    ),
    "unknown expectation": (
        POST + b"Expect: the unexpected\r\nContent-Length: 0\r\n\r\n",
        417,
        "expectation",
    ),
    "a head of 64 KiB": (GET + b"A: " + b"a" * 65536, 431, "head_long"),
    "a hundred fields": (GET + b"A: b\r\n" * 100 + b"\r\n", 431, "fields_many"),
    "a target of 64 KiB": (
        b"GET /" + b"a" * 65536 + b" HTTP/1.1\r\nHost: h\r\n\r\n",
        414,
        "target_long",
    ),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_malformed_request(server, eventually, what):
    request, status, reason = MALFORMED[what]
    with dial(server) as connection:
        try:
            connection.sendall(request)
        except (ConnectionResetError, BrokenPipeError):
            pass  # it had heard enough
        got, head, body = read_answer(connection)
    assert got == status
    assert b"connection: close" in head.lower()
    error = json.loads(body)
    assert error["error"] == reason and error["message"]
    assert server.refused(reason) == 1
    eventually(lambda: server.closed("bad_request") == 1, "the connection to end")
    assert server.poll("c")["messages"] == []


def test_connection_ends_after_a_malformed_request(server):
    """What follows is in doubt: it must not be read as another request."""
    healthy = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"
    answer = exchange(server, b"GET /healthz HTTP/1.1\nHost: h\n\n" + healthy)
    assert answer.count(b"HTTP/1.1 ") == 1


def test_smuggled_request_is_never_answered(server):
    smuggled = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"
    fields = b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" % len(smuggled)
    answer = exchange(server, POST + fields + smuggled)
    assert answer.count(b"HTTP/1.1 ") == 1


# ---- requests that are well-formed and odd ----

@pytest.mark.parametrize("extension", [b" ; a = b", b"\t;a", b"; a=\"b c\"", b" ;"])
def test_blanks_before_a_chunk_extension(server, extension):
    """RFC 9112 section 7.1.1: what nobody should send, and everybody must read."""
    body = b"5%b\r\nhello\r\n0%b\r\n\r\n" % (extension, extension)
    with dial(server) as connection:
        connection.sendall(CHUNKED + body)
        assert read_answer(connection)[0] == 200
    assert data_of(server.poll("c")) == ["hello"]


def test_a_timeout_behind_head_has_a_body(start_server):
    """It answers the request that did not come, not the one before."""
    server = start_server(config={"head_timeout_ms": 1000})
    with dial(server) as connection:
        connection.sendall(b"HEAD /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
        assert read_head(connection)[0] == 200
        connection.sendall(b"GET /healthz HT")
        status, _head, body = read_answer(connection)
    assert status == 408
    assert json.loads(body)["error"] == "head_timeout"


@pytest.mark.parametrize("first", ["/poll?channel=c", "/healthz", "/longpoll?channel=c&timeout=0"])
def test_half_a_head_behind_a_request(start_server, first):
    """Its time is that of a head, whatever it waited behind."""
    server = start_server(config={"head_timeout_ms": 1000, "idle_timeout_ms": 3_600_000})
    with dial(server) as connection:
        connection.sendall(b"GET %b HTTP/1.1\r\nHost: h\r\n\r\nGET /healthz HT" % first.encode())
        assert read_answer(connection)[0] == 200
        status, _head, body = read_answer(connection)
    assert status == 408
    assert json.loads(body)["error"] == "head_timeout"


def test_a_head_that_trickles_gets_no_more_time(start_server):
    server = start_server(config={"head_timeout_ms": 1000, "idle_timeout_ms": 3_600_000})
    with dial(server) as connection:
        connection.sendall(b"GET /poll?channel=c HTTP/1.1\r\nHost: h\r\n\r\n" + GET + b"A: ")
        assert read_answer(connection)[0] == 200
        connection.settimeout(0.05)
        answer = b""
        while not answer:
            connection.sendall(b"a")
            try:
                answer = connection.recv(65536)
            except TimeoutError:
                continue
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_who_says_nothing_takes_no_place_where_accepts_are_put_off(start_server, eventually):
    server = start_server(config={"defer_accept_s": 30})
    with dial(server) as connection:
        # The one that asks. Who asked before may be there for a moment more.
        eventually(lambda: server.metric("ringside_connections") == 1, "nobody else")
        connection.sendall(GET + b"\r\n")
        assert read_answer(connection)[0] == 200


def test_requests_behind_a_held_one_do_not_hide_the_end(start_server, eventually):
    """More than may wait is not read, and so neither is what comes behind it: a reset."""
    server = start_server(config={"longpoll_hold_ms": 3_600_000})
    connection = dial(server)
    connection.sendall(
        b"GET /longpoll?channel=z HTTP/1.1\r\nHost: h\r\n\r\n" + (GET + b"\r\n") * 400)
    assert read_head(connection)[0] == 200  # the hold is over before its time
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    eventually(lambda: server.metric("ringside_longpolls_held") == 0, "the hold to end")
    eventually(lambda: server.metric("ringside_subscriptions") == 0, "the subscription to end")


def test_a_few_requests_behind_a_held_one_wait(server, eventually):
    with dial(server) as connection:
        connection.sendall(
            b"GET /longpoll?channel=z HTTP/1.1\r\nHost: h\r\n\r\n" + (GET + b"\r\n") * 3)
        eventually(lambda: server.metric("ringside_longpolls_held") == 1, "the hold")
        server.publish("z", "now")
        _status, _head, body = read_answer(connection)
    assert data_of(json.loads(body.split(b"\n")[0])) == ["now"]


# ---- requests that are well-formed and wrong ----

@pytest.mark.parametrize("path", ["/nothing", "/poll/", "/publish.php", "/../etc/passwd", "/ws2"])
def test_unknown_path(server, path):
    answer = server.get(path)
    assert answer.status == 404
    assert refusal(answer) == "not_found"
    assert server.refused("not_found") == 1


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/publish?channel=c", "POST"),
        ("POST", "/poll?channel=c", "GET"),
        ("POST", "/longpoll?channel=c", "GET"),
        ("PUT", "/sse?channel=c", "GET"),
        ("DELETE", "/healthz", "GET"),
        ("POST", "/metrics", "GET"),
    ],
)
def test_wrong_method(server, method, path, allowed):
    answer = server.request(method, path)
    assert answer.status == 405
    assert allowed in answer.headers["Allow"].replace(" ", "").split(",")
    assert refusal(answer) == "method_not_allowed"
    assert server.refused("method_not_allowed") == 1


BAD_NAMES = {
    "none": {},
    "empty": {"channel": ""},
    "too long": {"channel": "x" * 129},
    "a blank": {"channel": "a b"},
    "a line end": {"channel": "a\nb"},
    "a NUL": {"channel": "a\0b"},
    "a tilde, which joins positions": {"channel": "a~b"},
    "not ASCII": {"channel": "Grüße"},
    "one bad among good": {"channel": ["good", "not good", "good2"]},
}


@pytest.mark.parametrize("path", ["/publish", "/poll", "/longpoll", "/sse"])
@pytest.mark.parametrize("what", BAD_NAMES)
def test_bad_channel_name(server, path, what):
    method = "POST" if path == "/publish" else "GET"
    answer = server.request(method, target(path, **BAD_NAMES[what]))
    assert answer.status == 400
    assert server.refused(refusal(answer)) == 1


@pytest.mark.parametrize("what", BAD_NAMES)
def test_bad_channel_name_on_a_websocket(server, what):
    with dial(server) as connection:
        connection.sendall(upgrade(target("/ws", envelope=1, **BAD_NAMES[what])))
        assert read_head(connection)[0] == 400


@pytest.mark.parametrize("query", ["channel=%zz", "channel=%", "channel=a&since=%1"])
def test_broken_escape(server, query):
    answer = server.get(f"/poll?{query}")
    assert answer.status == 400
    assert refusal(answer) == "bad_query"


def test_publish_to_two_channels(server):
    assert server.request("POST", "/publish?channel=a&channel=b", b"x").status == 400


def test_too_many_channels(server):
    path = target("/poll", channel=[f"c{n}" for n in range(2000)])
    assert server.get(path).status in (400, 414)


def test_body_announced_too_large(server):
    """Refused from the head: the body is never asked for."""
    with dial(server) as connection:
        connection.sendall(POST + b"Content-Length: 99999999999\r\n\r\n")
        assert read_head(connection)[0] == 413
    assert server.refused("body_long") == 1


def test_body_announced_too_large_is_not_continued(server):
    with dial(server) as connection:
        fields = b"Content-Length: 99999999999\r\nExpect: 100-continue\r\n\r\n"
        connection.sendall(POST + fields)
        assert read_head(connection)[0] == 413


def test_chunked_body_grows_too_large(server):
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    with dial(server) as connection:
        connection.sendall(POST + b"Transfer-Encoding: chunked\r\n\r\n")
        try:
            for _ in range(20):
                connection.sendall(chunk)
        except (ConnectionResetError, BrokenPipeError):
            pass  # it had heard enough
        assert read_head(connection)[0] == 413


def test_body_that_is_cut_short(server, eventually):
    with dial(server) as connection:
        connection.sendall(POST + b"Content-Length: 10\r\n\r\nabc")
        connection.shutdown(socket.SHUT_WR)
        read_to_end(connection)
    assert server.poll("c")["messages"] == []


def test_body_that_stops_coming(start_server):
    """Its deadline is for the whole of it: a byte now and then does not put it off."""
    server = start_server(config={"body_timeout_ms": 400})
    with dial(server) as connection:
        connection.sendall(POST + b"Content-Length: 100000\r\n\r\n")
        connection.settimeout(0.05)
        answer = b""
        while not answer:
            connection.sendall(b"x")
            try:
                answer = connection.recv(65536)
            except TimeoutError:
                pass
    assert answer.startswith(b"HTTP/1.1 408 ") and b"body_timeout" in answer
    assert server.refused("body_timeout") == 1


@pytest.mark.parametrize("shards", [1, 2])
def test_half_closed_behind_a_request_is_answered(start_server, shards):
    server = start_server(shards=shards)
    for _ in range(20):
        with dial(server) as connection:
            connection.sendall(POST + b"Content-Length: 1\r\n\r\nx")
            connection.shutdown(socket.SHUT_WR)
            assert read_to_end(connection).startswith(b"HTTP/1.1 200 ")


def test_flood_of_requests_behind_one_that_is_held(server):
    """They wait unread; nothing grows without bound, and each is answered in its turn."""
    request = f"GET {target('/poll', channel='other')} HTTP/1.1\r\nHost: h\r\n\r\n".encode()
    count = 3000
    with dial(server) as connection:
        connection.sendall(b"GET /longpoll?channel=c&timeout=1 HTTP/1.1\r\nHost: h\r\n\r\n")
        threading.Thread(target=connection.sendall, args=(request * count,)).start()
        received = b""
        while received.count(b"HTTP/1.1 200 ") < count + 1:
            chunk = connection.recv(65536)
            assert chunk
            received += chunk
    assert server.get("/healthz").status == 200


# ---- handshakes ----

HANDSHAKES = {
    "no key": ({"Sec_WebSocket_Key": None}, 400),
    "a key that is too short": ({"Sec_WebSocket_Key": "c2hvcnQ="}, 400),
    "a key that is no base64": ({"Sec_WebSocket_Key": "!" * 24}, 400),
    "no version": ({"Sec_WebSocket_Version": None}, 426),
    "an old version": ({"Sec_WebSocket_Version": "8"}, 426),
    "no Upgrade": ({"Upgrade": None}, 426),
    "another Upgrade": ({"Upgrade": "h2c"}, 426),
    "Connection that does not say so": ({"Connection": "keep-alive"}, 426),
    "a body": ({"Content_Length": "3"}, 400),
}


@pytest.mark.parametrize("what", HANDSHAKES)
def test_bad_handshake(server, what):
    fields, status = HANDSHAKES[what]
    with dial(server) as connection:
        connection.sendall(upgrade(**fields))
        got, head, _rest = read_head(connection)
    assert got in (status, 400)
    if got == 426:
        assert b"sec-websocket-version: 13" in head.lower()


# ---- frames ----

BAD_FRAMES = {
    "unmasked": (frame(TEXT, b"x", mask=None), 1002),
    "reserved bit 1": (frame(TEXT, b"x", rsv=4), 1002),
    "reserved bit 2": (frame(TEXT, b"x", rsv=2), 1002),
    "reserved bit 3": (frame(TEXT, b"x", rsv=1), 1002),
    "reserved data opcode": (frame(3, b"x"), 1002),
    "reserved control opcode": (frame(0xB, b"x"), 1002),
    "long ping": (frame(PING, b"x" * 126), 1002),
    "fragmented ping": (frame(PING, b"x", fin=False), 1002),
    "length not the shortest, 16 bit": (
        frame(BINARY, b"x" * 5, length=(126, struct.pack(">H", 5))),
        1002,
    ),
    "length not the shortest, 64 bit": (
        frame(BINARY, b"x" * 5, length=(127, struct.pack(">Q", 5))),
        1002,
    ),
    "length of 64 bit": (frame(BINARY, b"", length=(127, b"\xff" * 8)), 1002),
    "continuation of nothing": (frame(0, b"x"), 1002),
    "message inside a message": (frame(TEXT, b"x", fin=False) + frame(TEXT, b"y"), 1002),
    "close of one byte": (frame(CLOSE, b"\x03"), 1002),
    "close code 0": (frame(CLOSE, struct.pack(">H", 0)), 1002),
    "close code 1005": (frame(CLOSE, struct.pack(">H", 1005)), 1002),
    "close code 1006": (frame(CLOSE, struct.pack(">H", 1006)), 1002),
    "close code 2999": (frame(CLOSE, struct.pack(">H", 2999)), 1002),
    "close code 5000": (frame(CLOSE, struct.pack(">H", 5000)), 1002),
    "close reason that is not UTF-8": (frame(CLOSE, b"\x03\xe8\xff"), 1007),
    "text that is not UTF-8": (frame(TEXT, b"\xff"), 1007),
    "overlong UTF-8": (frame(TEXT, b"\xc0\xaf"), 1007),
    "surrogate": (frame(TEXT, b"\xed\xa0\x80"), 1007),
    "beyond Unicode": (frame(TEXT, b"\xf4\x90\x80\x80"), 1007),
    "character cut short": (frame(TEXT, b"\xe2\x82"), 1007),
    "not UTF-8 in a later fragment": (frame(TEXT, b"x", fin=False) + frame(0, b"\xff"), 1007),
    "too big by its head": (frame(BINARY, b"", length=(127, struct.pack(">Q", 1 << 40))), 1009),
}


FRAME_REASONS = {1002: "ws_protocol", 1007: "ws_utf8", 1009: "ws_too_big"}


@pytest.mark.parametrize("path", ["/echo", "/ws?channel=c"])
@pytest.mark.parametrize("what", BAD_FRAMES)
def test_bad_frame(start_server, eventually, what, path):
    server = start_server(args=["--echo"], config={"websocket_publish": "true"})
    data, code = BAD_FRAMES[what]
    bad = RawWebSocket(server, path)
    good = RawWebSocket(server, "/echo")
    bad.send(data)
    assert bad.read_close_frame() == code
    bad.close()
    good.send(frame(TEXT, b"still here"))
    assert good.read() == (TEXT, b"still here")
    good.close()
    eventually(lambda: server.closed(FRAME_REASONS[code]) == 1, FRAME_REASONS[code])


def test_bad_utf8_fails_fast(start_server):
    """The verdict comes with the byte, not with the end of a message that may never end."""
    server = start_server(args=["--echo"])
    socket_ = RawWebSocket(server, "/echo")
    whole = frame(TEXT, b"good so far \xff" + b"x" * 1000)
    socket_.send(whole[:60])
    assert socket_.read_close() == 1007


def test_garbage_after_the_handshake(server):
    socket_ = RawWebSocket(server)
    socket_.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert socket_.read_close() == 1002


def test_pong_nobody_asked_for_is_ignored(start_server):
    server = start_server(args=["--echo"])
    socket_ = RawWebSocket(server, "/echo")
    socket_.send(frame(PONG, b"hello") + frame(TEXT, b"x"))
    assert socket_.read() == (TEXT, b"x")
    socket_.close()


def test_others_do_not_notice(server):
    good = RawWebSocket(server)
    for request, _status, _reason in MALFORMED.values():
        with dial(server) as connection:
            connection.sendall(request[:30000])
    server.publish("c", "still here")
    assert good.read() == (TEXT, b"still here")
    assert data_of(server.poll("c")) == ["still here"]
    good.close()
