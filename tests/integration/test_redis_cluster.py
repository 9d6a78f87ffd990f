"""Nodes around a Redis Cluster: each channel is at the master of its slot, which may change."""

import threading
import time

import pytest

import sdk
from redis_server import Cluster
from ringside import data_of, refusal, target
from test_cluster import publish_refused, start_fails, start_redis  # noqa: F401
from test_cluster_api import Api
from test_server_api_sessions import API_KEY
from wire import EventStream

CHANNELS = [f"news-{i}" for i in range(12)]


class Started:
    """Of a module: started when the first test wants it."""

    def __init__(self, folder, **options):
        self.cluster = Cluster(folder, **options)
        self.cluster.start()

    def end(self):
        self.cluster.stop()
        self.cluster.release()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Three masters that keep what they acknowledge."""
    started = Started(tmp_path_factory.mktemp("cluster"), durable=True)
    yield started.cluster
    started.end()


@pytest.fixture
def start_cluster(tmp_path):
    """start_cluster(replicas=, args=) -> one of the test's own, which ends with it"""
    all_of_them = []

    def start(**options):
        all_of_them.append(Started(tmp_path, **options))
        return all_of_them[-1].cluster

    yield start
    for started in all_of_them:
        started.end()


@pytest.fixture
def nodes(start_server, tmp_path, request):
    """nodes(cluster, …settings) -> two servers, whose keys begin with the name of the test"""
    (tmp_path / "api.key").write_text(API_KEY + "\n")

    def start(cluster, **config):
        settings = {**cluster.settings, "redis_prefix": request.node.originalname,
                    "broker_timeout_ms": 3000, **config}
        return [start_server(config=settings) for _ in range(2)]

    return start


class Publisher(threading.Thread):
    """Publishes numbers to all channels, one after the other, until it is told to end: what is
    refused by name it asks again, and what nobody knows the end of it counts as a doubt."""

    def __init__(self, server, channels):
        super().__init__()
        self.server, self.channels = server, channels
        self.count = 0
        self.refused, self.doubts, self.wrong = [], [], []
        self.ends = False
        self.start()

    def run(self):
        while not self.ends:
            for channel in self.channels:
                self.publish(channel, f"{self.count}")
            self.count += 1

    def publish(self, channel, data):
        while not self.wrong:
            answer = self.server.request("POST", target("/publish", channel=channel),
                                         data.encode())
            if answer.status == 200:
                return
            if answer.status == 504:
                self.doubts.append((channel, data))
                return
            if answer.status != 503:
                self.wrong.append((answer.status, refusal(answer)))
            self.refused.append((channel, data))

    def end(self):
        self.ends = True
        self.join()
        assert self.wrong == []


def test_channels_are_spread_and_nodes_agree(cluster, nodes):
    servers = nodes(cluster)
    for i, channel in enumerate(CHANNELS):
        servers[i % 2].publish(channel, "first")
        servers[1 - i % 2].publish(channel, "second" * 1000)
    homes = {cluster.of(channel).port for channel in CHANNELS}
    assert len(homes) == 3
    for channel in CHANNELS:
        polls = [node.get(target("/poll", channel=channel, since="start")).json()
                 for node in servers]
        assert data_of(polls[0]) == data_of(polls[1]) == ["first", "second" * 1000]
        assert polls[0]["position"] == polls[1]["position"]
    assert all(server.metric("ringside_broker_connected") == 1 for server in servers)
    assert all(server.metric("ringside_broker_errors_total") == 0 for server in servers)


@pytest.mark.parametrize("history", [True, False], ids=["history", "without"])
def test_slots_are_moved_under_publishes(cluster, nodes, history, eventually):
    a, b = nodes(cluster, **{} if history else {"history_messages_max": 1})
    channels = CHANNELS[:3]
    streams = [(EventStream(node.url("/sse", channel=channel)), channel)
               for channel in channels for node in (a, b)]
    publisher = Publisher(a, channels)
    for i in range(2):
        for channel in channels:
            target_of = next(one for one in cluster.all if one is not cluster.of(channel))
            seen = publisher.count
            cluster.move(cluster.slot(channel), target_of)
            assert cluster.of(channel) is target_of
            eventually(lambda seen=seen: publisher.count > seen + 3, "publishes go on")
    publisher.end()
    assert publisher.doubts == []
    for stream, channel in streams:
        heard, position = [], None
        while len(heard) < publisher.count and (event := stream.next()):
            heard.append(event["data"])
            position = event["id"]
        assert heard == [f"{i}" for i in range(len(heard))]
        # Where too little is kept of what was missed while the slot was moved, it is said.
        if history or len(heard) == publisher.count:
            assert len(heard) == publisher.count
        else:
            assert not b.poll(channel, position)["recovered"]
        stream.close()


def test_nodes_ask_each_other_wherever_that_slot_is(cluster, start_server, tmp_path, eventually):
    (tmp_path / "api.key").write_text(API_KEY + "\n")
    config = sdk.with_keys(tmp_path, api_keys=f"file:{tmp_path}/api.key", redis_prefix="asks",
                           **cluster.settings)
    apis = [Api(start_server(config=config)) for _ in range(2)]
    for api in apis:
        eventually(lambda api=api: len(api("info")["nodes"]) == 2, "they see each other")
    slot = cluster.slot("!")
    owner = cluster.of("!")
    cluster.move(slot, next(one for one in cluster.all if one is not owner))
    for api in apis:
        eventually(lambda api=api: isinstance(api("info"), dict) and
                   len(api("info")["nodes"]) == 2, "they see each other there")
    assert apis[0]("disconnect", user="nobody") == {}


