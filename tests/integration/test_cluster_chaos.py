"""A cluster whose parts die under load: some hundred clients of three transports, publishers on all
nodes, and a ledger of what was acknowledged. Nobody misses anything without being told."""

import asyncio
import json
import signal
from urllib.parse import quote

import pytest
import websockets

from foreign import asynchronous
from redis_server import Redis
from relay import Relay
from ringside import HOST, PATIENCE_S

CLIENTS = 40  # of each transport
CHANNEL = "news"


class Ledger:
    """What was acknowledged, by its place; and how many publishes were refused or are unknown."""

    def __init__(self):
        self.acknowledged = {}
        self.refused = 0

    def take(self, epoch, offset, data):
        assert self.acknowledged.setdefault((epoch, offset), data) == data


class Client:
    """Hears the channel on any node. Its messages have no hole but where it was told of one."""

    def __init__(self, nodes, at, since):
        self.nodes, self.at = nodes, at
        self.since = since
        self.heard = []
        self.told = 0
        self.moves = 0
        self.last = None

    @property
    def node(self):
        return self.nodes[self.at % len(self.nodes)]

    def place(self, position):
        """One from which it goes on, with or without a hole before it."""
        epoch, offset = position.split(".")
        return epoch, int(offset)

    def lost(self, position):
        self.told += 1
        self.since = position

    def take(self, position, data):
        epoch, offset = self.place(position)
        before, at = self.place(self.since)
        assert epoch == before and offset == at + 1, (self.since, position)
        self.heard.append((epoch, offset, data))
        self.since = position
        self.last = data

    async def run(self):
        while self.last != "end":
            try:
                await asyncio.wait_for(self.listen(), PATIENCE_S)
            except (OSError, EOFError, asyncio.TimeoutError, websockets.WebSocketException):
                pass
            self.moves += 1
            self.at += 1
            await asyncio.sleep(0.05)


async def request(node, method, path, body=b"", fields=""):
    """The status, a reader, and how to end it."""
    reader, writer = await asyncio.open_connection(HOST, node.port)
    head = f"{method} {path} HTTP/1.0\r\nHost: h\r\nContent-Length: {len(body)}\r\n{fields}\r\n"
    writer.write(head.encode() + body)
    line = await reader.readline()
    while (await reader.readline()).strip():
        pass
    if not line:
        writer.close()
        raise EOFError
    return int(line.split()[1]), reader, writer


class LongPoll(Client):
    async def listen(self):
        while self.last != "end":
            path = f"/longpoll?channel={CHANNEL}&since={quote(self.since)}&timeout=5"
            status, reader, writer = await request(self.node, "GET", path)
            body = await reader.read()
            writer.close()
            if status != 200:
                return
            answer = json.loads(body)
            if not answer["recovered"]:
                self.lost(answer["position"])
            epoch = answer["position"].split(".")[0]
            for message in answer["messages"]:
                self.take(f"{epoch}.{message['offset']}", message["data"])
            self.since = answer["position"]


class Stream(Client):
    async def listen(self):
        fields = f"Last-Event-ID: {self.since}\r\n"
        status, reader, writer = await request(self.node, "GET", f"/sse?channel={CHANNEL}",
                                               fields=fields)
        event = {}
        while status == 200 and self.last != "end" and (line := await reader.readline()):
            name, _, value = line.decode().rstrip("\n").partition(":")
            if line == b"\n" and "data" in event:
                if event.get("event") == "unrecoverable":
                    self.lost(json.loads(event["data"])["position"])
                elif event.get("event") is None:
                    self.take(event["id"], event["data"])
            event = {} if line == b"\n" else {**event, name: value.removeprefix(" ")}
        writer.close()


class Socket(Client):
    async def listen(self):
        url = self.node.ws_url(channel=CHANNEL, envelope=1, since=self.since)
        async with websockets.connect(url, open_timeout=PATIENCE_S, close_timeout=1) as socket:
            while self.last != "end":
                frame = json.loads(await socket.recv())
                if "data" in frame:
                    self.take(frame["position"], frame["data"])
                elif frame.get("recovered") is False:
                    self.lost(frame["position"])


