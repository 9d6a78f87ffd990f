"""Records of Kafka that become messages: from librdkafka's mock cluster, by another client of
Kafka's, to subscribers by SSE and WebSocket."""

import json
import signal
import subprocess
from collections import Counter

import pytest

from foreign import asynchronous, connect, receive
from kafka_server import MockKafka
from redis_server import Redis
from ringside import HOST, PATIENCE_S, hold_port, port_of, server_binary
from wire import EventStream


@pytest.fixture(scope="module")
def kafka():
    mock = MockKafka()
    yield mock
    mock.stop()


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    engine = Redis(tmp_path_factory.mktemp("redis"), durable=True).start()
    yield engine
    engine.release()
    engine.stop()


def read(server):
    return server.metric("ringside_kafka_records_total")


def stream(server, channel):
    return EventStream(server.url("/sse", channel=channel, since="start"))


# ---- to which channel ----


def test_topics_keys_and_headers_name_channels(start_server, kafka):
    for topic in ("names-a", "names-b", "names-c", "names-d"):
        kafka.topic(topic)
    server = start_server(config=kafka.settings(
        "names-a names-b=b:{key} names-c={header:room}/{partition} ^names-[dx]$=d:{topic}"))
    kafka.produce("names-a", ["one", "two"])
    kafka.produce("names-b", ["three"], key="k1")
    kafka.produce("names-c", ["four"], headers=[("room", "no"), ("room", "blue")])
    kafka.produce("names-d", ["five"])
    for channel, expected in (("names-a", ["one", "two"]), ("b:k1", ["three"]),
                              ("blue/0", ["four"]), ("d:names-d", ["five"])):
        with stream(server, channel) as events:
            assert events.data(len(expected)) == expected


@asynchronous
async def test_to_a_websocket_in_order(start_server, kafka):
    kafka.topic("live")
    server = start_server(config=kafka.settings("live"))
    async with connect(server, channel="live") as socket:
        kafka.produce("live", [f"m{number}" for number in range(500)])
        assert [await receive(socket) for _ in range(500)] == [f"m{n}" for n in range(500)]


def test_headers_are_tags(start_server, kafka):
    kafka.topic("tagged")
    server = start_server(config=kafka.settings("tagged", kafka_tags="source kind",
                                                admin_listen=f"{HOST}:0"))
    kafka.produce("tagged", [b'{"x":1}'], headers=[("kind", 'a"b'), ("other", "no")])
    kafka.produce("tagged", [b'{"x":2}'], headers=[("source", b"\xff")])

    def history():
        answer = server.operator().request("POST", "/api/history",
                                           b'{"channel":"tagged","limit":10}')
        return json.loads(answer.body)["result"]["publications"]

    with stream(server, "tagged") as events:
        events.data(1)
    assert [item.get("tags") for item in history()] == [{"kind": 'a"b'}]
    assert server.metric("ringside_kafka_refused_total", reason="bad_tags") == 1


# ---- what is committed ----


def test_commits_what_was_published(start_server, kafka, eventually):
    kafka.topic("commits", 2)
    server = start_server(config=kafka.settings("commits", kafka_group="commits"))
    kafka.produce("commits", [b"x"] * 10, partition=0)
    kafka.produce("commits", [b"y"] * 5, partition=1)
    eventually(lambda: kafka.committed("commits", "commits", 2) == [10, 5], "commits of both")
    server.stop()
    server.start()
    kafka.produce("commits", [b"z"], partition=0)
    eventually(lambda: read(server) == 1, "the one record that is new")
    assert server.metric("ringside_kafka_published_total") == 1


def test_nothing_is_lost_when_the_server_is_killed(start_server, kafka, redis, eventually):
    """Nodes around Redis, so that the channel outlives them: each record once, in order."""
    kafka.topic("ledger")
    settings = kafka.settings("ledger", kafka_group="ledger", kafka_session_ms=6000,
                              history_messages_max=5000, idempotency_keys_max=10000,
                              **redis.settings)
    server = start_server(config=settings)
    other = start_server(config=redis.settings | {"history_messages_max": 5000})
    kafka.produce("ledger", [f"{number}" for number in range(1000)])
    eventually(lambda: server.metric("ringside_kafka_published_total") > 100, "some are published")
    server.signal(signal.SIGKILL)
    server.process.wait()
    kafka.produce("ledger", [f"{number}" for number in range(1000, 2000)])
    server.start()
    with stream(other, "ledger") as events:
        assert events.data(2000) == [f"{number}" for number in range(2000)]
        eventually(lambda: kafka.committed("ledger", "ledger") == [2000], "all are committed")
        assert events.queue.empty()


