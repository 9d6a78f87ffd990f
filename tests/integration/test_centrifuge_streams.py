"""The Centrifuge protocol as answers of HTTP that do not end, by hand: what the SDKs never do."""

import json
import queue
import subprocess
import threading
import time

import pytest

import sdk
from ringside import PATIENCE_S, refusal
from secure import TRUSTED, SecureServer
from wire import dial, exchange, read_head

CONNECT = '{"id":1,"connect":{}}'
LINES, EVENTS = "/connection/http_stream", "/connection/sse"


class Curl:
    """curl on a stream: its lines, or the data of its events, read by a thread."""

    def __init__(self, server, path, body=None, version="--http1.1", **query):
        command = ["curl", "-sSNi", version, "--noproxy", "*", "--max-time", str(2 * PATIENCE_S),
                   "--cacert", str(TRUSTED)]
        if body is not None:
            command += ["-H", "Content-Type: application/json", "--data-binary", body]
        self.process = subprocess.Popen([*command, server.url(path, **query)],
                                        stdout=subprocess.PIPE)
        self.status = int(self.process.stdout.readline().split()[1])
        self.headers = {}
        while line := self.process.stdout.readline().strip():
            name, value = line.decode().split(":", 1)
            self.headers[name.lower()] = value.strip()
        self.queue = queue.Queue()
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        for line in self.process.stdout:
            text = line.decode().strip().removeprefix("data: ")
            if text.startswith("{"):
                self.queue.put(json.loads(text))
        self.queue.put(None)

    def next(self):
        return self.queue.get(timeout=PATIENCE_S)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.thread.join()
        self.process.stdout.close()


def lines(server, frame=CONNECT, **options):
    return Curl(server, LINES, frame, **options)


def events(server, frame=CONNECT, **options):
    return Curl(server, EVENTS, cf_connect=frame, **options)


def emulate(server, result, *commands, **changed):
    """Returns the status, and the name of the refusal."""
    data = "\n".join(c if isinstance(c, str) else json.dumps(c) for c in commands)
    body = {"session": result["session"], "node": result["node"], "data": data, **changed}
    answer = server.request("POST", "/emulation", json.dumps(body).encode())
    return answer.status, refusal(answer) if answer.body else None


@pytest.fixture(params=["plain", "tls"])
def served(request, start_server):
    return start_server(secure=request.param == "tls", shards=3)


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
@pytest.mark.parametrize("opened", [lines, events])
def test_commands_and_pushes(served, opened, version):
    if version == "--http2" and not isinstance(served, SecureServer):
        version = "--http2-prior-knowledge"
    with opened(served, version=version) as stream:
        assert stream.status == 200 and "no-store" in stream.headers["cache-control"]
        result = stream.next()["connect"]
        subscribes = [{"id": 2 + n, "subscribe": {"channel": f"c{n}"}} for n in range(8)]
        assert emulate(served, result, *subscribes) == (204, None)
        assert sorted(stream.next()["id"] for _ in range(8)) == list(range(2, 10))
        served.publish("c7", b'{"a":\r\n1}')
        push = {"channel": "c7", "pub": {"data": {"a": 1}, "offset": 1}}
        assert stream.next() == {"push": push}
        assert emulate(served, result, {}, {"id": 20, "ping": {}}) == (204, None)
        assert stream.next() == {"id": 20, "ping": {}}


def test_sessions_have_names_that_others_do_not_see(served):
    with lines(served) as one, events(served) as other:
        first, second = one.next()["connect"], other.next()["connect"]
        assert first["session"] != second["session"] and first["node"] == second["node"]
        assert len(first["session"]) == 68 and first["session"].startswith(first["client"])
        proof = second["session"][36:]
        for name in (first["client"], first["client"] + proof, first["client"] + "0" * 32,
                     first["session"][:-1], first["session"] + "0", "", "ü" * 34):
            assert emulate(served, first, {"id": 2, "ping": {}}, session=name) == \
                (404, "no_session")
        assert emulate(served, first, {"id": 2, "ping": {}}, node="0" * 16) == (404, "no_session")


def test_a_stream_that_has_gone_takes_no_commands(server):
    with lines(server) as stream:
        result = stream.next()["connect"]
    while emulate(server, result, {"id": 2, "ping": {}})[0] == 204:
        pass
    assert emulate(server, result, {"id": 2, "ping": {}}) == (404, "no_session")
    with lines(server) as other:  # perhaps in the same place
        assert other.next()["connect"]["client"] != result["client"]
        assert emulate(server, result, {"id": 2, "ping": {}}) == (404, "no_session")


BAD_EMULATIONS = [
    "", "no JSON", "[]", "null", "{}", '{"session":"a","node":"b"}',
    '{"session":"a","node":"b","data":""}', '{"session":"a","node":"b","data":7}',
    '{"session":7,"node":"b","data":"{}"}', '{"session":"a","node":{},"data":"{}"}',
    '{"session":"a","node":"b","data":"{}"', '{"session":"a","node":"b","data":"\\ud800"}',
    '{"session":"a","node":"b","data":{"id":1}}',
]


@pytest.mark.parametrize("body", BAD_EMULATIONS)
def test_what_is_no_emulation(server, body):
    answer = server.request("POST", "/emulation", body.encode())
    assert (answer.status, refusal(answer)) == (400, "bad_emulation")
    assert server.refused("bad_emulation") == 1


# The frame, and the code of the push that ends the stream.
BAD_FRAMES = [
    ("no JSON", 3501), ("[]", 3501), ('{"id":2,"subscribe":{"channel":"c"}}', 3501),
    ("{}", 3501), (CONNECT + "\n" + CONNECT, 3501), ('{"id":1,"connect":7}', 3501),
    ('{"id":1,"connect":{"token":"x"}}', 3500), ("\n" * 10 + "{", 3501),
]


