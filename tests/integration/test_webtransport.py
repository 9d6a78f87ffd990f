"""The Centrifuge protocol over WebTransport, to a client that others have written: aioquic."""

import asyncio
import json

import pytest

import h3
from ringside import PATIENCE_S

PATH = "/connection/webtransport"
REJECTED = 0x3994BD84
GONE = 0x170D7B68
ID_ERROR = 0x108
FRAME_ERROR = 0x106
CLOSE = b"\x68\x43"


@pytest.fixture
def served(start_server):
    return start_server(secure=True, config={"http3": "on", "websocket_publish": "on"})


def run(served, test):
    async def inside():
        async with h3.connect(served.port) as client:
            await test(client)

    h3.load()
    asyncio.run(asyncio.wait_for(inside(), PATIENCE_S * 2))


class Lines:
    """A stream in a session: JSON both ways, a line each."""

    def __init__(self, client, session):
        self.client = client
        self.stream = client.tunnel(b"\x40\x41" + h3.varint(session))

    def say(self, *commands, end=False):
        text = "".join(json.dumps(one) + "\n" for one in commands)
        self.client.raw(text.encode(), stream=self.stream, end=end)

    async def hear(self):
        """The next line."""
        heard = self.client.tunnels[self.stream]
        await self.client.until(lambda: b"\n" in heard)
        line, _, rest = bytes(heard).partition(b"\n")
        heard[:] = rest
        return json.loads(line)


def test_a_stream_is_a_client_of_the_protocol(served):
    async def test(client):
        session = await client.session(PATH)
        assert session.status == 200
        lines = Lines(client, session.stream)
        lines.say({"id": 1, "connect": {}}, {"id": 2, "subscribe": {"channel": "news"}})
        told = await lines.hear()
        assert told["id"] == 1 and told["connect"]["ping"] and "session" not in told["connect"]
        assert (await lines.hear())["id"] == 2
        await asyncio.to_thread(served.publish, "news", '{"n":1}')
        assert (await lines.hear())["push"]["pub"]["data"] == {"n": 1}
        # In pieces, and several at once.
        client.raw(b'{"id":3,"pub', stream=lines.stream)
        await client.ping()
        client.raw(b'lish":{"channel":"news","data":{"n":2}}}\n{"id":4,"ping":{}}\n{"id":',
                   stream=lines.stream)
        heard = [await lines.hear() for _ in range(3)]
        assert [one["push"]["pub"]["data"] for one in heard if "push" in one] == [{"n": 2}]
        assert sorted(one["id"] for one in heard if "id" in one) == [3, 4]
        client.raw(b'5,"ping":{}}\n', stream=lines.stream)
        assert (await lines.hear())["id"] == 5

    run(served, test)


def test_streams_of_a_session_are_apart(served):
    async def test(client):
        session = await client.session(PATH)
        both = [Lines(client, session.stream) for _ in range(2)]
        for i, lines in enumerate(both):
            lines.say({"id": 1, "connect": {}},
                      {"id": 2, "subscribe": {"channel": f"channel-{i}"}})
            assert [(await lines.hear())["id"] for _ in range(2)] == [1, 2]
        assert served.metric("ringside_webtransports") == 1
        assert served.metric("ringside_sessions") == 2
        both[0].say(end=True)
        await client.until(lambda: both[0].stream in client.over)
        await asyncio.to_thread(served.publish, "channel-1", '"still there"')
        assert (await both[1].hear())["push"]["pub"]["data"] == "still there"

    run(served, test)


def test_a_close_ends_all_of_it(served, eventually):
    async def test(client):
        session = await client.session(PATH)
        lines = Lines(client, session.stream)
        lines.say({"id": 1, "connect": {}})
        await lines.hear()
        client.http.send_data(session.stream, b"\x40\x40\x02gr" + CLOSE + b"\x07\0\0\x03\x09bye",
                              end_stream=True)
        client.transmit()
        await client.until(lambda: session.ended and client.answers[lines.stream].reset)
        assert client.answers[lines.stream].reset == GONE
        assert (await client.get("/healthz")).status == 200

    run(served, test)
    eventually(lambda: served.metric("ringside_webtransports") == 0, "the end")
    assert served.metric("ringside_streams_session") == 0


def test_a_stream_without_a_session_is_reset(served):
    async def test(client):
        events = client.ask("/sse?channel=c")
        await client.until(lambda: events.body)
        for session in (events.stream, 400):
            stream = client.tunnel(b"\x40\x41" + h3.varint(session))
            await client.until(lambda stream=stream: client.answers[stream].reset is not None)
            assert client.answers[stream].reset == REJECTED
        assert not client.ended

    run(served, test)


@pytest.mark.parametrize(("head", "code"), [
    (b"\x40\x41\x03", ID_ERROR),
    (b"\x21\x00\x40\x41\x00", FRAME_ERROR),  # behind a frame
])
def test_errors_of_the_connection(served, head, code):
    async def test(client):
        await client.session(PATH)
        client.tunnel(head)
        await client.until(lambda: client.ended)
        assert client.ended.error_code == code

    run(served, test)


def test_who_is_no_client_of_it_is_told(served):
    async def test(client):
        assert (await client.get(PATH)).status == 426
        refused = await client.session("/ws?channel=c")
        assert refused.status and refused.status >= 400
        session = await client.session(PATH)
        lines = Lines(client, session.stream)
        lines.say({"id": 1, "nothing": {}})
        told = await lines.hear()
        assert told["push"]["disconnect"]["code"] == 3501

    run(served, test)


def test_a_drain_tells_every_stream(served):
    async def test(client):
        session = await client.session(PATH)
        lines = Lines(client, session.stream)
        lines.say({"id": 1, "connect": {}})
        await lines.hear()
        served.signal()
        told = await lines.hear()
        assert told["push"]["disconnect"]["code"] == 3001
        await client.until(lambda: client.ended)

    run(served, test)
