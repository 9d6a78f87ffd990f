"""WebTransport with messages as /ws has them: streams, datagrams, one-way streams, ends; to a
client that others have written: aioquic."""

import asyncio
import json
import struct

import pytest

import h3
from ringside import PATIENCE_S

GONE = 0x170D7B68
REJECTED = 0x3994BD84
DATAGRAM_ERROR = 0x33
MESSAGE_ERROR = 0x10E
ONE_WAY = b"\x40\x54"
BOTH_WAYS = b"\x40\x41"
CLOSE = b"\x68\x43"
TEXT, BINARY, END = 0x81, 0x82, 0x88
FITS = 1100
MESSAGE_MAX = 100_000


@pytest.fixture
def served(start_server):
    return start_server(secure=True, args=("--echo",), config={
        "http3": "on", "websocket_publish": "on", "message_bytes_max": str(MESSAGE_MAX)})


def run(served, test):
    async def inside():
        async with h3.connect(served.port) as client:
            await test(client)

    h3.load()
    asyncio.run(asyncio.wait_for(inside(), PATIENCE_S * 2))


def app_code(number):
    """A code of an application, as it travels."""
    return 0x52E4A40FA8DB + number + number // 0x1E


def frames(data):
    """Whole frames of RFC 6455: first byte and payload of each."""
    found, at = [], 0
    data = bytes(data)
    while len(data) >= at + 2:
        length, head = data[at + 1], 2
        if length == 126:
            length, head = struct.unpack_from(">H", data, at + 2)[0], 4
        elif length == 127:
            length, head = struct.unpack_from(">Q", data, at + 2)[0], 10
        if len(data) < at + head + length:
            break
        found.append((data[at], data[at + head:at + head + length]))
        at += head + length
    return found


def frame(payload, first=TEXT):
    """One as a client sends it, with a mask of zeros."""
    head = bytes([first])
    if len(payload) < 126:
        head += bytes([0x80 | len(payload)])
    elif len(payload) < 1 << 16:
        head += b"\xfe" + struct.pack(">H", len(payload))
    else:
        head += b"\xff" + struct.pack(">Q", len(payload))
    return head + bytes(4) + payload


def capsules(body):
    """Type and value of each."""
    found = []
    while body:
        size = 1 << (body[0] >> 6)
        kind = int.from_bytes(body[:size], "big") & ~(3 << (8 * size - 2))
        length_size = 1 << (body[size] >> 6)
        length = int.from_bytes(body[size:size + length_size], "big") & ~(
            3 << (8 * length_size - 2))
        found.append((kind, body[size + length_size:size + length_size + length]))
        body = body[size + length_size + length:]
    return found


def closed_with(session):
    """Code and reason of a session's close."""
    (kind, value), = capsules(session.body)
    assert kind == 0x2843
    return struct.unpack(">I", value[:4])[0], value[4:].decode()


def numbered(datagram):
    """Number, sequence and message of a datagram, or of a stream that takes its place."""
    size = 1 << (datagram[1] >> 6)
    sequence = int.from_bytes(datagram[1:1 + size], "big") & ~(3 << (8 * size - 2))
    return datagram[0], sequence, datagram[1 + size:]


def publish(served, channel, message):
    return asyncio.to_thread(served.publish, channel, message)


def came(client):
    """The frames of the only stream that the server has opened."""
    return frames(next(iter(client.came.values()), b""))


# ---- a channel in the path ----


def test_messages_of_the_path_come_on_a_stream(served):
    async def test(client):
        session = await client.session("/wt?channel=c")
        assert session.status == 200
        assert session.headers["sec-webtransport-http3-draft"] == "draft02"
        assert "wt-protocol" not in session.headers
        await publish(served, "c", "one")
        await publish(served, "c", b"\xff\xfe")
        await publish(served, "c", "x" * 70_000)
        await client.until(lambda: len(came(client)) == 3)
        assert [kind for kind, _ in came(client)] == [TEXT, BINARY, TEXT]
        assert [len(payload) for _, payload in came(client)] == [3, 2, 70_000]
        assert len(client.came) == 1 and not client.datagrams
        assert served.metric("ringside_webtransports") == 1

    run(served, test)


def test_positions_and_envelopes_are_those_of_a_websocket(served):
    async def test(client):
        served.publish("c", "before")
        await client.session("/wt?channel=c&since=start&envelope=1")
        await client.until(lambda: len(came(client)) == 2)
        first, second = (json.loads(payload) for _, payload in came(client))
        assert first["position"]
        assert second["data"] == "before" and second["offset"] == 1

    run(served, test)


