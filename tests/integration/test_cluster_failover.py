"""Two nodes, and a Redis that another one takes the place of; perhaps for a while."""

import time

import pytest

from ringside import HOST, data_of, hold_port, port_of
from test_cluster import publish_refused, start_fails, start_redis  # noqa: F401
from wire import EventStream


def test_sentinels_say_where_the_master_is(start_redis, start_server, tmp_path,  # noqa: F811
                                           eventually):
    master = start_redis()
    replica = start_redis(args=["--replicaof", HOST, str(master.port)])
    eventually(lambda: "master_link_status:up" in replica.ask("INFO", "replication"), "it follows")
    file = tmp_path / "sentinel.conf"
    file.write_text(f"sentinel monitor mine {HOST} {master.port} 1\n"
                    "sentinel down-after-milliseconds mine 300\n"
                    "sentinel failover-timeout mine 1000\n")
    sentinel = start_redis(before=[str(file), "--sentinel"])
    absent = hold_port()
    where = f"mine@{HOST}:{port_of(absent)},{sentinel.address}"
    eventually(lambda: "num-slaves" in sentinel.ask("SENTINEL", "master", "mine"), "it knows")
    eventually(lambda: str(replica.port) in sentinel.ask("SENTINEL", "replicas", "mine"), "of both")
    said = start_fails(f"redis=other@{sentinel.address}")
    assert "other" in said and sentinel.address in said
    servers = [start_server(config={"redis": where, "broker_timeout_ms": 1000}) for _ in range(2)]
    a, b = servers
    a.publish("news", "before")
    position = b.position("news")
    master.kill()
    eventually(lambda: publish_refused(a, "news", "after")[0] == 200, "there is another master")
    assert replica.ask("ROLE").startswith("master")
    # It may have missed the end of what the first had acknowledged: so all is new.
    eventually(lambda: publish_refused(b, "news", "and more")[0] == 200, "both are there")
    again = b.poll("news", position)
    assert not again["recovered"] and again["messages"] == []
    assert data_of(a.poll("news")) == data_of(b.poll("news")) == ["after", "and more"]
    absent.close()
    master.start()


@pytest.mark.parametrize("durable", [False, True], ids=["memory", "disk"])
def test_a_master_that_is_one_again(start_redis, start_server, eventually, durable):  # noqa: F811
    """It has followed another one, which lacked the end of what it had acknowledged, and was never
    started again: no link of a node is lost, and none has asked anything meanwhile."""
    quick = ["--repl-diskless-sync-delay", "0"]
    master = start_redis(args=quick, durable=durable)
    replica = start_redis(args=[*quick, "--replicaof", HOST, str(master.port)], durable=durable)
    eventually(lambda: "master_link_status:up" in replica.ask("INFO", "replication"), "it follows")
    a, b = (start_server(config=master.settings) for _ in range(2))
    first = a.publish("news", "kept")
    a.publish("quiet", "kept")
    eventually(lambda: replica.ask("HGET", "ringside:{quiet}:m", "o") == "1", "it has both")
    assert replica.ask("REPLICAOF", "NO", "ONE") == "OK"
    with EventStream(b.url("/sse", channel="news")) as stream:
        a.publish("news", "lost")
        a.publish("quiet", "lost")
        assert stream.next()["data"] == "lost"
        positions = {name: a.position(name) for name in ("news", "quiet")}
        assert master.ask("REPLICAOF", HOST, str(replica.port)) == "OK"
        eventually(lambda: "master_link_status:up" in master.ask("INFO", "replication"), "so is it")
        time.sleep(0.5)  # what nodes know of it is believed no longer
        assert master.ask("REPLICAOF", "NO", "ONE") == "OK"
        again = a.publish("news", "new")
        assert again["epoch"] != first["epoch"] and again["offset"] == 1
        assert stream.next() is None
    for name, position in positions.items():
        assert not b.poll(name, position)["recovered"]
    assert data_of(b.poll("news")) == ["new"]
    eventually(lambda: a.metric("ringside_broker_replaced_total") == 1, "it is counted")
    assert all(server.metric("ringside_broker_connects_total") == 1 for server in (a, b))
