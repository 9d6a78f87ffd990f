"""Two nodes that share channels through an engine of the test's own: Redis, or NATS."""

import contextlib
import functools
import json
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from foreign import asynchronous, connect, receive
from nats_server import Nats
from redis_server import Redis, Several
from ringside import data_of, refusal, server_binary, target
from wire import EventStream


ENGINES = {"redis": Redis, "nats": Nats}
KINDS = {**ENGINES, "several": Several}
LARGE = "x" * 5000  # past the script of Redis, if nothing of it is kept


@contextlib.contextmanager
def engines(tmp_path_factory):
    """A function that starts one of a kind; all end with the block."""
    started = []

    def start(kind, **options):
        engine = KINDS[kind](tmp_path_factory.mktemp(kind), **options)
        started.append(engine)
        return engine.start()

    yield start
    for engine in started:
        engine.release()
        engine.stop()


@pytest.fixture
def start_engine(tmp_path_factory):
    """start_engine("redis" or "nats", durable=, args=) -> the engine, which runs"""
    with engines(tmp_path_factory) as start:
        yield start


@pytest.fixture
def start_redis(tmp_path_factory):
    """start_redis(durable=, args=) -> likewise"""
    with engines(tmp_path_factory) as start:
        yield functools.partial(start, "redis")


@pytest.fixture(params=list(ENGINES))
def nodes(request, start_server, start_engine):
    """nodes(count, engine=, config=, sets=, durable=) -> (the engine, servers), once for each
    engine"""

    def start(count=2, engine=None, config=None, sets=(), **options):
        engine = engine or start_engine(request.param, **options)
        settings = {**engine.settings, "broker_timeout_ms": 2000, **(config or {})}
        args = [word for setting in sets for word in ("--set", setting)]
        return engine, [start_server(config=settings, args=args) for _ in range(count)]

    return start


def only(kind):
    """A test of one engine."""
    return pytest.mark.parametrize("nodes", [kind], indirect=True)


def publish_refused(server, channel, data):
    answer = server.request("POST", target("/publish", channel=channel), data.encode())
    return answer.status, None if answer.status == 200 else refusal(answer)


def stands_still(pid):
    states = [(task / "stat").read_text().rpartition(")")[2].split()[0]
              for task in Path(f"/proc/{pid}/task").iterdir()]
    return all(state == "T" for state in states)


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


@asynchronous
async def test_what_is_published_at_once_keeps_order_and_bounds(nodes):
    """Without waiting for answers: what comes to the engine together goes there together."""
    count, size = 300, 50
    _, (a, b) = nodes(config={"websocket_publish": "on", "history_messages_max": 40},
                      sets=(f"tight:history_bytes={20 * size}", "none:history_messages=0"))
    data = [f"{i:0{size}}" for i in range(count)]
    for channel in ("news", "tight:news", "none:news"):
        async with connect(b, channel=channel) as hears, connect(a, channel=channel) as says:
            for text in data:
                await says.send(text)
            assert [await receive(hears) for _ in data] == data
            assert [await receive(says) for _ in data] == data
    kept = [data_of(node.get(target("/poll", channel=channel, since="start")).json())
            for node in (a, b) for channel in ("news", "tight:news", "none:news")]
    assert kept[:3] == kept[3:]
    assert kept[0] == data[-40:] and kept[2] == []
    assert 3 < len(kept[1]) <= 20 and kept[1] == data[-len(kept[1]):]


def test_two_prefixes_are_two_clusters(nodes, start_server):
    engine, (a,) = nodes(count=1)
    other = start_server(config={**engine.settings, f"{engine.name}_prefix": "other"})
    a.publish("news", "ours")
    assert data_of(other.poll("news")) == []
    assert data_of(a.poll("news")) == ["ours"]


# ---- nodes that end ----