@pytest.mark.not_in("asan", why="a group's patience with its members; the others run the same code")
def test_partitions_go_from_node_to_node(start_server, kafka, redis, eventually):
    """Two nodes of a group share the partitions; a third comes and goes; each record once, and
    those of a key in order. With each change the mock cluster waits for a session, less a
    second."""
    kafka.topic("shared", 6)
    settings = kafka.settings("shared=shared", kafka_group="shared", kafka_session_ms=3000,
                              history_messages_max=5000, **redis.settings)
    nodes = [start_server(config=settings) for _ in range(2)]

    def partitions():
        return [node.metric("ringside_kafka_partitions") for node in nodes]

    eventually(lambda: partitions() == [3, 3], "three partitions each")
    sent = 0

    def send(count):
        nonlocal sent
        for number in range(sent, sent + count):
            kafka.produce("shared", [f"{number % 6}:{number}"], partition=number % 6)
        sent += count

    send(60)
    third = start_server(config=settings)
    send(60)
    eventually(lambda: third.metric("ringside_kafka_partitions") == 2, "two partitions each")
    send(60)
    third.stop()
    send(60)
    eventually(lambda: sum(partitions()) == 6, "all partitions with two nodes")
    with stream(nodes[0], "shared") as events:
        found = events.data(sent)
    assert max(Counter(found).values()) == 1
    for partition in range(6):
        numbers = [int(item.split(":")[1]) for item in found if item.startswith(f"{partition}:")]
        assert numbers == list(range(partition, sent, 6))


def test_a_node_without_an_engine_has_a_group_of_its_own(start_server, kafka):
    kafka.topic("each", 2)
    nodes = [start_server(config=kafka.settings("each", kafka_group=f"each-{number}"))
             for number in range(2)]
    kafka.produce("each", ["a", "b", "c"], partition=1)
    for node in nodes:
        with stream(node, "each") as events:
            assert events.data(3) == ["a", "b", "c"]


# ---- what Kafka has thrown away ----

LARGE = 500_000  # the mock cluster keeps 5 MB of a partition


def test_what_is_gone_before_it_is_read_is_told(start_server, kafka, eventually):
    """Records go while the server is away. kafka_start is for groups that begin."""
    kafka.topic("short")
    kafka.produce("short", ["early"], key="a")
    settings = kafka.settings("short=s:{key}", kafka_group="short", message_bytes_max=2 * LARGE)
    server = start_server(config=settings)
    eventually(lambda: kafka.committed("short", "short") == [1], "a commit")
    assert server.metric("ringside_kafka_gaps_total") == 0
    server.stop()
    kafka.produce("short", [str(number).ljust(LARGE) for number in range(1, 21)], key="a")
    low, high = kafka.watermarks("short")
    assert 1 < low < high == 21
    server = start_server(config=settings | {"kafka_start": "latest"})
    eventually(lambda: kafka.committed("short", "short") == [high], "all are committed")
    assert server.metric("ringside_kafka_published_total") == high - low
    assert server.metric("ringside_kafka_missed_total", topic="short") == low - 1
    assert server.metric("ringside_kafka_gaps_total") == 1
    assert (f"kafka: short[0]: {low - 1} records from 1 on are gone: Kafka threw them away before "
            f"they were read; goes on at {low}") in server.output()


