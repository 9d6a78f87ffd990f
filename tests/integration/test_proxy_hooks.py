"""Proxy hooks: what Centrifugo asks an application over HTTP, and what becomes of its verdicts. The
backend is a server of Python's; the clients are the official SDKs, and frames by hand."""

import subprocess
import time

import pytest

import sdk
from application import Application, slowly
from ringside import refusal, server_binary, wait_until
from test_server_api_sessions import RawClient, nothing_came
from wire import TEXT, dial, frame, read_head, upgrade

HOOKS = ("connect", "subscribe", "publish", "rpc")
INTERNAL, DENIED, EXPIRED, BUSY = 100, 103, 110, 111


@pytest.fixture
def application():
    application = Application()
    yield application
    application.close()


def config_of(application, *hooks, **more):
    return {**{f"proxy_{hook}_endpoint": application.url(f"/{hook}") for hook in hooks},
            "courier_private": "127.0.0.1", **more}


@pytest.fixture
def start(start_server, application):
    """start("connect", …): a server that asks the application about these."""

    def run(*hooks, channels=None, shards=1, secure=False, **more):
        given = {"proxy_subscribe": "subscribe" in hooks, "proxy_publish": "publish" in hooks,
                 "proxy_sub_refresh": "sub_refresh" in hooks, **(channels or {})}
        args = [arg for name, value in given.items() if value
                for arg in ("--set", f"app:{name}={'on' if value is True else value}")]
        return start_server(config=config_of(application, *hooks, **more), args=args,
                            shards=shards, secure=secure)

    return run


@pytest.fixture
def server(start):
    return start(*HOOKS)


def connect(server, **request):
    """A session, and the whole reply to its connect."""
    client = RawClient(server)
    client.command(id=1, connect=request)
    return client, client.next()


def ask(client, method, /, **request):
    client.command(id=9, **{method: request})
    while (reply := client.next()).get("id") != 9:
        pass
    return reply["error"]["code"] if "error" in reply else reply[method]


# ---- connect ----

def test_an_application_says_who_it_is(server, application):
    application.says["/connect"] = {"result": {"user": "42", "info": {"name": "Ann"}}}
    client, reply = connect(server, data={"key": [1, "ü"]}, name="test", version="1.2")
    (asked,) = application.of("/connect")
    assert asked == {"client": reply["connect"]["client"], "transport": "websocket",
                     "protocol": "json", "encoding": "json", "name": "test", "version": "1.2",
                     "data": {"key": [1, "ü"]}}
    application.says["/subscribe"] = {"result": {}}
    ask(client, "subscribe", channel="app:x")
    assert application.of("/subscribe") == [{
        "client": asked["client"], "transport": "websocket", "protocol": "json",
        "encoding": "json", "user": "42", "channel": "app:x"}]
    assert application.asked[0][2]["Content-Type"] == "application/json"


def test_it_gives_channels_and_data(server, application):
    application.says["/connect"] = {"result": {
        "user": "42", "channels": ["news"], "subs": {"more": {}}, "data": {"theme": "dark"}}}
    server.publish("news", '"before"')
    client, reply = connect(server, subs={})
    assert reply["connect"]["data"] == {"theme": "dark"}
    assert reply["connect"]["subs"].keys() == {"news", "more"}
    server.publish("more", '"live"')
    assert client.push() == {"channel": "more", "pub": {"data": "live", "offset": 1}}


def test_data_without_channels(server, application):
    application.says["/connect"] = b'{"result":{"user":"u","data":{"a":\n1}}}'
    assert connect(server)[1]["connect"]["data"] == {"a": 1}


@pytest.mark.parametrize("said,told", [
    ({"error": {"code": 1000, "message": "no \"entry\""}},
     {"code": 1000, "message": "no \"entry\""}),
    ({"error": {"code": 1001, "message": "later", "temporary": True}},
     {"code": 1001, "message": "later", "temporary": True}),
    ({"result": {"user": 42}}, None),
    ({"result": {"user": "x" * 2000}}, None),
    ({"disconnect": {"code": 7, "reason": "no such code"}}, None),
    (b"<html>", None), (b"", None), (b"[]", None), (b'{"result":{}', None), (b"\xff", None),
    (500, None), (404, None), (204, None),
    (b'{"result":{},"x":"' + b"x" * 70000 + b'"}', None),
])
def test_connect_is_refused(server, application, said, told):
    application.says["/connect"] = said
    client, reply = connect(server)
    told = told or {"code": INTERNAL, "message": "internal server error", "temporary": True}
    assert reply == {"id": 1, "error": told}
    application.says["/connect"] = {"result": {"user": "x"}}
    assert ask(client, "connect")["client"], "it may try again on the same connection"