def test_what_a_killed_node_acknowledged_is_there(nodes, eventually):
    _, (a, b) = nodes()
    before = b.position("news")
    for i in range(50):
        a.publish("news", f"{i}")
    a.process.send_signal(signal.SIGKILL)
    a.process.wait()
    # It may be on its way to the other node still.
    eventually(lambda: data_of(b.poll("news", before))[-1:] == ["49"], "all have come")
    answer = b.poll("news", before)
    assert answer["recovered"] and data_of(answer) == [f"{i}" for i in range(50)]
    a.start()
    assert a.poll("news", before)["messages"] == answer["messages"]


# ---- an engine that ends ----


def test_the_engine_restarts_and_kept_everything(nodes, eventually):
    engine, (a, b) = nodes(durable=True)
    with EventStream(a.url("/sse", channel="news")) as stream:
        b.publish("news", "before")
        assert stream.next()["data"] == "before"
        position = b.position("news")
        engine.kill()
        engine.start()
        eventually(lambda: connected(a) and connected(b), "both nodes are back")
        b.publish("news", "after")
        assert stream.next()["data"] == "after"
        later = a.poll("news", position)
        assert later["recovered"] and data_of(later) == ["after"]


def test_the_engine_restarts_and_kept_nothing(nodes, eventually):
    engine, (a, b) = nodes()
    with EventStream(a.url("/sse", channel="news")) as stream:
        b.publish("news", "before")
        assert stream.next()["data"] == "before"
        position = b.position("news")
        engine.kill()
        engine.start()
        # Those who hear are sent away, and told when they come back.
        stream.process.wait(30)
    assert a.closed("gap") == 1
    eventually(lambda: connected(a) and connected(b), "both nodes are back")
    b.publish("news", "after")
    again = a.poll("news", position)
    assert not again["recovered"] and again["messages"] == []
    assert data_of(a.poll("news")) == ["after"]


def test_while_the_engine_is_away_publishes_wait(nodes, eventually):
    engine, (a, b) = nodes(durable=True, config={"broker_timeout_ms": 20000})
    with EventStream(a.url("/sse", channel="news")) as stream:
        engine.stop()
        answers = []
        threads = [
            threading.Thread(target=lambda i=i: answers.append(b.publish("news", f"{i}")))
            for i in range(5)
        ]
        for thread in threads:
            thread.start()
        eventually(lambda: b.metric("ringside_broker_queued") >= 5, "they wait")
        engine.start()
        for thread in threads:
            thread.join()
        assert sorted(stream.data(5)) == [f"{i}" for i in range(5)]
    assert sorted(answer["offset"] for answer in answers) == [1, 2, 3, 4, 5]


def test_while_the_engine_is_away_publishes_are_refused_by_name(nodes, eventually):
    engine, (a, b) = nodes(config={"broker_queue_max": 0, "broker_timeout_ms": 300})
    b.publish("news", "before")
    assert data_of(a.poll("news")) == ["before"]
    engine.stop()
    eventually(lambda: not connected(b), "it is noticed")
    assert publish_refused(b, "news", "lost?") == (503, "broker_down")
    assert b.refused("broker_down") == 1
    # What a node has it gives; of a channel that it has not it knows nothing.
    assert data_of(a.poll("news")) == ["before"]
    assert b.get(target("/poll", channel="news")).status == 503
    assert a.get("/healthz").status == 200


def test_a_publish_that_waits_too_long_is_refused(nodes, eventually):
    engine, (a,) = nodes(count=1, config={"broker_timeout_ms": 300})
    engine.stop()
    eventually(lambda: not connected(a), "it is noticed")
    assert publish_refused(a, "news", "x") == (503, "broker_down")
    assert a.metric("ringside_broker_timeouts_total") >= 1


def test_the_engine_answers_slowly(nodes, eventually):
    engine, (a,) = nodes(count=1, config={"broker_timeout_ms": 300})
    a.publish("news", "before")
    engine.process.send_signal(signal.SIGSTOP)
    eventually(lambda: stands_still(engine.process.pid), "all its threads have stopped")
    try:
        assert publish_refused(a, "news", "perhaps") == (504, "broker_timeout")
        assert a.get("/healthz").status == 200
    finally:
        engine.process.send_signal(signal.SIGCONT)
    eventually(lambda: connected(a) and publish_refused(a, "news", "after")[0] == 200, "it goes on")
    assert data_of(a.poll("news"))[-1] == "after"