class Load:
    """Clients and publishers over some nodes; use as a context."""

    def __init__(self, nodes):
        self.nodes = nodes
        self.ledger = Ledger()
        self.since = nodes[0].position(CHANNEL)
        kinds = [LongPoll, Stream, Socket]
        self.clients = [kind(nodes, i, self.since) for kind in kinds for i in range(CLIENTS)]
        self.publishing = True
        self.count = 0

    async def publish(self, node, data, count=True):
        """Whether it was acknowledged; the ledger counts it."""
        try:
            status, reader, writer = await asyncio.wait_for(
                request(node, "POST", f"/publish?channel={CHANNEL}", data.encode()), PATIENCE_S)
            body = json.loads(await reader.read())
            writer.close()
        except (OSError, EOFError, asyncio.TimeoutError, json.JSONDecodeError):
            return False
        if status == 200:
            if count:
                self.ledger.take(body["epoch"], body["offset"], data)
            return True
        assert body["error"] in ("broker_down", "broker_timeout", "draining"), body
        self.ledger.refused += 1
        return False

    async def publisher(self, node):
        while self.publishing:
            self.count += 1
            await self.publish(node, f"{self.count}")
            await asyncio.sleep(0.03)

    async def run(self, trouble):
        """`trouble` is a coroutine that ends when all is well again."""
        hearing = [asyncio.create_task(client.run()) for client in self.clients]
        publishing = [asyncio.create_task(self.publisher(node)) for node in self.nodes]
        await trouble
        await self.until(lambda: self.count > 20)
        self.publishing = False
        await asyncio.gather(*publishing)
        while not await self.publish(self.nodes[-1], "end"):
            await asyncio.sleep(0.1)
        await asyncio.wait_for(self.all_done(hearing), 2 * PATIENCE_S)

    async def all_done(self, hearing):
        """Who comes back late, and is told, is given what follows: so there is another end."""
        while not all(task.done() for task in hearing):
            await asyncio.sleep(0.5)
            await self.publish(self.nodes[-1], "end", count=False)
        await asyncio.gather(*hearing)

    @staticmethod
    async def until(condition, patience_s=PATIENCE_S):
        for _ in range(int(patience_s * 20)):
            if condition():
                return
            await asyncio.sleep(0.05)
        raise AssertionError("waited in vain")

    async def acknowledged(self, more):
        """Until so many more are."""
        wanted = len(self.ledger.acknowledged) + more
        await self.until(lambda: len(self.ledger.acknowledged) >= wanted)

    def check(self, may_be_told=False):
        """Whoever was not told has all that was acknowledged; whoever was, all since."""
        acknowledged = self.ledger.acknowledged
        assert len(acknowledged) > 20
        for client in self.clients:
            heard = {(epoch, offset): data for epoch, offset, data in client.heard}
            assert len(heard) == len(client.heard)
            for place, data in heard.items():
                assert acknowledged.get(place, data) == data
            if client.told == 0:
                assert acknowledged.items() <= heard.items()
            assert may_be_told or client.told == 0


def is_connected(node):
    return node.metric("ringside_broker_connected") == 1


@pytest.fixture
def start_redis(tmp_path_factory):
    started = []

    def start(fsync=None):
        args = ["--appendonly", "yes", "--appendfsync", fsync] if fsync else []
        started.append(Redis(tmp_path_factory.mktemp("redis"), args=args))
        return started[-1].start()

    yield start
    for redis in started:
        redis.release()
        redis.stop()


def start_nodes(start_server, *ports, **config):
    config = {"broker_timeout_ms": 1000, "history_messages_max": 5000, **config}
    return [start_server(config={"redis": f"{HOST}:{port}", **config}) for port in ports]


async def off_loop(function, *args):
    """What blocks, beside the clients."""
    return await asyncio.get_running_loop().run_in_executor(None, function, *args)


@asynchronous
async def test_a_node_is_killed(start_server, start_redis):
    redis = start_redis()
    nodes = start_nodes(start_server, redis.port, redis.port)
    load = Load(nodes)

    async def trouble():
        await load.acknowledged(20)
        nodes[0].process.send_signal(signal.SIGKILL)
        await off_loop(nodes[0].process.wait)
        await load.acknowledged(20)
        await off_loop(nodes[0].start)
        await load.acknowledged(20)

    await load.run(trouble())
    load.check()
    assert sum(client.moves > 0 for client in load.clients) >= CLIENTS


@pytest.mark.parametrize("fsync", ["always", "everysec"])
@asynchronous
async def test_redis_is_killed(start_server, start_redis, fsync):
    redis = start_redis(fsync)
    nodes = start_nodes(start_server, redis.port, redis.port)
    load = Load(nodes)

    async def trouble():
        await load.acknowledged(20)
        await off_loop(redis.kill)
        await load.until(lambda: load.ledger.refused > 0)
        await off_loop(redis.start)
        await load.acknowledged(20)

    await load.run(trouble())
    # Only where Redis has nothing to lose it says so; else the numbering begins anew.
    load.check(may_be_told=fsync != "always")
    epochs = {epoch for epoch, _ in load.ledger.acknowledged}
    assert len(epochs) == (1 if fsync == "always" else 2)


@asynchronous
async def test_a_node_is_cut_off_for_ten_seconds(start_server, start_redis):
    redis = start_redis()
    relay = Relay(redis.port)
    nodes = start_nodes(start_server, redis.port, relay.port)
    load = Load(nodes)

    async def trouble():
        await load.acknowledged(20)
        relay.freeze()
        await asyncio.sleep(10)  # what is asked for
        assert load.ledger.refused > 0
        relay.thaw()
        await load.until(lambda: is_connected(nodes[1]))
        await load.acknowledged(20)

    await load.run(trouble())
    load.check()
    assert nodes[1].metric("ringside_remote_filled_total") > 0
    relay.close()


@asynchronous
async def test_redis_stands_still_for_ten_seconds(start_server, start_redis):
    redis = start_redis()
    nodes = start_nodes(start_server, redis.port, redis.port)
    load = Load(nodes)

    async def trouble():
        await load.acknowledged(20)
        redis.process.send_signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(10)  # what is asked for
        finally:
            redis.process.send_signal(signal.SIGCONT)
        assert load.ledger.refused > 0
        await load.acknowledged(20)

    await load.run(trouble())
    load.check()
