"""Two nodes that share channels through a Redis of the test's own."""

import json
import signal
import subprocess
import threading

import pytest

from foreign import asynchronous, connect, receive
from redis_server import Redis
from ringside import data_of, refusal, server_binary, target
from wire import EventStream


@pytest.fixture
def start_redis(tmp_path_factory):
    started = []

    def start(**options):
        redis = Redis(tmp_path_factory.mktemp("redis"), **options)
        started.append(redis)
        return redis.start()

    yield start
    for redis in started:
        redis.release()
        redis.stop()


@pytest.fixture
def nodes(start_server, start_redis):
    """nodes(count, redis=, config=) -> (the Redis, servers)"""

    def start(count=2, redis=None, config=None, **options):
        redis = redis or start_redis(**options)
        settings = {"redis": redis.address, "broker_timeout_ms": 2000, **(config or {})}
        return redis, [start_server(config=settings) for _ in range(count)]

    return start


def publish_refused(server, channel, data):
    answer = server.request("POST", target("/publish", channel=channel), data.encode())
    return answer.status, None if answer.status == 200 else refusal(answer)


def connected(server):
    return server.metric("ringside_broker_connected") == 1


# ---- what one node promises, over two ----


@asynchronous
async def test_each_transport_hears_what_another_node_publishes(nodes):
    _, (a, b) = nodes()
    with EventStream(a.url("/sse", channel="news")) as stream:
        async with connect(a, channel="news") as socket:
            waits = []
            since = a.position("news")
            path = target("/longpoll", channel="news", since=since)
            poller = threading.Thread(target=lambda: waits.append(a.get(path).json()))
            poller.start()
            place = b.publish("news", "hello")
            assert stream.next()["data"] == "hello"
            assert await receive(socket) == "hello"
            poller.join()
            assert data_of(waits[0]) == ["hello"]
            again = a.poll("news", since)
            assert data_of(again) == ["hello"] and again["recovered"]
            assert again["position"] == f"{place['epoch']}.1"


def test_a_client_moves_with_its_position(nodes):
    _, (a, b) = nodes()
    before = a.position("news")
    for i in range(5):
        (a, b)[i % 2].publish("news", f"{i}")
    moved = b.poll("news", before)
    assert moved["recovered"] and data_of(moved) == [f"{i}" for i in range(5)]
    # One that the other node gave a moment ago, and that this one has perhaps not heard of.
    for i in range(20):
        a.publish("news", f"more {i}")
        seen = a.poll("news", moved["position"])
        moved = b.poll("news", seen["position"])
        assert moved["recovered"] and data_of(moved) == [], i


