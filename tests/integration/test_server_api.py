"""POST /api/METHOD, as the server libraries of Centrifugo call it."""

import base64
import json

import pytest

from wire import RawWebSocket, dial

API_KEY = "a key of a server, long enough"


@pytest.fixture
def api(start_server, tmp_path):
    """api(method, request) -> the answer of a server that knows the key."""
    (tmp_path / "api.key").write_text(API_KEY + "\n")
    server = start_server(config={"api_keys": f"file:{tmp_path}/api.key"})

    def call(method, request=None, headers=None, body=None):
        body = json.dumps(request or {}).encode() if body is None else body
        headers = {"X-API-Key": API_KEY} if headers is None else headers
        answer = server.request("POST", f"/api/{method}", body=body, headers=headers)
        return answer.json() if answer.status == 200 else answer.status

    call.server = server
    return call


def test_who_is_no_server_is_refused(api):
    assert api("info", headers={}) == 401
    assert api("info", headers={"X-API-Key": API_KEY + "x"}) == 401
    assert api("info", headers={"Authorization": f"apikey {API_KEY}"})["result"]
    assert api.server.refused("api_key_required") == 2
    assert api("no_such_method") == 404


def test_without_a_key_nobody_is_a_server(server):
    answer = server.request("POST", "/api/info", body=b"{}", headers={"X-API-Key": "x" * 20})
    assert answer.status == 401


def test_publish_and_history(api):
    for n in range(5):
        result = api("publish", {"channel": "c", "data": {"n": n}})["result"]
        assert result["offset"] == n + 1
    page = api("history", {"channel": "c", "limit": 2})["result"]
    assert [p["data"]["n"] for p in page["publications"]] == [0, 1]
    assert page["offset"] == 5 and page["epoch"] == result["epoch"]
    since = {"offset": 2, "epoch": page["epoch"]}
    page = api("history", {"channel": "c", "limit": 2, "since": since})["result"]
    assert [p["data"]["n"] for p in page["publications"]] == [2, 3]
    page = api("history", {"channel": "c", "limit": 1, "reverse": True})["result"]
    assert [p["data"]["n"] for p in page["publications"]] == [4]
    assert api("history", {"channel": "c"})["result"]["publications"] == []
    since = {"offset": 2, "epoch": "5f3a"}
    assert api("history", {"channel": "c", "since": since})["error"]["code"] == 112


def test_publish_by_what_changed(api):
    socket = RawWebSocket(api.server, "/ws?channel=c&delta=fossil")
    socket.read()
    data, kinds = list(range(100)), []
    for n, delta in enumerate((True, True, False, None)):
        request = {"channel": "c", "data": [n, *data], "delta": delta}
        assert api("publish", request)["result"]
        kinds.append("delta" in json.loads(socket.read()[1]))
    api("broadcast", {"channels": ["c", "d"], "data": [5, *data], "delta": True})
    kinds.append("delta" in json.loads(socket.read()[1]))
    socket.connection.close()
    assert kinds == [False, True, False, False, True]


def test_bytes_in_base64(api):
    api("publish", {"channel": "c", "b64data": base64.b64encode(b"\xff\x00").decode()})
    assert api.server.poll("c", "start")["messages"][0]["base64"] is True


def test_what_others_are_given(api):
    api("publish", {"channel": "c", "data": {"a": [1, "x"]}})
    assert json.loads(api.server.poll("c", "start")["messages"][0]["data"]) == {"a": [1, "x"]}


def test_broadcast(api):
    request = {"channels": ["a", "b", "a b", 7], "data": 1}
    responses = api("broadcast", request)["result"]["responses"]
    assert [r["result"]["offset"] for r in responses[:2]] == [1, 1]
    assert [r["error"]["code"] for r in responses[2:]] == [107, 107]
    for channel in "ab":
        assert api.server.poll(channel, "start")["messages"][0]["data"] == "1"
    assert api("broadcast", {"channels": [], "data": 1})["result"]["responses"] == []


def test_batch(api):
    commands = [
        {"publish": {"channel": "c", "data": 1}},
        {"publish": {"channel": "c", "data": 2}},
        {"history": {"channel": "c", "limit": 10}},
        {"info": {}},
        {"publish": {"channel": ""}},
        {"unknown": {}},
        7,
    ]
    replies = api("batch", {"commands": commands})["replies"]
    assert [replies[n]["publish"]["offset"] for n in range(2)] == [1, 2]
    assert [p["data"] for p in replies[2]["history"]["publications"]] == [1, 2]
    assert replies[3]["info"]["nodes"][0]["name"] == "ringside"
    assert [reply["error"]["code"] for reply in replies[4:]] == [107, 107, 107]


BAD = [
    ("publish", b"no JSON"),
    ("publish", b"[]"),
    ("publish", b'{"channel":7,"data":1}'),
    ("publish", b'{"channel":"a b","data":1}'),
    ("publish", b'{"channel":"c"}'),
    ("publish", b'{"channel":"c","b64data":"?"}'),
    ("publish", b'{"channel":"c","data":1,"delta":1}'),
    ("publish", b'{"channel":"c","data":1,"delta":"fossil"}'),
    ("broadcast", b'{"data":1}'),
    ("broadcast", b'{"channels":"a","data":1}'),
    ("broadcast", json.dumps({"channels": ["a"] * 1025, "data": 1}).encode()),
    ("batch", b"{}"),
    ("batch", b'{"commands":{}}'),
    ("history", b'{"channel":"c","limit":"1"}'),
]


@pytest.mark.parametrize("method, body", BAD)
def test_what_is_wrong_has_its_code(api, method, body):
    assert api(method, body=body)["error"]["code"] == 107
    assert api("info")["result"]


def test_the_largest_answers_are_bounded(api):
    for _ in range(100):
        api("publish", {"channel": "c", "data": "x" * 30_000})
    commands = [{"history": {"channel": "c", "limit": -1}}] * 40
    replies = api("batch", {"commands": commands})["replies"]
    assert replies[0]["history"]["publications"]
    assert replies[-1]["error"]["code"] == 106


def test_two_requests_on_a_connection_are_answered_in_order(api):
    body = b'{"channel":"c","data":1}'
    head = f"POST /api/publish HTTP/1.1\r\nHost: a\r\nX-API-Key: {API_KEY}\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    connection = dial(api.server)
    connection.sendall(request * 5)
    received = b""
    while received.count(b'"offset":') < 5:
        received += connection.recv(65536)
    assert [received.index(b'"offset":%d' % n) for n in range(1, 6)] == sorted(
        received.index(b'"offset":%d' % n) for n in range(1, 6))
