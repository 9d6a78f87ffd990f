"""What a client of QUIC may do wrong, and the error of RFC 9000 section 20 that it is told: frames
made by hand, in packets of aioquic's."""

import asyncio
import ssl

import pytest

import h3
from h3 import varint
from ringside import PATIENCE_S

INTERNAL_ERROR = 0x01
FLOW_CONTROL_ERROR = 0x03
STREAM_LIMIT_ERROR = 0x04
STREAM_STATE_ERROR = 0x05
FINAL_SIZE_ERROR = 0x06
FRAME_ENCODING_ERROR = 0x07
TRANSPORT_PARAMETER_ERROR = 0x08
CONNECTION_ID_LIMIT_ERROR = 0x09
PROTOCOL_VIOLATION = 0x0A
CRYPTO_ERROR = 0x100
UNEXPECTED_MESSAGE, NO_APPLICATION_PROTOCOL = 10, 120
BEYOND_WINDOW = (1 << 16) + 1
BEYOND_STREAMS = 4 * 500
UNKNOWN = b"\x21\x00"  # a frame of HTTP/3 that nobody knows: no error
CIDS = 4  # that the server keeps of a client's


def stream_frame(stream, data=b"", offset=0, fin=False):
    """With offset and length."""
    return bytes([0x0E | fin]) + varint(stream) + varint(offset) + varint(len(data)) + data


def reset_frame(stream, size):
    return b"\x04" + varint(stream) + varint(0) + varint(size)


def new_cid(sequence, retired=0, cid=None):
    cid = bytes([sequence]) * 8 if cid is None else cid
    return (b"\x18" + varint(sequence) + varint(retired) + bytes([len(cid)]) + cid
            + bytes([sequence]) * 16)


# Two have another name in RFC 9000 than in the library: a reset of a stream of the server's is a
# STREAM_STATE_ERROR there, and an ACK of negative numbers a FRAME_ENCODING_ERROR.
FRAMES = {
    "a stream beyond its window": (stream_frame(0, b"x", BEYOND_WINDOW), FLOW_CONTROL_ERROR),
    "streams beyond the connection's": (
        b"".join(stream_frame(4 * n, b"x", (1 << 16) - 1) for n in range(5)), FLOW_CONTROL_ERROR),
    "a reset beyond the window": (reset_frame(0, BEYOND_WINDOW), FLOW_CONTROL_ERROR),
    "too many streams both ways": (stream_frame(BEYOND_STREAMS, b"x"), STREAM_LIMIT_ERROR),
    "too many one-way streams": (stream_frame(BEYOND_STREAMS + 2, b"x"), STREAM_LIMIT_ERROR),
    "a reset of a stream beyond": (reset_frame(BEYOND_STREAMS, 0), STREAM_LIMIT_ERROR),
    "data on a stream of the server's": (stream_frame(3, b"x"), STREAM_STATE_ERROR),
    "data on one that it has not opened": (stream_frame(1, b"x"), STREAM_STATE_ERROR),
    "a reset of a stream of the server's": (reset_frame(3, 0), PROTOCOL_VIOLATION),
    "STOP_SENDING of a stream to it": (b"\x05" + varint(2) + varint(0), STREAM_STATE_ERROR),
    "a window for a stream to it": (b"\x11" + varint(2) + varint(9), STREAM_STATE_ERROR),
    "a window for one that it has not opened": (b"\x11" + varint(1) + varint(9),
                                                STREAM_STATE_ERROR),
    "data behind the end": (
        stream_frame(0, UNKNOWN, fin=True) + stream_frame(0, b"x", 2), FINAL_SIZE_ERROR),
    "another end": (
        stream_frame(0, UNKNOWN, fin=True) + stream_frame(0, b"!", fin=True), FINAL_SIZE_ERROR),
    "a reset before what has come": (stream_frame(0, b"xx") + reset_frame(0, 1),
                                     FINAL_SIZE_ERROR),
    "a frame that nobody knows": (b"\x3f", FRAME_ENCODING_ERROR),
    "half a frame": (b"\x04\x00", FRAME_ENCODING_ERROR),
    "a frame longer than its packet": (b"\x0a\x00\x44\x00x", FRAME_ENCODING_ERROR),
    "more streams than there are numbers": (
        b"\x12" + (3 << 62 | 1 << 60 | 1).to_bytes(8, "big"), FRAME_ENCODING_ERROR),
    "a connection ID without bytes": (new_cid(1, cid=b""), FRAME_ENCODING_ERROR),
    "one that retires later ones": (new_cid(1, retired=2), FRAME_ENCODING_ERROR),
    "an ACK of negative numbers": (b"\x02\x00\x00\x00\x09", PROTOCOL_VIOLATION),
    "too many connection IDs": (b"".join(new_cid(20 + n) for n in range(CIDS + 1)),
                                CONNECTION_ID_LIMIT_ERROR),
    "an ACK of what was not sent": (b"\x02\x80\x00\xff\xff\x00\x00\x00", PROTOCOL_VIOLATION),
    "HANDSHAKE_DONE": (b"\x1e", PROTOCOL_VIOLATION),
    "NEW_TOKEN": (b"\x07\x01t", PROTOCOL_VIOLATION),
    "a connection ID back that was not given": (b"\x19\x32", PROTOCOL_VIOLATION),
    "two meanings of a connection ID": (
        new_cid(9, cid=b"a" * 8) + new_cid(9, cid=b"b" * 8), PROTOCOL_VIOLATION),
    "a message of TLS": (b"\x06\x00\x05\x18\x00\x00\x01\x00", CRYPTO_ERROR + UNEXPECTED_MESSAGE),
}