def test_subscribers_are_told_what_is_gone(start_server, kafka, eventually):
    """Records go while their partition waits. Who subscribes to what it feeds is ended, and learns
    that its position is no good; others stay."""
    kafka.topic("rush")
    server = start_server(config=kafka.settings("rush=slow:{key}", kafka_records_max=1,
                                                kafka_fetch_bytes_max=LARGE,
                                                message_bytes_max=2 * LARGE),
                          args=["--set", "slow:publishes_per_s=2"])
    with stream(server, "slow:a") as fed, stream(server, "slow:b") as too, \
            stream(server, "other") as other:
        kafka.produce("rush", ["0"], key="a")
        eventually(lambda: read(server) == 1, "the first")
        kafka.produce("rush", [str(number).ljust(LARGE) for number in range(1, 21)], key="a")
        found = []
        while (event := fed.next()):
            found.append(int(event["data"]))
            position = event["id"]
        assert found == list(range(len(found)))
        assert too.next() is None
        server.publish("other", "stays")
        assert other.data(1) == ["stays"]
    low, _ = kafka.watermarks("rush")
    assert server.metric("ringside_kafka_missed_total", topic="rush") == low - len(found)
    server.until_closed("gap", 2)
    answer = server.poll("slow:a", since=position)
    assert not answer["recovered"]


def test_a_group_begins_where_it_began(start_server, kafka, eventually):
    """It has read nothing when its node goes: what comes meanwhile is not before its begin."""
    kafka.topic("fresh")
    kafka.produce("fresh", ["before"])
    server = start_server(config=kafka.settings("fresh", kafka_group="fresh", kafka_start="latest"))
    eventually(lambda: kafka.committed("fresh", "fresh") == [1], "the place where it began")
    server.stop()
    kafka.produce("fresh", ["meanwhile"])
    server.start()
    with stream(server, "fresh") as events:
        assert events.data(1) == ["meanwhile"]


def test_a_log_that_was_cut_is_told(start_server, kafka, eventually):
    """It has less than was read: from here on what is read is committed, though it is less."""
    kafka.topic("cut")
    kafka.produce("cut", ["0", "1", "2"])
    kafka.commit("cut", "cut", 100)
    server = start_server(config=kafka.settings("cut", kafka_group="cut", kafka_start="latest"))
    eventually(lambda: kafka.committed("cut", "cut") == [3], "the end that there is")
    assert server.metric("ringside_kafka_gaps_total") == 1
    assert "cut[0]: 100 is to come next, and the log ends at 3" in server.output()
    kafka.produce("cut", ["3"])
    eventually(lambda: kafka.committed("cut", "cut") == [4], "what came behind it")


def test_nodes_around_redis_are_told_what_is_gone(start_server, kafka, redis, eventually):
    """Also one that reads no Kafka, and of a channel without subscribers; others stay."""
    kafka.topic("split")
    settings = kafka.settings("split=split:{key}", kafka_group="split", message_bytes_max=2 * LARGE,
                              **redis.settings)
    node = start_server(config=redis.settings)
    reader = start_server(config=settings)
    kafka.produce("split", ["early"], key="a")
    kafka.produce("split", ["early"], key="b")
    eventually(lambda: kafka.committed("split", "split") == [2], "a commit")
    reader.stop()
    place = {name: node.poll(f"split:{name}", since="start")["position"] for name in "ab"}
    with stream(node, "split:a") as fed, stream(node, "other") as other:
        assert fed.data(1) == ["early"]
        kafka.produce("split", [str(number).ljust(LARGE) for number in range(20)], key="a")
        # What is somebody else's under such a name holds up nobody, and what is refused is asked
        # for again.
        redis.ask("SET", "ringside:{split:z}:m", "foreign")
        redis.ask("ACL", "SETUSER", "default", "-scan")
        reader.start()
        eventually(lambda: "allow SCAN" in reader.output(), "it says so")
        redis.ask("ACL", "SETUSER", "default", "+scan")
        assert fed.next() is None
        node.publish("other", "stays")
        assert other.data(1) == ["stays"]
    node.until_closed("gap", 1)
    for server in (node, reader):
        for name in "ab":
            eventually(lambda s=server, n=name:
                       not s.poll(f"split:{n}", since=place[n])["recovered"], "no recovery")
    eventually(lambda: kafka.committed("split", "split")[0] > 20, "it reads on")
    assert "subscribers are not told" not in reader.output()
    redis.ask("DEL", "ringside:{split:z}:m")


