"""A Kafka of the tests' own, on loopback: librdkafka's mock cluster, or Kafka itself, which takes a
Java machine. Records come from Confluent's client for Python.
"""

import itertools
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource

from redis_server import CERTIFICATES
from ringside import HOST, PATIENCE_S, ServerFault, hold_port, port_of, server_binary, wait_until
from sdk import FOLDER, alone, install

VERSION = "3.9.0"
JAVA_S = 10 * PATIENCE_S  # it takes ten seconds of a processor to start
SASL_JAAS = ("org.apache.kafka.common.security.plain.PlainLoginModule required "
             'username="admin" password="secret" user_admin="secret" user_ringside="stage";')
SCRAM_JAAS = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
PROTOCOLS = ("PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL,"
             "CONTROLLER:PLAINTEXT")
POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
<modelVersion>4.0.0</modelVersion><groupId>ringside</groupId><artifactId>kafka</artifactId>
<version>1</version><dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId>
<version>{version}</version></dependency>
<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId>
<version>1.7.36</version></dependency></dependencies></project>
"""


class Client:
    """What both have: records that are written and offsets that are read by others."""

    address = None
    numbers = itertools.count()

    def settings(self, topics, **more):
        """A server's, that reads from the beginning, and commits soon; in a group of its own, if
        none is named."""
        return {"kafka_brokers": self.address, "kafka_topics": topics, "kafka_start": "earliest",
                "kafka_commit_ms": 50, "kafka_group": f"group-{next(self.numbers)}", **more}

    def produce(self, topic, values, key=None, headers=None, partition=None, time_ms=0, **options):
        """Writes records, in order, and waits until they are there."""
        client = Producer({"bootstrap.servers": self.address, "log_level": 0,
                           "message.timeout.ms": PATIENCE_S * 1000, **options})
        failed = []
        place = {} if partition is None else {"partition": partition}
        for value in values:
            client.produce(topic, value, key=key, headers=headers, timestamp=time_ms, **place,
                           on_delivery=lambda error, _: error and failed.append(error))
            client.poll(0)
        assert client.flush(PATIENCE_S) == 0 and not failed, failed

    def committed(self, group, topic, partitions=1):
        """What the group has committed of each partition; None: nothing."""
        client = Consumer({"bootstrap.servers": self.address, "group.id": group, "log_level": 0})
        places = [TopicPartition(topic, number) for number in range(partitions)]
        offsets = [place.offset if place.offset >= 0 else None
                   for place in client.committed(places, timeout=PATIENCE_S)]
        client.close()
        return offsets

    def commit(self, group, topic, offset, partition=0):
        """Says for a group, which has no members, what it has read."""
        client = Consumer({"bootstrap.servers": self.address, "group.id": group, "log_level": 0})
        client.commit(offsets=[TopicPartition(topic, partition, offset)], asynchronous=False)
        client.close()

    def watermarks(self, topic, partition=0):
        """The oldest record that is still there, and the next that comes."""
        client = Consumer({"bootstrap.servers": self.address, "group.id": "w", "log_level": 0})
        low, high = client.get_watermark_offsets(TopicPartition(topic, partition), PATIENCE_S)
        client.close()
        return low, high

    def records(self, topic, count):
        """The first records of a topic, as (value, headers)."""
        client = Consumer({"bootstrap.servers": self.address, "group.id": f"reader-{topic}",
                           "auto.offset.reset": "earliest", "log_level": 0})
        client.subscribe([topic])
        found, late = [], time.monotonic() + PATIENCE_S
        while len(found) < count and time.monotonic() < late:
            record = client.poll(0.1)
            if record and not record.error():
                found.append((record.value(), dict(record.headers() or [])))
        client.close()
        return found


class MockKafka(Client):
    """librdkafka's mock cluster: it keeps records in memory, and has groups."""

    name = "mock"

    def __init__(self):
        build = Path(server_binary()).resolve().parent.parent
        self.process = subprocess.Popen([build / "tests" / "kafka" / "kafka-mock"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.address = self.process.stdout.readline().strip()
        assert self.address, "no mock cluster"

    def order(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        assert answer == "ok", f"{text}: {answer}"

    def topic(self, name, partitions=1):
        self.order(f"topic {name} {partitions}")
        return name

    def down(self):
        self.order("down 1")

    def up(self):
        self.order("up 1")

    def stop(self):
        self.process.stdin.close()
        self.process.wait(PATIENCE_S)


def jars():
    """The folder with Kafka's own programs; a test is skipped where they cannot be had."""
    if not shutil.which("java") or not shutil.which("mvn"):
        pytest.skip("no Java: the mock cluster has been asked in the other files")
    folder = FOLDER / "kafka"
    with alone(folder):
        if not list((folder / "libs").glob(f"kafka_2.13-{VERSION}.jar")):
            (folder / "pom.xml").write_text(POM.format(version=VERSION))
            install(folder, ["mvn", "-q", "-B", "dependency:copy-dependencies",
                             "-DoutputDirectory=libs"])
    return folder / "libs"


class Kafka(Client):
    """One broker of Kafka that is its own controller (KRaft). Beside the plain listener is one that
    asks for a name and a password (`sasl_address`), and one that does so by TLS and SCRAM
    (`tls_address`), with tests/certificates/local.pem."""

    name = "kafka"

    def __init__(self, folder):
        self.held = [hold_port() for _ in range(4)]
        plain, sasl, tls, controller = [port_of(held) for held in self.held]
        self.address = f"{HOST}:{plain}"
        self.sasl_address = f"{HOST}:{sasl}"
        self.tls_address = f"{HOST}:{tls}"
        pem = folder / "local.pem"
        pem.write_text("".join((CERTIFICATES / name).read_text()
                               for name in ("local.key.pem", "local.pem")))
        self.folder = folder
        self.log = folder / "kafka.log"
        self.libs = jars()
        self.process = None
        self.config = folder / "server.properties"
        listeners = (f"PLAINTEXT://{self.address},SASL_PLAINTEXT://{self.sasl_address},"
                     f"SASL_SSL://{self.tls_address}")
        self.config.write_text(f"""
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{HOST}:{controller}
listeners={listeners},CONTROLLER://{HOST}:{controller}
advertised.listeners={listeners}
controller.listener.names=CONTROLLER
listener.security.protocol.map={PROTOCOLS}
listener.name.sasl_plaintext.sasl.enabled.mechanisms=PLAIN
listener.name.sasl_plaintext.plain.sasl.jaas.config={SASL_JAAS}
listener.name.sasl_ssl.sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config={SCRAM_JAAS}
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={SCRAM_JAAS}
listener.name.sasl_ssl.ssl.keystore.type=PEM
listener.name.sasl_ssl.ssl.keystore.location={pem}
inter.broker.listener.name=PLAINTEXT
log.dirs={folder}/data
num.partitions=4
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
log.initial.task.delay.ms=100
log.retention.check.interval.ms=500
num.network.threads=2
num.io.threads=2
""")

    def keep(self, topic, retention_ms):
        """From now on what is older is thrown away, by the time that stands in a record."""
        client = AdminClient({"bootstrap.servers": self.address, "log_level": 0})
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic,
                                  set_config={"retention.ms": str(retention_ms)})
        client.alter_configs([resource])[resource].result(PATIENCE_S)

    def java(self, name, *args):
        return ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
                "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", f"{self.libs}/*", name,
                *args]

    def format(self):
        command = self.java("kafka.tools.StorageTool", "format", "-c", str(self.config), "-t",
                            "MkU3OEVBNTcwNTJENDM2Qg",
                            *(word for kind in ("256", "512") for word in
                              ("-S", f"SCRAM-SHA-{kind}=[name=ringside,password=stage]")))
        subprocess.run(command, check=True, capture_output=True, timeout=JAVA_S)

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.java("kafka.Kafka", str(self.config)),
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            cwd=self.folder, env={**os.environ})
        wait_until(self.is_up, "a Kafka that answers", JAVA_S)
        return self

    def is_up(self):
        if self.process.poll() is not None:
            raise ServerFault(self.log.read_text(errors="replace")[-2000:])
        try:
            return bool(Producer({"bootstrap.servers": self.address, "log_level": 0})
                        .list_topics(timeout=2).brokers)
        except KafkaException:
            return False

    def kill(self):
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.kill()
        for held in self.held:
            held.close()
