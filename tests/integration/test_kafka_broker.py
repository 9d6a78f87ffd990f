"""The same against Kafka itself, which has passwords, transactions, and groups of its own making. A
broker takes ten seconds of the processor to start: all cases share one, and the last kills it.

Without Java, or where Kafka cannot be had, these are skipped: test_kafka.py has asked the mock
cluster then, and says so."""

import subprocess
import time

import pytest
from confluent_kafka import Producer

from kafka_server import Kafka
from redis_server import CERTIFICATES
from ringside import PATIENCE_S, server_binary
from wire import EventStream


@pytest.fixture(scope="module")
def kafka(tmp_path_factory):
    broker = Kafka(tmp_path_factory.mktemp("kafka"))
    broker.format()
    try:
        yield broker.start()
    finally:
        broker.stop()


def stream(server, channel):
    return EventStream(server.url("/sse", channel=channel, since="start"))


def complaint(settings):
    sets = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    done = subprocess.run([server_binary(), "--listen", "127.0.0.1:0", *sets], check=False,
                          capture_output=True, text=True, timeout=PATIENCE_S)
    [line] = done.stderr.splitlines()
    assert done.returncode == 1
    return line


def test_records_of_another_client(start_server, kafka, eventually):
    server = start_server(config=kafka.settings("^orders$=orders:{key}", kafka_group="orders"))
    for key in range(3):
        kafka.produce("orders", [str(number) for number in range(key, 300, 3)], key=f"k{key}",
                      **{"compression.type": ("gzip", "lz4", "zstd")[key]})
    for key in range(3):
        with stream(server, f"orders:k{key}") as events:
            assert events.data(100) == [str(number) for number in range(key, 300, 3)]
    eventually(lambda: sum(filter(None, kafka.committed("orders", "orders", 4))) == 300, "commits")
    eventually(lambda: server.metric("ringside_kafka_lag") == 0, "no lag")


def test_partitions_are_shared(start_server, kafka, eventually):
    """Two nodes of one group; what one leaves the other reads, and nothing is read twice."""
    kafka.produce("split", [b"x"] * 4, partition=0)
    settings = kafka.settings("split", kafka_group="split", kafka_session_ms=6000)
    nodes = [start_server(config=settings) for _ in range(2)]
    eventually(lambda: [node.metric("ringside_kafka_partitions") for node in nodes] == [2, 2],
               "two partitions each")
    for partition in range(4):
        kafka.produce("split", [b"y"] * 4, partition=partition)
    eventually(lambda: sum(node.metric("ringside_kafka_published_total") for node in nodes) == 20,
               "all are published")
    nodes[0].stop()
    eventually(lambda: nodes[1].metric("ringside_kafka_partitions") == 4, "all partitions")
    before = nodes[1].metric("ringside_kafka_published_total")
    for partition in range(4):
        kafka.produce("split", [b"z"], partition=partition)
    eventually(lambda: nodes[1].metric("ringside_kafka_published_total") == before + 4,
               "the new ones, once")


def test_transactions_that_are_aborted_are_not_read(start_server, kafka):
    client = Producer({"bootstrap.servers": kafka.address, "transactional.id": "t"})
    client.init_transactions(PATIENCE_S)
    for value, end in (("kept", client.commit_transaction), ("gone", client.abort_transaction),
                       ("kept too", client.commit_transaction)):
        client.begin_transaction()
        client.produce("sums", value, partition=0)
        client.flush(PATIENCE_S)
        end(PATIENCE_S)
    server = start_server(config=kafka.settings("sums"))
    with stream(server, "sums") as events:
        assert events.data(2) == ["kept", "kept too"]


