"""HTTP/2: all paths as streams, to clients that others have written: Python's h2 and httpx, curl,
nghttp."""

import json
import shutil
import subprocess

import pytest

from http2 import Http2
from ringside import PATIENCE_S
from wire import CLOSE, PING, PONG, TEXT, exchange, frame

CANCEL = 8


@pytest.fixture(params=["plain", "tls"])
def served(request, start_server):
    return start_server(
        secure=request.param == "tls", config={"websocket_publish": "on", "echo": "on"}
    )


@pytest.fixture
def client(served):
    with Http2(served) as client:
        yield client


def run(*command):
    return subprocess.run(command, capture_output=True, timeout=PATIENCE_S, check=False)


# ---- requests ----

def test_pages(client):
    page = client.get("/")
    assert page.status == 200 and b"<html" in page.data
    assert page.headers["content-length"] == str(len(page.data))
    assert client.get("/healthz").data == b'{"status":"ok"}\n'
    assert b"ringside_http2_connections 1\n" in client.get("/metrics").data
    assert client.get("/nothing").status == 404


def test_publish_and_poll(client):
    told = json.loads(client.post("/publish?channel=c", b"hello").data)
    answer = json.loads(client.get("/poll?channel=c").data)
    assert [one["data"] for one in answer["messages"]] == ["hello"]
    assert answer["position"] == f"{told['epoch']}.{told['offset']}"


def test_a_body_in_pieces_and_one_beyond_the_window(client):
    stream = client.open("/publish?channel=c", method="POST", end=False)
    for piece in (b"a", b"", b"bc"):
        client.send(stream, piece)
    client.send(stream, b"", end=True)
    assert client.whole(stream).status == 200
    large = b"0123456789" * 50000
    assert client.post("/publish?channel=c", large).status == 200
    texts = [one["data"] for one in json.loads(client.get("/poll?channel=c").data)["messages"]]
    assert texts == ["abc", large.decode()]


def test_a_body_that_is_too_long(client):
    stream = client.open("/publish?channel=c", method="POST", end=False)
    client.until(lambda: client.settings, "SETTINGS")
    for _ in range(80):
        client.send(stream, b"x" * 16384)
        if stream.status:
            break
    client.until(lambda: stream.status, "an answer")
    assert stream.status == 413
    assert client.whole(stream).reset in (None, 0)
    assert client.get("/healthz").status == 200


def test_head_has_no_body(client):
    for path in ("/poll?channel=c", "/longpoll?channel=c", "/sse?channel=c", "/"):
        answer = client.get(path, method="HEAD")
        assert (answer.status, answer.data, answer.ended) == (200, b"", True)


def test_refusals(client):
    assert client.get("/poll").status == 400
    assert client.get("/poll?channel=c", method="DELETE").status == 405
    assert client.get("/poll?channel=c", method="BREW").status == 501
    refused = client.open("/poll?channel=c", end=False)
    client.send(refused, b"a body", end=True)
    assert client.whole(refused).status == 400
    long = client.get("/poll?channel=c", fields=[("x-long", "x" * 9000)])
    assert long.status == 431
    many = client.get("/poll?channel=c", fields=[(f"x-{i}", "1") for i in range(70)])
    assert many.status == 431
    assert client.get("/poll?channel=c").status == 200


def test_a_host_that_is_another_is_malformed(client):
    assert client.get("/healthz", fields=[("host", "elsewhere")]).status == 400


def test_cors(client):
    answer = client.get("/poll?channel=c", fields=[("origin", "http://a.example")])
    assert answer.headers["access-control-allow-origin"] == "*"
    preflight = client.get("/publish", method="OPTIONS", fields=[("origin", "http://a.example")])
    assert preflight.status == 204 and "POST" in preflight.headers["allow"]


# ---- what is waited for ----

def test_long_polls_share_a_connection(client, eventually):
    waiting = [client.open("/longpoll?channel=c") for _ in range(20)]
    eventually(lambda: client.server.metric("ringside_longpolls_held") == 20, "twenty held")
    client.post("/publish?channel=c", b"now")
    for stream in waiting:
        answer = json.loads(client.whole(stream).data)
        assert [one["data"] for one in answer["messages"]] == ["now"]
        assert stream.headers["content-length"] == str(len(stream.data))


def test_a_hundred_streams_hear_one_broadcast(client):
    streams = [client.open("/sse?channel=c") for _ in range(99)]
    for stream in streams:
        client.until(lambda: b"id: " in stream.data, "where the stream begins")
    client.post("/publish?channel=c", b"to all")
    for stream in streams:
        client.until(lambda: b"data: to all\n\n" in stream.data, "the message")
    assert client.server.metric("ringside_streams_sse") == 99


