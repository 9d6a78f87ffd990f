"""/metrics in Prometheus' text format, and that its numbers move with what they name."""

import re

from ringside import parse_metrics
from wire import RawWebSocket, exchange

NAME = re.compile(r"^ringside_[a-z0-9_]+$")


def text_of(server):
    return server.get("/metrics").body.decode()


def declared(text, kind):
    """{metric: words} of the `# HELP` or `# TYPE` lines."""
    lines = [line.split(" ", 3) for line in text.splitlines() if line.startswith(f"# {kind} ")]
    names = [line[2] for line in lines]
    assert len(names) == len(set(names)), f"declared twice: {names}"
    return {line[2]: line[3] for line in lines}


def test_content_type(server):
    answer = server.get("/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain")


def test_every_metric_is_declared(server):
    text = text_of(server)
    helps, types = declared(text, "HELP"), declared(text, "TYPE")
    assert helps.keys() == types.keys()
    for name, labels, _number in parse_metrics(text):
        histogram = re.sub(r"_(bucket|sum|count)$", "", name)
        if types.get(histogram) == "histogram":
            assert helps[histogram].strip() and ("le" in labels) == name.endswith("_bucket")
            continue
        assert name in types, name
        assert NAME.match(name), name
        assert helps[name].strip(), name
        assert types[name] in ("counter", "gauge")
        assert name.endswith("_total") == (types[name] == "counter"), name


def test_no_sample_twice(server):
    seen = [(name, tuple(sorted(labels.items()))) for name, labels, _ in server.samples()]
    assert len(seen) == len(set(seen))


def test_counters_only_grow(server):
    first = {(n, tuple(sorted(ls.items()))): v for n, ls, v in server.samples()}
    server.publish("c", "x")
    exchange(server, b"broken\r\n\r\n")
    second = {(n, tuple(sorted(ls.items()))): v for n, ls, v in server.samples()}
    assert first.keys() <= second.keys()
    for sample, before in first.items():
        if sample[0].endswith("_total"):
            assert second[sample] >= before, sample


def test_turns_are_counted_by_their_length(server, eventually):
    def counts():
        return [number for name, labels, number in server.samples()
                if name == "ringside_turn_seconds_bucket"]
    first = counts()
    assert len(first) == 10 and first == sorted(first)
    assert first[-1] <= server.metric("ringside_turn_seconds_count")
    server.publish("c", "x")
    eventually(lambda: counts()[-1] > first[-1], "further turns")
    assert server.metric("ringside_turn_seconds_sum") > 0


def test_publishing_and_delivering_count(server, eventually):
    sockets = [RawWebSocket(server) for _ in range(3)]
    for n in range(7):
        server.publish("c", f"{n}")
    for socket in sockets:
        for _ in range(7):
            socket.read()
    assert server.metric("ringside_published_total") == 7
    eventually(lambda: server.metric("ringside_delivered_total") == 21, "21 deliveries")
    for socket in sockets:
        socket.close()


def test_subscriptions_are_counted_live(server, eventually):
    sockets = [RawWebSocket(server) for _ in range(5)]
    eventually(lambda: server.metric("ringside_subscriptions") == 5, "five subscriptions")
    for socket in sockets:
        socket.close()
    eventually(lambda: server.metric("ringside_subscriptions") == 0, "no subscription")


def test_connections_are_counted_live(server, eventually):
    # The request that asks is a connection too; one that asked whether the server is there may
    # not be gone yet.
    eventually(lambda: server.metric("ringside_connections") == 1, "one connection")
    sockets = [RawWebSocket(server) for _ in range(5)]
    eventually(lambda: server.metric("ringside_connections") == 6, "five more")
    for socket in sockets:
        socket.close()
    eventually(lambda: server.metric("ringside_connections") == 1, "one connection")


def test_reasons_exist_before_they_happen(server):
    """A counter that appears with its first event cannot be alerted on."""
    named = {labels["reason"] for _name, labels, _number in server.samples() if "reason" in labels}
    assert {"head_timeout", "slow_reader", "table_full"} <= named


def test_sums_are_over_all_shards(start_server):
    server = start_server(shards=4)
    for n in range(40):
        server.publish(f"channel-{n}", "x")
    assert server.metric("ringside_published_total") == 40


def test_a_refused_message_is_not_received(start_server):
    server = start_server(shards=1, config={"channels_max": 1})
    server.publish("a", "one")
    assert server.request("POST", "/publish?channel=b", body=b"no room").status == 503
    assert server.metric("ringside_messages_received_total") == 1