def test_records_that_were_too_old(start_server, kafka, eventually):
    """Retention takes all that was there, while nobody reads: no record comes to show it. The loss
    is told once, and what comes is read."""
    old = {"partition": 0, "time_ms": int(time.time() * 1000) - 3600_000}
    settings = kafka.settings("brief=b:{partition}", kafka_group="brief")
    server = start_server(config=settings)
    kafka.produce("brief", ["read"], **old)
    eventually(lambda: kafka.committed("brief", "brief") == [1], "a commit")
    server.stop()
    kafka.produce("brief", [b"missed"] * 9, **old)
    kafka.keep("brief", 60000)
    eventually(lambda: kafka.watermarks("brief") == (10, 10), "all to be gone")
    server = start_server(config=settings)
    eventually(lambda: server.metric("ringside_kafka_missed_total", topic="brief") == 9, "a gap")
    eventually(lambda: kafka.committed("brief", "brief") == [10], "a commit of where it goes on")
    with stream(server, "b:0") as events:
        kafka.produce("brief", ["new"], partition=0)
        assert events.data(1) == ["new"]
    assert server.metric("ringside_kafka_gaps_total") == 1
    server.stop()
    server = start_server(config=settings)
    kafka.produce("brief", ["newer"], partition=0)
    with stream(server, "b:0") as events:
        assert events.data(1) == ["newer"]
    assert server.metric("ringside_kafka_gaps_total") == 0


def test_a_name_and_a_password(start_server, kafka, monkeypatch):
    monkeypatch.setenv("KAFKA_SECRET", "stage")
    sasl = {"kafka_brokers": kafka.sasl_address, "kafka_sasl": "PLAIN", "kafka_user": "ringside",
            "kafka_password": "env:KAFKA_SECRET"}
    kafka.produce("guarded", ["in"])
    server = start_server(config={**kafka.settings("guarded"), **sasl})
    with stream(server, "guarded") as events:
        assert events.data(1) == ["in"]
    monkeypatch.setenv("KAFKA_SECRET", "wrong")
    settings = {**kafka.settings("guarded"), **sasl, "broker_timeout_ms": 20000}
    line = complaint(settings)
    assert "SASL authentication error" in line
    assert "Invalid username or password" in line


def test_tls_and_scram(start_server, kafka, monkeypatch):
    """A handshake, and a password that is not sent; and what is wrong with either, in a line."""
    monkeypatch.setenv("KAFKA_SECRET", "stage")
    kafka.produce("sealed", ["in"])
    for kind in ("256", "512"):
        way = {"kafka_brokers": kafka.tls_address, "kafka_sasl": f"SCRAM-SHA-{kind}",
               "kafka_user": "ringside", "kafka_password": "env:KAFKA_SECRET", "kafka_tls": "on",
               "kafka_authorities": CERTIFICATES / "local.pem"}
        server = start_server(config={**kafka.settings("sealed"), **way})
        with stream(server, "sealed") as events:
            assert events.data(1) == ["in"]
    settings = {**kafka.settings("sealed"), **way, "broker_timeout_ms": 20000}
    assert "certificate verify failed" in complaint(
        settings | {"kafka_authorities": CERTIFICATES / "ec.pem"})
    monkeypatch.setenv("KAFKA_SECRET", "wrong")
    assert "SASL authentication error" in complaint(settings)


def test_it_is_killed_and_comes_back(start_server, kafka, eventually):
    kafka.produce("stays", ["before"], partition=0)
    server = start_server(config=kafka.settings("stays", kafka_group="stays"))
    eventually(lambda: kafka.committed("stays", "stays") == [1], "a commit")
    kafka.kill()
    eventually(lambda: server.metric("ringside_kafka_troubles_total", kind="connection") > 0,
               "a complaint")
    kafka.start()
    kafka.produce("stays", ["after"], partition=0)
    eventually(lambda: kafka.committed("stays", "stays") == [2], "a commit")
    with stream(server, "stays") as events:
        assert events.data(2) == ["before", "after"]
    lines = [line for line in server.output().splitlines() if "ringside-server: kafka" in line]
    assert len(lines) == 1, lines
