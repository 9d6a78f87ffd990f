"""HTTP/3: the same paths as streams of QUIC, to a client that others have written: aioquic."""

import asyncio
import json
import re

import pytest

import h3
from ringside import PATIENCE_S
from wire import TEXT, frame

CONFIG = {"http3": "on", "websocket_publish": "on", "echo": "on"}
NO_ERROR = 0x100
STREAM_CREATION_ERROR = 0x103
CLOSED_CRITICAL_STREAM = 0x104
FRAME_UNEXPECTED = 0x105
FRAME_ERROR = 0x106
MISSING_SETTINGS = 0x10A
SETTINGS_ERROR = 0x109
REQUEST_CANCELLED = 0x10C
REQUEST_INCOMPLETE = 0x10D
MESSAGE_ERROR = 0x10E
DECOMPRESSION_FAILED = 0x200
ENCODER_STREAM_ERROR = 0x201
DECODER_STREAM_ERROR = 0x202


@pytest.fixture
def served(start_server):
    return start_server(secure=True, config=CONFIG)


def run(served, test, **how):
    """Runs a coroutine with a connection to the server."""

    async def inside():
        async with h3.connect(served.port, **how) as client:
            await test(client)

    h3.load()
    asyncio.run(asyncio.wait_for(inside(), PATIENCE_S * 2))


# ---- requests ----

def test_pages_and_messages(served):
    async def test(client):
        page = await client.get("/")
        assert page.status == 200 and b"<html" in page.body
        assert int(page.headers["content-length"]) == len(page.body)
        assert (await client.get("/nothing")).status == 404
        told = json.loads((await client.get("/publish?channel=c", method="POST", body=b"x")).body)
        answer = json.loads((await client.get("/poll?channel=c")).body)
        assert [one["data"] for one in answer["messages"]] == ["x"]
        assert answer["position"] == f"{told['epoch']}.{told['offset']}"

    run(served, test)
    assert served.metric("ringside_quic_handshakes_total") == 1


def test_a_stream_of_events_and_a_long_poll(served):
    async def test(client):
        events = client.ask("/sse?channel=c")
        await client.until(lambda: b"\n\n" in events.body)
        waiting = client.ask(f"/longpoll?channel=c&since={served.position('c')}")
        await asyncio.to_thread(served.publish, "c", "there")
        await client.until(lambda: b"data: there\n\n" in events.body)
        await client.until(lambda: waiting.ended)
        assert [one["data"] for one in json.loads(waiting.body)["messages"]] == ["there"]
        assert events.headers["content-type"].startswith("text/event-stream")

    run(served, test)


def test_messages_from_another_shard_and_many_of_them(served):
    async def test(client):
        streams = [client.ask(f"/sse?channel=many{i}") for i in range(20)]
        await client.until(lambda: all(b"\n\n" in one.body for one in streams))
        for i in range(20):
            await asyncio.to_thread(served.publish, f"many{i}", f"message {i}")
        await client.until(
            lambda: all(f"message {i}".encode() in one.body for i, one in enumerate(streams))
        )

    run(served, test)


def test_a_large_body_both_ways(served):
    large = bytes(65 + i % 26 for i in range(300_000))

    async def test(client):
        answer = await client.get("/publish?channel=large", method="POST", body=large)
        assert answer.status == 200
        answer = await client.get("/poll?channel=large")
        assert json.loads(answer.body)["messages"][0]["data"] == large.decode()

    run(served, test)


def test_a_head_that_is_too_long_is_answered(served):
    """One that is so as it comes, and one that becomes so."""

    async def test(client):
        client.raw(b"\x00\x04\x00", one_way=True)
        for section in (bytes(16384), b"\x00\x00" + GET + b"\xd9" * 400):
            head = b"\x01\x80" + len(section).to_bytes(3, "big")
            stream = client.raw(head + section, end=True)
            await client.until(lambda stream=stream: client.heard(stream) > 0 or client.ended)
            assert not client.ended
        assert served.refused("head_long") == 2

    run(served, test, http=False)