@only("redis")
def test_redis_has_no_room(nodes):
    redis, (a,) = nodes(count=1, sets=("none:history_messages=0",))
    a.publish("news", "before")
    a.publish("none:news", LARGE)
    redis.ask("CONFIG", "SET", "maxmemory", "1")
    assert publish_refused(a, "news", "x") == (507, "broker_full")
    # What is large and not kept goes another way.
    assert publish_refused(a, "none:news", LARGE) == (507, "broker_full")
    assert a.metric("ringside_broker_out_of_memory_total") == 2
    redis.ask("CONFIG", "SET", "maxmemory", "0")
    assert a.publish("news", "after")["offset"] == 2
    assert a.publish("none:news", LARGE)["offset"] == 2


@only("redis")
def test_what_redis_allows_no_more(nodes):
    """What was begun is told for what it is, and what follows goes another way."""
    redis, servers = nodes(sets=("none:history_messages=0",))
    with EventStream(servers[1].url("/sse", channel="none:news")) as stream:
        for i, (node, forbidden, said) in enumerate(zip(servers, ("-multi", "-exec"), (504, 503))):
            node.publish("none:news", f"{i}{LARGE}")
            redis.ask("ACL", "SETUSER", "default", forbidden)
            name = {503: "broker_down", 504: "broker_timeout"}[said]
            assert publish_refused(node, "none:news", f"{i}{LARGE}{said}") == (said, name)
            node.publish("none:news", f"{i}")
            redis.ask("ACL", "SETUSER", "default", "+multi", "+exec")
            went = [f"{i}{LARGE}504"] if said == 504 else []
            assert stream.data(2 + len(went)) == [f"{i}{LARGE}", *went, f"{i}"]
        assert all(node.metric("ringside_broker_errors_total") == 1 for node in servers)


@only("redis")
def test_scripts_that_redis_has_forgotten(nodes):
    redis, (a,) = nodes(count=1, sets=("none:history_messages=0",))
    a.publish("news", "1")
    redis.ask("SCRIPT", "FLUSH")
    assert a.publish("news", "2")["offset"] == 2
    assert data_of(a.poll("news")) == ["1", "2"]
    with EventStream(a.url("/sse", channel="none:news")) as stream:
        for i in range(4):
            redis.ask("SCRIPT", "FLUSH")
            assert a.publish("none:news", f"{i}{LARGE}")["offset"] == i + 1
        assert stream.data(4) == [f"{i}{LARGE}" for i in range(4)]


# ---- clocks ----

CLOCK = """
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <sys/syscall.h>
#include <unistd.h>

static time_t ahead(clockid_t clock)
{
    return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE ? atol(getenv("AHEAD_S")) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *ret)
{
    long err = syscall(SYS_clock_gettime, clock, ret);
    ret->tv_sec += ahead(clock);
    return (int)err;
}

int gettimeofday(struct timeval *restrict ret, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    *ret = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *ret)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return ret ? *ret = now.tv_sec : now.tv_sec;
}
"""
DAY_S = 86400


@pytest.fixture
def clock(tmp_path, monkeypatch):
    """clock(seconds): what is started from now on believes that it is so much later"""
    source = tmp_path / "clock.c"
    source.write_text(CLOCK)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", tmp_path / "clock.so", source], check=True)

    def start(ahead_s):
        monkeypatch.setenv("AHEAD_S", str(ahead_s))
        monkeypatch.setenv("LD_PRELOAD", str(tmp_path / "clock.so"))

    return start


def all_have(servers, position, count):
    """What one has published the others hear of a moment later."""
    polls = [server.poll("news", position) for server in servers]
    return all(poll["recovered"] and data_of(poll) == [f"{i}" for i in range(count)]
               for poll in polls)


