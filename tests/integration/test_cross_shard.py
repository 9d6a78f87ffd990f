"""Several shards: every message once and in order at every subscriber, whoever serves it."""

import asyncio
import itertools
import json
import random

import pytest

from foreign import asynchronous, connect, publish, receive
from ringside import data_of, target
from wire import TEXT, EventStream, RawWebSocket

SUBSCRIBERS = 60


class Publisher:
    """Publishes numbered messages over one kept connection, off the event loop."""

    def __init__(self, server, channel):
        self.connection = server.connect()
        self.path = target("/publish", channel=channel)

    def run(self, numbers):
        offsets = []
        for number in numbers:
            self.connection.request("POST", self.path, body=f"{number}")
            answer = self.connection.getresponse()
            body = answer.read()
            assert answer.status == 200, body
            offsets.append(json.loads(body)["offset"])
        return offsets

    async def go(self, numbers):
        return await asyncio.get_running_loop().run_in_executor(None, self.run, numbers)


async def until_all_hear(server, sockets, channel):
    """A raw WebSocket is open before its subscription is live. Returns how many messages it took
    until every one of them had the same."""
    for count in itertools.count(1):
        marker = f"ready {count}"

        async def heard(socket):
            while await socket.recv() != marker:
                pass

        await publish(server, channel, marker)
        try:
            await asyncio.wait_for(asyncio.gather(*map(heard, sockets)), 2)
        except asyncio.TimeoutError:
            assert count < 20, "somebody never hears"
            continue
        return count


def in_order(numbers):
    return all(earlier < later for earlier, later in zip(numbers, numbers[1:]))


@pytest.mark.parametrize("shards", [1, 2, 3, 4])
@asynchronous
async def test_everybody_gets_everything_once(start_server, shards):
    server = start_server(shards=shards)
    total = 200
    sockets = [await connect(server, channel="c") for _ in range(SUBSCRIBERS)]
    await until_all_hear(server, sockets, "c")
    publishing = asyncio.create_task(Publisher(server, "c").go(range(total)))
    ledgers = await asyncio.gather(
        *(read_many(socket, total) for socket in sockets),
    )
    await publishing
    assert all(ledger == [f"{n}" for n in range(total)] for ledger in ledgers)
    for socket in sockets:
        await socket.close()


async def read_many(socket, count):
    return [await receive(socket) for _ in range(count)]


@asynchronous
async def test_publishers_on_all_shards_agree_on_one_order(start_server):
    server = start_server(shards=3)
    publishers, each = 6, 40
    sockets = [await connect(server, channel="c") for _ in range(20)]
    before = await until_all_hear(server, sockets, "c")
    work = [
        Publisher(server, "c").go(range(n * 1000, n * 1000 + each)) for n in range(publishers)
    ]
    offsets = await asyncio.gather(*work)
    ledgers = await asyncio.gather(*(read_many(socket, publishers * each) for socket in sockets))
    first = before + 1
    assert sorted(sum(offsets, [])) == list(range(first, first + publishers * each))
    assert all(in_order(list_) for list_ in offsets)
    assert all(ledger == ledgers[0] for ledger in ledgers)
    for n in range(publishers):
        mine = [int(text) for text in ledgers[0] if int(text) // 1000 == n]
        assert mine == list(range(n * 1000, n * 1000 + each))
    for socket in sockets:
        await socket.close()


@asynchronous
async def test_channels_do_not_mix(start_server):
    server = start_server(shards=3)
    names = [f"channel-{n}" for n in range(12)]
    sockets = {name: [await connect(server, channel=name) for _ in range(4)] for name in names}
    for name in names:
        await until_all_hear(server, sockets[name], name)
    await asyncio.gather(*(Publisher(server, name).go(range(30)) for name in names))
    for name in names:
        for socket in sockets[name]:
            assert await read_many(socket, 30) == [f"{n}" for n in range(30)]
            await socket.close()


@asynchronous
async def test_steady_readers_while_others_come_and_go(start_server):
    server = start_server(shards=2)
    total = 300
    steady = [await connect(server, channel="c") for _ in range(10)]
    await until_all_hear(server, steady, "c")
    over = asyncio.Event()

    async def visitor(seed):
        generator = random.Random(seed)
        while not over.is_set():
            async with connect(server, channel="c") as socket:
                got = [int(text) for text in await read_many(socket, generator.randrange(4))]
                assert not got or got == list(range(got[0], got[0] + len(got)))

    visitors = [asyncio.create_task(visitor(seed)) for seed in range(8)]
    publisher = Publisher(server, "c")
    publishing = asyncio.create_task(publisher.go(range(total)))
    ledgers = await asyncio.gather(*(read_many(socket, total) for socket in steady))
    await publishing
    assert all(ledger == [f"{n}" for n in range(total)] for ledger in ledgers)
    over.set()
    while not all(task.done() for task in visitors):
        # The last of them still wait for a message or two.
        await publisher.go([total])
        total += 1
    await asyncio.gather(*visitors)
    for socket in steady:
        await socket.close()


@pytest.mark.parametrize("seed", range(3))
@asynchronous
async def test_readers_that_resume_miss_nothing(start_server, seed):
    """Each reader leaves after a few messages and returns with its position, again and again."""
    server = start_server(shards=2, config={"history_messages_max": 1000})
    total = 250
    start = server.position("c")

    async def reader(number):
        generator = random.Random(seed * 100 + number)
        position, got = start, []
        while len(got) < total:
            async with connect(server, channel="c", since=position, envelope=1) as socket:
                until = min(len(got) + generator.randint(1, 40), total)
                while len(got) < until:
                    message = json.loads(await receive(socket))
                    position = message["position"]
                    if "recovered" in message:
                        assert message["recovered"] is True
                    else:
                        got.append(message["data"])
        return got

    publishing = asyncio.create_task(Publisher(server, "c").go(range(total)))
    ledgers = await asyncio.gather(*(reader(number) for number in range(6)))
    await publishing
    assert all(ledger == [f"{n}" for n in range(total)] for ledger in ledgers)


def test_transports_hear_the_same(start_server):
    server = start_server(shards=3)
    position = server.position("c")
    total = 60
    streams = [EventStream(server.url("/sse", channel="c")) for _ in range(6)]
    Publisher(server, "c").run(range(total))
    expected = [f"{n}" for n in range(total)]
    for stream in streams:
        assert stream.data(total) == expected
        stream.close()
    assert data_of(server.poll("c", since=position)) == expected
    held = server.get(target("/longpoll", channel="c", since=position, timeout=5)).json()
    assert data_of(held) == expected


@pytest.mark.parametrize("seed", range(3))
def test_polls_from_anywhere_agree(start_server, seed):
    """Polls land on any shard; all of them see the home shard's one history."""
    server = start_server(shards=4)
    generator = random.Random(seed)
    names = [f"{generator.randrange(1000)}" for _ in range(5)]
    published = {name: [] for name in names}
    for n in range(40):
        name = generator.choice(names)
        server.publish(name, f"{n}")
        published[name].append(f"{n}")
    for _ in range(12):
        by_channel = {name: [] for name in names}
        for message in server.poll(names)["messages"]:
            by_channel[message["channel"]].append(message["data"])
        assert by_channel == published


def test_what_is_published_behind_the_handshake_is_heard(server):
    """Whichever shards the channel, the subscriber and the publisher are on."""
    for n in range(40):
        channel = f"new-{n}"
        socket = RawWebSocket(server, f"/ws?channel={channel}")
        server.publish(channel, "first")
        assert socket.read() == (TEXT, b"first")
        socket.close()
