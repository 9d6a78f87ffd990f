"""Channels that end, and the types that publishers give their messages."""

import json
import threading

import pytest

from foreign import asynchronous, close_code, connect, publish, receive, receive_json
from http2 import Http2
from ringside import refusal, target
from wire import EventStream, RawWebSocket


def say(server, data, channel="c", **query):
    return server.request("POST", target("/publish", channel=channel, **query), data)


def sse(server, **query):
    return EventStream(server.url("/sse", **query))


def check_end(stream, channel="c"):
    """The event, the end of the stream, and curl content with it."""
    assert stream.next() == {"event": "end", "data": json.dumps({"channel": channel},
                                                                separators=(",", ":"))}
    assert stream.next() is None
    assert stream.close() == 0


# ---- the end ----

def test_readers_get_the_last_message_and_a_clean_end(server):
    with sse(server, channel="c") as stream:
        assert say(server, "one").status == 200
        assert say(server, "two", end=1).status == 200
        assert stream.data(2) == ["one", "two"]
        check_end(stream)
    server.until_closed("ended", 1)


def test_who_comes_late_gets_all_of_it_and_the_end(server):
    for text in ("one", "two"):
        say(server, text)
    say(server, "three", end=1)
    for _ in range(2):
        with sse(server, channel="c", since="start") as stream:
            assert stream.data(3) == ["one", "two", "three"]
            check_end(stream)


def test_who_comes_back_is_given_the_rest(server):
    position = "{epoch}.{offset}".format(**say(server, "one").json())
    end = "{epoch}.{offset}".format(**say(server, "two", end=1).json())
    with sse(server, channel="c", since=position) as stream:
        assert stream.next()["event"] == "recovered"
        assert stream.data(1) == ["two"]
        check_end(stream)
    with sse(server, channel="c", since=end) as stream:
        assert stream.next()["event"] == "recovered"
        check_end(stream)


def test_without_a_position_there_is_only_the_end(server):
    say(server, "all", end=1)
    with sse(server, channel="c") as stream:
        check_end(stream)


def test_a_long_stream_that_ended_is_given_whole(server):
    """In several parts, each when the one before has left."""
    for n in range(20):
        say(server, f"{n} " + "x" * 100_000)
    say(server, "the end", end=1)
    with sse(server, channel="c", since="start") as stream:
        assert [data.split(" ")[0] for data in stream.data(21)] == [
            *(str(n) for n in range(20)), "the"]
        check_end(stream)


def test_the_last_may_be_empty(server):
    with sse(server, channel="c") as stream:
        say(server, "", end=1)
        assert stream.next()["data"] == ""
        check_end(stream)


def test_nothing_is_published_behind_the_end(server):
    say(server, "one", end=1)
    for query in ({}, {"end": 1}):
        refused = say(server, "two", **query)
        assert (refused.status, refusal(refused)) == (409, "ended")
    assert server.refused("ended") == 2
    assert [message["data"] for message in server.poll("c")["messages"]] == ["one"]


def test_the_connection_goes_on_behind_a_refusal(server):
    say(server, "one", end=1)
    connection = server.connect()
    for _ in range(2):
        connection.request("POST", target("/publish", channel="c"), "two")
        answer = connection.getresponse()
        assert answer.status == 409
        answer.read()


def test_end_is_1_alone(server):
    assert say(server, "one", end=0).status == 200
    assert say(server, "two", end="yes").status == 200


def test_polls_say_so(server):
    position = server.position("c")
    before = server.get(target("/poll", channel="c", since=position))
    assert "ended" not in before.json()
    say(server, "one", end=1)
    answer = server.get(target("/poll", channel="c", since=position)).json()
    assert answer["messages"] == [{"channel": "c", "offset": 1, "data": "one", "end": True}]
    assert answer["ended"] is True
    at_end = server.get(target("/poll", channel="c", since=answer["position"])).json()
    assert at_end["messages"] == [] and at_end["ended"] is True


def test_long_polls_do_not_wait_for_what_cannot_come(server):
    say(server, b"\xff", end=1)
    end = server.position("c")
    answer = server.get(target("/longpoll", channel="c", since=end)).json()
    assert answer == {"position": end, "messages": [], "recovered": True, "ended": True}
    whole = server.get(target("/longpoll", channel="c", since="start")).json()
    assert whole["messages"][0] == {
        "channel": "c", "offset": 1, "data": "/w==", "base64": True, "end": True}


def test_a_held_long_poll_is_answered_with_the_last(server, eventually):
    import threading

    position, answers = server.position("c"), []
    thread = threading.Thread(target=lambda: answers.append(
        server.get(target("/longpoll", channel="c", since=position)).json()))
    thread.start()
    eventually(lambda: server.metric("ringside_longpolls_held") == 1, "held")
    say(server, "one", end=1)
    thread.join()
    assert answers[0]["ended"] is True and answers[0]["messages"][0]["end"] is True