@pytest.mark.parametrize("code,reason", [(4500, "go away"), (3000, ""), (4999, "ü" * 100)])
def test_disconnect(server, application, code, reason):
    application.says["/connect"] = {"disconnect": {"code": code, "reason": reason}}
    client = RawClient(server)
    client.command(id=1, connect={})
    assert client.ended() == (code, reason.encode()[:122].decode())
    server.until_closed("application")


def test_expiry_and_nobody(server, application):
    application.says["/connect"] = {"result": {"user": "x", "expire_at": int(time.time()) + 3600}}
    reply = connect(server)[1]["connect"]
    assert reply["expires"] and 3500 < reply["ttl"] <= 3600
    application.says["/connect"] = {"result": {"user": "x", "expire_at": 1}}
    client = RawClient(server)
    client.command(id=1, connect={})
    assert client.ended()[0] == 3005


def test_without_a_result(start, application, tmp_path):
    application.says["/connect"] = {}
    assert "client" in connect(start("connect"))[1]["connect"]
    server = start("connect", **sdk.with_keys(tmp_path, anonymous="off"))
    client = RawClient(server)
    client.command(id=1, connect={})
    assert client.ended()[0] == 3500


def test_nobody_is_not_signed_on(start, application):
    """A user without a name is as one without a token."""
    server = start("connect", channels={"allow_history": "signed_on"})
    application.says["/connect"] = {"result": {"user": "", "info": {"n": 1}}}
    assert ask(connect(server)[0], "history", channel="app:x", limit=1) == DENIED
    application.says["/connect"] = {"result": {"user": "x"}}
    assert ask(connect(server)[0], "history", channel="app:x", limit=1)["publications"] == []


def test_a_token_needs_no_application(start, application, tmp_path):
    server = start("connect", **sdk.with_keys(tmp_path))
    assert "client" in connect(server, token=sdk.token(sub="7"))[1]["connect"]
    assert application.asked == []


def test_a_command_before_the_verdict(server, application):
    application.says["/connect"] = slowly({"result": {}}, 0.3)
    client = RawClient(server)
    client.command(id=1, connect={})
    client.command(id=2, subscribe={"channel": "x"})
    assert client.ended()[0] == 3501


# ---- subscribe ----

@pytest.mark.parametrize("said,told", [
    ({"result": {}}, dict), ({}, dict), ({"result": None}, dict),
    ({"result": {"info": {"a": 1}, "allow": ["hst"], "override": {"presence": {"value": True}}}},
     dict),
    ({"error": {"code": 403, "message": "no"}}, 403),
    ({"result": {"expire_at": 1}}, EXPIRED), ({"result": {"expire_at": "soon"}}, INTERNAL),
    (b"nonsense", INTERNAL), (503, INTERNAL), ({"disconnect": {"code": 4242, "reason": "r"}}, None),
])
def test_verdicts_on_a_channel(start, application, said, told):
    server = start("subscribe")
    application.says["/subscribe"] = said
    client, _ = connect(server)
    if told is None:
        client.command(id=2, subscribe={"channel": "app:x"})
        assert client.ended() == (4242, "r")
        return
    found = ask(client, "subscribe", channel="app:x", data={"why": 1})
    assert isinstance(found, dict) if told is dict else found == told
    assert application.of("/subscribe")[0]["data"] == {"why": 1}
    server.publish("app:x", '"m"')
    if told is dict:
        assert client.push()["pub"]["data"] == "m"
    else:
        nothing_came(client)


def test_only_channels_of_the_namespace_are_asked_about(start, application, tmp_path):
    server = start("subscribe", channels={"user_limited": True}, **sdk.with_keys(tmp_path))
    client, _ = connect(server, token=sdk.token(sub="7"))
    assert isinstance(ask(client, "subscribe", channel="other"), dict)
    assert isinstance(ask(client, "subscribe", channel="app:dialog#7,8"), dict)
    assert ask(client, "subscribe", channel="app:dialog#8") == DENIED
    token = sdk.token(sub="7", channel="app:t")
    assert isinstance(ask(client, "subscribe", channel="app:t", token=token), dict)
    assert application.asked == []


