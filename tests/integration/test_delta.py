"""Deltas: what changed since the message before, to who asks for that. They are applied here by a
decoder of our own, and in test_delta_sdk.py by those of the official SDKs."""

import asyncio
import json

import pytest

from foreign import asynchronous, close_code, connect, receive_json
from ringside import refusal
from wire import EventStream

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~"
SESSION = "/connection/websocket"


def number(text, at):
    """A number of base 64, and where it ends."""
    value = 0
    while text[at:at + 1].decode() in DIGITS and at < len(text):
        value = value * 64 + DIGITS.index(text[at:at + 1].decode())
        at += 1
    return value, at


def apply(base, delta):
    """As fossil-scm.org describes the format."""
    size, at = number(delta, 0)
    assert delta[at:at + 1] == b"\n"
    at, target = at + 1, b""
    while True:
        count, at = number(delta, at)
        what, at = delta[at:at + 1], at + 1
        if what == b"@":
            start, at = number(delta, at)
            assert delta[at:at + 1] == b","
            target, at = target + base[start:start + count], at + 1
        elif what == b":":
            target, at = target + delta[at:at + count], at + count
        else:
            padded = target + b"\0" * (-len(target) % 4)
            words = (padded[i:i + 4] for i in range(0, len(padded), 4))
            total = sum(int.from_bytes(word, "big") for word in words)
            assert what == b";" and at == len(delta)
            assert size == len(target) and count == total % 2**32
            return target


def state(n):
    """200 metrics, of which the n-th state changes four."""
    values = {f"metric_{i:03}": f"{i * 7}.25 €" for i in range(200)}
    values |= {f"metric_{(n * 31 + k * 50) % 200:03}": f"{n}.5 ₿" for k in range(4)}
    return json.dumps(values, ensure_ascii=False)


class Reader:
    """Takes envelopes or publications, and knows what each stands for."""

    def __init__(self):
        self.base = {}
        self.kinds = []

    def take(self, channel, value, delta):
        text = apply(self.base[channel], value.encode()) if delta else value.encode()
        self.base[channel] = text
        self.kinds.append("delta" if delta else "whole")
        return text.decode()

    def envelope(self, message):
        delta = "delta" in message
        assert delta != ("data" in message)
        value = message["delta"] if delta else message["data"]
        return self.take(message["channel"], value, delta)

    def push(self, reply):
        channel, publication = reply["push"]["channel"], reply["push"]["pub"]
        return self.take(channel, publication["data"], publication.get("delta", False))


async def publish(server, channel, data, query="&delta=1"):
    path = f"/publish?channel={channel}{query}"
    request = asyncio.get_running_loop().run_in_executor(
        None, server.request, "POST", path, data.encode())
    answer = await request
    assert answer.status == 200, answer.body
    return answer.json()


async def next_of(socket, reader):
    return reader.envelope(await receive_json(socket))


@asynchronous
async def test_envelopes_by_what_changed(start_server):
    server = start_server(shards=1)
    readers = [Reader() for _ in range(5)]
    sockets = [await connect(server, channel="m", delta="fossil") for _ in readers]
    for socket in sockets:
        assert "position" in await receive_json(socket)
    for n in range(4):
        await publish(server, "m", state(n))
        for socket, reader in zip(sockets, readers):
            assert await next_of(socket, reader) == state(n)
    for socket, reader in zip(sockets, readers):
        assert reader.kinds == ["whole"] + ["delta"] * 3
        await socket.close()
    # Made once for all five, and a fiftieth of what they stand for.
    assert server.metric("ringside_deltas_total") == 3
    plain = server.metric("ringside_delta_bytes_plain_total")
    assert plain == sum(len(state(n).encode()) for n in (1, 2, 3))
    assert 0 < server.metric("ringside_delta_bytes_total") < plain / 25


@asynchronous
async def test_only_who_asks_and_what_is_published_so(server):
    reader = Reader()
    async with connect(server, channel="m", delta="fossil") as asks, \
            connect(server, channel="m", envelope=1) as plain:
        await receive_json(asks), await receive_json(plain)
        for n, query in enumerate(["&delta=1", "&delta=1", "", "&delta=0", "&delta=fossil"]):
            await publish(server, "m", state(n), query)
            assert await next_of(asks, reader) == state(n)
            assert (await receive_json(plain))["data"] == state(n)
    assert reader.kinds == ["whole", "delta", "whole", "whole", "delta"]