@only("redis")
@pytest.mark.not_in("asan", "tsan", why="the sanitizer has to be loaded first")
def test_clocks_that_differ_and_jump(nodes, clock, eventually):
    redis, (a,) = nodes(count=1, durable=True, config={"history_age_ms": 3600000})
    clock(7 * DAY_S)
    _, (ahead,) = nodes(count=1, engine=redis, config={"history_age_ms": 3600000})
    clock(-7 * DAY_S)
    _, (behind,) = nodes(count=1, engine=redis, config={"history_age_ms": 3600000})
    servers = [a, ahead, behind]
    position = a.position("news")
    for i in range(6):
        servers[i % 3].publish("news", f"{i}")
    eventually(lambda: all_have(servers, position, 6), "each has heard of all")
    # The engine's own clock: what is kept may be younger than now, and is there all the same.
    clock(-2 * DAY_S)
    redis.kill()
    redis.start()
    assert int(redis.ask("TIME").split()[0]) < time.time() - DAY_S
    eventually(lambda: all(connected(server) for server in servers), "they are back")
    ahead.publish("news", "6")
    eventually(lambda: all_have(servers, position, 7), "each has heard of the next")
    # Forward beyond their age: they are gone, and that is said.
    clock(2 * DAY_S)
    redis.kill()
    redis.start()
    eventually(lambda: all(connected(server) for server in servers), "they are back again")
    behind.publish("news", "7")
    eventually(lambda: not any(server.poll("news", position)["recovered"] for server in servers),
               "each says so")


# ---- what others write ----


@only("redis")
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


@only("nats")
def test_foreign_data_under_our_subjects(nodes, eventually):
    engine, (a, b) = nodes()
    a.publish("news", "1")
    with EventStream(a.url("/sse", channel="news")) as stream:
        engine.publish("ringside.r.news", b"not ours")
        engine.publish("ringside.r.%6Eews", b"nor a name's")
        engine.publish("ringside.r.news", b"00000000000000ff 00000000000000ff 9\n\0\0\0\x09xx")
        eventually(lambda: a.metric("ringside_broker_foreign_total") >= 2, "they are seen")
        b.publish("news", "2")
        assert stream.next()["data"] == "2"
        position = a.position("news")
        # In the place of the channel's newest message it leaves nothing to stand on.
        engine.publish("ringside.s.news", b"not ours")
        assert b.publish("news", "3")["offset"] == 1
        stream.process.wait(30)
    a.until_closed("gap")
    again = a.poll("news", position)
    assert not again["recovered"] and data_of(a.poll("news")) == ["3"]


@only("nats")
def test_a_stream_that_is_made_anew(nodes, eventually):
    """It numbers from 1 again: what a node knew of the numbers of the old one would fit."""
    nats, (a, b) = nodes()
    first = a.publish("news", "lost")
    config = nats.request("STREAM.INFO.ringside")["config"]
    assert nats.request("STREAM.DELETE.ringside")["success"]
    assert nats.request("STREAM.CREATE.ringside", json.dumps(config).encode())["config"] == config
    eventually(lambda: all(node.metric("ringside_broker_replaced_total") == 1 for node in (a, b)),
               "both have seen it")
    eventually(lambda: publish_refused(b, "news", "1")[0] == 200, "it is joined again")
    eventually(lambda: connected(a), "by the other one, too")
    again = a.publish("news", "2")
    assert again["epoch"] != first["epoch"] and again["offset"] == 2
    assert not b.poll("news", f"{first['epoch']}.1")["recovered"]
    assert data_of(b.poll("news")) == ["1", "2"]
    assert nats.request("STREAM.DELETE.ringside")["success"]
    eventually(lambda: publish_refused(a, "news", "3")[0] == 200, "a node makes what is not there")
    eventually(lambda: not b.poll("news", f"{again['epoch']}.2")["recovered"], "the other hears it")


