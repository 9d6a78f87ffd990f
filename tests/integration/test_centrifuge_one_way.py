"""Channels that a session begins with, by its token; and clients that only listen, whose endpoints
need no SDK."""

import json
from urllib.parse import quote

import pytest

import sdk
from foreign import asynchronous, close_code, connect, publish, receive_json
from ringside import refusal, wait_until
from test_centrifuge_sdk import (  # noqa: F401 (fixtures)
    guarded, modules, start_sdk,
)
from test_centrifuge_streams import Curl
from wire import dial, read_answer, read_head

PATHS = {"sse": "/connection/uni_sse", "http_stream": "/connection/uni_http_stream"}


def listen(server, transport, request=None):
    text = json.dumps(request) if request is not None else ""
    if transport == "sse":
        return Curl(server, PATHS[transport], **({"cf_connect": text} if text else {}))
    return Curl(server, PATHS[transport], text)


# ---- those of a token, with the SDK ----

def server_subscribed(client):
    """The context of a channel that the server has subscribed the client to."""
    return client.next_of("server subscribed")


def test_channels_of_a_token(guarded, start_sdk):  # noqa: F811
    server = guarded(shards=3)
    server.publish("given:a", '"before"')
    claims = {"channels": ["given:a", "room:1"], "subs": {"lobby:1": {}, "given:a": {}}}
    client = start_sdk(server, token=sdk.token(sub="alice", **claims))
    client.act("connect")
    client.next_of("connected")
    contexts = {context["channel"]: context for context in
                (server_subscribed(client) for _ in range(3))}
    assert sorted(contexts) == ["given:a", "lobby:1", "room:1"]
    assert contexts["given:a"]["streamPosition"]["offset"] == 1
    for channel in contexts:
        server.publish(channel, f'"to {channel}"')
    got = {client.next_of("server publication")["data"] for _ in contexts}
    assert got == {f"to {channel}" for channel in contexts}
    stats = client.ask("presenceStats", "room:1")
    assert stats["numClients"] == 1


def test_they_recover(guarded, start_sdk):  # noqa: F811
    server = guarded()
    names = [f"given:{n}" for n in range(12)]  # more than begin with a part of their replay
    client = start_sdk(server, token=sdk.token(sub="alice", channels=names))
    client.act("connect")
    for _ in names:
        server_subscribed(client)
    for name in names:
        server.publish(name, '"first"')
    for _ in names:
        client.next_of("server publication")
    client.act("cut")
    client.next_of("connecting")
    for n in range(3):
        for name in names:
            server.publish(name, f'["{name}",{n}]')
    contexts = [server_subscribed(client) for _ in names]
    assert all(context["recovered"] for context in contexts)
    got = [client.next_of("server publication")["data"] for _ in range(3 * len(names))]
    for name in names:
        assert [n for channel, n in got if channel == name] == [0, 1, 2]


def test_live_messages_wait_for_the_result(guarded):  # noqa: F811
    """Published all the while: the result comes first, and then each message once, in order."""
    server = guarded(shards=3)
    names = [f"given:{n}" for n in range(20)]
    token = sdk.token(sub="alice", channels=names)
    for round in range(5):
        with listen(server, "http_stream", {"token": token}) as stream:
            for n in range(3):
                for name in names[:4]:
                    server.publish(name, f"{n}")
            subs = stream.next()["connect"]["subs"]
            assert sorted(subs) == sorted(names)
            last = {name: subs[name].get("offset", 0) for name in names[:4]}
            end = {name: 3 * (round + 1) for name in names[:4]}
            while last != end:
                push = stream.next()
                last[push["channel"]] += 1
                assert push["pub"]["offset"] == last[push["channel"]]


def test_that_a_channel_has_ended_waits_for_the_result(guarded):  # noqa: F811
    """Some answer before others do, and one that has ended tells so behind the result."""
    server = guarded(shards=3)
    names = [f"given:{n}" for n in range(12)]
    for name in names[::2]:
        path = f"/publish?channel={name}&end=1"
        assert server.request("POST", path, b"bye").status == 200
    token = sdk.token(sub="alice", channels=names)
    for _ in range(5):
        with listen(server, "http_stream", {"token": token}) as stream:
            assert sorted(stream.next()["connect"]["subs"]) == sorted(names)
            told = [stream.next() for _ in names[::2]]
            assert sorted(push["channel"] for push in told) == sorted(names[::2])
            assert all(push["unsubscribe"]["code"] == 2001 for push in told)


# ---- clients that only listen ----

@pytest.mark.parametrize("transport", PATHS)
def test_what_it_hears(guarded, transport):  # noqa: F811
    server = guarded(shards=3)
    server.publish("c", "1")
    request = {"subs": {"c": {}, "lobby:1": {}}, "name": "curl"}
    with listen(server, transport, request) as stream:
        result = stream.next()["connect"]
        assert result["ping"] == 25 and not {"pong", "session", "node"} & set(result)
        assert result["subs"]["c"]["offset"] == 1 and "publications" not in result["subs"]["c"]
        assert stream.next()["join"]["info"]["client"] == result["client"]
        server.publish("c", b'{"a":\r\n2}')
        assert stream.next() == {"channel": "c", "pub": {"data": {"a": 2}, "offset": 2}}
        with listen(server, transport, request) as other:
            other.next()
            assert "join" in stream.next()
        assert stream.next()["channel"] == "lobby:1"
        server.signal()
        assert stream.next()["disconnect"] == {"code": 3001, "reason": "shutdown"}
        assert stream.next() is None