# ---- what cannot be published ----


def test_poison_stops_nothing(start_server, kafka, eventually):
    kafka.topic("poison")
    server = start_server(config=kafka.settings("poison={key}", kafka_group="poison",
                                                message_bytes_max=1000))
    kafka.produce("poison", ["no"], key="not a channel")
    kafka.produce("poison", ["no key"])
    kafka.produce("poison", ["x" * 1001], key="c")
    kafka.produce("poison", [None], key="c")
    kafka.produce("poison", ["good"], key="c")
    with stream(server, "c") as events:
        assert events.data(1) == ["good"]
    for reason in ("bad_channel", "no_channel", "too_large", "no_value"):
        assert server.metric("ringside_kafka_refused_total", reason=reason) == 1
    eventually(lambda: kafka.committed("poison", "poison") == [5], "all are committed")
    assert "poison[0] at 0: bad_channel: names no channel" in server.output()


def test_poison_may_stop_its_partition(start_server, kafka, eventually):
    kafka.topic("stops", 2)
    server = start_server(config=kafka.settings("stops={key}", kafka_group="stops",
                                                kafka_refused="stop"))
    kafka.produce("stops", ["good"], key="c", partition=0)
    kafka.produce("stops", ["no"], key="not a channel", partition=0)
    kafka.produce("stops", ["behind"], key="c", partition=0)
    kafka.produce("stops", ["other"], key="d", partition=1)
    with stream(server, "d") as events:
        assert events.data(1) == ["other"]
    eventually(lambda: kafka.committed("stops", "stops", 2) == [1, 1], "what was before it")
    eventually(lambda: server.metric("ringside_kafka_stopped") == 1, "one that stands")
    assert "is not read on, as kafka_refused = stop" in server.output()
    with stream(server, "c") as events:
        assert events.data(1) == ["good"] and events.queue.empty()


def test_poison_may_be_buried(start_server, kafka, eventually):
    kafka.topic("buried")
    kafka.topic("graves")
    server = start_server(config=kafka.settings("buried={key}", kafka_group="buried",
                                                kafka_dead_letters="graves"))
    kafka.produce("buried", ["no"], key="not a channel", headers=[("kept", "yes")])
    kafka.produce("buried", ["good"], key="c")
    with stream(server, "c") as events:
        assert events.data(1) == ["good"]
    eventually(lambda: kafka.committed("buried", "buried") == [2], "both are done")
    [(value, headers)] = kafka.records("graves", 1)
    assert value == b"no"
    assert headers == {"kept": b"yes", "ringside-refused": b"bad_channel",
                       "ringside-topic": b"buried", "ringside-partition": b"0",
                       "ringside-offset": b"0"}
    assert server.metric("ringside_kafka_dead_letters_total") == 1


def test_what_is_refused_for_now_is_published_later(start_server, kafka, eventually):
    """A namespace that takes few a second: the partition waits, and nothing changes its place."""
    kafka.topic("slowly")
    server = start_server(config=kafka.settings("slowly=slow:{topic}", kafka_group="slowly"),
                          args=["--set", "slow:publishes_per_s=20"])
    kafka.produce("slowly", [f"{number}" for number in range(50)])
    with stream(server, "slow:slowly") as events:
        assert events.data(50) == [f"{number}" for number in range(50)]
    assert server.metric("ringside_kafka_held_up_total") > 0
    eventually(lambda: kafka.committed("slowly", "slowly") == [50], "all are committed")


# ---- Kafka that is not there ----


