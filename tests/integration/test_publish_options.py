"""What a publish of the server API may want besides: keys, versions, tags, no history; and messages
for those who are there, on every way in and out."""

import json

import pytest

import sdk
from test_server_api_sessions import API_KEY, Client, nothing_came
from wire import TEXT, RawWebSocket, frame


@pytest.fixture
def start_api(start_server, tmp_path):
    """start_api(args, **config) -> api(method, request): the result, or the error's code."""
    (tmp_path / "api.key").write_text(API_KEY + "\n")

    def start(*args, **config):
        config = sdk.with_keys(tmp_path, api_keys=f"file:{tmp_path}/api.key", **config)
        server = start_server(config=config, args=args)

        def call(method, /, **request):
            body = json.dumps(request).encode()
            answer = server.request("POST", f"/api/{method}", body, {"X-API-Key": API_KEY}).json()
            return answer["result"] if "result" in answer else answer["error"]["code"]

        call.server = server
        return call

    return start


def data_in(api, channel):
    page = api("history", channel=channel, limit=100)["publications"]
    return [publication["data"] for publication in page]


def test_a_key_counts_once(start_api):
    api = start_api()
    first = api("publish", channel="c", data=1, idempotency_key="k")
    assert api("publish", channel="c", data=2)["offset"] == 2
    assert api("publish", channel="c", data=3, idempotency_key="k") == first
    assert api("publish", channel="d", data=4, idempotency_key="k")["offset"] == 1
    assert api("publish", channel="c", data=5, idempotency_key="\u006b") == first
    assert api("publish", channel="c", data=6, idempotency_key="l")["offset"] == 3
    request = {"channels": ["c", "d", "e"], "data": 7, "idempotency_key": "k"}
    responses = api("broadcast", **request)["responses"]
    assert [response["result"]["offset"] for response in responses] == [1, 1, 1]
    assert data_in(api, "c") == [1, 2, 6] and data_in(api, "d") == [4] and data_in(api, "e") == [7]
    assert api.server.metric("ringside_repeated_total") == 4
    assert api.server.metric("ringside_repeats") == 4


def test_keys_are_bounded_and_end(start_api):
    api = start_api("--shards", "1", idempotency_keys_max=100, idempotency_ms=1000)
    for n in range(250):
        api("publish", channel="c", data=n, idempotency_key=str(n))
    assert api.server.metric("ringside_repeats") == 100
    assert api("publish", channel="c", data=0, idempotency_key="149")["offset"] == 251
    assert api("publish", channel="c", data=0, idempotency_key="249")["offset"] <= 252


def test_keys_may_be_off(start_api):
    api = start_api(idempotency_keys_max=0)
    assert api("publish", channel="c", data=1, idempotency_key="k") == 108
    assert api("publish", channel="c", data=1)["offset"] == 1


def test_an_outdated_version_is_dropped(start_api):
    api = start_api()
    assert api("publish", channel="c", data="v2", version=2)["offset"] == 1
    for version in (1, 2):
        assert api("publish", channel="c", data="old", version=version)["offset"] == 1
    assert api("publish", channel="c", data="v3", version=3, version_epoch="a")["offset"] == 2
    assert api("publish", channel="c", data="old", version=3, version_epoch="a")["offset"] == 2
    assert api("publish", channel="c", data="b1", version=1, version_epoch="b")["offset"] == 3
    assert api("publish", channel="c", data="none")["offset"] == 4
    assert api("publish", channel="d", data="other", version=1)["offset"] == 1
    assert data_in(api, "c") == ["v2", "v3", "b1", "none"]
    assert api.server.metric("ringside_outdated_total") == 3


def test_tags_go_with_the_message(start_api):
    api = start_api()
    client = Client(api.server)
    position = client.ask("subscribe", channel="c")
    tags = {"kind": "a \"quoted\" one", "n": "1"}
    api("publish", channel="c", data={"x": 1}, tags=tags)
    assert client.push()["pub"] == {"data": {"x": 1}, "offset": 1, "tags": tags}
    assert api("history", channel="c", limit=1)["publications"][0]["tags"] == tags
    late = Client(api.server).ask(
        "subscribe", channel="c", recover=True, epoch=position["epoch"], offset=0
    )
    assert late["publications"][0]["tags"] == tags
    body = b'{"channel":"c","data":2,"tags":{\n"a":\r\n"b"}}'
    api.server.request("POST", "/api/publish", body, {"X-API-Key": API_KEY})
    assert client.push()["pub"]["tags"] == {"a": "b"}
    assert json.loads(api.server.poll("c", "start")["messages"][0]["data"]) == {"x": 1}


