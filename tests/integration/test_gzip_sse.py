"""Event streams as gzip: one member, in pieces that are the same for all, and never ended."""

import json
import zlib

import httpx
import pytest

from http2 import Http2
from ringside import target, wait_until
from wire import EventStream, dial, read_head

LONG = json.dumps([{"instrument": f"RING{i}", "price": 17.25} for i in range(20)])


class Chunks:
    """The chunks of a body, one after the other."""

    def __init__(self, pending, file):
        self.pending, self.file = pending, file

    def take(self, count):
        while len(self.pending) < count:
            self.pending += self.file.read1()
        taken, self.pending = self.pending[:count], self.pending[count:]
        return taken

    def next(self):
        line = b""
        while not line.endswith(b"\r\n"):
            line += self.take(1)
        piece = self.take(int(line, 16))
        assert self.take(2) == b"\r\n"
        return piece


@pytest.fixture
def server(start_server):
    return start_server(shards=1, config={"sse_gzip": "on", "heartbeat_ms": 1000})


def zipped(server, **query):
    return EventStream(server.url("/sse", **query), options=["--compressed"])


def publish(server, payload, **query):
    assert server.request("POST", target("/publish", **query), payload).status == 200


def test_curl_reads_each_event_when_it_has_come(server):
    payloads = [LONG.encode(), b"short", "世界 ".encode() * 400, b"\xff\xfe" * 300]
    url = server.url("/sse", channel="c")
    with zipped(server, channel="c") as stream, EventStream(url) as plain:
        assert stream.headers["content-encoding"] == "gzip"
        assert "content-encoding" not in plain.headers
        assert stream.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
        for payload in payloads:
            publish(server, payload, channel="c")
            event = stream.next()
            assert event == plain.next()
            assert event["data"].encode() == payload or event["event"] == "binary"
    assert server.metric("ringside_streams_gzip_total") == 1


def test_a_message_is_deflated_once_for_all(server):
    streams = [zipped(server, channel="c") for _ in range(5)]
    for _ in range(3):
        publish(server, LONG.encode(), channel="c")
        assert {stream.next()["data"] for stream in streams} == {LONG}
    for stream in streams:
        stream.close()
    assert server.metric("ringside_deflates_total") == 3
    assert server.metric("ringside_deflate_bytes_total") * 3 < \
        server.metric("ringside_deflate_bytes_plain_total")


def test_replays_heartbeats_and_several_channels_are_stored(server):
    large = "x" * 200_000
    publish(server, large.encode(), channel="a")
    publish(server, LONG.encode(), channel="b")
    query = server.url("/sse?channel=a&channel=b&since=start&envelope=1", scheme="http")
    with EventStream(query, options=["--compressed"]) as stream:
        got = [json.loads(stream.next()["data"])["data"] for _ in range(2)]
        assert sorted(got) == sorted([large, LONG])
        publish(server, b"live", channel="a")
        assert json.loads(stream.next()["data"])["data"] == "live"
        wait_until(lambda: stream.comments > 0, "a heartbeat")
        publish(server, b"behind it", channel="b")
        assert json.loads(stream.next()["data"])["data"] == "behind it"
    assert server.metric("ringside_deflates_total") == 0


def test_a_stream_that_ends_is_read_to_its_end(server):
    """By a client that inflates with zlib, and by curl, which says so."""
    publish(server, LONG.encode(), channel="c")
    with zipped(server, channel="c", since="start") as stream:
        assert stream.next()["data"] == LONG
        publish(server, LONG.encode(), channel="c", end="1")
        assert [stream.next()["data"], stream.next()["event"], stream.next()] == [LONG, "end", None]
        assert stream.close() == 0
    with httpx.Client(trust_env=False) as client:
        answer = client.get(server.url("/sse", channel="c", since="start"))
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.text.count("data: [{") == 2 and "event: end" in answer.text


def test_each_piece_stands_by_itself(server):
    """One member, whose pieces end on a byte: what is inflated from its head on, and from any chunk
    on, is the same."""
    with dial(server) as connection:
        connection.sendall(b"GET /sse?channel=c HTTP/1.1\r\nHost: a\r\n"
                           b"Accept-Encoding: gzip\r\n\r\n")
        status, head, pending = read_head(connection)
        assert status == 200
        wait_until(lambda: server.metric("ringside_subscriptions") == 1, "subscribed")
        publish(server, LONG.encode(), channel="c")
        file = connection.makefile("rb")
        chunks = Chunks(pending, file)
        assert chunks.next() == b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
        texts, body = [], zlib.decompressobj(-15)
        while not texts or LONG.encode() not in texts[-1]:
            piece = chunks.next()
            texts.append(zlib.decompressobj(-15).decompress(piece))
            assert body.decompress(piece) == texts[-1]
        assert texts[0].startswith(b"retry: ")


@pytest.mark.parametrize("accept", ["gzip;q=0", "br", "identity", None])
def test_who_does_not_take_it_does_not(server, accept):
    headers = [f"Accept-Encoding: {accept}"] if accept else []
    with EventStream(server.url("/sse", channel="c"), *headers) as stream:
        publish(server, LONG.encode(), channel="c")
        assert stream.next()["data"] == LONG
        assert "content-encoding" not in stream.headers


def test_streams_of_http2(server):
    with Http2(server) as client:
        fields = (("accept-encoding", "gzip"),)
        publish(server, LONG.encode(), channel="c")
        publish(server, LONG.encode(), channel="c", end="1")
        stream = client.get("/sse?channel=c&since=start", fields=fields)
        text = zlib.decompressobj(31).decompress(stream.data)
        assert text.count(b"data: [{") == 2 and b"event: end" in text