@asynchronous
async def test_a_reader_without_the_base_is_given_all(server):
    first, second = Reader(), Reader()
    async with connect(server, channel="m", delta="fossil") as one:
        await receive_json(one)
        await publish(server, "m", state(0))
        assert await next_of(one, first) == state(0)
        async with connect(server, channel="m", delta="fossil") as other:
            await receive_json(other)
            for n in (1, 2):
                await publish(server, "m", state(n))
                assert await next_of(one, first) == await next_of(other, second) == state(n)
    assert first.kinds == ["whole", "delta", "delta"]
    assert second.kinds == ["whole", "delta"]


@pytest.mark.parametrize("since", [0, 1])
@asynchronous
async def test_a_replay_is_whole_and_a_base(server, since):
    """It comes in parts: one has 256 KiB at most."""
    large, reader = "x" * 200_000, Reader()
    texts = [json.dumps([n, large]) for n in range(5)]
    for text in texts[:3]:
        answer = await publish(server, "m", text)
    position = f"{answer['epoch']}.{since}"
    async with connect(server, channel="m", delta="fossil", since=position) as socket:
        assert (await receive_json(socket))["recovered"] is True
        for text in texts[since:3]:
            assert await next_of(socket, reader) == text
        for text in texts[3:]:
            await publish(server, "m", text)
            assert await next_of(socket, reader) == text
    assert reader.kinds == ["whole"] * (3 - since) + ["delta"] * 2


@asynchronous
async def test_several_channels_on_one_socket(server):
    reader = Reader()
    query = "/ws?channel=a&channel=b&delta=fossil"
    async with connect(server, query) as socket:
        await receive_json(socket)
        for n in range(3):
            for channel in "ab":
                await publish(server, channel, state(n + 7 * (channel == "b")))
                message = await receive_json(socket)
                assert message["channel"] == channel
                assert reader.envelope(message) == state(n + 7 * (channel == "b"))
    assert reader.kinds == ["whole"] * 2 + ["delta"] * 4


def test_events_by_what_changed(server):
    reader = Reader()
    with EventStream(server.url("/sse", channel="m", delta="fossil")) as stream:
        for n in range(3):
            server.request("POST", "/publish?channel=m&delta=1", state(n).encode())
            assert reader.envelope(json.loads(stream.next()["data"])) == state(n)
    assert reader.kinds == ["whole", "delta", "delta"]


@asynchronous
async def test_what_is_no_text_goes_whole(server):
    async with connect(server, channel="m", delta="fossil") as socket:
        await receive_json(socket)
        for data in (b"\xff" * 500, b"\xff" * 500, state(0).encode(), b"\xff" * 500):
            server.request("POST", "/publish?channel=m&delta=1", data)
            assert "data" in await receive_json(socket)
        # What would be no shorter.
        for data in ("one thing", "quite another"):
            await publish(server, "m", data)
            assert (await receive_json(socket))["data"] == data
    assert server.metric("ringside_deltas_total") == 1


@asynchronous
async def test_bounds_beyond_which_all_goes_whole(start_server):
    """Of a message, and of what a shard keeps: two channels, one of which finds no room."""
    server = start_server(shards=1, config={"delta_bytes_max": 8000, "delta_total_bytes_max": 9000})
    reader = Reader()
    async with connect(server, channel="a", delta="fossil") as one, \
            connect(server, channel="b", delta="fossil") as other:
        await receive_json(one), await receive_json(other)
        for n in range(3):
            await publish(server, "a", state(n))
            assert await next_of(one, reader) == state(n)
            await publish(server, "b", state(n))
            assert await next_of(other, reader) == state(n)
    assert reader.kinds == ["whole", "whole", "delta", "whole", "delta", "whole"]


@asynchronous
async def test_a_namespace_has_none_or_all(start_server):
    server = start_server(args=["--set", "none:delta=off", "--set", "all:delta=all"])
    kinds = {}
    for channel, query in (("none:1", "&delta=1"), ("all:1", "")):
        reader = Reader()
        async with connect(server, channel=channel, delta="fossil") as socket:
            await receive_json(socket)
            for n in range(2):
                await publish(server, channel, state(n), query)
                assert await next_of(socket, reader) == state(n)
        kinds[channel] = reader.kinds
    assert kinds == {"none:1": ["whole", "whole"], "all:1": ["whole", "delta"]}
    assert server.metric("ringside_deltas_declined_total") == 1


# ---- sessions, by hand ----

async def sign_on(server, **subscribe):
    """A session that is subscribed to m, and the result of that."""
    socket = await connect(server, SESSION)
    await socket.send('{"id":1,"connect":{}}')
    await receive_json(socket)
    await socket.send(json.dumps({"id": 2, "subscribe": {"channel": "m", **subscribe}}))
    return socket, await receive_json(socket)


