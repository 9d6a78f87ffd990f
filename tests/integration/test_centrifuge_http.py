"""The official SDK of JavaScript, unmodified, over each transport that it has: HTTP streams and SSE
with their emulation, and its own way from one to the next."""

import json

import pytest

import sdk
from relay import Relay
from ringside import HOST, wait_until
from test_centrifuge_sdk import (  # noqa: F401 (fixtures)
    NAMESPACES, VERSION, SdkClient, connected, guarded, modules, present, subscribed,
)

PATHS = {"websocket": "/connection/websocket", "http_stream": "/connection/http_stream",
         "sse": "/connection/sse"}
STREAMS = ["http_stream", "sse"]


@pytest.fixture
def start_over(modules):  # noqa: F811
    """Starts a client with one transport or several, perhaps through a relay."""
    clients = []

    def start(server, *transports, port=None, paths=PATHS, **options):
        at = f"{HOST}:{port or server.port}"
        endpoints = [
            {"transport": name,
             "endpoint": f"{'ws' if name == 'websocket' else 'http'}://{at}{paths[name]}"}
            for name in transports
        ]
        options = {"emulationEndpoint": f"http://{at}/emulation", **options}
        clients.append(SdkClient(modules, json.dumps(endpoints), options))
        return clients[-1]

    yield start
    for client in clients:
        client.close()


@pytest.mark.parametrize("transport", STREAMS)
def test_all_that_a_client_does(guarded, start_over, transport):  # noqa: F811
    server = guarded(shards=3, websocket_publish="on")
    client = start_over(server, transport, token=sdk.token(sub="alice"))
    assert connected(client)["transport"] == transport
    context = subscribed(client, "room:1")
    assert context["recoverable"] and context["positioned"]
    client.ask("publish", "room:1", {"by": "the client", "text": "Grüße\n"})
    assert client.next_of("publication")["data"] == {"by": "the client", "text": "Grüße\n"}
    for payload in (b'{"a":\r\n[1, "x"]}', b"no\r\nJSON", b"\xff\x00"):
        server.publish("room:1", payload)
    got = [client.next_of("publication") for _ in range(3)]
    assert [p["data"] for p in got] == [{"a": [1, "x"]}, "no\r\nJSON", {"base64": "/wA="}]
    assert [p["offset"] for p in got] == [2, 3, 4]
    assert len(client.ask("history", "room:1", {"limit": -1})["publications"]) == 4
    wait_until(lambda: present(client, "room:1") == (["alice"], 1, 1), "it is there")
    assert client.ask("rpc", "method", {})["code"] == 108
    client.act("unsubscribe", "room:1")
    client.next_of("unsubscribed")
    assert server.metric("ringside_emulations_total") > 0


@pytest.mark.parametrize("transport", STREAMS)
def test_recovers_after_a_killed_connection(server, start_over, transport):
    relay = Relay(server.port)
    client = start_over(server, transport, port=relay.port)
    connected(client)
    subscribed(client, "c")
    server.publish("c", "1")
    assert client.next_of("publication")["data"] == 1
    relay.cut()
    client.next_of("connecting")
    for n in range(2, 6):
        server.publish("c", f"{n}")
    context = client.next_of("subscribed")
    assert context["wasRecovering"] and context["recovered"]
    server.publish("c", "6")
    assert [client.next_of("publication")["data"] for _ in range(5)] == [2, 3, 4, 5, 6]
    relay.close()


@pytest.mark.parametrize("transport", STREAMS)
def test_tokens_are_refreshed_inside_the_stream(guarded, start_over, transport):  # noqa: F811
    server = guarded(heartbeat_ms=3000, token_grace_ms=20000)
    client = start_over(server, transport, token=sdk.token(sub="alice", in_s=4),
                        tokens=[sdk.token(sub="alice")])
    connected(client)
    of_channel = {"sub": "alice", "channel": "given:a"}
    subscribed(client, "given:a", token=sdk.token(**of_channel, in_s=4),
               tokens=[sdk.token(**of_channel)])
    wait_until(lambda: server.metric("ringside_tokens_refreshed_total") == 2, "both refreshed")
    server.publish("given:a", "1")
    assert client.next_of("publication")["data"] == 1
    wait_until(lambda: server.metric("ringside_pings_total") >= 2, "two pings")
    assert server.closed("session_no_pong") == 0


@pytest.mark.parametrize("transport", STREAMS)
def test_a_wrong_token_ends_it_for_good(guarded, start_over, transport):  # noqa: F811
    client = start_over(guarded(), transport, token=sdk.token(secret="x" * 32, sub="alice"))
    client.act("connect")
    assert client.next_of("disconnected")["code"] == 3500


@pytest.mark.parametrize("transport", STREAMS)
def test_comes_back_when_the_server_goes(server, start_over, transport):
    client = start_over(server, transport)
    connected(client)
    server.signal()
    while (context := client.next_of("connecting"))["code"] != 3001:
        pass
    assert context["reason"] == "shutdown"


@pytest.mark.parametrize("refused, found", [
    ([], "websocket"), (["websocket"], "http_stream"), (["websocket", "http_stream"], "sse"),
])
def test_falls_back_by_itself(server, start_over, refused, found):
    """What a proxy or a company's network does not let through is answered 404 here."""
    paths = {name: "/nowhere" if name in refused else path for name, path in PATHS.items()}
    client = start_over(server, *PATHS, paths=paths)
    assert connected(client)["transport"] == found
    subscribed(client, "c")
    server.publish("c", "1")
    assert client.next_of("publication")["data"] == 1