@pytest.mark.not_in("tsan", why="the broker's thread alone")
def test_a_master_fails(nodes, start_cluster, eventually):
    cluster = start_cluster(replicas=1)
    a, b = nodes(cluster)
    channels = CHANNELS[:6]
    lost = cluster.of(channels[0])
    kept = [channel for channel in channels if cluster.of(channel) is not lost]
    gone = [channel for channel in channels if cluster.of(channel) is lost]
    assert kept and gone
    positions = {channel: b.position(channel) for channel in channels}
    streams = {channel: EventStream(b.url("/sse", channel=channel)) for channel in channels}
    publisher = Publisher(a, kept)
    a.publish(gone[0], "before")
    assert streams[gone[0]].next()["data"] == "before"
    lost.kill()
    eventually(lambda: publish_refused(a, gone[0], "after")[0] == 200, "its replica has the slots")
    publisher.end()
    assert publisher.refused == [] and publisher.doubts == []
    for channel in kept:
        count = publisher.count
        assert streams[channel].data(count) == [f"{i}" for i in range(count)]
    # A replica may lack the end of what was acknowledged: all is new, and said.
    assert streams[gone[0]].next() is None
    assert not b.poll(gone[0], positions[gone[0]])["recovered"]
    eventually(lambda: data_of(b.poll(gone[0])) == ["after"], "it is there")
    for stream in streams.values():
        stream.close()
    lost.start()
    eventually(lambda: "slave" in lost.ask("ROLE"), "it follows")
    a.publish(gone[0], "more")
    master = cluster.of(gone[0])
    quiet = next(name for i in range(99) if cluster.of(name := f"quiet-{i}") is master)
    fails_back(a, b, quiet, master, lost, eventually)


def fails_back(a, b, channel, master, replica, eventually):
    """The replica has the slots, lacks the end of what was acknowledged, and gives them back to
    that master, which was never started again. Nobody has joined the channel meanwhile."""
    follows = "master_link_status:up"
    a.publish(channel, "kept")
    eventually(lambda: follows in replica.ask("INFO", "replication"), "it has all")
    assert master.ask("ACL", "SETUSER", "default", "-psync") == "OK"
    master.ask("CLIENT", "KILL", "TYPE", "replica")
    place = a.publish(channel, "lost")
    position = f"{place['epoch']}.{place['offset']}"
    assert replica.ask("CLUSTER", "FAILOVER", "TAKEOVER") == "OK"
    eventually(lambda: follows in master.ask("INFO", "replication"), "they have changed places")
    time.sleep(0.5)  # what nodes know of it is believed no longer
    assert master.ask("CLUSTER", "FAILOVER", "TAKEOVER") == "OK"
    eventually(lambda: publish_refused(a, channel, "new")[0] == 200, "it has its slots again")
    assert not b.poll(channel, position)["recovered"]


@pytest.mark.not_in("tsan", why="the broker's thread alone")
def test_a_part_of_the_cluster_is_gone(nodes, start_cluster, eventually):
    cluster = start_cluster(args=["--cluster-require-full-coverage", "no"])
    a, b = nodes(cluster, broker_timeout_ms=500)
    lost = cluster.of(CHANNELS[0])
    kept = next(channel for channel in CHANNELS if cluster.of(channel) is not lost)
    # Another run of Redis, which does not promise to have kept all: that is said.
    a.publish(kept, "before")
    position = b.position(kept)
    cluster.move(cluster.slot(kept), next(one for one in cluster.all
                                          if one not in (lost, cluster.of(kept))))
    a.publish(kept, "y")
    eventually(lambda: not b.poll(kept, position)["recovered"], "the other node has heard of it")
    lost.kill()
    eventually(lambda: publish_refused(a, CHANNELS[0], "x") == (503, "broker_down"), "it is told")
    a.publish(kept, "z")
    eventually(lambda: data_of(b.poll(kept)) == ["y", "z"], "both are there")
    lost.start()
    eventually(lambda: publish_refused(b, CHANNELS[0], "z")[0] == 200, "it is back")


def test_what_is_none_is_said(cluster, start_redis):  # noqa: F811
    one = cluster.all[0].address
    assert "set redis_cluster = on" in start_fails(f"redis={one}")
    assert "set redis_cluster = off" in start_fails(f"redis={start_redis().address}",
                                                    "redis_cluster=on")
    assert "no sentinels" in start_fails(f"redis=mine@{one}", "redis_cluster=on")


def test_by_tls(start_cluster, nodes):
    """Also to the master that a slot has moved to, whose address the cluster has told."""
    cluster = start_cluster(tls="local", durable=True, args=["--tls-cluster", "yes"])
    a, b = nodes(cluster)
    with EventStream(a.url("/sse", channel="news")) as stream:
        b.publish("news", "x" * 20_000)
        assert stream.next()["data"] == "x" * 20_000
        position = b.position("news")
        source = cluster.of("news")
        cluster.move(cluster.slot("news"), next(one for one in cluster.all if one is not source))
        b.publish("news", "after")
        assert stream.next()["data"] == "after"
    assert a.poll("news", position)["recovered"]
