"""The official JavaScript SDK of Centrifugo, unmodified, under Node."""

import json
import queue
import subprocess
import threading
from pathlib import Path

import pytest

import sdk
from ringside import PATIENCE_S, wait_until

SCRIPT = Path(__file__).parent / "node" / "centrifuge.js"
VERSION = "5.8.0"


class SdkClient:
    """node/centrifuge.js as a process, read by a thread so that waiting for it can end."""

    def __init__(self, modules, url, options):
        self.process = subprocess.Popen(
            ["node", str(SCRIPT), str(modules), url, json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=sdk.node_environment(),
            text=True,
        )
        self.queue = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.queue.put(json.loads(line))
        self.queue.put(None)

    def next_of(self, *kinds):
        """Skips to the next event of one of these kinds."""
        while (event := self.queue.get(timeout=PATIENCE_S)) is not None:
            if event[0] in kinds:
                return event[1]
        raise AssertionError(f"ended without {kinds!r}")

    def act(self, *action):
        self.process.stdin.write(json.dumps(action) + "\n")
        self.process.stdin.flush()

    def ask(self, *action):
        """Returns the result, or the error."""
        self.act(*action)
        while (event := self.queue.get(timeout=PATIENCE_S)) is not None:
            if event[0] in ("result", "failed") and event[1] == action[0]:
                return event[2]
        raise AssertionError(f"ended without an answer to {action!r}")

    def close(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def modules():
    return sdk.npm("centrifuge", VERSION)


@pytest.fixture
def start_sdk(modules):
    clients = []

    def start(server, path="/connection/websocket", **options):
        clients.append(SdkClient(modules, server.ws_url(path), options))
        return clients[-1]

    yield start
    for client in clients:
        client.close()


def connected(client):
    client.act("connect")
    return client.next_of("connected")


def subscribed(client, channel, **settings):
    client.act("subscribe", channel, settings)
    return client.next_of("subscribed")


def test_hears_what_is_published_by_http(server, start_sdk):
    client = start_sdk(server)
    assert connected(client)["transport"] == "websocket"
    context = subscribed(client, "news")
    assert context["recoverable"] and context["positioned"]
    payloads = [b'{"a":\n[1, "x"]}', b'"string"', b"no JSON", b"\xff\x00\xfe", b"", b"17"]
    for payload in payloads:
        server.publish("news", payload)
    got = [client.next_of("publication") for _ in payloads]
    assert [publication["offset"] for publication in got] == [1, 2, 3, 4, 5, 6]
    assert [publication["data"] for publication in got] == [
        {"a": [1, "x"]}, "string", "no JSON", {"base64": "/wD+"}, "", 17,
    ]


def test_channels_come_and_go(server, start_sdk):
    client = start_sdk(server)
    connected(client)
    for channel in ("a", "b", "c"):
        subscribed(client, channel)
    client.act("unsubscribe", "b")
    client.next_of("unsubscribed")
    assert client.ask("history", "b", {"limit": 0})["publications"] == []
    for channel in ("a", "b", "c"):
        server.publish(channel, f'"to {channel}"')
    assert [client.next_of("publication")["data"] for _ in range(2)] == ["to a", "to c"]


def test_publishes_where_it_may(server, start_server, start_sdk):
    client = start_sdk(server)
    connected(client)
    assert client.ask("publish", "c", 1)["code"] == 103
    open_server = start_server(config={"websocket_publish": "on"})
    client = start_sdk(open_server)
    connected(client)
    subscribed(client, "c")
    client.act("publish", "c", {"text": "Grüße\n"})
    assert client.next_of("publication")["data"] == {"text": "Grüße\n"}


def test_history_by_pages(server, start_sdk):
    for n in range(10):
        server.publish("c", f"{n}")
    client = start_sdk(server)
    connected(client)
    first = client.ask("history", "c", {"limit": 4})
    assert [p["data"] for p in first["publications"]] == [0, 1, 2, 3]
    assert first["offset"] == 10
    since = {"offset": 4, "epoch": first["epoch"]}
    second = client.ask("history", "c", {"limit": 4, "since": since})
    assert [p["data"] for p in second["publications"]] == [4, 5, 6, 7]
    newest = client.ask("history", "c", {"limit": 2, "reverse": True})
    assert [p["data"] for p in newest["publications"]] == [9, 8]
    before = client.ask("history", "c", {"limit": 2, "reverse": True, "since": since})
    assert [p["data"] for p in before["publications"]] == [2, 1]
    assert len(client.ask("history", "c", {"limit": -1})["publications"]) == 10
    assert client.ask("history", "c", {"since": {"offset": 4, "epoch": "x"}})["code"] == 112


def test_recovers_after_a_killed_connection(server, start_sdk):
    client = start_sdk(server)
    connected(client)
    subscribed(client, "c")
    server.publish("c", "1")
    assert client.next_of("publication")["data"] == 1
    client.act("cut")
    client.next_of("connecting")
    for n in range(2, 6):
        server.publish("c", f"{n}")
    context = client.next_of("subscribed")
    assert context["wasRecovering"] and context["recovered"]
    server.publish("c", "6")
    assert [client.next_of("publication")["data"] for _ in range(5)] == [2, 3, 4, 5, 6]


def test_is_told_that_it_did_not_recover(start_server, start_sdk):
    server = start_server(config={"history_messages_max": 2})
    client = start_sdk(server, minReconnectDelay=3000, maxReconnectDelay=4000)
    connected(client)
    subscribed(client, "c")
    client.act("cut")
    client.next_of("connecting")
    for n in range(5):
        server.publish("c", f"{n}")
    context = client.next_of("subscribed")
    assert context["wasRecovering"] and not context["recovered"]
    server.publish("c", '"live"')
    assert client.next_of("publication")["data"] == "live"


def test_a_long_replay_comes_whole_and_in_order(start_server, start_sdk):
    server = start_server(config={"history_messages_max": 4000, "history_bytes_max": 1 << 26})
    server.publish("c", "0")
    client = start_sdk(server)
    connected(client)
    position = client.ask("history", "c", {"limit": 0})
    for n in range(1, 40):
        server.publish("c", json.dumps({"n": n, "fill": "x" * 40_000}))
    since = {"offset": 1, "epoch": position["epoch"]}
    assert subscribed(client, "c", since=since)["recovered"]
    assert [client.next_of("publication")["data"]["n"] for _ in range(1, 40)] == list(range(1, 40))
    server.publish("c", '"live"')
    assert client.next_of("publication")["data"] == "live"


def test_answers_pings(start_server, start_sdk):
    server = start_server(config={"heartbeat_ms": 1000})
    client = start_sdk(server)
    connected(client)
    subscribed(client, "c")
    wait_until(lambda: server.metric("ringside_pings_total") >= 3, "three pings")
    server.publish("c", '"still here"')
    assert client.next_of("publication")["data"] == "still here"
    assert server.closed("session_no_pong") == 0


def test_what_nobody_serves_is_not_available(server, start_sdk):
    client = start_sdk(server)
    connected(client)
    assert client.ask("rpc", "method", {})["code"] == 108


def test_comes_back_when_the_server_goes(server, start_sdk):
    client = start_sdk(server)
    connected(client)
    server.signal()
    while (context := client.next_of("connecting"))["code"] != 3001:
        pass
    assert context["reason"] == "shutdown"
