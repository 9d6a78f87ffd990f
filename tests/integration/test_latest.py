"""First the state, then what comes: since=latest, and recovery of sessions in channels of which
only the newest message counts."""

import json

import pytest

import sdk
from foreign import asynchronous, connect, publish, receive, receive_json
from test_centrifuge_sdk import VERSION, SdkClient
from wire import EventStream


@pytest.fixture
def server(start_server):
    return start_server(args=["--set", "state:latest_state=on"])


def test_events(server):
    for n in range(3):
        server.publish("c", f"state {n}")
    with EventStream(server.url("/sse", channel="c", since="latest")) as stream:
        server.publish("c", "live")
        assert stream.data(2) == ["state 2", "live"]
    assert server.metric("ringside_unrecoverable_total") == 0


def test_a_channel_without_a_message(server):
    with EventStream(server.url("/sse", channel="c", since="latest")) as stream:
        server.publish("c", "the first")
        assert stream.data(1) == ["the first"]


def test_a_position_wins_when_it_comes_back(server):
    """Who has the state already is not given it again; of a state it is given the newest alone."""
    url = server.url("/sse", channel="state:1", since="latest")
    server.publish("state:1", "a")
    with EventStream(url) as stream:
        event = stream.next()
        assert event["data"] == "a"
    last = f"Last-Event-ID: {event['id']}"
    with EventStream(url, last) as stream:
        assert stream.next()["event"] == "recovered"
        server.publish("state:1", "b")
        assert stream.next()["data"] == "b"
    server.publish("state:1", "c")
    with EventStream(url, last) as stream:
        assert stream.next()["event"] == "recovered"
        assert stream.next()["data"] == "c"


@asynchronous
async def test_websockets(server):
    for channel in ("a", "b"):
        for n in range(3):
            await publish(server, channel, f"{channel}{n}")
    async with connect(server, channel="a", since="latest") as socket:
        await publish(server, "a", "live")
        assert [await receive(socket), await receive(socket)] == ["a2", "live"]
    async with connect(server, "/ws?channel=a&channel=b&channel=none&since=latest&envelope=1") \
            as socket:
        assert (await receive_json(socket))["recovered"] is False
        got = {(await receive_json(socket))["data"] for _ in range(2)}
        assert got == {"live", "b2"}
        await publish(server, "none", "n0")
        assert (await receive_json(socket))["data"] == "n0"


def test_polls(server):
    for n in range(3):
        server.publish("c", f"{n}")
    answer = server.poll("c", "latest")
    assert [message["data"] for message in answer["messages"]] == ["2"]
    assert server.poll("c", answer["position"])["messages"] == []


@pytest.mark.parametrize("known", [0, 2])
def test_a_session_recovers_the_state(server, known):
    """Centrifugo's recovery mode `cache`: whatever the position, the newest publication."""
    modules = sdk.npm("centrifuge", VERSION)
    for n in range(4):
        server.publish("state:1", json.dumps({"n": n}))
    epoch = server.position("state:1").split(".")[0]
    client = SdkClient(modules, server.ws_url("/connection/websocket"), {})
    try:
        client.act("connect")
        client.next_of("connected")
        since = {"offset": known, "epoch": epoch if known else ""}
        client.act("subscribe", "state:1", {"since": since})
        subscribed = client.next_of("subscribed")
        assert subscribed["recovered"] and subscribed["wasRecovering"]
        assert client.next_of("publication")["data"] == {"n": 3}
        server.publish("state:1", json.dumps({"n": 4}))
        assert client.next_of("publication")["data"] == {"n": 4}
    finally:
        client.close()