def test_a_position_is_kept_for_the_verdict(start, application):
    server = start("subscribe")
    first = server.publish("app:x", '"one"')
    server.publish("app:x", '"two"')
    application.says["/subscribe"] = slowly({"result": {}}, 0.05)
    client, _ = connect(server)
    found = ask(client, "subscribe", channel="app:x", recover=True, epoch=first["epoch"],
                offset=first["offset"])
    assert found["recovered"] and [p["data"] for p in found["publications"]] == ["two"]
    assert ask(client, "subscribe", channel="app:x") == 105


def test_data_of_a_subscription(start, application):
    server = start("subscribe")
    client, _ = connect(server)
    for said, told in ((b'{"result":{"data":{"seat":\n7}}}', {"seat": 7}),
                       ({"result": {"b64data": "WzFd"}}, [1])):
        application.says["/subscribe"] = said
        assert ask(client, "subscribe", channel="app:x")["data"] == told
        ask(client, "unsubscribe", channel="app:x")
    application.says["/subscribe"] = {"result": {}}
    assert "data" not in ask(client, "subscribe", channel="app:x")
    application.says["/subscribe"] = {"result": {"b64data": "!"}}
    assert ask(client, "subscribe", channel="app:y") == INTERNAL


def test_twice_at_once(start, application):
    server = start("subscribe")
    application.says["/subscribe"] = slowly({"result": {}}, 0.1)
    client, _ = connect(server)
    for number in (2, 3):
        client.command(id=number, subscribe={"channel": "app:x"})
    replies = [client.next(), client.next()]
    assert sorted("error" in reply for reply in replies) == [False, True]
    server.publish("app:x", '"m"')
    assert client.push()["pub"]["data"] == "m"
    assert nothing_came(client)


def test_unsubscribed_before_the_verdict(start, application):
    server = start("subscribe")
    application.says["/subscribe"] = slowly({"result": {}}, 0.2)
    client, _ = connect(server)
    client.command(id=2, subscribe={"channel": "app:x"})
    client.command(id=3, unsubscribe={"channel": "app:x"})
    assert client.next() == {"id": 3, "unsubscribe": {}}
    assert client.next()["id"] == 2
    server.publish("app:x", '"m"')
    assert nothing_came(client)


@pytest.mark.parametrize("path", ["/poll", "/longpoll", "/sse"])
def test_elsewhere_the_application_is_not_asked_and_nobody_is_let_in(start, application, path):
    server = start("subscribe", "publish")
    answer = server.get(f"{path}?channel=app:x")
    assert (answer.status, refusal(answer)) == (401, "token_required")
    answer = server.request("POST", "/publish?channel=app:x", b"m")
    assert (answer.status, refusal(answer)) == (401, "token_required")
    assert application.asked == []


# ---- publish and rpc ----

def publisher(server):
    client, _ = connect(server)
    ask(client, "subscribe", channel="app:x")
    return client


@pytest.mark.parametrize("said,told", [
    ({"result": {}}, {"n": 1}), ({}, {"n": 1}),
    ({"result": {"data": {"n": 2}}}, {"n": 2}),
    (b'{"result":{"data":[1,\r\n2]}}', [1, 2]),
    ({"result": {"b64data": "bm8ganNvbg=="}}, "no json"),
    ({"result": {"b64data": "!"}}, INTERNAL),
    ({"error": {"code": 1000, "message": "no"}}, 1000),
    (b"", INTERNAL),
])
def test_verdicts_on_a_message(start, application, said, told):
    server = start("publish")
    application.says["/publish"] = said
    client = publisher(server)
    client.command(id=2, publish={"channel": "app:x", "data": {"n": 1}})
    heard = [client.next()]
    if isinstance(told, int) and told in (INTERNAL, 1000):
        assert heard[0]["error"]["code"] == told and nothing_came(client)
    else:
        heard.append(client.next())
        (reply,) = [one for one in heard if "id" in one]
        (push,) = [one for one in heard if "push" in one]
        assert reply == {"id": 2, "publish": {}} and push["push"]["pub"]["data"] == told
        assert push["push"]["pub"]["info"]["client"]
    (asked,) = application.of("/publish")
    assert asked["channel"] == "app:x" and asked["data"] == {"n": 1} and asked["user"] == ""