@pytest.mark.parametrize("opened", [lines, events])
@pytest.mark.parametrize("frame, code", BAD_FRAMES)
def test_what_is_no_connect(server, opened, frame, code):
    with opened(server, frame) as stream:
        assert stream.status == 200
        told = []
        while (one := stream.next()) is not None:
            told.append(one)
        assert told[-1]["push"]["disconnect"]["code"] == code
        assert stream.process.wait(PATIENCE_S) == 0


def test_a_stream_without_a_connect(start_server):
    server = start_server(config={"head_timeout_ms": 1000})
    for path, body in ((LINES, b""), (EVENTS, b"")):
        answer = server.request("POST", path, body)
        assert (answer.status, refusal(answer)) == (400, "bad_connect")
    answer = server.get(EVENTS)
    assert (answer.status, refusal(answer)) == (400, "bad_connect")
    with lines(server, "\n") as stream:  # a frame without a command
        assert stream.next()["push"]["disconnect"] == {"code": 3502, "reason": "stale"}


BAD_COMMANDS = ["no JSON", '{"id":2}', CONNECT, "\n".join(['{"id":2,"ping":{}}'] * 1025)]


@pytest.mark.parametrize("command", BAD_COMMANDS)
def test_a_bad_command_ends_the_stream(server, command):
    with lines(server) as stream:
        assert emulate(server, stream.next()["connect"], command) == (204, None)
        while (told := stream.next()) and "push" not in told:
            pass
        assert told["push"]["disconnect"] == {"code": 3501, "reason": "bad request"}
        assert stream.next() is None
    server.until_closed("session_bad_request")


def test_methods_and_sizes(start_server):
    server = start_server(config={"message_bytes_max": 1000})
    for path in (LINES, "/emulation", "/connection/uni_http_stream"):
        assert server.get(path).status == 405
        assert server.request("OPTIONS", path).status == 204
        answer = server.request("POST", path, b"x" * 1001)
        assert (answer.status, refusal(answer)) == (413, "body_long")
    for path in (EVENTS, "/connection/uni_sse"):
        head = server.request("HEAD", path)
        assert head.status == 200 and head.headers["content-type"] == "text/event-stream"
    assert server.metric("ringside_sessions") == 0


@pytest.mark.parametrize("path", [LINES, EVENTS, "/emulation"])
def test_a_body_that_stops_coming(start_server, path):
    server = start_server(config={"body_timeout_ms": 1000})
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf"
    assert b" 408 " in exchange(server, head.encode())
    assert server.refused("body_timeout") == 1


def test_what_follows_a_stream_is_dropped(server):
    with dial(server) as connection:
        head = f"POST {LINES} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(CONNECT)}\r\n\r\n"
        behind = b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n"
        connection.sendall(head.encode() + CONNECT.encode() + behind)
        status, _, rest = read_head(connection)
        assert status == 200
        for _ in range(40):
            connection.sendall(b"x" * 10000)
        while b"\n" not in rest.partition(b'{"id":1')[2]:
            rest += connection.recv(65536)
        assert b"HTTP/1.1" not in rest  # ids may have any digits


def test_who_sends_no_pong(start_server):
    server = start_server(config={"heartbeat_ms": 1000})
    with lines(server) as stream:
        stream.next()
        assert stream.next() == {}
        assert stream.next()["push"]["disconnect"] == {"code": 3012, "reason": "no pong"}


def test_who_is_revoked_is_told(start_server, tmp_path):
    (tmp_path / "api.key").write_text("k" * 32 + "\n")
    server = start_server(config=sdk.with_keys(tmp_path, api_keys=f"file:{tmp_path}/api.key"))
    frame = json.dumps({"id": 1, "connect": {"token": sdk.token(sub="alice")}})
    with events(server, frame) as stream:
        stream.next()
        server.request("POST", "/revoke?user=alice", headers={"X-API-Key": "k" * 32})
        assert stream.next()["push"]["disconnect"]["code"] == 3503


def test_a_page_of_another_origin(start_server):
    server = start_server(config={"allowed_origins": "https://a.example"})
    fields = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    for path in (LINES, "/emulation"):
        answer = server.request("OPTIONS", path, headers=fields)
        assert answer.headers["access-control-allow-origin"] == "https://a.example"
        answer = server.request("POST", path, b"{}", headers={"Origin": "https://b.example"})
        assert (answer.status, refusal(answer)) == (403, "origin_refused")


def test_a_slow_stream_takes_no_more_commands(start_server):
    server = start_server(config={"queue_bytes_max": 100_000, "history_messages_max": 100})
    for n in range(20):
        server.publish("c", json.dumps("x" * 50_000))
    with dial(server) as connection:
        head = f"POST {LINES} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(CONNECT)}\r\n\r\n"
        connection.sendall(head.encode() + CONNECT.encode())
        rest = read_head(connection)[2]
        while b"\n" not in rest.partition(b'{"id":1')[2]:
            rest += connection.recv(65536)
        result = json.loads(rest[rest.index(b"{"):rest.rindex(b"}") + 1])["connect"]
        assert emulate(server, result, {"id": 2, "subscribe": {"channel": "c"}})[0] == 204
        ask = {"id": 3, "history": {"channel": "c", "limit": -1}}
        deadline = time.monotonic() + PATIENCE_S
        while (told := emulate(server, result, ask))[0] == 204 and time.monotonic() < deadline:
            pass
        assert told == (429, "session_behind")