@pytest.mark.parametrize(("path", "status", "error"), [
    ("/wt?channel=%2a%2a", 400, "bad_channel"),
    ("/wt?channel=a&channel=b", 400, "envelope_required"),
    ("/wt?channel=a&datagrams=64", 400, "bad_datagrams"),
    ("/wt?channel=a&channel=b&envelope=1&datagrams=1", 400, "no_datagrams"),
    ("/wt?channel=a&delta=fossil&datagrams=1", 400, "no_datagrams"),
    ("/ws?channel=a", 426, "handshake_upgrade"),
    ("/poll?channel=a", 501, "method_unknown"),
])
def test_who_is_refused_is_told_by_the_answer(served, path, status, error):
    async def test(client):
        session = await client.session(path)
        await client.until(lambda: session.ended)
        assert (session.status, json.loads(session.body)["error"]) == (status, error)
        assert served.metric("ringside_webtransports") == 0

    run(served, test)


def test_a_get_is_told_to_upgrade(served):
    async def test(client):
        assert (await client.get("/wt?channel=c")).status == 426

    run(served, test)


@pytest.mark.parametrize(("offered", "agreed"), [
    (b'"a", "ringside";q=1', '"ringside"'),
    (b'"ringside2", ring, "ring\\side"', None),
    (b'"unclosed', None),
])
def test_a_sub_protocol_is_agreed_upon(served, offered, agreed):
    async def test(client):
        session = await client.session("/wt", (b"wt-available-protocols", offered))
        assert session.headers.get("wt-protocol") == agreed

    run(served, test)


# ---- the end ----


def test_a_close_of_ours_comes_behind_the_last_message(served):
    async def test(client):
        session = await client.session("/wt?channel=c")
        await publish(served, "c", "last words")
        await client.until(lambda: came(client))
        await asyncio.to_thread(served.request, "POST", "/publish?channel=c&end=1", "over")
        await client.until(lambda: session.ended)
        (_, first), (_, last), (kind, close) = came(client)
        assert (first, last) == (b"last words", b"over")
        assert (kind, close) == (END, struct.pack(">H", 1000) + b"ended")
        assert client.came.keys() == client.over
        assert closed_with(session) == (1000, "ended")

    run(served, test)


def test_a_session_that_is_refused_later_ends_by_code_and_reason(served):
    async def test(client):
        session = await client.session("/wt?channel=c&since=1111111111111111.5")
        await client.until(lambda: session.ended)
        assert closed_with(session) == (4410, "unrecoverable")

    run(served, test)


def test_a_close_of_the_clients_ends_its_streams(served, eventually):
    async def test(client):
        session = await client.session("/wt?channel=c")
        stream = client.tunnel(BOTH_WAYS + h3.varint(session.stream) + b"/ws?channel=d\n")
        await publish(served, "c", "one")
        await client.until(lambda: came(client))
        client.http.send_data(session.stream, CLOSE + b"\x0e\0\0\x03\x09client bye", True)
        client.transmit()
        await client.until(lambda: session.ended and client.answers[stream].reset)
        assert client.answers[stream].reset == GONE
        assert session.body == b""
        assert (await client.get("/healthz")).status == 200

    run(served, test)
    eventually(lambda: served.metric("ringside_webtransports") == 0, "the end")
    eventually(lambda: served.metric("ringside_streams_websocket") == 0, "the end of its streams")


def test_what_is_no_capsule_ends_the_session_alone(served):
    async def test(client):
        for bad in (CLOSE + b"\x03\0\0\0", CLOSE + b"\x44\x06", b"\x17"):
            session = await client.session("/wt?channel=c")
            client.http.send_data(session.stream, bad, True)
            client.transmit()
            await client.until(lambda session=session: session.reset is not None)
            assert session.reset == MESSAGE_ERROR
        assert not client.ended

    run(served, test)


def test_a_drain_says_so(served):
    async def test(client):
        both = [await client.session("/wt?channel=c"), await client.session("/wt")]
        served.signal()
        await client.until(lambda: all(session.ended for session in both))
        assert [closed_with(session)[0] for session in both] == [1001, 1001]
        assert closed_with(both[1])[1] == "going_away"
        await client.until(lambda: client.ended)

    run(served, test)


# ---- datagrams ----


def test_messages_come_as_datagrams(served):
    async def test(client):
        session = await client.session("/wt?channel=c&datagrams=7")
        for turn in range(3):
            await publish(served, "c", f"state {turn}")
            await client.until(lambda turn=turn: len(client.datagrams) == turn + 1)
        assert [numbered(one) for one in client.datagrams] == [
            (7, turn, f"state {turn}".encode()) for turn in range(3)]
        assert not client.came and session.status == 200
        assert served.metric("ringside_webtransport_datagrams_sent_total") == 3

    run(served, test)