@only("nats")
def test_nats_has_no_room(nodes, tmp_path):
    (tmp_path / "small.conf").write_text("jetstream { max_file_store: 100KB }\n")
    _, (a,) = nodes(count=1, args=["-c", str(tmp_path / "small.conf")])
    answers = [publish_refused(a, "news", "x" * 8192) for _ in range(20)]
    assert answers[0] == (200, None) and answers[-1] == (507, "broker_full")
    assert a.metric("ringside_broker_out_of_memory_total") > 0


@only("nats")
def test_what_is_larger_than_nats_takes_is_refused_by_name(nodes):
    _, (a,) = nodes(count=1, config={"message_bytes_max": 2 << 20})
    assert publish_refused(a, "news", "x" * (3 << 19)) == (507, "broker_full")
    assert a.publish("news", "x" * 900000)["offset"] == 1


@only("nats")
def test_a_stream_that_is_not_ours(nodes, start_engine):
    engine = start_engine("nats")
    engine.publish("$JS.API.STREAM.CREATE.ringside",
                   b'{"name":"ringside","subjects":["orders.>"],"storage":"memory",'
                   b'"retention":"limits","discard":"old","num_replicas":1}')
    assert "there is one that is not ours" in start_fails(f"nats={engine.address}")


# ---- starting ----


def start_fails(*settings):
    command = [server_binary(), "--listen", "127.0.0.1:0", "--shards", "1"]
    for setting in settings:
        command += ["--set", setting]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    return done.stderr


@pytest.mark.parametrize("kind, said", [("redis", "Connection refused"),
                                        ("nats", "No server available")])
def test_without_its_engine_it_does_not_start(start_engine, start_server, eventually, kind, said):
    engine = start_engine(kind)
    engine.stop()
    complaint = start_fails(f"{kind}={engine.address}")
    assert engine.address in complaint and said in complaint
    server = start_server(config={**engine.settings, f"{kind}_required": "off",
                                  "broker_timeout_ms": 300})
    assert publish_refused(server, "news", "x") == (503, "broker_down")
    engine.start()
    eventually(lambda: connected(server), "it finds it")
    server.publish("news", "x")


@pytest.mark.parametrize("kind, args, user, said", [
    ("redis", ["--requirepass", "secret"], {}, "AUTH"),
    ("nats", ["--user", "ringside", "--pass", "secret"], {"nats_user": "ringside"},
     "Authentication Violation")])
def test_a_wrong_password_is_said(start_engine, start_server, tmp_path, kind, args, user, said):
    engine = start_engine(kind, args=args)
    (tmp_path / "password").write_text("wrong\n")
    password = f"file:{tmp_path}/password"
    complaint = start_fails(f"{kind}={engine.address}", f"{kind}_password={password}",
                            *(f"{name}={value}" for name, value in user.items()))
    assert engine.address in complaint and said in complaint
    assert "wrong" not in complaint.lower().replace("wrongpass", "")
    (tmp_path / "password").write_text("secret\n")
    server = start_server(config={**engine.settings, **user, f"{kind}_password": password})
    assert server.publish("news", json.dumps({"a": 1}))["offset"] == 1


@pytest.mark.parametrize("kind, prefix", [("redis", "a b"), ("nats", "a.b")])
def test_settings_that_are_none(kind, prefix):
    there = f"{kind}=127.0.0.1:1"
    assert "needs an address and a port" in start_fails(f"{kind}=here")
    assert f"{kind}_password" in start_fails(there, f"{kind}_password=open")
    assert f"{kind}_prefix" in start_fails(there, f"{kind}_prefix={prefix}")


def test_sentinels_that_are_none():
    assert "needs an address and a port" in start_fails("redis=mine@127.0.0.1:1,")
    assert "before @" in start_fails("redis=@127.0.0.1:1")


def test_a_cluster_has_one_engine():
    assert "both set" in start_fails("redis=127.0.0.1:1", "nats=127.0.0.1:1")