def test_messages_stay_in_order(start, application):
    server = start("publish")
    application.says["/publish"] = slowly({"result": {}}, 0.02)
    client = publisher(server)
    for number in range(20):
        client.command(id=10 + number, publish={"channel": "app:x", "data": number})
    heard = [client.next() for _ in range(40)]
    assert [one["id"] for one in heard if "id" in one] == list(range(10, 30))
    assert [one["push"]["pub"]["data"] for one in heard if "push" in one] == list(range(20))
    assert [asked["data"] for asked in application.of("/publish")] == list(range(20))


def test_a_message_with_what_the_application_wants_of_it(start, application):
    server = start("publish")
    application.says["/publish"] = {"result": {"tags": {"a": "b"}, "idempotency_key": "k"}}
    client = publisher(server)
    for number in (2, 3):
        client.command(id=number, publish={"channel": "app:x", "data": number})
    heard = [client.next() for _ in range(3)]
    (push,) = [one["push"] for one in heard if "push" in one]
    assert push["pub"]["data"] == 2 and push["pub"]["tags"] == {"a": "b"}
    assert server.metric("ringside_repeated_total") == 1
    for bad in ({"tags": {"a": 1}}, {"tags": []}, {"idempotency_key": "x" * 300}):
        application.says["/publish"] = {"result": bad}
        assert ask(client, "publish", channel="app:x", data=1) == INTERNAL
    for version, published in ((5, True), (5, False), (6, True)):
        application.says["/publish"] = {"result": {"version": version}}
        client.command(id=4, publish={"channel": "app:x", "data": version})
        heard = [client.next() for _ in range(2 if published else 1)]
        assert sum("push" in one for one in heard) == published


def test_a_message_without_history(start, application):
    server = start("publish")
    application.says["/publish"] = {"result": {"skip_history": True}}
    client = publisher(server)
    ask(client, "publish", channel="app:x", data=1)
    assert ask(client, "history", channel="app:x", limit=9)["publications"] == []


@pytest.mark.parametrize("said,told", [
    ({"result": {"b64data": "WzEsCjJd"}}, {"data": [1, 2]}),
    ({"result": {"b64data": "bm8ganNvbg=="}}, INTERNAL),
    ({"result": {"data": {"year": 2026}}}, {"data": {"year": 2026}}), ({"result": {}}, {}),
    ({"error": {"code": 2000, "message": "no"}}, 2000), (b"x", INTERNAL),
])
def test_rpc(server, application, said, told):
    application.says["/rpc"] = said
    client, _ = connect(server)
    assert ask(client, "rpc", method="year", data={"of": "now"}) == told
    (asked,) = application.of("/rpc")
    assert asked["method"] == "year" and asked["data"] == {"of": "now"}


def test_without_an_endpoint_there_is_no_rpc(start_server):
    assert ask(connect(start_server())[0], "rpc", method="x", data=1) == 108


# ---- refresh ----

def test_a_connection_is_refreshed_by_the_application(start, application):
    server = start("connect", "refresh")
    application.says["/connect"] = {"result": {"user": "x", "expire_at": int(time.time()) + 2}}
    application.says["/refresh"] = {"result": {"expire_at": int(time.time()) + 3600}}
    client, reply = connect(server)
    assert "expires" not in reply["connect"], "the client has nothing to do"
    wait_until(lambda: application.of("/refresh"), "the application to be asked")
    assert application.of("/refresh")[0]["user"] == "x"
    wait_until(lambda: server.metric("ringside_tokens_refreshed_total") == 1, "its verdict")
    assert nothing_came(client)


@pytest.mark.parametrize("said", [{"result": {"expired": True}}, {}, {"result": {"expire_at": 1}},
                                  {"error": {"code": 1}}])
def test_a_refresh_that_is_refused(start, application, said):
    server = start("connect", "refresh")
    application.says["/connect"] = {"result": {"user": "x", "expire_at": int(time.time()) + 1}}
    application.says["/refresh"] = said
    client, _ = connect(server)
    assert client.ended()[0] == 3005


def test_a_refresh_that_is_not_answered(start, application):
    """What was allowed goes on for a minute."""
    server = start("connect", "refresh")
    application.says["/connect"] = {"result": {"user": "x", "expire_at": int(time.time()) + 1}}
    application.says["/refresh"] = 500
    client, _ = connect(server)
    wait_until(lambda: server.metric("ringside_proxy_failed_total") == 1, "no verdict")
    assert nothing_came(client)