def test_publishes_on_both_nodes_have_one_order(nodes):
    _, servers = nodes()
    count = 60
    with EventStream(servers[0].url("/sse", channel="news")) as first:
        with EventStream(servers[1].url("/sse", channel="news")) as second:
            threads = [
                threading.Thread(
                    target=lambda server=server, i=i: [
                        server.publish("news", f"{i}:{n}") for n in range(count)])
                for i, server in enumerate(servers * 2)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            heard = [[stream.next() for _ in range(4 * count)] for stream in (first, second)]
    assert heard[0] == heard[1]
    offsets = [int(event["id"].split(".")[1]) for event in heard[0]]
    assert offsets == list(range(1, 4 * count + 1))
    for i in range(4):
        own = [event["data"] for event in heard[0] if event["data"].startswith(f"{i}:")]
        assert own == [f"{i}:{n}" for n in range(count)]


def test_binary_events_types_and_an_end_cross(nodes):
    _, (a, b) = nodes()
    with EventStream(a.url("/sse", channel="news")) as stream:
        path = target("/publish", channel="news", event="price")
        assert b.request("POST", path, b'{"a":1}').status == 200
        event = stream.next()
        assert event["event"] == "price" and event["data"] == '{"a":1}'
        b.publish("news", b"\xff\x00\xfe")
        assert stream.next()["event"] == "binary"
        assert b.request("POST", target("/publish", channel="news", end="1"), b"bye").status == 200
        assert stream.next()["data"] == "bye"
    assert publish_refused(a, "news", "more") == (409, "ended")
    assert publish_refused(b, "news", "more") == (409, "ended")


def test_two_prefixes_are_two_clusters(nodes, start_server):
    redis, (a,) = nodes(count=1)
    other = start_server(config={"redis": redis.address, "redis_prefix": "other"})
    a.publish("news", "ours")
    assert data_of(other.poll("news")) == []
    assert data_of(a.poll("news")) == ["ours"]


# ---- nodes that end ----


def test_what_a_killed_node_acknowledged_is_there(nodes):
    _, (a, b) = nodes()
    before = b.position("news")
    for i in range(50):
        a.publish("news", f"{i}")
    a.process.send_signal(signal.SIGKILL)
    a.process.wait()
    answer = b.poll("news", before)
    assert answer["recovered"] and data_of(answer) == [f"{i}" for i in range(50)]
    a.start()
    assert a.poll("news", before)["messages"] == answer["messages"]


# ---- Redis that ends ----


def test_redis_restarts_and_kept_everything(nodes, eventually):
    redis, (a, b) = nodes(durable=True)
    with EventStream(a.url("/sse", channel="news")) as stream:
        b.publish("news", "before")
        assert stream.next()["data"] == "before"
        position = b.position("news")
        redis.kill()
        redis.start()
        eventually(lambda: connected(a) and connected(b), "both nodes are back")
        b.publish("news", "after")
        assert stream.next()["data"] == "after"
        later = a.poll("news", position)
        assert later["recovered"] and data_of(later) == ["after"]


def test_redis_restarts_and_kept_nothing(nodes, eventually):
    redis, (a, b) = nodes()
    with EventStream(a.url("/sse", channel="news")) as stream:
        b.publish("news", "before")
        assert stream.next()["data"] == "before"
        position = b.position("news")
        redis.kill()
        redis.start()
        # Those who hear are sent away, and told when they come back.
        stream.process.wait(30)
    assert a.closed("gap") == 1
    eventually(lambda: connected(a) and connected(b), "both nodes are back")
    b.publish("news", "after")
    again = a.poll("news", position)
    assert not again["recovered"] and again["messages"] == []
    assert data_of(a.poll("news")) == ["after"]


def test_while_redis_is_away_publishes_wait(nodes, eventually):
    redis, (a, b) = nodes(durable=True, config={"broker_timeout_ms": 20000})
    with EventStream(a.url("/sse", channel="news")) as stream:
        redis.stop()
        answers = []
        threads = [
            threading.Thread(target=lambda i=i: answers.append(b.publish("news", f"{i}")))
            for i in range(5)
        ]
        for thread in threads:
            thread.start()
        eventually(lambda: b.metric("ringside_broker_queued") >= 5, "they wait")
        redis.start()
        for thread in threads:
            thread.join()
        assert sorted(stream.data(5)) == [f"{i}" for i in range(5)]
    assert sorted(answer["offset"] for answer in answers) == [1, 2, 3, 4, 5]


def test_while_redis_is_away_publishes_are_refused_by_name(nodes, eventually):
    redis, (a, b) = nodes(config={"broker_queue_max": 0, "broker_timeout_ms": 300})
    b.publish("news", "before")
    assert data_of(a.poll("news")) == ["before"]
    redis.stop()
    eventually(lambda: not connected(b), "it is noticed")
    assert publish_refused(b, "news", "lost?") == (503, "broker_down")
    assert b.refused("broker_down") == 1
    # What a node has it gives; of a channel that it has not it knows nothing.
    assert data_of(a.poll("news")) == ["before"]
    assert b.get(target("/poll", channel="news")).status == 503
    assert a.get("/healthz").status == 200


def test_a_publish_that_waits_too_long_is_refused(nodes, eventually):
    redis, (a,) = nodes(count=1, config={"broker_timeout_ms": 300})
    redis.stop()
    eventually(lambda: not connected(a), "it is noticed")
    assert publish_refused(a, "news", "x") == (503, "broker_down")
    assert a.metric("ringside_broker_timeouts_total") >= 1


def test_redis_answers_slowly(nodes, eventually):
    redis, (a,) = nodes(count=1, config={"broker_timeout_ms": 300})
    a.publish("news", "before")
    redis.process.send_signal(signal.SIGSTOP)
    try:
        assert publish_refused(a, "news", "perhaps") == (504, "broker_timeout")
        assert a.get("/healthz").status == 200
    finally:
        redis.process.send_signal(signal.SIGCONT)
    eventually(lambda: connected(a) and publish_refused(a, "news", "after")[0] == 200, "it goes on")
    assert data_of(a.poll("news"))[-1] == "after"


def test_redis_has_no_room(nodes):
    redis, (a,) = nodes(count=1)
    a.publish("news", "before")
    redis.ask("CONFIG", "SET", "maxmemory", "1")
    assert publish_refused(a, "news", "x") == (507, "broker_full")
    assert a.metric("ringside_broker_out_of_memory_total") == 1
    redis.ask("CONFIG", "SET", "maxmemory", "0")
    assert a.publish("news", "after")["offset"] == 2


def test_scripts_that_redis_has_forgotten(nodes):
    redis, (a,) = nodes(count=1)
    a.publish("news", "1")
    redis.ask("SCRIPT", "FLUSH")
    assert a.publish("news", "2")["offset"] == 2
    assert data_of(a.poll("news")) == ["1", "2"]


# ---- what others write ----


def test_foreign_data_under_our_keys(nodes, eventually):
    redis, (a, b) = nodes()
    a.publish("news", "1")
    redis.ask("SET", "ringside:{odd}:m", "something")
    assert publish_refused(a, "odd", "x")[0] == 503
    assert a.get(target("/poll", channel="odd")).status == 503
    redis.ask("RPUSH", "ringside:{news}:h", "not ours")
    with EventStream(a.url("/sse", channel="news")) as stream:
        redis.ask("PUBLISH", "ringside:news", "not ours either")
        redis.ask("PUBLISH", "ringside:news", "00000000000000ff 9 1\n1")
        eventually(lambda: a.metric("ringside_broker_foreign_total") >= 2, "both are seen")
        b.publish("news", "2")
        assert stream.next()["data"] == "2"


# ---- starting ----


def start_fails(*settings):
    command = [server_binary(), "--listen", "127.0.0.1:0", "--shards", "1"]
    for setting in settings:
        command += ["--set", setting]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    return done.stderr


def test_without_redis_it_does_not_start(start_redis, start_server, tmp_path, eventually):
    redis = start_redis()
    redis.stop()
    said = start_fails(f"redis={redis.address}")
    assert redis.address in said and "Connection refused" in said
    server = start_server(config={"redis": redis.address, "redis_required": "off",
                                  "broker_timeout_ms": 300})
    assert publish_refused(server, "news", "x") == (503, "broker_down")
    redis.start()
    eventually(lambda: connected(server), "it finds it")
    server.publish("news", "x")


def test_a_wrong_password_is_said(start_redis, start_server, tmp_path):
    redis = start_redis(args=["--requirepass", "secret"])
    (tmp_path / "password").write_text("wrong\n")
    said = start_fails(f"redis={redis.address}", f"redis_password=file:{tmp_path}/password")
    assert redis.address in said and "AUTH" in said and "wrong" not in said.lower().replace(
        "wrongpass", "")
    (tmp_path / "password").write_text("secret\n")
    server = start_server(config={"redis": redis.address,
                                  "redis_password": f"file:{tmp_path}/password"})
    assert server.publish("news", json.dumps({"a": 1}))["offset"] == 1


def test_settings_that_are_none():
    assert "needs an address and a port" in start_fails("redis=here")
    assert "redis_password" in start_fails("redis=127.0.0.1:1", "redis_password=open")
    assert "redis_prefix" in start_fails("redis=127.0.0.1:1", "redis_prefix=a b")
