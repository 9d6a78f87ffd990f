"""Proxy hooks: an application that is slow, dead or asked too much; clients other than WebSockets
by hand; and the example."""

import socket
import subprocess
import sys
import threading

import pytest

import sdk
from application import slowly
from ringside import PATIENCE_S, hold_port, port_of, wait_until
from test_centrifuge_sdk import modules, start_sdk, subscribed  # noqa: F401
from test_proxy_hooks import (  # noqa: F401
    BUSY, HOOKS, INTERNAL, application, ask, connect, start, upgraded)


# ---- a backend that is slow, dead, or asked too much ----

def test_a_slow_one_holds_only_its_own(start, application):  # noqa: F811
    server = start("subscribe", "rpc", proxy_timeout_ms=400)
    application.says["/rpc"] = slowly({"result": {}}, 5)
    waiting, _ = connect(server)
    waiting.command(id=2, rpc={"method": "x"})
    wait_until(lambda: application.of("/rpc"), "it to be asked")
    other, _ = connect(server)
    assert isinstance(ask(other, "subscribe", channel="app:x"), dict)
    server.publish("app:x", '"m"')
    assert other.push()["pub"]["data"] == "m"
    assert waiting.next()["error"]["code"] == INTERNAL
    assert server.metric("ringside_proxy_failed_total") == 1


def test_one_that_is_not_there_is_asked_no_more_for_a_while(start, application):  # noqa: F811
    server = start("rpc")
    application.close()
    client, _ = connect(server)
    for _ in range(8):
        assert ask(client, "rpc", method="x") == INTERNAL
    before = server.metric("ringside_proxy_asked_total")
    assert before == 8
    for _ in range(5):
        assert ask(client, "rpc", method="x") == INTERNAL
    assert server.metric("ringside_proxy_asked_total") <= before + 5
    assert server.metric("ringside_proxy_refused_total") >= 1

    def tried():
        ask(client, "rpc", method="x")
        return server.metric("ringside_proxy_asked_total") > before

    wait_until(tried, "one that is let through")


def test_no_more_wait_than_may(start, application):  # noqa: F811
    server = start("rpc", proxy_waiting_max=2, proxy_timeout_ms=5000)
    application.says["/rpc"] = slowly({"result": {}}, 1)
    clients = [connect(server)[0] for _ in range(3)]
    for client in clients[:2]:
        client.command(id=2, rpc={"method": "x"})
    wait_until(lambda: server.metric("ringside_proxy_waiting") == 2, "two to wait")
    assert ask(clients[2], "rpc", method="x") == BUSY
    assert [client.next() for client in clients[:2]] == [{"id": 2, "rpc": {}}] * 2
    assert server.metric("ringside_proxy_waiting") == 0
    assert server.metric("ringside_proxy_bytes") == 0


def gated(application, path, answer):  # noqa: F811
    """Nothing is answered there before the gate is set."""
    gate = threading.Event()
    application.says[path] = lambda _: gate.wait(PATIENCE_S) and answer
    return gate


def test_one_client_waits_for_no_more_than_32(start, application):  # noqa: F811
    server = start("rpc", proxy_timeout_ms=5000)
    gate = gated(application, "/rpc", {"result": {}})
    client, _ = connect(server)
    for number in range(40):
        client.command(id=100 + number, rpc={"method": "x"})
    refused = [client.next() for _ in range(8)]
    assert [one["id"] for one in refused] == list(range(132, 140))
    assert {one["error"]["code"] for one in refused} == {BUSY}
    assert len(application.of("/rpc")) <= 1, "one after the other"
    gate.set()
    assert [client.next() for _ in range(32)] == [
        {"id": number, "rpc": {}} for number in range(100, 132)]


def test_clients_that_leave_before_the_verdict(start, application):  # noqa: F811
    server = start("connect", "rpc", proxy_timeout_ms=5000)
    gate = gated(application, "/rpc", {"result": {}})
    for number in range(5):
        client, _ = connect(server)
        for _ in range(4):  # of which one is asked
            client.command(id=2, rpc={"method": "x"})
        wait_until(lambda: server.metric("ringside_proxy_waiting") == number + 4, "them to wait")
        client.connection.close()
        wait_until(lambda: server.metric("ringside_proxy_waiting") == number + 1, "one to be left")
    gate.set()
    wait_until(lambda: server.metric("ringside_proxy_waiting") == 0, "the verdicts")
    assert server.metric("ringside_proxy_bytes") == 0
    assert ask(connect(server)[0], "ping") == {}