def test_what_fits_no_datagram_comes_on_a_stream_of_its_own(served):
    async def test(client):
        await client.session("/wt?channel=c&datagrams=1")
        for at, size in enumerate((FITS, MESSAGE_MAX, 2000, 3)):
            await publish(served, "c", "x" * size)
            await client.until(lambda at=at: len(client.over) + len(client.datagrams) == at + 1)
            await client.ping()  # what came is acknowledged
        told = sorted([numbered(one) for one in (*client.came.values(), *client.datagrams)],
                      key=lambda one: one[1])
        assert [(number, sequence, len(message)) for number, sequence, message in told] == [
            (1, 0, FITS), (1, 1, MESSAGE_MAX), (1, 2, 2000), (1, 3, 3)]
        assert served.metric("ringside_webtransport_wide_total") == 2
        assert served.metric("ringside_datagrams_joined_total") > 10  # packets of the large one

    run(served, test)


def test_of_what_has_to_wait_the_latest_is_kept(served):
    async def test(client):
        await client.session("/wt?channel=c&datagrams=1")
        burst = 60
        silence = client._transport.sendto
        client._transport.sendto = lambda *_: None  # nothing is acknowledged
        for turn in range(burst):
            await publish(served, "c", f"{turn:04}" + "x" * 1000)
        assert served.metric("ringside_webtransport_superseded_total") + served.metric(
            "ringside_messages_dropped_total") > 0
        client._transport.sendto = silence
        await client.ping()
        await client.until(lambda: any(numbered(one)[2].startswith(b"0059")
                                       for one in client.datagrams))
        assert len(client.datagrams) < burst
        order = [numbered(one)[2][:4] for one in sorted(client.datagrams, key=lambda one: numbered(
            one)[1])]
        assert order == sorted(order)

    run(served, test)


def test_a_client_without_datagrams_is_told(served):
    async def inside():
        async with h3.connect(served.port, datagrams=None) as client:
            session = await client.session("/wt?channel=c&datagrams=1")
            await client.until(lambda: session.ended)
            assert json.loads(session.body)["error"] == "no_datagrams"

    h3.load()
    asyncio.run(asyncio.wait_for(inside(), PATIENCE_S))


def test_datagrams_of_a_client_are_published(served):
    async def test(client):
        session = await client.session("/wt?channel=c")
        client.datagram(session.stream, b"\x00\x05hello")
        await client.until(lambda: came(client))
        assert came(client) == [(TEXT, b"hello")]
        client.datagram(session.stream, b"\x00\x04late")
        client.datagram(session.stream, b"\x09\x00nobody's")
        client.datagram(session.stream, b"\x40\x40\x00no number")
        client.datagram(session.stream, b"")
        client.datagram(400, b"\x00\x00no session")
        client.datagram(session.stream, b"\x00\x40\x06\xffbytes")
        await client.until(lambda: len(came(client)) == 2)
        assert came(client)[1] == (BINARY, b"\xffbytes")
        assert served.metric("ringside_webtransport_datagrams_received_total") == 2
        assert served.metric("ringside_webtransport_datagrams_dropped_total") == 5

    run(served, test)


def test_a_datagram_without_a_stream_ends_the_connection(served):
    async def test(client):
        client._quic.send_datagram_frame(b"\xff")
        client.transmit()
        await client.until(lambda: client.ended)
        assert client.ended.error_code == DATAGRAM_ERROR

    run(served, test)


# ---- streams of the client's ----


def test_a_stream_subscribes_by_its_first_line(served):
    async def test(client):
        session = await client.session("/wt")
        head = BOTH_WAYS + h3.varint(session.stream)
        plain = client.tunnel(head + b"/ws?chan")
        await client.ping()
        client.raw(b"nel=a\n" + frame(b"mine"), stream=plain)
        await client.until(lambda: frames(client.tunnels[plain]))
        latest = client.tunnel(head + b"/ws?channel=b&datagrams=3&since=latest\n")
        both = client.tunnel(head + b"/ws?channel=b&datagrams=3\n")
        await client.until(lambda: both in client.over)
        assert json.loads(frames(client.tunnels[both])[0][1])["error"] == "bad_datagrams"
        await publish(served, "a", "for a")
        await publish(served, "b", "for b")
        await client.until(lambda: len(frames(client.tunnels[plain])) == 2 and client.datagrams)
        assert frames(client.tunnels[plain]) == [(TEXT, b"mine"), (TEXT, b"for a")]
        assert numbered(client.datagrams[0]) == (3, 0, b"for b")
        assert frames(client.tunnels[latest]) == []
        client.datagram(session.stream, b"\x03\x00from outside")
        await client.until(lambda: len(client.datagrams) == 2)
        client.raw(b"", stream=plain, end=True)
        await client.until(lambda: plain in client.over)

    run(served, test)