def test_head_has_no_body(served):
    async def test(client):
        # aioquic would hold a length against the body that is not there.
        answer = await client.get("/longpoll?channel=c", method="HEAD")
        assert (answer.status, answer.body, answer.ended) == (200, b"", True)

    run(served, test)


def test_a_client_that_takes_no_more_leaves_nothing_behind(served, eventually):
    async def test(client):
        events = client.ask("/sse?channel=c")
        await client.until(lambda: b"\n\n" in events.body)
        client._quic.stop_stream(events.stream, REQUEST_CANCELLED)
        client.transmit()
        await asyncio.to_thread(
            eventually, lambda: served.metric("ringside_streams_sse") == 0, "the end"
        )
        assert (await client.get("/healthz")).status == 200

    run(served, test)


def test_a_websocket_is_a_stream(served):
    """RFC 9220."""

    async def test(client):
        asked = [(b":protocol", b"websocket"), (b"sec-websocket-version", b"13")]
        socket = client.ask("/ws?channel=c", method="CONNECT", body=b"", end=False, headers=asked)
        await client.until(lambda: socket.status)
        assert socket.status == 200
        client.http.send_data(socket.stream, frame(TEXT, b"said"), end_stream=False)
        client.transmit()
        await client.until(lambda: socket.body == bytes([0x80 | TEXT, 4]) + b"said")
        session = client.ask("/connection/websocket", method="CONNECT", body=b"", end=False,
                             headers=asked)
        client.http.send_data(session.stream, frame(TEXT, b'{"id":1,"connect":{}}'),
                              end_stream=False)
        client.transmit()
        await client.until(lambda: b'"connect"' in session.body)

    run(served, test)


def test_what_is_told_of_it(served):
    answer = served.get("/healthz")
    assert re.fullmatch(rf'h3=":{served.port}"; ma=\d+', answer.headers["alt-svc"])


# ---- errors ----

ONE_WAY = [
    (b"\x00\x07\x01\x00", MISSING_SETTINGS),
    (b"\x00\x04\x00\x04\x00", FRAME_UNEXPECTED),
    (b"\x00\x04\x00\x00\x00", FRAME_UNEXPECTED),
    (b"\x00\x04\x02\x02\x00", SETTINGS_ERROR),
    (b"\x01\x00", STREAM_CREATION_ERROR),
    (b"\x02\x3f", ENCODER_STREAM_ERROR),
    (b"\x03\x84", DECODER_STREAM_ERROR),
]


def test_errors_on_one_way_streams(served):
    for data, code in ONE_WAY:

        async def test(client, data=data, code=code):
            client.raw(data, one_way=True)
            await client.until(lambda: client.ended)
            assert client.ended.error_code == code

        run(served, test, http=False)
    served.until_closed("http3_error", len(ONE_WAY))


def test_a_second_control_stream_and_one_that_ends(served):
    async def twice(client):
        for _ in range(2):
            client.raw(b"\x00\x04\x00", one_way=True)
        await client.until(lambda: client.ended)
        assert client.ended.error_code == STREAM_CREATION_ERROR

    async def ends(client):
        client.raw(b"\x00\x04\x00", one_way=True, end=True)
        await client.until(lambda: client.ended)
        assert client.ended.error_code == CLOSED_CRITICAL_STREAM

    run(served, twice, http=False)
    run(served, ends, http=False)


REQUESTS = [
    (b"\x00\x01x", False, FRAME_UNEXPECTED),  # DATA before HEADERS
    (b"\x04\x00", False, FRAME_UNEXPECTED),
    (b"\x05\x00", False, FRAME_UNEXPECTED),
    (b"\x06\x00", False, FRAME_UNEXPECTED),
    (b"\x01\x09xx", True, FRAME_ERROR),  # the end, in a frame
    (b"\x01\x03\x02\x00\x80", False, DECOMPRESSION_FAILED),  # of a table that there is not
]


def test_errors_on_the_streams_of_requests(served):
    for data, end, code in REQUESTS:

        async def test(client, data=data, end=end, code=code):
            client.raw(b"\x00\x04\x00", one_way=True)
            client.raw(data, end=end)
            await client.until(lambda: client.ended)
            assert client.ended.error_code == code

        run(served, test, http=False)

    async def another(client):
        """Who has done nothing is none the worse, on either shard."""
        assert (await client.get("/healthz")).status == 200

    for _ in range(8):
        run(served, another)