def test_large_messages_and_replays(client):
    texts = [("%d" % i) * 30000 for i in range(20)]
    for text in texts:
        client.post("/publish?channel=c", text.encode())
    stream = client.open("/sse?channel=c&since=start")
    client.until(lambda: stream.data.count(b"\ndata: ") == 20, "all of the replay")
    client.post("/publish?channel=c", b"live")
    client.until(lambda: b"data: live\n\n" in stream.data, "the live one")
    events = stream.data.decode().split("\n\n")
    found = [event.split("data: ")[1] for event in events if "\ndata: " in event]
    assert found == [*texts, "live"]


def test_a_cancelled_stream_ends(client, eventually):
    stream = client.open("/sse?channel=c")
    client.until(lambda: stream.data, "its beginning")
    client.reset(stream)
    eventually(lambda: client.server.metric("ringside_streams_sse") == 0, "no stream")
    assert client.server.metric("ringside_streams_closed_total", reason="done") > 0
    assert client.get("/healthz").status == 200


def test_a_client_that_dies_takes_its_streams_along(served, eventually):
    with Http2(served) as client:
        streams = [client.open("/sse?channel=c") for _ in range(5)]
        client.until(lambda: all(stream.data for stream in streams), "their beginnings")
    eventually(lambda: served.metric("ringside_streams") == 0, "no stream")
    eventually(lambda: served.metric("ringside_http2_connections") == 0, "no connection")
    assert served.metric("ringside_streams_closed_total", reason="carrier") == 5
    assert served.metric("ringside_http2_bytes") == 0


# ---- WebSockets ----

def test_a_websocket_is_a_stream(client):
    socket = client.websocket("/ws?channel=c")
    assert socket.status == 200 and "sec-websocket-accept" not in socket.headers
    client.say(socket, TEXT, b"said")
    assert client.hear(socket) == (TEXT, b"said")
    client.say(socket, PING, b"?")
    assert client.hear(socket) == (PONG, b"?")
    client.say(socket, CLOSE, b"\x03\xe8")
    assert client.hear(socket) == (CLOSE, b"\x03\xe8")
    assert client.whole(socket).ended


def test_a_session_is_a_websocket_like_any_other(client):
    socket = client.websocket("/connection/websocket")
    assert socket.status == 200
    client.say(socket, TEXT, b'{"id":1,"connect":{}}')
    opcode, text = client.hear(socket)
    assert opcode == TEXT and json.loads(text)["id"] == 1


def test_what_is_said_ahead_of_the_answer_is_heard(client):
    """At once behind CONNECT, and more than a socket would be read for; on whichever shard."""
    client.websocket("/echo")
    said = b"early" * 20_000
    for n in range(8):
        socket = client.open(f"/ws?channel=new-{n}", method="CONNECT", end=False,
                             fields=[("sec-websocket-version", "13")], protocol="websocket")
        client.say(socket, TEXT, said)
        assert client.hear(socket) == (TEXT, said)
        assert socket.status == 200


def test_envelopes_and_an_end_without_a_close_frame(client, eventually):
    socket = client.websocket("/ws?channel=a&channel=b&envelope=1")
    assert client.hear(socket)[0] == TEXT
    client.post("/publish?channel=b", b"x")
    assert json.loads(client.hear(socket)[1])["data"] == "x"
    client.send(socket, b"", end=True)
    assert client.whole(socket).ended
    eventually(lambda: client.server.metric("ringside_streams_websocket") == 0, "none open")


@pytest.mark.parametrize("path", ["/ws?channel=c", "/ws?channel=a&channel=b&envelope=1", "/echo"])
def test_a_connect_that_ends_its_stream(client, eventually, path):
    """A request like any other: it is answered, and over with that."""
    socket = client.websocket(path, end=True)
    assert client.whole(socket).ended and socket.status == 200 and socket.reset is None
    eventually(lambda: client.server.metric("ringside_streams_websocket") == 0, "none open")


def test_an_end_between_connect_and_its_answer(client, eventually):
    """In one piece with CONNECT, so ahead of what the hub says; on whichever shard."""
    client.websocket("/echo")
    for n in range(8):
        said = b"last words %d" % n
        socket = client.open(f"/ws?channel=new-{n}", method="CONNECT", end=False, flush=False,
                             fields=[("sec-websocket-version", "13")], protocol="websocket")
        client.send(socket, frame(TEXT, said), end=True)
        assert client.whole(socket).ended and socket.status == 200 and socket.reset is None
        heard = client.get(f"/longpoll?channel=new-{n}&since=start")
        assert json.loads(heard.data)["messages"][0]["data"] == said.decode()
    eventually(lambda: client.server.metric("ringside_streams_websocket") == 1, "the echo is left")


