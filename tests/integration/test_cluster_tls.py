"""Nodes that speak TLS to the engine that they share."""

import signal

import pytest

from redis_server import CERTIFICATES
from ringside import HOST
from test_cluster import (connected, nodes, only, publish_refused,  # noqa: F401
                          start_engine, start_fails, start_redis)
from wire import EventStream


def test_it_crosses_and_comes_back(nodes, eventually):  # noqa: F811
    """More than a record, more than a socket takes at once; then it is killed and started."""
    engine, (a, b) = nodes(tls="local", durable=True, config={"message_bytes_max": 1 << 20})
    with EventStream(a.url("/sse", channel="news")) as stream:
        for size in (1, 20_000, 900_000):
            b.publish("news", "x" * size)
            assert stream.next()["data"] == "x" * size
        position = b.position("news")
        engine.kill()
        eventually(lambda: not connected(b), "the link is lost")
        engine.start()
        eventually(lambda: connected(a) and connected(b), "both nodes are back")
        b.publish("news", "after")
        assert stream.next()["data"] == "after"
    assert a.poll("news", position)["recovered"]


@only("redis")
def test_a_redis_that_stands_still(nodes, eventually):  # noqa: F811
    engine, (a, _) = nodes(tls="local", config={"broker_timeout_ms": 500})
    engine.process.send_signal(signal.SIGSTOP)
    assert publish_refused(a, "news", "x") == (504, "broker_timeout")
    eventually(lambda: not connected(a), "the link is given up")
    engine.process.send_signal(signal.SIGCONT)
    eventually(lambda: connected(a), "it is back")
    a.publish("news", "y")


def settings_of(engine, **others):
    settings = {**engine.settings, **others}
    return [f"{name}={value}" for name, value in settings.items()]


@pytest.mark.parametrize("others, said", [
    ({"redis_ca": CERTIFICATES / "ec.pem"}, "certificate is NOT trusted"),
    ({"redis_ca": "/nowhere/ca.pem"}, "redis_ca = /nowhere/ca.pem: no certificate of a CA"),
    ({"redis_ca": CERTIFICATES / "local.key.pem"}, "no certificate of a CA"),
    # Redis says why, and closes: what it said may be lost with the connection.
    ({"redis_certificate": "", "redis_key": ""}, ("ertificate", "TLS connection was non-properly")),
    ({"redis_key": ""}, "redis_certificate and redis_key: one needs the other"),
    ({"redis_key": CERTIFICATES / "ec.key.pem"}, "redis_certificate = "),
    ({"redis_tls": "off"}, "no answer"),
])
def test_what_is_wrong_is_said_in_a_line(start_redis, others, said):  # noqa: F811
    engine = start_redis(tls="local")
    complaint = start_fails(*settings_of(engine, broker_timeout_ms=2000, **others))
    texts = said if isinstance(said, tuple) else (said,)
    assert any(text in complaint for text in texts) and complaint.count("\n") == 1, complaint


def test_the_certificate_of_another_host(start_redis):  # noqa: F811
    engine = start_redis(tls="wild")
    complaint = start_fails(*settings_of(engine))
    assert f"redis = {HOST}" in complaint and "name in the certificate" in complaint


def test_a_redis_without_tls(start_redis):  # noqa: F811
    engine = start_redis()
    complaint = start_fails(*settings_of(engine, redis_tls="on", broker_timeout_ms=300))
    assert engine.address in complaint and "TLS" in complaint


@pytest.mark.parametrize("others, said", [
    ({"nats_ca": CERTIFICATES / "ec.pem"}, "TLS: SSL handshake error: 18:self-signed certificate"),
    ({"nats_ca": ""}, "self-signed certificate"),
    ({"nats_ca": "/nowhere/ca.pem"}, "nats_ca = /nowhere/ca.pem: no certificate of a CA"),
    ({"nats_ca": CERTIFICATES / "local.key.pem"}, "no certificate of a CA"),
    ({"nats_certificate": "", "nats_key": ""}, ("ertificate", "TLS: Protocol Error")),
    ({"nats_key": ""}, "nats_certificate and nats_key: one needs the other"),
    ({"nats_key": CERTIFICATES / "ec.key.pem"}, "no certificate, or not its key"),
    ({"nats_tls": "off"}, "need nats_tls = on"),
    ({"nats_tls": "off", "nats_ca": "", "nats_certificate": "", "nats_key": ""}, "nats = "),
])
def test_what_is_wrong_with_nats_is_said_in_a_line(start_engine, others, said):  # noqa: F811
    engine = start_engine("nats", tls="local")
    complaint = start_fails(*settings_of(engine, broker_timeout_ms=2000, **others))
    texts = said if isinstance(said, tuple) else (said,)
    assert any(text in complaint for text in texts) and complaint.count("\n") == 1, complaint


def test_the_certificate_of_another_host_than_of_nats(start_engine):  # noqa: F811
    engine = start_engine("nats", tls="wild")
    complaint = start_fails(*settings_of(engine))
    assert "nats = localhost" in complaint and "hostname mismatch" in complaint


def test_a_nats_without_tls(start_engine):  # noqa: F811
    engine = start_engine("nats")
    complaint = start_fails(*settings_of(engine, nats_tls="on", nats_ca=CERTIFICATES / "local.pem"))
    assert engine.address in complaint and "TLS" in complaint