@pytest.mark.parametrize("said,lives", [({"result": {}}, True), (500, True),
                                        ({"result": {"expired": True}}, False)])
def test_a_subscription_is_refreshed(start, application, said, lives):
    server = start("subscribe", "sub_refresh", heartbeat_ms=300)
    application.says["/subscribe"] = {"result": {"expire_at": int(time.time()) + 2}}
    application.says["/sub_refresh"] = said
    client, _ = connect(server)
    assert "expires" not in ask(client, "subscribe", channel="app:x")

    def asked():
        client.send(frame(TEXT, b"{}"))
        return application.of("/sub_refresh")

    wait_until(asked, "the application to be asked")
    if not lives:
        push = client.push()
        assert push["unsubscribe"]["code"] == 2501 and push["channel"] == "app:x"
        return
    wait_until(lambda: server.metric("ringside_proxy_waiting") == 0, "its verdict")
    server.publish("app:x", '"m"')
    assert client.push()["pub"]["data"] == "m"


# ---- what is passed on of the head ----

def upgraded(server, *fields):
    """The status of an upgrade with these in its head, and the client."""
    client = RawClient.__new__(RawClient)
    client.connection, client.messages = dial(server), []
    request = upgrade("/connection/websocket")[:-2]
    client.connection.sendall(request + b"".join(field + b"\r\n" for field in fields) + b"\r\n")
    status, _, client.pending = read_head(client.connection)
    return status, client


def test_what_is_passed_on_of_the_head(start, application):
    server = start("connect", "rpc", proxy_http_headers="cookie x-REAL-ip authorization")
    status, client = upgraded(server, b"Cookie: session=1; theme=dark", b"X-Real-Ip: 192.0.2.7",
                              b"Content-Type: text/evil", b"X-Other: no", b"Cookie: more=2")
    assert status == 101
    assert ask(client, "connect")["client"]
    ask(client, "rpc", method="x")
    assert len(application.asked) == 2
    for _, _, head in application.asked:
        assert head.get_all("Cookie") == ["session=1; theme=dark", "more=2"]
        assert head["X-Real-IP"] == "192.0.2.7" and head["Content-Type"] == "application/json"
        assert head["X-Other"] is None and head["Authorization"] is None


@pytest.mark.parametrize("fields", [[b"X-Who: \xc3\xa4"], [b"X-Who: me"] * 16])
def test_a_head_that_cannot_be_passed_on(start, fields):
    server = start("connect", proxy_http_headers="x-who")
    assert upgraded(server, *fields)[0] in (400, 431)
    assert upgraded(server, *[b"X-Who: me"] * 15)[0] == 101
    assert upgraded(server, *[b"X-Else: \xc3\xa4"] * 20)[0] == 101


def test_meta_is_kept_where_it_is_wanted(start, application, tmp_path):
    server = start("connect", "rpc", **sdk.with_keys(tmp_path, proxy_include_connection_meta="on"))
    application.says["/connect"] = {"result": {"user": "u", "meta": {"plan": "free"}}}
    ask(connect(server)[0], "rpc", method="x")
    token = sdk.token(sub="t", info={"n": 1}, meta={"plan": "paid"})
    ask(connect(server, token=token)[0], "rpc", method="x")
    assert [asked["meta"] for asked in application.of("/rpc")] == [
        {"plan": "free"}, {"plan": "paid"}]


# ---- at the start ----

@pytest.mark.parametrize("more,said", [
    ({"proxy_connect_endpoint": "ftp://127.0.0.1/"}, "proxy_connect_endpoint"),
    ({"proxy_rpc_endpoint": "no url"}, "proxy_rpc_endpoint"),
    ({"proxy_http_headers": "cookie Transfer-Encoding"}, "a Transfer-Encoding of its own"),
    ({"app:proxy_subscribe": "on"}, "proxy_subscribe_endpoint"),
    ({"app:proxy_publish": "on"}, "proxy_publish_endpoint"),
    ({"proxy_connect_endpoint": "http://127.0.0.1:8000/", "proxy_timeout_ms": 20000},
     "head_timeout_ms"),
])
def test_what_cannot_be_asked_is_said_at_the_start(more, said):
    args = [arg for name, value in more.items() for arg in ("--set", f"{name}={value}")]
    ended = subprocess.run([server_binary(), "--listen", "127.0.0.1:1", *args],
                           capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode != 0 and said in ended.stderr, ended.stderr
