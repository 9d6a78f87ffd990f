"""What servers and sessions ask of a cluster: two nodes with a Redis of the test's own."""

import json

import pytest

import sdk
from ringside import data_of
from test_cluster import start_redis  # noqa: F401  (a fixture)
from test_server_api_sessions import API_KEY, Client


class Api:
    """The server API of one node: api(method, request) is the result, or the error's code."""

    def __init__(self, server):
        self.server = server

    def __call__(self, method, /, **request):
        body = json.dumps(request).encode()
        answer = self.server.request("POST", f"/api/{method}", body, {"X-API-Key": API_KEY}).json()
        return answer["result"] if "result" in answer else answer["error"]["code"]

    def data(self, channel):
        page = self("history", channel=channel, limit=100)["publications"]
        return [publication["data"] for publication in page]


@pytest.fixture
def nodes(start_server, start_redis, tmp_path):  # noqa: F811
    """nodes(count, redis=, …settings) -> the Redis, and the APIs of nodes"""
    (tmp_path / "api.key").write_text(API_KEY + "\n")

    def start(count=2, redis=None, **config):
        redis = redis or start_redis()
        config = sdk.with_keys(tmp_path, api_keys=f"file:{tmp_path}/api.key", redis=redis.address,
                               broker_timeout_ms=2000, **config)
        return redis, [Api(start_server(config=config)) for _ in range(count)]

    return start


# ---- what a publish wants besides ----


def test_a_key_counts_once_on_all_nodes(nodes):
    redis, (a, b) = nodes()
    first = a("publish", channel="c", data=1, idempotency_key="k")
    assert first["offset"] == 1
    assert b("publish", channel="c", data=2)["offset"] == 2
    assert b("publish", channel="c", data=3, idempotency_key="k") == first
    assert a("publish", channel="c", data=3, idempotency_key="k") == first
    assert b("publish", channel="d", data=4, idempotency_key="k")["offset"] == 1
    assert b("publish", channel="c", data=6, idempotency_key="l")["offset"] == 3
    assert a.data("c") == [1, 2, 6] and a.data("d") == [4]
    assert b.server.metric("ringside_repeated_total") == 1
    # It ends with its time, and all of them with the last.
    assert int(redis.ask("PTTL", "ringside:{c}:k")) > 0
    assert int(redis.ask("PTTL", "ringside:{c}:q")) > 0


def test_keys_are_bounded_and_end(nodes):
    redis, (a, b) = nodes(idempotency_keys_max=100, idempotency_ms=1000)
    for n in range(250):
        (a, b)[n % 2]("publish", channel="c", data=n, idempotency_key=str(n))
    assert int(redis.ask("HLEN", "ringside:{c}:k")) <= 100
    assert int(redis.ask("LLEN", "ringside:{c}:q")) <= 100
    assert a("publish", channel="c", data=0, idempotency_key="149")["offset"] == 251


def test_an_outdated_version_is_dropped_on_all_nodes(nodes):
    _, (a, b) = nodes()
    assert a("publish", channel="c", data="v2", version=2)["offset"] == 1
    for version in (1, 2):
        assert b("publish", channel="c", data="old", version=version)["offset"] == 1
    assert b("publish", channel="c", data="v10", version=10, version_epoch="a")["offset"] == 2
    assert a("publish", channel="c", data="old", version=9, version_epoch="a")["offset"] == 2
    assert a("publish", channel="c", data="b1", version=1, version_epoch="b")["offset"] == 3
    most = 2 ** 64 - 1
    assert b("publish", channel="c", data="most", version=most, version_epoch="b")["offset"] == 4
    assert a("publish", channel="c", data="old", version=most - 1, version_epoch="b")["offset"] == 4
    assert a.data("c") == b.data("c") == ["v2", "v10", "b1", "most"]
    assert a.server.metric("ringside_outdated_total") == 2


def test_tags_and_whose_it_is_cross(nodes):
    _, (a, b) = nodes(websocket_publish="on")
    client = Client(a.server, "alice", info={"name": "A\n"})
    client.ask("subscribe", channel="c")
    tags = {"kind": 'a "quoted" one', "n": "1"}
    b("publish", channel="c", data={"x": 1}, tags=tags)
    assert client.push()["pub"] == {"data": {"x": 1}, "offset": 1, "tags": tags}
    other = Client(b.server, "bob")
    other.ask("subscribe", channel="c")
    client.command(id=8, publish={"channel": "c", "data": 1})
    info = {"client": client.id, "user": "alice", "conn_info": {"name": "A\n"}}
    assert other.push()["pub"] == {"data": 1, "offset": 2, "info": info}
    pages = [api("history", channel="c", limit=9)["publications"] for api in (a, b)]
    assert pages[0] == pages[1]
    assert pages[0][0]["tags"] == tags and pages[0][1]["info"] == info
    assert b("publish", channel="c", data="seen", skip_history=True)["offset"] == 0
    assert other.push()["pub"] == {"data": "seen"}
    assert a.data("c") == [{"x": 1}, 1]


def test_a_history_that_is_removed_is_gone_on_all_nodes(nodes, eventually):
    redis, (a, b) = nodes()
    a("publish", channel="c", data=1)
    place = a("publish", channel="c", data=2)
    assert a.data("c") == b.data("c") == [1, 2]
    since = f"{place['epoch']}.0"
    assert b("history_remove", channel="c") == {}
    assert b.data("c") == []
    eventually(lambda: a.data("c") == [], "the other node hears of it")
    assert int(redis.ask("LLEN", "ringside:{c}:h")) == 0
    # Its numbers go on.
    assert a("publish", channel="c", data=3)["offset"] == 3
    assert a.data("c") == b.data("c") == [3]
    assert not a.server.poll("c", since)["recovered"]
    late = b.server.poll("c", f"{place['epoch']}.2")
    assert late["recovered"] and data_of(late) == ["3"]


def test_what_changed_is_told_across_nodes(nodes):
    _, (a, b) = nodes()
    old = {"text": "a long line that stays as it is" * 20, "n": 1}
    client = Client(a.server)
    assert client.ask("subscribe", channel="c", delta="fossil")["delta"]
    for n in range(3):
        b("publish", channel="c", data={**old, "n": n}, delta=True)
    pubs = [client.push()["pub"] for _ in range(3)]
    assert not pubs[0].get("delta") and pubs[1]["delta"] and pubs[2]["delta"]
    assert len(pubs[2]["data"]) < 100
