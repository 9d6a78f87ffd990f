"""Nodes that share their channels through several Redis: each channel is at one of them."""

import signal

import pytest

from foreign import asynchronous, connect, receive
from ringside import data_of, target
from test_cluster import (connected, nodes, only, publish_refused,  # noqa: F401
                          start_engine, start_fails)
from wire import EventStream

CHANNELS = [f"news-{i}" for i in range(40)]


def spread(engine, servers):
    """Publishes to all; the Redis of each."""
    for i, channel in enumerate(CHANNELS):
        servers[i % 2].publish(channel, "first")
    return {channel: engine.of(channel) for channel in CHANNELS}


@only("several")
def test_channels_are_spread_and_nodes_agree(nodes):  # noqa: F811
    engine, servers = nodes()
    homes = spread(engine, servers)
    counts = [sum(home is redis for home in homes.values()) for redis in engine.all]
    assert all(count > 0 for count in counts), counts
    for channel in CHANNELS:
        servers[0].publish(channel, "second")
        servers[1].publish(channel, "third")
        polls = [node.get(target("/poll", channel=channel, since="start")).json()
                 for node in servers]
        assert data_of(polls[0]) == data_of(polls[1]) == ["first", "second", "third"]
        assert polls[0]["position"] == polls[1]["position"]
        assert engine.of(channel) is homes[channel]


@only("several")
def test_one_that_dies_affects_its_channels_alone(nodes, eventually):  # noqa: F811
    engine, (a, b) = nodes(durable=True, config={"broker_queue_max": 0})
    homes = spread(engine, (a, b))
    dies = engine.all[1]
    lost = next(c for c in CHANNELS if homes[c] is dies)
    others = [next(c for c in CHANNELS if homes[c] is redis)
              for redis in engine.all if redis is not dies]
    with EventStream(a.url("/sse", channel=lost)) as misses:
        with EventStream(a.url("/sse", channel=others[0])) as goes_on:
            position = b.position(lost)
            dies.kill()
            eventually(lambda: not connected(a) and not connected(b), "the link is lost")
            assert publish_refused(b, lost, "x") == (503, "broker_down")
            for channel in others:
                b.publish(channel, "meanwhile")
            assert goes_on.next()["data"] == "meanwhile"
            joins = a.metric("ringside_remote_joins_total")
            dies.start()
            eventually(lambda: connected(a) and connected(b), "both are back")
            b.publish(lost, "again")
            assert misses.next()["data"] == "again"
            b.publish(others[0], "too")
            assert goes_on.next()["data"] == "too"
            # What is at the others is not joined again.
            assert a.metric("ringside_remote_joins_total") - joins <= len(CHANNELS) // 2
    assert data_of(a.poll(lost, position)) == ["again"]


@only("several")
def test_one_that_stands_still(nodes, eventually):  # noqa: F811
    engine, (a, b) = nodes(config={"broker_timeout_ms": 500})
    homes = spread(engine, (a, b))
    still = engine.all[2]
    channel = next(c for c in CHANNELS if homes[c] is still)
    other = next(c for c in CHANNELS if homes[c] is not still)
    still.process.send_signal(signal.SIGSTOP)
    assert publish_refused(a, channel, "x") == (504, "broker_timeout")
    a.publish(other, "y")
    eventually(lambda: not connected(a), "the link is given up")
    a.publish(other, "z")
    still.process.send_signal(signal.SIGCONT)
    eventually(lambda: connected(a) and connected(b), "it is back")
    a.publish(channel, "w")


@asynchronous
@only("several")
async def test_what_a_stranger_says_at_another_redis(nodes):  # noqa: F811
    engine, (a, b) = nodes()
    homes = spread(engine, (a, b))
    channel = CHANNELS[0]
    wrong = next(redis for redis in engine.all if redis is not homes[channel])
    async with connect(a, channel=channel) as socket:
        assert wrong.ask("PUBLISH", f"ringside:{channel}", "x") == "0"
        b.publish(channel, "ours")
        assert await receive(socket) == "ours"


@pytest.mark.parametrize("said, value", [
    ("needs an address and a port", "127.0.0.1:1 nowhere"),
    ("of them", " ".join(f"127.0.0.1:{1 + i}" for i in range(17)))])
def test_lists_that_are_none(said, value):
    assert said in start_fails(f"redis={value}")
