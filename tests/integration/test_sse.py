"""Server-sent events as curl -N sees them; node's EventSource and the browser's have own files.

`event: recovered` opens the replay: all that was missed comes behind it."""

import json

import pytest

from ringside import target
from wire import EventStream


def stream(server, *headers, **query):
    return EventStream(server.url("/sse", **query), *headers)


def test_head(server):
    with stream(server, channel="c") as events:
        assert events.status == 200
        assert events.headers["content-type"].startswith("text/event-stream")
        assert "no-store" in events.headers["cache-control"] or (
            "no-cache" in events.headers["cache-control"]
        )


def test_messages_arrive_with_a_position(server):
    with stream(server, channel="c") as events:
        for text in ("one", "two", "three"):
            published = server.publish("c", text)
            event = events.next()
            assert event["data"] == text
            assert event["id"] == f"{published['epoch']}.{published['offset']}"
            assert "event" not in event


def test_retry_is_given(server):
    with stream(server, channel="c") as events:
        server.publish("c", "x")
        events.next()
        assert events.retry_ms > 0


@pytest.mark.parametrize("text", ["", "a\nb", "a\n\nb\n", ":", " leading", "data: x", "\n", "世界"])
def test_text_arrives_as_it_was_sent(server, text):
    with stream(server, channel="c") as events:
        server.publish("c", text)
        assert events.next()["data"] == text


def test_bytes_arrive_as_an_event_of_their_own(server):
    with stream(server, channel="c") as events:
        server.publish("c", b"\xff\x00\xfe")
        event = events.next()
        assert event["event"] == "binary"
        assert event["data"] == "/wD+"


def test_large_message(server):
    text = "0123456789abcdef" * 65536
    with stream(server, channel="c") as events:
        server.publish("c", text)
        assert events.next()["data"] == text


def test_replay_from_last_event_id(server):
    first = server.publish("c", "seen")
    server.publish("c", "missed 1")
    server.publish("c", "missed 2")
    header = f"Last-Event-ID: {first['epoch']}.{first['offset']}"
    with stream(server, header, channel="c") as events:
        assert events.next()["event"] == "recovered"
        assert events.data(2) == ["missed 1", "missed 2"]
        server.publish("c", "live")
        assert events.data(1) == ["live"]


def test_replay_from_since(server):
    position = server.position("c")
    server.publish("c", "missed")
    with stream(server, channel="c", since=position) as events:
        assert events.next()["event"] == "recovered"
        assert events.data(1) == ["missed"]


def test_last_event_id_wins_over_since(server):
    """A browser that reconnects asks the old URL again, and says what it has seen since."""
    position = server.position("c")
    server.publish("c", "seen")
    second = server.publish("c", "seen too")
    server.publish("c", "missed")
    header = f"Last-Event-ID: {second['epoch']}.{second['offset']}"
    with stream(server, header, channel="c", since=position) as events:
        assert events.next()["event"] == "recovered"
        assert events.data(1) == ["missed"]


def test_unknown_epoch_is_unrecoverable(server):
    published = server.publish("c", "kept")
    epoch = f"{int(published['epoch'], 16) ^ 1:x}"
    with stream(server, channel="c", since=f"{epoch}.1") as events:
        assert events.next()["event"] == "unrecoverable"
        server.publish("c", "live")
        while (event := events.next())["data"] != "live":
            assert event["data"] == "kept"


def test_position_that_history_has_lost_is_unrecoverable(start_server):
    server = start_server(config={"history_messages_max": 3})
    position = server.position("c")
    for n in range(10):
        server.publish("c", f"{n}")
    with stream(server, channel="c", since=position) as events:
        assert events.next()["event"] == "unrecoverable"


def test_no_replay_was_asked_for(server):
    server.publish("c", "before")
    with stream(server, channel="c") as events:
        server.publish("c", "after")
        event = events.next()
        assert event["data"] == "after" and "event" not in event


def test_every_id_resumes_exactly(server):
    with stream(server, channel="c") as events:
        for n in range(12):
            server.publish("c", f"{n}")
        ids = [events.next()["id"] for _ in range(12)]
    for n, position in enumerate(ids[:-1]):
        with stream(server, channel="c", since=position) as events:
            assert events.next()["event"] == "recovered"
            assert events.data(11 - n) == [f"{m}" for m in range(n + 1, 12)]


def test_several_channels_and_one_id(server):
    names = ["a", "b", "c"]
    with stream(server, channel=names) as events:
        server.publish("b", "1")
        server.publish("a", "2")
        first = events.next()
        events.next()
    assert len(first["id"].split("~")) == 3
    # Whoever saw only the first of the two gets exactly the other one.
    with stream(server, channel=names, since=first["id"]) as events:
        assert events.next()["event"] == "recovered"
        assert {first["data"], events.next()["data"]} == {"1", "2"}
        server.publish("c", "3")
        assert events.data(1) == ["3"]


def test_keep_alive_is_a_comment(start_server, eventually):
    server = start_server(config={"heartbeat_ms": 200})
    with stream(server, channel="c") as events:
        eventually(lambda: events.comments >= 2, "two comments")
        server.publish("c", "x")
        assert events.data(1) == ["x"]


def test_subscriber_that_leaves_is_forgotten(server, eventually):
    with stream(server, channel="c"):
        eventually(lambda: server.metric("ringside_subscriptions") == 1, "one subscription")
    eventually(lambda: server.metric("ringside_subscriptions") == 0, "no subscription")


def test_two_streams_hear_the_same(server):
    with stream(server, channel="c") as one, stream(server, channel="c") as two:
        for n in range(50):
            server.publish("c", f"{n}")
        assert one.data(50) == two.data(50) == [f"{n}" for n in range(50)]


@pytest.mark.parametrize("channels", [["c"], ["c", "d"]])
def test_malformed_last_event_id_is_unrecoverable(server, channels):
    """The field's value may come from another server. The stream must not silently skip, and a
    refusal would end an EventSource for ever."""
    server.publish("c", "before")
    with stream(server, "Last-Event-ID: not one of ours", channel=channels) as events:
        assert events.status == 200
        verdict = events.next()
        assert verdict["event"] == "unrecoverable"
        assert verdict["id"] == json.loads(verdict["data"])["position"]
        server.publish("c", "after")
        assert events.data(1) == ["after"]


def test_nobody_on_the_way_may_transform_a_stream(server):
    with stream(server, channel="c") as events:
        assert "no-transform" in events.headers["cache-control"]


def test_origin_may_read(start_server):
    server = start_server(config={"allowed_origins": "https://app.example"})
    with stream(server, "Origin: https://app.example", channel="c") as events:
        assert events.headers["access-control-allow-origin"] == "https://app.example"


def test_error_is_json(server):
    answer = server.get(target("/sse"))
    assert answer.status == 400
    assert json.loads(answer.body)["error"]