@pytest.fixture
def served(start_server):
    return start_server(secure=True, config={"http3": "on"})


def inject(client, data):
    """Sends frames of the test's own, behind a PING."""
    quic = client._quic

    def write(builder, uids=(), comment=""):
        del comment
        room = builder.start_frame(1, capacity=1 + len(data), handler=quic._on_ping_delivery,
                                   handler_args=(tuple(uids),))
        room.push_bytes(data)
        del quic._write_ping_frame

    quic._write_ping_frame = write
    quic.send_ping(0)
    client.transmit()


def told(served, data):
    async def inside():
        async with h3.connect(served.port, http=False) as client:
            inject(client, data)
            await client.until(lambda: client.ended)
            return client.ended.error_code

    h3.load()
    return asyncio.run(asyncio.wait_for(inside(), PATIENCE_S))


def test_frames_that_end_a_connection(served):
    before = served.metric("ringside_quic_errors_total")
    codes = {name: told(served, data) for name, (data, _) in FRAMES.items()}
    assert codes == {name: code for name, (_, code) in FRAMES.items()}
    assert served.metric("ringside_quic_errors_total") == before + len(FRAMES)


GOOD = {
    "padding, and a PING": bytes(20) + b"\x01",
    "blocked": b"\x14\x05" + b"\x15\x00\x05" + b"\x16\x05" + b"\x17\x05",
    "windows that have been larger": b"\x10\x00" + b"\x12\x00" + b"\x13\x00",
    "an answer to none": b"\x1b" + bytes(8),
}


def test_frames_that_do_not(served):
    async def inside():
        async with h3.connect(served.port) as client:
            for name, data in GOOD.items():
                inject(client, data)
                await client.ping()
                assert not client.ended, name
            answer = await client.get("/healthz")
            assert (answer.status, answer.reset, client.ended) == (200, None, None)

    h3.load()
    asyncio.run(asyncio.wait_for(inside(), PATIENCE_S))


# ---- the handshake ----

def parameter(number, value):
    return varint(number) + varint(len(value)) + value


PARAMETERS = {
    "the server's own": parameter(0x00, b"12345678"),
    "the server's token": parameter(0x02, bytes(16)),
    "an exponent of ACKs": parameter(0x0A, varint(21)),
    "a delay of ACKs": parameter(0x0B, varint(1 << 14)),
    "the size of datagrams": parameter(0x03, varint(1199)),
    "one connection ID": parameter(0x0E, varint(1)),
    "a number with something behind it": parameter(0x04, b"\x05\x05"),
}


async def end_of_handshake(served, serialize=None, protocol="h3", one_way_streams=None):
    """The code that the server ends a handshake with."""
    ended = asyncio.get_running_loop().create_future()
    modules = h3.load()
    client, base, _, _, configuration, events = modules

    class Client(base.QuicConnectionProtocol):
        def quic_event_received(self, event):
            if isinstance(event, events.ConnectionTerminated) and not ended.done():
                ended.set_result(event.error_code)

    how = configuration.QuicConfiguration(is_client=True, alpn_protocols=[protocol],
                                          server_name="localhost", verify_mode=ssl.CERT_NONE)

    def create(quic, **more):
        if serialize:
            right = quic._serialize_transport_parameters
            quic._serialize_transport_parameters = lambda: serialize(right())
        if one_way_streams is not None:
            quic._local_max_streams_uni.value = one_way_streams
        return Client(quic, **more)

    async with client.connect("127.0.0.1", served.port, configuration=how,
                              create_protocol=create, wait_connected=False):
        return await asyncio.wait_for(ended, PATIENCE_S)


def test_parameters_of_the_transport_that_are_none(served, eventually):
    codes = {name: asyncio.run(end_of_handshake(served, lambda right, bad=bad: right + bad))
             for name, bad in PARAMETERS.items()}
    assert codes == dict.fromkeys(PARAMETERS, TRANSPORT_PARAMETER_ERROR)
    eventually(lambda: served.metric("ringside_quic_connections") == 0, "the ends")
    assert served.metric("ringside_quic_bytes") == 0


def test_a_client_that_lets_the_server_open_no_stream(served, eventually):
    """The library stops the process at an error of HTTP/3 in that moment of a handshake."""
    code = asyncio.run(end_of_handshake(served, one_way_streams=0))
    assert code == INTERNAL_ERROR
    eventually(lambda: served.metric("ringside_quic_connections") == 0, "the end")


def test_a_client_of_another_protocol(served):
    code = asyncio.run(end_of_handshake(served, protocol="h9"))
    assert code == CRYPTO_ERROR + NO_APPLICATION_PROTOCOL