@asynchronous
async def test_web_sockets_close_with_1000(server):
    async with connect(server, channel="c") as raw, connect(
            server, channel="c", envelope=1) as envelope:
        await receive(envelope)
        say(server, "one", end=1)
        assert await receive(raw) == "one"
        message = await receive_json(envelope)
        assert (message["data"], message["end"]) == ("one", True)
        for socket in (raw, envelope):
            assert await close_code(socket) == 1000
            assert socket.close_reason == "ended"
    async with connect(server, channel="c", since="start") as late:
        assert await receive(late) == "one"
        assert await close_code(late) == 1000
    async with connect(server, channel="c") as late:
        assert await close_code(late) == 1000


def test_one_of_several_channels_ends(server):
    with sse(server, channel=["a", "b"]) as stream:
        say(server, "one", "a", end=1)
        assert stream.data(1) == ["one"]
        assert stream.next() == {"event": "end", "data": '{"channel":"a"}'}
        say(server, "two", "b")
        assert stream.data(1) == ["two"]


@asynchronous
async def test_publishing_on_a_socket_behind_the_end(start_server):
    server = start_server(config={"websocket_publish": "on"})
    async with connect(server, channel=["a", "b"], envelope=1) as socket:
        await receive(socket)
        say(server, "one", "a", end=1)
        await receive(socket)
        await socket.send(json.dumps({"channel": "a", "data": "two"}))
        assert await close_code(socket) == 1000


def test_a_channel_that_is_forgotten_begins_anew(start_server, eventually):
    """Where there is no place for others, one that nobody wants goes at once."""
    server = start_server(shards=1, config={"channels_max": 1, "history_messages_max": 1,
                                            "history_age_ms": 1})
    first = say(server, "one", end=1).json()
    eventually(lambda: say(server, "other", "d").status == 200, "c has gone")
    eventually(lambda: say(server, "two").status == 200, "and comes back")
    again = server.get(target("/poll", channel="c")).json()["position"].split(".")
    assert again[0] != first["epoch"] and again[1] == "1"


def test_on_http2_the_stream_ends(server):
    with Http2(server) as client:
        stream = client.open("/sse?channel=c&since=start")
        client.until(lambda: b"id:" in stream.data, "where it begins")
        say(server, "one", end=1)
        assert client.whole(stream).ended and b"event: end\n" in stream.data


# ---- types ----

def test_the_publisher_s_type(server):
    with sse(server, channel="c") as stream:
        say(server, "one", event="price")
        say(server, "two")
        say(server, b"\xff", event="price")
        events = [stream.next() for _ in range(3)]
    assert [(event.get("event"), event["data"]) for event in events] == [
        ("price", "one"), (None, "two"), ("binary", "/w==")]
    messages = server.poll("c")["messages"]
    assert [message.get("event") for message in messages] == ["price", None, "price"]


@pytest.mark.parametrize("event", [
    "", "x" * 65, "a b", "a\nb", "é", "end", "binary", "recovered", "unrecoverable", "error",
    "open",
])
def test_bad_types(server, event):
    refused = say(server, "one", event=event)
    assert (refused.status, refusal(refused)) == (400, "bad_event")


def test_types_of_others_are_ignored(server):
    """Only a publish has one: elsewhere it is a parameter that nobody knows."""
    assert server.get(target("/poll", channel="c", event="a b", end="x")).status == 200


def test_events_that_name_their_channel(server):
    with sse(server, channel=["a", "b"], envelope=1) as stream:
        published = say(server, "one", "b", event="price").json()
        event = stream.next()
        say(server, b"\xff", "a")
        binary = stream.next()
    envelope = json.loads(event["data"])
    assert event["event"] == envelope["event"] == "price"
    assert (envelope["channel"], envelope["data"]) == ("b", "one")
    assert envelope["offset"] == published["offset"] and envelope["position"] == event["id"]
    assert "event" not in binary
    assert json.loads(binary["data"])["base64"] is True


def test_many_share_an_envelope(start_server):
    server = start_server(shards=1)
    streams = [sse(server, channel="c", envelope=1) for _ in range(3)]
    say(server, "one")
    assert len({stream.next()["data"] for stream in streams}) == 1
    for stream in streams:
        stream.close()


def test_a_type_is_in_envelopes_on_web_sockets(server):
    socket = RawWebSocket(server, "/ws?channel=c&envelope=1")
    socket.read()
    say(server, "one", event="price")
    assert json.loads(socket.read()[1])["event"] == "price"
    socket.close()
