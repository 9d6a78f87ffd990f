"""The official SDKs of Centrifugo, unmodified: JavaScript under Node, and Python."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import sdk
from ringside import PATIENCE_S, wait_until
from wire import TEXT, RawWebSocket

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
    assert client.ask("history", "c", {"limit": 4})["code"] == 103
    subscribed(client, "c")
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
    first = server.publish("c", "0")
    client = start_sdk(server)
    connected(client)
    for n in range(1, 40):
        server.publish("c", json.dumps({"n": n, "fill": "x" * 40_000}))
    since = {"offset": 1, "epoch": first["epoch"]}
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


NAMESPACES = ["members:allow_subscribe=signed_on", "given:allow_subscribe=subscriber",
              "room:presence=on", "lobby:join_leave=on"]


@pytest.fixture
def guarded(start_server, tmp_path):
    """A server with a key for tokens, and namespaces that ask for them."""

    def start(**config):
        args = [word for setting in NAMESPACES for word in ("--set", setting)]
        return start_server(config=sdk.with_keys(tmp_path, **config), args=args)

    return start


def test_signs_on_with_a_token(guarded, start_sdk):
    server = guarded()
    client = start_sdk(server, token=sdk.token(sub="alice"))
    connected(client)
    subscribed(client, "members:a")
    stranger = start_sdk(server)
    connected(stranger)
    stranger.act("subscribe", "members:a")
    assert stranger.next_of("error", "unsubscribed")["code"] == 103


def test_a_wrong_token_ends_it_for_good(guarded, start_sdk):
    server = guarded()
    client = start_sdk(server, token=sdk.token(secret="x" * 32, sub="alice"))
    client.act("connect")
    assert client.next_of("disconnected")["code"] == 3500


def test_an_expired_token_is_exchanged(guarded, start_sdk):
    server = guarded()
    old, new = sdk.token(sub="alice", in_s=-60), sdk.token(sub="alice")
    client = start_sdk(server, token=old, tokens=[new])
    connected(client)
    subscribed(client, "members:a")


def test_a_subscription_has_a_token_of_its_own(guarded, start_sdk):
    server = guarded()
    client = start_sdk(server, token=sdk.token(sub="alice"))
    connected(client)
    wrong = [sdk.token(sub="alice", channel="given:b"), sdk.token(sub="bob", channel="given:a")]
    for channel_token in wrong:
        client.act("subscribe", "given:a", {"token": channel_token})
        assert client.next_of("unsubscribed")["code"] == 103
        client.ask("forget", "given:a")
    subscribed(client, "given:a", token=sdk.token(sub="alice", channel="given:a"))
    server.publish("given:a", "1")
    assert client.next_of("publication")["data"] == 1


def test_tokens_are_refreshed_inside_the_connection(guarded, start_sdk):
    server = guarded(heartbeat_ms=1000, token_grace_ms=10000)
    short, long = sdk.token(sub="alice", in_s=4), sdk.token(sub="alice")
    client = start_sdk(server, token=short, tokens=[long])
    connected(client)
    of_channel = {"sub": "alice", "channel": "given:a"}
    subscribed(client, "given:a", token=sdk.token(**of_channel, in_s=4),
               tokens=[sdk.token(**of_channel)])
    # connect, subscribe; refresh, sub_refresh; and pongs
    wait_until(lambda: server.metric("ringside_tokens_refreshed_total") == 2, "both refreshed")
    server.publish("given:a", "1")
    assert client.next_of("publication")["data"] == 1


def test_a_subscription_that_is_not_refreshed_is_taken_back(guarded, start_sdk):
    server = guarded(heartbeat_ms=1500, token_grace_ms=0)
    client = start_sdk(server, token=sdk.token(sub="alice"))
    connected(client)
    of_channel = {"sub": "alice", "channel": "given:a"}
    wrong = sdk.token(sub="alice", channel="given:b")
    subscribed(client, "given:a", token=sdk.token(**of_channel, in_s=2), tokens=[wrong])
    assert client.next_of("unsubscribed")["code"] == 103


def present(client, channel):
    """The users of those who are there, and how many clients and users there are."""
    clients = client.ask("presence", channel)["clients"]
    stats = client.ask("presenceStats", channel)
    assert all(name == one["client"] for name, one in clients.items())
    users = sorted(one["user"] for one in clients.values())
    return users, stats["numClients"], stats["numUsers"]


def test_presence(guarded, start_sdk):
    server = guarded(shards=3)
    clients = {}
    for name, user in (("a", "alice"), ("b", "bob"), ("second", "alice")):
        info = {"name": user.upper()}
        clients[name] = start_sdk(server, token=sdk.token(sub=user, info=info))
        connected(clients[name])
        subscribed(clients[name], "room:1")
    one = clients["a"]
    wait_until(lambda: present(one, "room:1") == (["alice", "alice", "bob"], 3, 2), "all there")
    infos = [c["connInfo"] for c in one.ask("presence", "room:1")["clients"].values()]
    assert sorted(info["name"] for info in infos) == ["ALICE", "ALICE", "BOB"]
    clients["b"].act("unsubscribe", "room:1")
    wait_until(lambda: present(one, "room:1") == (["alice", "alice"], 2, 1), "one unsubscribed")
    clients["second"].close()
    wait_until(lambda: present(one, "room:1") == (["alice"], 1, 1), "another one closed")
    assert clients["b"].ask("presence", "room:1")["code"] == 103
    assert one.ask("presence", "other")["code"] == 108


def test_who_dies_silently_is_not_present_any_more(guarded, start_sdk):
    server = guarded(heartbeat_ms=1000)
    witness, dead = (start_sdk(server, token=sdk.token(sub=user)) for user in ("w", "d"))
    for client in (witness, dead):
        connected(client)
        subscribed(client, "room:1")
    wait_until(lambda: present(witness, "room:1") == (["d", "w"], 2, 2), "both there")
    dead.process.send_signal(signal.SIGSTOP)
    wait_until(lambda: present(witness, "room:1") == (["w"], 1, 1), "one decayed")
    dead.process.send_signal(signal.SIGCONT)


def test_join_and_leave(guarded, start_sdk):
    server = guarded(shards=3)
    witness, other = (start_sdk(server, token=sdk.token(sub=user)) for user in ("w", "o"))
    connected(witness)
    subscribed(witness, "lobby:1")
    assert witness.next_of("join")["info"]["user"] == "w"
    connected(other)
    subscribed(other, "lobby:1")
    assert witness.next_of("join")["info"]["user"] == "o"
    server.publish("lobby:1", "1")
    other.act("unsubscribe", "lobby:1")
    events = [witness.next_of("publication", "leave") for _ in range(2)]
    assert [event.get("data", event.get("info", {}).get("user")) for event in events] == [1, "o"]
    # They have no offset, are in no history, and nobody else hears them.
    assert server.poll("lobby:1", "start")["messages"][0]["offset"] == 1
    assert len(server.poll("lobby:1", "start")["messages"]) == 1


def test_a_raw_subscriber_hears_no_events(guarded, start_sdk):
    server = guarded()
    socket = RawWebSocket(server, "/ws?channel=lobby:1")
    client = start_sdk(server)
    connected(client)
    for n in range(5):
        client.act("subscribe", "lobby:1") if n == 0 else client.act("resubscribe", "lobby:1")
        client.next_of("subscribed")
        client.act("unsubscribe", "lobby:1")
        client.next_of("unsubscribed")
        server.publish("lobby:1", f"{n}")
        assert socket.read() == (TEXT, b"%d" % n)
    socket.connection.close()


PYTHON_SCRIPT = Path(__file__).parent / "python_centrifuge.py"
PYTHON_VERSION = "0.7.0"


def test_the_python_sdk(guarded):
    folder = sdk.pip("centrifuge-python", PYTHON_VERSION)
    server = guarded(websocket_publish="on")
    done = subprocess.run(
        [sys.executable, str(PYTHON_SCRIPT), server.ws_url("/connection/websocket"),
         server.url("/publish", channel="room:1"), sdk.token(sub="alice")],
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True, text=True, timeout=4 * PATIENCE_S, check=False,
    )
    assert done.returncode == 0, done.stderr
    client, http = {"by": "the client"}, {"by": "http"}
    assert json.loads(done.stdout) == [
        ["subscribed", False, False],
        ["publication", client],
        ["publication", http],
        ["history", [client, http], 2],
        ["presence", ["alice"]],
        ["presence_stats", 1, 1],
        ["subscribed", True, True],
        ["publication", {"by": "http", "while": "away"}],
    ]