@pytest.mark.parametrize(("target", "error"), [
    (b"/ws?channel=**\n", "bad_channel"),
    (b"/publish?channel=c\n", "method_unknown"),
    (b"/nothing\n", "not_found"),
    (b"nothing\n", "target"),
])
def test_a_stream_for_nothing_is_told_and_ends(served, target, error):
    async def test(client):
        session = await client.session("/wt")
        stream = client.tunnel(BOTH_WAYS + h3.varint(session.stream) + target)
        await client.until(lambda: stream in client.over)
        (kind, text), = frames(client.tunnels[stream])
        assert kind == TEXT and json.loads(text)["error"] == error

    run(served, test)


def test_ends_of_streams_have_codes(served):
    async def test(client):
        session = await client.session("/wt")
        head = BOTH_WAYS + h3.varint(session.stream)
        endless = client.tunnel(head + b"/" + b"x" * 20_000)
        await client.until(lambda: client.answers[endless].reset is not None)
        assert client.answers[endless].reset == app_code(0)
        bad = client.tunnel(head + b"/echo\n" + b"\x8f\x80\0\0\0\0")
        await client.until(lambda: bad in client.over)
        (kind, close), = frames(client.tunnels[bad])
        assert kind == END and close.startswith(struct.pack(">H", 1002))

    run(served, test)


def test_a_client_may_reset_its_stream(served, eventually):
    async def test(client):
        session = await client.session("/wt?channel=c")
        stream = client.tunnel(BOTH_WAYS + h3.varint(session.stream) + b"/ws?channel=a\n")
        one_way = client.raw(ONE_WAY + h3.varint(session.stream), one_way=True)
        await publish(served, "a", "one")
        await client.until(lambda: frames(client.tunnels[stream]))
        client._quic.reset_stream(stream, app_code(33))
        client._quic.reset_stream(one_way, app_code(34))
        client.transmit()
        await client.until(lambda: client.answers[stream].reset is not None)
        assert not client.ended

    run(served, test)
    eventually(lambda: served.metric("ringside_streams_websocket") == 0, "the end")


def test_a_one_way_stream_is_a_message(served):
    async def test(client):
        session = await client.session("/wt?channel=c")
        head = ONE_WAY + h3.varint(session.stream)
        sizes = (0, 5, MESSAGE_MAX)
        for size in sizes:
            client.raw(head + b"m" * size, one_way=True, end=True)
            await client.until(lambda size=size: size in [len(one) for _, one in came(client)])
        assert [len(one) for _, one in came(client)] == list(sizes)

    run(served, test)


def test_one_way_streams_may_follow_each_other_for_ever(served):
    async def test(client):
        session = await client.session("/wt?channel=many")
        head = ONE_WAY + h3.varint(session.stream)
        for number in range(40):
            cut = client.raw(head + b"lost", one_way=True)
            client._quic.reset_stream(cut, app_code(1))
            client.raw(head + b"%d" % number, one_way=True, end=True)
            await client.until(lambda number=number: len(came(client)) > number)
        assert came(client) == [(TEXT, b"%d" % number) for number in range(40)]

    run(served, test)


def test_a_one_way_stream_that_nobody_takes_is_stopped(served):
    async def test(client):
        session = await client.session("/wt?channel=c")
        other = await client.session("/connection/webtransport")
        cases = {
            client.raw(ONE_WAY + h3.varint(session.stream) + b"x" * (MESSAGE_MAX + 1),
                       one_way=True): app_code(1009),
            client.raw(ONE_WAY + h3.varint(other.stream) + b"x", one_way=True): REJECTED,
            client.raw(ONE_WAY + h3.varint(400) + b"x", one_way=True): REJECTED,
        }
        await client.until(lambda: len(client.stopped) == len(cases))
        assert client.stopped == cases
        assert not client.ended

    run(served, test)


def test_echo_is_a_session_too(served):
    async def test(client):
        session = await client.session("/echo")
        client.raw(ONE_WAY + h3.varint(session.stream) + b"by stream", one_way=True, end=True)
        await client.until(lambda: came(client))
        client.datagram(session.stream, b"\x00\x00by datagram")
        await client.until(lambda: len(came(client)) == 2)
        assert came(client) == [(TEXT, b"by stream"), (TEXT, b"by datagram")]
        large = client.tunnel(BOTH_WAYS + h3.varint(session.stream) + b"/echo\n")
        client.raw(frame(b"m" * MESSAGE_MAX), stream=large)
        await client.until(lambda: frames(client.tunnels[large]))
        assert len(frames(client.tunnels[large])[0][1]) == MESSAGE_MAX
        lossy = await client.session("/echo?datagrams=5")
        client.datagram(lossy.stream, b"\x05\x00back")
        await client.until(lambda: client.datagrams)
        assert numbered(client.datagrams[0]) == (5, 0, b"back")

    run(served, test)