def test_those_behind_one_that_fails(start, application):  # noqa: F811
    server = start("rpc", proxy_timeout_ms=300)
    application.close()
    client, _ = connect(server)
    for number in range(20):
        client.command(id=100 + number, rpc={"method": "x"})
    replies = [client.next() for _ in range(20)]
    assert [one["id"] for one in replies] == list(range(100, 120))
    assert {one["error"]["code"] for one in replies} == {INTERNAL}
    assert server.metric("ringside_proxy_asked_total") < 20
    assert server.metric("ringside_proxy_waiting") == 0


def test_the_server_ends_while_somebody_waits(start, application):  # noqa: F811
    server = start("rpc", proxy_timeout_ms=30000)
    application.says["/rpc"] = slowly({"result": {}}, 3)
    client, _ = connect(server)
    client.command(id=2, rpc={"method": "x"})
    wait_until(lambda: application.of("/rpc"), "it to be asked")


# ---- other transports ----

@pytest.mark.parametrize("path,body,transport", [
    ("/connection/uni_sse", b"{}", "uni_sse"),
    ("/connection/uni_http_stream", b"{}", "uni_http_stream"),
    ("/connection/http_stream", b'{"id":1,"connect":{}}', "http_stream"),
    ("/connection/sse", b'{"id":1,"connect":{}}', "sse"),
])
def test_streams(start, application, path, body, transport):  # noqa: F811
    server = start("connect", proxy_http_headers="x-who cookie")
    application.says["/connect"] = {"result": {"user": "u", "channels": ["c"]}}
    connection = server.connect()
    connection.request("POST", path, body, {"X-Who": "somebody", "Cookie": "a=b", "X-Other": "no"})
    answer = connection.getresponse()
    assert b'"c":{' in answer.fp.readline() + answer.fp.readline() + answer.fp.readline()
    path, asked, head = application.asked[0]
    assert asked["transport"] == transport
    assert head["X-Who"] == "somebody" and head["Cookie"] == "a=b" and head["X-Other"] is None
    connection.close()


def test_the_sdk_of_javascript(start, application, start_sdk):  # noqa: F811
    server = start(*HOOKS)
    application.says |= {
        "/connect": lambda asked: {"result": {"user": asked["data"]["user"], "channels": ["all"]}},
        "/subscribe": lambda asked: {"result": {}} if asked["channel"] == "app:mine" else
        {"error": {"code": 1403, "message": "not yours"}},
        "/publish": lambda asked: {"result": {"data": {**asked["data"], "by": asked["user"]}}},
        "/rpc": lambda asked: {"result": {"data": asked["method"]}},
    }
    client = start_sdk(server, data={"user": "ann"})
    client.act("connect")
    assert client.next_of("server subscribed")["channel"] == "all"
    subscribed(client, "app:mine")
    client.act("publish", "app:mine", {"text": "hi"})
    assert client.next_of("publication")["data"] == {"text": "hi", "by": "ann"}
    assert client.ask("rpc", "time", {})["data"] == "time"
    client.act("subscribe", "app:yours", {})
    assert client.next_of("unsubscribed")["code"] == 1403
    assert application.of("/connect")[0]["name"] == "js"


def test_the_sdk_waits_for_a_backend_that_comes_back(start, application, start_sdk):  # noqa: F811
    server = start("connect")
    application.says["/connect"] = 500
    client = start_sdk(server)
    client.act("connect")
    wait_until(lambda: len(application.asked) > 1, "it to try again", PATIENCE_S)
    application.says["/connect"] = {"result": {"user": "x"}}
    assert client.next_of("connected")["transport"] == "websocket"


# ---- the example ----

def test_the_example_of_a_backend(start_server, tmp_path):  # noqa: F811
    folder = sdk.ROOT / "examples" / "hooks"
    with hold_port() as held:
        port = port_of(held)
        backend = subprocess.Popen([sys.executable, folder / "backend.py", str(port)])
        text = (folder / "ringside.ini").read_text().replace(":8000/", f":{port}/")
        (tmp_path / "hooks.ini").write_text(text)
        server = start_server(args=["--config", str(tmp_path / "hooks.ini")])
        wait_until(lambda: answers(port), "the backend")
        try:
            follow_the_example(server)
        finally:
            backend.kill()
            backend.wait()


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port)).close()
        return True
    except OSError:
        return False


def follow_the_example(server):
    _, ann = upgraded(server, b"Cookie: session=ann")
    result = ask(ann, "connect")
    assert result["subs"].keys() == {"user:ann"} and "room:lobby" in result["data"]["rooms"]
    _, bob = upgraded(server, b"Cookie: theme=dark; session=bob")
    ask(bob, "connect")
    assert isinstance(ask(ann, "subscribe", channel="room:secret"), dict)
    assert ask(bob, "subscribe", channel="room:secret") == 1403
    assert isinstance(ask(bob, "subscribe", channel="room:lobby"), dict)
    _, nobody = upgraded(server)
    nobody.command(id=1, connect={})
    assert nobody.ended() == (4501, "sign in first")