GET = b"\xd1\xd7\x50\x01a\xc1"  # GET https a /


SECTIONS = [
    (b"\xd1\xd7\xc1", None),  # no authority: answered
    (b"\xd7\xc1", MESSAGE_ERROR),  # no method
    (b"\xd1\xc1", MESSAGE_ERROR),  # no scheme
    (b"\xd1\xd1\xd7\xc1", MESSAGE_ERROR),  # two methods
    (GET + b"\x23Abc\x01x", MESSAGE_ERROR),  # a name in upper case
    (b"\xd1\xd7\x23abc\x01x\xc1", MESSAGE_ERROR),  # a pseudo field behind another
    (GET + b"\x27\x03connection\x05close", MESSAGE_ERROR),
    (GET + b"\x24:odd\x01x", MESSAGE_ERROR),
    (GET + b"\x23abc\x03a\x0ab", MESSAGE_ERROR),  # a line feed in a value
]


def test_requests_that_are_malformed(served):
    async def test(client):
        client.raw(b"\x00\x04\x00", one_way=True)
        for section, code in SECTIONS:
            payload = b"\x00\x00" + section
            stream = client.raw(b"\x01" + bytes([len(payload)]) + payload, end=True)
            answer = client.answers[stream]
            await client.until(lambda: client.heard(stream) > 0 or answer.reset or client.ended)
            # The connection is none the worse.
            assert answer.reset == code and not client.ended

    run(served, test, http=False)


def test_a_body_that_is_not_as_long_as_it_says(served):
    async def test(client):
        for body in (b"short", b"longer than that"):
            fields = [(b"content-length", b"8")]
            answer = await client.get("/publish?channel=c", method="POST", body=body,
                                      headers=fields)
            assert answer.reset == MESSAGE_ERROR
        assert (await client.get("/healthz")).status == 200

    run(served, test)


def test_a_request_that_is_none(served):
    async def test(client):
        client.raw(b"\x00\x04\x00", one_way=True)
        stream = client.raw(b"\x40\x21\x00", end=True)
        answer = client.answers[stream]
        await client.until(lambda: answer.reset is not None)
        assert answer.reset == REQUEST_INCOMPLETE and not client.ended

    run(served, test, http=False)


# ---- connections ----

def test_a_retry_proves_an_address(start_server):
    served = start_server(secure=True, config={**CONFIG, "quic_retry_over": "0"})

    async def test(client):
        assert (await client.get("/healthz")).status == 200

    run(served, test)
    assert served.metric("ringside_quic_retries_total") == 1
    assert served.metric("ringside_quic_handshakes_total") == 1


def test_a_drain_says_goodbye(served):
    async def test(client):
        events = client.ask("/sse?channel=c")
        await client.until(lambda: b"\n\n" in events.body)
        served.signal()
        await client.until(lambda: client.ended)
        assert client.ended.error_code == NO_ERROR
        assert events.ended or events.reset is None

    run(served, test)


def test_connections_end_when_nobody_asks(start_server, eventually):
    served = start_server(secure=True, config={**CONFIG, "idle_timeout_ms": "300"})

    async def test(client):
        assert (await client.get("/healthz")).status == 200
        await client.until(lambda: client.ended)
        assert client.ended.error_code == NO_ERROR

    run(served, test)
    eventually(lambda: served.metric("ringside_quic_connections") == 0, "the end")
    assert served.metric("ringside_quic_bytes") == 0


def test_keys_and_connection_ids_may_change(served):
    async def test(client):
        events = client.ask("/sse?channel=c")
        await client.until(lambda: b"\n\n" in events.body)
        for i in range(3):
            client._quic.change_connection_id()
            client._quic.request_key_update()
            await client.ping()
            await asyncio.to_thread(served.publish, "c", f"after {i}")
            await client.until(lambda i=i: f"after {i}".encode() in events.body)

    run(served, test)