@asynchronous
async def test_pushes_by_what_changed(start_server):
    server = start_server(shards=1)
    reader = Reader()
    socket, reply = await sign_on(server, delta="fossil")
    assert reply["subscribe"]["delta"] is True
    plain, reply = await sign_on(server)
    assert "delta" not in reply["subscribe"]
    for n in range(3):
        await publish(server, "m", state(n))
        assert reader.push(await receive_json(socket)) == state(n)
        push = await receive_json(plain)
        assert push["push"]["pub"]["data"] == json.loads(state(n))
    assert reader.kinds == ["whole", "delta", "delta"]
    await socket.close()
    # What follows a position is given whole, and is a base.
    answer = await publish(server, "m", state(3))
    reader = Reader()
    socket, reply = await sign_on(server, delta="fossil", recover=True, epoch=answer["epoch"],
                                  offset=answer["offset"] - 1)
    (publication,) = reply["subscribe"]["publications"]
    assert reader.take("m", publication["data"], False) == state(3)
    await publish(server, "m", state(4))
    assert reader.push(await receive_json(socket)) == state(4)
    assert reader.kinds == ["whole", "delta"]
    await socket.close(), await plain.close()


@asynchronous
async def test_payloads_that_are_no_json_in_strings(server):
    """Everything is a string of JSON, and no delta is one of anything else."""
    texts = ["no \n \"JSON\" \\ é " * 30, "no \n \"JSON\" \\ é " * 30 + "!", state(1), state(2)]
    socket, _ = await sign_on(server, delta="fossil")
    for i, text in enumerate(texts):
        await publish(server, "m", text)
        publication = (await receive_json(socket))["push"]["pub"]
        if i < 3:
            value = json.loads(publication["data"])
            assert value == (json.loads(text) if i == 2 else text)
        assert publication.get("delta", False) == (i == 3)
    server.request("POST", "/publish?channel=m&delta=1", b"\xff\xfe")
    publication = (await receive_json(socket))["push"]["pub"]
    assert json.loads(publication["data"]) == {"base64": "//4="}
    await socket.close()


@asynchronous
async def test_what_is_kept_by_nobody_is_a_base_for_nobody(start_server, tmp_path):
    """An SDK takes whatever came last for the base, also what has no offset."""
    (tmp_path / "api.key").write_text("0123456789abcdef\n")
    server = start_server(config={"api_keys": f"file:{tmp_path}/api.key"})
    socket, _ = await sign_on(server, delta="fossil")
    envelopes = await connect(server, channel="m", delta="fossil")
    await receive_json(envelopes)
    readers = Reader(), Reader()

    async def told():
        return {readers[0].push(await receive_json(socket)), await next_of(envelopes, readers[1])}

    for n in range(2):
        await publish(server, "m", state(n))
        assert await told() == {state(n)}
    typing = json.dumps({"channel": "m", "data": json.loads(state(2)), "skip_history": True})
    answer = server.request("POST", "/api/publish", typing.encode(),
                            {"X-API-Key": "0123456789abcdef"})
    assert "error" not in answer.json()
    assert {json.dumps(json.loads(text), ensure_ascii=False) for text in await told()} \
        == {state(2)}
    for n in range(3, 5):
        await publish(server, "m", state(n))
        assert await told() == {state(n)}
    for reader in readers:
        assert reader.kinds == ["whole", "delta", "whole", "whole", "delta"]
    await socket.close(), await envelopes.close()


@asynchronous
async def test_what_else_a_subscription_may_ask_for(start_server):
    server = start_server(args=["--set", ":delta=off"])
    for asked in ("xdelta", "fossil", "", None):
        socket, reply = await sign_on(server, delta=asked)
        assert "delta" not in reply["subscribe"], asked
        await socket.close()
    assert server.metric("ringside_deltas_declined_total") == 2
    socket, reply = await sign_on(server, delta=7)
    assert reply["error"]["code"] == 107
    await socket.close()


@pytest.mark.parametrize("path", ["/sse", "/publish"])
def test_deltas_of_other_kinds_are_refused(server, path):
    method = "POST" if path == "/publish" else "GET"
    body = b"x" if method == "POST" else None
    answer = server.request(method, f"{path}?channel=m&delta=xdelta", body)
    assert answer.status == 400 and refusal(answer) == "bad_delta"
    assert server.refused("bad_delta") == 1