def complaint(settings, *command):
    """What the server says, which does not start with these settings."""
    sets = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    done = subprocess.run([server_binary(), *command, "--listen", f"{HOST}:0", *sets],
                          capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    return line


def test_without_a_broker_it_does_not_start():
    with hold_port() as held:
        address = f"{HOST}:{port_of(held)}"
        said = complaint({"kafka_brokers": address, "kafka_topics": "t", "broker_timeout_ms": 500})
    assert said.startswith(f"ringside-server: kafka_brokers = {address}: ")
    assert "Connection refused" in said


def test_a_broker_that_comes_later(start_server, kafka):
    kafka.topic("later")
    kafka.down()
    try:
        server = start_server(config=kafka.settings("later", kafka_required="off"))
    finally:
        kafka.up()
    kafka.produce("later", ["here"])
    with stream(server, "later") as events:
        assert events.data(1) == ["here"]


def test_a_broker_that_goes_and_comes_back(start_server, kafka, eventually):
    kafka.topic("away")
    server = start_server(config=kafka.settings("away", kafka_group="away"))
    kafka.produce("away", ["before"])
    with stream(server, "away") as events:
        assert events.data(1) == ["before"]
        kafka.down()
        eventually(lambda: server.metric("ringside_kafka_troubles_total", kind="connection") > 0,
                   "a complaint")
        kafka.up()
        kafka.produce("away", ["after"])
        assert events.data(1) == ["after"]
    lines = [line for line in server.output().splitlines() if "ringside-server: kafka" in line]
    assert len(lines) == 1, lines


def test_a_topic_that_comes_later(start_server, kafka, eventually):
    server = start_server(config=kafka.settings("^unknown-yet$"))
    kafka.topic("unknown-yet")
    kafka.produce("unknown-yet", ["found"])
    with stream(server, "unknown-yet") as events:
        assert events.data(1) == ["found"]


# ---- settings ----


@pytest.mark.parametrize("settings, why", [
    ({"kafka_topics": ""}, "needs kafka_topics"),
    ({"kafka_topics": "a=x{"}, "makes no channel's name"),
    ({"kafka_topics": "a={what}"}, "makes no channel's name"),
    ({"kafka_topics": "b/c"}, "is no topic"),
    ({"kafka_topics": "^("}, "is no topic"),
    ({"kafka_channel": "a b"}, "makes no channel's name"),
    ({"kafka_group": ""}, "needs kafka_group"),
    ({"kafka_brokers": "nowhere"}, "kafka_brokers = nowhere: needs addresses with ports"),
    ({"kafka_brokers": "a:1,,b:2"}, "needs addresses with ports"),
    ({"kafka_brokers": "a:65536"}, "needs addresses with ports"),
    ({"kafka_sasl": "NTLM", "kafka_user": "u", "kafka_password": "env:HOME"}, "NTLM"),
    ({"kafka_sasl": "PLAIN"}, "kafka_sasl needs kafka_user"),
    ({"kafka_user": "u"}, "kafka_user needs kafka_sasl"),
    ({"kafka_sasl": "PLAIN", "kafka_user": "u", "kafka_password": "secret"},
     "kafka_password: needs file:PATH or env:NAME"),
    ({"kafka_authorities": "a.pem"}, "kafka_authorities needs kafka_tls = on"),
    ({"kafka_tls": "on", "kafka_certificate": "c"}, "kafka_certificate needs kafka_certificate_"),
    ({"kafka_topics": "^d.*", "kafka_dead_letters": "dead"}, "would come back for ever"),
    ({"kafka_dead_letters": "a b"}, "kafka_dead_letters = a b: is no topic's name"),
    ({"kafka_tls": "on", "kafka_authorities": "/nowhere.pem"}, "kafka_authorities = /nowhere.pem"),
    ({"kafka_refused": "stop", "kafka_dead_letters": "d"}, "a record that is refused goes there"),
], ids=lambda value: str(value)[:40])
def test_settings_that_are_wrong_are_named(kafka, settings, why):
    """At the start, and by check-config, which asks no broker."""
    settings = kafka.settings("a") | settings
    assert why in complaint(settings)
    assert why in complaint(settings, "check-config")


def test_good_settings_are_good_without_a_broker():
    done = subprocess.run([server_binary(), "check-config", "--set", "kafka_brokers=127.0.0.1:1",
                           "--set", "kafka_topics=a"], capture_output=True, text=True,
                          timeout=PATIENCE_S, check=False)
    assert done.returncode == 0 and "the settings are good" in done.stdout, done.stderr


def test_a_version_names_the_library(server):
    done = subprocess.run([server.command[0], "--version"], capture_output=True, text=True,
                          check=True)
    assert "with librdkafka 2" in done.stdout