@pytest.mark.parametrize("transport", PATHS)
def test_it_comes_back_where_it_was(server, transport):
    first = server.publish("c", "1")
    for n in range(2, 5):
        server.publish("c", f"{n}")
    since = {"recover": True, "epoch": first["epoch"], "offset": 1}
    with listen(server, transport, {"subs": {"c": since}}) as stream:
        sub = stream.next()["connect"]["subs"]["c"]
        assert sub["recovered"] and [p["data"] for p in sub["publications"]] == [2, 3, 4]
    gone = {**since, "epoch": "1"}
    with listen(server, transport, {"subs": {"c": gone}}) as stream:
        sub = stream.next()["connect"]["subs"]["c"]
        assert "recovered" not in sub and sub["was_recovering"] and sub["offset"] == 4


@pytest.mark.parametrize("transport", PATHS)
def test_without_a_request_it_hears_pings(start_server, transport):
    server = start_server(config={"heartbeat_ms": 1000})
    with listen(server, transport) as stream:
        assert "subs" not in stream.next()["connect"]
        assert [stream.next() for _ in range(3)] == [{}, {}, {}]


@asynchronous
async def test_a_websocket(server):
    request = json.dumps({"subs": {"c": {}}})
    async with connect(server, "/connection/uni_websocket") as first, \
            connect(server, "/connection/uni_websocket", cf_connect=request) as second:
        await first.send(request)
        for socket in (first, second):
            assert list((await receive_json(socket))["connect"]["subs"]) == ["c"]
        await first.send("is not looked at")
        await publish(server, "c", "1")
        for socket in (first, second):
            assert await receive_json(socket) == {"channel": "c", "pub": {"data": 1, "offset": 1}}


@asynchronous
async def test_a_websocket_answers_its_own_pings(start_server):
    server = start_server(config={"heartbeat_ms": 1000})
    async with connect(server, "/connection/uni_websocket", cf_connect="{}") as socket:
        assert (await receive_json(socket))["connect"]["ping"] == 1
        assert [await receive_json(socket) for _ in range(3)] == [{}, {}, {}]


@asynchronous
async def test_what_a_websocket_is_told_at_its_end(start_server):
    server = start_server(config={"head_timeout_ms": 1000})
    for sent, code in (("[]", 3501), ('{"token":"x"}', 3500), (b"{}", 3506), (None, 3502)):
        async with connect(server, "/connection/uni_websocket") as socket:
            if sent is not None:
                await socket.send(sent)
            assert (await receive_json(socket))["disconnect"]["code"] == code
            assert await close_code(socket) == code


# What a connect request says, and the code that ends it; None: 400.
BAD = [
    ("no JSON", None), ("[]", None), ('{"token":7}', None), ('{"subs":{"a b":{}}}', 3505),
    ('{"subs":{"given:a":{}}}', 3507), ('{"subs":{"members:a":{}}}', 3507),
    ('{"token":"a.b.c"}', 3500), ('{"subs":{"c":{"token":"x"}}}', 3507),
    (json.dumps({"subs": {f"c{n}": {} for n in range(129)}}), 3505),
]


@pytest.mark.parametrize("transport", [*PATHS, "websocket"])
def test_bad_requests(guarded, transport):  # noqa: F811
    server = guarded()
    for text, code in BAD:
        if transport == "http_stream":
            answer = Curl(server, PATHS[transport], text)
        else:
            answer = Curl(server, PATHS["sse"], cf_connect=text)
        with answer as stream:
            assert stream.status == (200 if code else 400), text
            if code:
                assert stream.next()["disconnect"]["code"] == code, text
                assert stream.next() is None
        if not code and transport == "websocket":
            refused = server.get("/connection/uni_websocket?cf_connect=" + quote(text))
            assert (refused.status, refusal(refused)) == (400, "bad_connect")
    wait_until(lambda: server.metric("ringside_sessions") == 0, "all gone")


def test_one_request_says_nothing_of_the_next(server):
    """On a connection that is kept: the first is refused, the second can speak."""
    with dial(server) as connection:
        connection.sendall(b"GET /connection/uni_sse?%zz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_answer(connection)[0] == 400
        frame = b'{"id":1,"connect":{}}'
        connection.sendall(b"POST /connection/http_stream HTTP/1.1\r\nHost: x\r\n"
                           b"Content-Length: %d\r\n\r\n%s" % (len(frame), frame))
        rest = read_head(connection)[2]
        while b"\n" not in rest.partition(b"{")[2]:
            rest += connection.recv(65536)
        assert b'"pong":true' in rest and b'"session"' in rest


def test_a_token_that_ends(guarded):  # noqa: F811
    server = guarded(token_grace_ms=0)
    with listen(server, "sse", {"token": sdk.token(sub="alice", in_s=-60)}) as stream:
        assert stream.next()["disconnect"]["code"] == 3005
    with listen(server, "sse", {"token": sdk.token(sub="alice", in_s=1)}) as stream:
        assert stream.next()["connect"]["expires"] is True
        assert stream.next()["disconnect"]["code"] == 3005


def test_channels_that_are_none(guarded, start_sdk):  # noqa: F811
    server = guarded(session_channels_max=4)
    for channels in (["a b"], [7], [f"c{n}" for n in range(5)]):
        client = start_sdk(server, token=sdk.token(sub="alice", channels=channels))
        client.act("connect")
        assert client.next_of("disconnected")["code"] == 3505