def test_a_client_s_message_says_whose_it_is(start_api):
    api = start_api(websocket_publish="on")
    client = Client(api.server, "alice", info={"name": "A\n"})
    client.ask("subscribe", channel="c")
    client.command(id=8, publish={"channel": "c", "data": 1})
    messages = sorted([client.next(), client.next()], key=lambda message: "push" in message)
    info = {"client": client.id, "user": "alice", "conn_info": {"name": "A\n"}}
    assert messages[1]["push"]["pub"] == {"data": 1, "offset": 1, "info": info}
    assert api("history", channel="c", limit=1)["publications"][0]["info"] == info


def test_skip_history(start_api):
    api = start_api()
    client = Client(api.server)
    client.ask("subscribe", channel="c")
    assert api("publish", channel="c", data="kept")["offset"] == 1
    assert api("publish", channel="c", data="seen", skip_history=True)["offset"] == 0
    assert api("publish", channel="c", data="kept too")["offset"] == 2
    pubs = [client.push()["pub"] for _ in range(3)]
    assert pubs == [
        {"data": "kept", "offset": 1}, {"data": "seen"}, {"data": "kept too", "offset": 2},
    ]
    assert data_in(api, "c") == ["kept", "kept too"]


BAD = [
    {"tags": []},
    {"tags": "a"},
    {"tags": {"a": 1}},
    {"tags": {"a": {"b": "c"}}},
    {"tags": {"a": "x" * 4096}},
    {"idempotency_key": 7},
    {"idempotency_key": "x" * 257},
    {"version": -1},
    {"version": "1"},
    {"version": 1, "version_epoch": 7},
    {"version": 1, "version_epoch": "x" * 257},
    {"skip_history": 1},
]


def test_what_is_wrong_has_its_code(start_api):
    api = start_api()
    got = [api("publish", channel="c", data=1, **options) for options in BAD]
    assert got == [107] * len(BAD)
    assert api("publish", channel="c", data=1, tags=None, version=None)["offset"] == 1


# ---- ephemeral ----

def pushed(session):
    """The next push, behind or before the reply to a publish."""
    while "push" not in (message := session.next()):
        pass
    return message["push"]


class Raw(RawWebSocket):
    def said(self):
        opcode, payload = self.read()
        assert opcode == TEXT
        return payload


def test_ephemeral_messages_reach_those_who_are_there(start_api):
    api = start_api("--set", "typing:ephemeral=on", websocket_publish="on")
    server = api.server
    session = Client(server, "alice")
    position = session.ask("subscribe", channel="typing:a")
    assert position.get("offset", 0) == 0
    raw = Raw(server, "/ws?channel=typing:a")
    ways = {
        "http": lambda: server.publish("typing:a", b'"http"'),
        "api": lambda: api("publish", channel="typing:a", data="api"),
        "raw": lambda: raw.send(frame(TEXT, b'"raw"')),
        "session": lambda: session.command(
            id=8, publish={"channel": "typing:a", "data": "session"}
        ),
    }
    for way, publish in ways.items():
        publish()
        assert raw.said() == f'"{way}"'.encode()
        pub = pushed(session)["pub"]
        assert pub["data"] == way and "offset" not in pub
    assert data_in(api, "typing:a") == []
    assert server.poll("typing:a", "start")["messages"] == []
    late = Client(server).ask("subscribe", channel="typing:a", recover=True, **position)
    assert late["recovered"] and "publications" not in late


def test_ephemeral_messages_in_streams_of_several_channels(start_api):
    api = start_api("--set", "typing:ephemeral=on")
    raw = Raw(api.server, "/ws?channel=typing:a&channel=news&envelope=1")
    assert "data" not in json.loads(raw.said())  # where it begins
    api("publish", channel="news", data=1)
    api("publish", channel="typing:a", data=2)
    api("publish", channel="news", data=3)
    envelopes = [json.loads(raw.said()) for _ in range(3)]
    assert [envelope["data"] for envelope in envelopes] == ["1", "2", "3"]
    assert [envelope["offset"] for envelope in envelopes] == [1, 0, 2]
    assert nothing_came(Client(api.server))
