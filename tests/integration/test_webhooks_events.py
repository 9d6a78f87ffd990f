"""Webhooks about what happens here: clients, channels, messages."""

import json

import sdk
from foreign import asynchronous, connect, receive_json
from test_webhooks import SECRET, hooks, receiver  # noqa: F401
from wire import RawWebSocket

PATH = "/connection/websocket"


def of(receiver, kind, channel=None):
    """The data of the events of a type, in the order in which they came."""
    told = [r.json() for r in receiver.of()]
    return [t["data"] for t in told if t["type"] == kind and t.get("channel") == channel]


def test_published(hooks, receiver, eventually):
    app = hooks()
    app.register("one", receiver.url(), events=["channel.published"], channels=["news"],
                 order="channel")
    app.server.publish("other", "nobody wants this")
    answers = [app.server.publish("news", data)
               for data in ('{"a": [1, 2]}', "text \"ż\"", b"\xff\x00")]
    eventually(lambda: len(receiver.of()) == 3, "all three")
    told = of(receiver, "channel.published", "news")
    assert [t["offset"] for t in told] == [a["offset"] for a in answers] == [1, 2, 3]
    assert {t["epoch"] for t in told} == {a["epoch"] for a in answers}
    assert told[0]["data"] == {"a": [1, 2]} and told[1]["data"] == "text \"ż\""
    assert told[2]["b64data"] == "/wA="


def test_occupied(hooks, receiver, eventually):
    app = hooks()
    app.register("one", receiver.url(), events=["channel.occupied"])
    sockets = [RawWebSocket(app.server, "/ws?channel=news") for _ in range(2)]
    eventually(lambda: receiver.of(), "that there is somebody")
    for socket in sockets:
        socket.close()
    assert of(receiver, "channel.occupied", "news") == [{}]


@asynchronous
async def test_clients_and_who_joins(hooks, receiver, eventually, tmp_path):
    keys = sdk.with_keys(tmp_path)
    app = hooks(args=["--set", ":join_leave=on", "--set", ":presence=on"], **keys)
    app.register("one", receiver.url(), events=["client.*", "channel.joined", "channel.left"])
    async with connect(app.server, PATH) as socket:
        await socket.send(json.dumps({"id": 1, "connect": {"token": sdk.token(sub="ann")}}))
        client = (await receive_json(socket))["connect"]["client"]
        await socket.send(json.dumps({"id": 2, "subscribe": {"channel": "room"}}))
        await receive_json(socket)
        eventually(lambda: of(receiver, "channel.joined", "room"), "that it has joined")
    eventually(lambda: of(receiver, "client.disconnected"), "that it has gone")
    eventually(lambda: of(receiver, "channel.left", "room"), "that it has left")
    who = {"client": client, "user": "ann"}
    assert of(receiver, "client.connected") == [who] == of(receiver, "client.disconnected")
    for kind in ("channel.joined", "channel.left"):
        told = of(receiver, kind, "room")
        assert len(told) == 1 and who.items() <= told[0].items()


def test_a_cache_that_is_empty(hooks, receiver, eventually):
    app = hooks(args=["--set", "state:latest_state=on"])
    app.register("one", receiver.url(), events=["channel.cache_empty"])
    first = RawWebSocket(app.server, "/ws?channel=state:1&since=start")
    eventually(lambda: receiver.of(), "that there is no state")
    app.server.publish("state:1", "now there is one")
    second = RawWebSocket(app.server, "/ws?channel=state:1&since=start")
    assert b"now" in second.read()[1]
    first.close()
    second.close()
    assert of(receiver, "channel.cache_empty", "state:1") == [{}]


def test_what_nobody_wants_is_not_handed_over(hooks, receiver, eventually):
    app = hooks()
    app.register("one", receiver.url(), events=["order.*"])
    app.server.publish("news", "x")
    app.register("one", receiver.url(), events=["channel.published"])
    app.server.publish("news", "y")
    eventually(lambda: receiver.of(), "the second")
    app.register("one", receiver.url(), enabled=False)
    app.server.publish("news", "z")
    app.result("remove", id="one")
    assert [t["data"] for t in of(receiver, "channel.published", "news")] == ["y"]
    assert app.metric("events_lost_total") == 0