def test_echo_of_what_is_larger_than_a_window(client):
    socket = client.websocket("/echo")
    said = bytes(range(256)) * 800
    client.say(socket, TEXT, said.decode("latin-1").encode())
    assert client.hear(socket) == (TEXT, said.decode("latin-1").encode())


def test_what_is_no_websocket_is_refused(client):
    assert client.get("/ws?channel=c").status in (400, 426)
    other = client.open("/ws?channel=c", method="CONNECT", end=False, protocol="connect-udp")
    assert client.whole(other).status in (400, 426, 501)
    elsewhere = client.open("/sse?channel=c", method="CONNECT", end=False, protocol="websocket")
    assert client.whole(elsewhere).status == 501
    old = client.open("/ws?channel=c", method="CONNECT", end=False, protocol="websocket",
                      fields=[("sec-websocket-version", "8")])
    assert client.whole(old).status == 426


# ---- the end ----

def test_drain(served):
    with Http2(served) as client:
        stream = client.open("/sse?channel=c")
        held = client.open("/longpoll?channel=c")
        client.until(lambda: stream.data, "its beginning")
        served.signal()
        assert client.until_closed() == 0
        assert stream.ended and held.ended and held.status == 200
    assert served.wait() == 0


def test_an_idle_connection_ends_with_goaway(start_server):
    server = start_server(config={"idle_timeout_ms": 1500})
    with Http2(server) as client:
        assert client.get("/healthz").status == 200
        assert client.until_closed() == 0
    server.until_closed("idle")


def test_http_1_goes_on_where_http2_is_off(start_server):
    server = start_server(config={"http2": "off"})
    done = run("curl", "-s", "--http2-prior-knowledge", server.url("/healthz"))
    assert done.returncode != 0
    assert server.get("/healthz").status == 200


@pytest.mark.parametrize("before", [b"", b"\r\n"])
def test_a_first_line_of_no_http_is_not_answered(server, before):
    """RFC 9113 section 3.4, as h2spec asks: what would understand an answer sends no such line."""
    assert exchange(server, before + b"INVALID CONNECTION PREFACE\r\n\r\n") == b""
    server.until_closed("bad_request")
    assert server.refused("version") == 1


def test_a_first_line_that_names_http_is_answered(server):
    for line in (b"GET  / HTTP/1.1", b"\r\nGET / http/1.1", b"GET / HTTP/1.1 "):
        assert exchange(server, line + b"\r\nHost: h\r\n\r\n").startswith(b"HTTP/1.1 400 "), line


def test_http_1_alone_answers_any_line(start_server):
    server = start_server(config={"http2": "off"})
    said = exchange(server, b"INVALID CONNECTION PREFACE\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 400 ")


# ---- other clients ----

def test_curl(served):
    url = served.url("/healthz")
    options = ["--http2-prior-knowledge"] if url.startswith("http:") else ["--http2", "-k"]
    done = run("curl", "-sS", *options, "-w", "%{http_version}", url)
    assert done.stdout == b'{"status":"ok"}\n2', done.stderr
    done = run("curl", "-sS", *options, "-d", "by curl", served.url("/publish", channel="c"))
    assert json.loads(done.stdout)["channel"] == "c"
    events = subprocess.Popen(["curl", "-sSN", *options, "-m", str(PATIENCE_S),
                               served.url("/sse", channel="c", since="start")],
                              stdout=subprocess.PIPE)
    assert b"data: by curl\n" in iter(events.stdout.readline, b"")
    assert events.stdout.readline() == b"\n"
    events.kill()
    events.communicate()


def test_nghttp(served):
    assert shutil.which("nghttp"), "the package nghttp2-client"
    done = run("nghttp", "-n", "-y", "-m", "20", served.url("/poll", channel="c"))
    assert done.returncode == 0, done.stderr
    done = run("nghttp", "-y", served.url("/healthz"))
    assert done.stdout == b'{"status":"ok"}\n', done.stderr


def test_h2load(served):
    done = run("h2load", "-n", "500", "-c", "5", "-m", "20", served.url("/poll", channel="c"))
    assert b"500 succeeded, 0 failed, 0 errored, 0 timeout" in done.stdout, done.stdout


def test_httpx(served):
    import httpx
    secure = served.url("/").startswith("https")
    with httpx.Client(http1=False, http2=True, verify=served.context if secure else True,
                      timeout=PATIENCE_S) as web:
        answer = web.post(served.url("/publish", channel="c"), content=b"by httpx")
        assert answer.http_version == "HTTP/2" and answer.json()["channel"] == "c"
        polled = web.get(served.url("/poll", channel="c")).json()
        assert [one["data"] for one in polled["messages"]] == ["by httpx"]
