"""A foreign client of HTTP/3: aioquic, from its registry, when it can be had there."""

import asyncio
import contextlib
import ssl
import sys

import sdk

# The last that goes with Debian's cryptography, which other tests of the same process have loaded.
VERSION = "0.9.25"
NEEDS = ("pyopenssl==23.0.0", "cryptography==38.0.4", "service-identity==23.1.0")
WAIT_S = 20


def load():
    """aioquic's modules, or the test is skipped."""
    folder = str(sdk.pip("aioquic", VERSION, *NEEDS))
    if folder not in sys.path:
        sys.path.append(folder)
    import aioquic.asyncio.client as client
    import aioquic.asyncio.protocol as protocol
    import aioquic.h3.connection as h3
    import aioquic.h3.events as h3_events
    import aioquic.quic.configuration as configuration
    import aioquic.quic.events as events
    import aioquic.quic.stream as stream

    # It fails on a STOP_SENDING that comes twice, as one does whose acknowledgement was late, and
    # goes on sending behind its reset.
    reset = stream.QuicStreamSender.reset
    if reset.__name__ == "reset":
        def reset_once(sender, error_code):
            if sender._reset_error_code is None:
                reset(sender, error_code)
                sender._pending = type(sender._pending)()
                sender.buffer_is_empty = True

        stream.QuicStreamSender.reset = reset_once
    return client, protocol, h3, h3_events, configuration, events


def varint(number):
    if number < 1 << 6:
        return bytes([number])
    return (number | 1 << 14).to_bytes(2, "big") if number < 1 << 14 else (
        (number | 1 << 31).to_bytes(4, "big"))


class Answer:
    """What has come of one stream."""

    def __init__(self):
        self.status = None
        self.headers = {}
        self.body = b""
        self.ended = False
        self.reset = None
        self.stream = None


class Talk:
    """What a test says and hears on a connection, beside aioquic's protocol."""

    def start(self):
        self.http = None
        self.answers = {}
        self.bytes = {}
        self.tunnels = {}
        self.over = set()
        self.came = {}  # by stream: bytes of those that the server has opened in a session
        self.datagrams = []
        self.stopped = {}
        self.changed = asyncio.Event()
        self.ended = None

    def heard(self, stream):
        """How many bytes have come on a stream."""
        return self.bytes.get(stream, 0)

    def tunnel(self, data):
        """Opens a stream that is in no frames both ways; returns its number."""
        stream = self.raw(data)
        self.tunnels[stream] = bytearray()
        return stream

    def ask(self, path, method="GET", body=None, headers=(), end=True):
        """Sends a request; returns what its answer will come into."""
        stream = self._quic.get_next_available_stream_id()
        answer = self.answers[stream] = Answer()
        answer.stream = stream
        fields = [
            (b":method", method.encode()),
            (b":scheme", b"https"),
            (b":authority", b"localhost"),
            (b":path", path.encode()),
            *headers,
        ]
        self.http.send_headers(stream, fields, end_stream=body is None)
        if body is not None:
            self.http.send_data(stream, body, end_stream=end)
        self.transmit()
        return answer

    def datagram(self, session, data):
        """Sends one in a session."""
        self._quic.send_datagram_frame(varint(session // 4) + data)
        self.transmit()

    async def session(self, path, *headers):
        """A session of WebTransport, when it has been answered."""
        answer = self.ask(path, method="CONNECT", body=b"", end=False, headers=[
            (b":protocol", b"webtransport"), (b"sec-webtransport-http3-draft02", b"1"),
            (b"origin", b"https://localhost"), *headers])
        await self.until(lambda: answer.status or answer.reset is not None)
        return answer

    def raw(self, data, one_way=False, end=False, stream=None):
        """Bytes of the test's own on a new stream; returns its number."""
        if stream is None:
            stream = self._quic.get_next_available_stream_id(is_unidirectional=one_way)
            self.answers[stream] = Answer()
        self._quic.send_stream_data(stream, data, end_stream=end)
        self.transmit()
        return stream

    async def until(self, holds):
        """Waits for what a function of nothing says."""
        async with asyncio.timeout(WAIT_S):
            while not holds():
                self.changed.clear()
                await self.changed.wait()

    async def get(self, path, **how):
        answer = self.ask(path, **how)
        await self.until(lambda: answer.ended or answer.reset is not None or self.ended)
        return answer


def make_protocol(modules):
    _, protocol, h3, h3_events, _, events = modules

    class Client(Talk, protocol.QuicConnectionProtocol):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.start()

        def begin(self):
            self.http = h3.H3Connection(self._quic, enable_webtransport=True)

        def quic_event_received(self, event):
            if isinstance(event, events.ConnectionTerminated):
                self.ended = event
            if isinstance(event, events.StopSendingReceived):
                self.stopped[event.stream_id] = event.error_code
            if isinstance(event, events.StreamReset) and event.stream_id in self.answers:
                self.answers[event.stream_id].reset = event.error_code
            self.changed.set()
            if isinstance(event, events.StreamDataReceived) and event.stream_id in self.tunnels:
                self.tunnels[event.stream_id] += event.data
                if event.end_stream:
                    self.over.add(event.stream_id)
                return
            if isinstance(event, events.StreamDataReceived):
                self.bytes[event.stream_id] = self.heard(event.stream_id) + len(event.data)
            if self.http:
                for told in self.http.handle_event(event):
                    self.told(told)

        def told(self, event):
            if isinstance(event, h3_events.DatagramReceived):
                self.datagrams.append(event.data)
            if isinstance(event, h3_events.WebTransportStreamDataReceived):
                self.came[event.stream_id] = self.came.get(event.stream_id, b"") + event.data
                if event.stream_ended:
                    self.over.add(event.stream_id)
                return
            answer = self.answers.get(getattr(event, "stream_id", None))
            if answer is None:
                return
            if isinstance(event, h3_events.HeadersReceived):
                answer.headers = {name.decode(): value.decode() for name, value in event.headers}
                answer.status = int(answer.headers[":status"])
            if isinstance(event, h3_events.DataReceived):
                answer.body += event.data
            answer.ended |= event.stream_ended

    return Client


@contextlib.asynccontextmanager
async def connect(port, http=True, host="127.0.0.1", datagrams=65536):
    """A connection to the server's UDP port."""
    modules = load()
    client, _, _, _, configuration, _ = modules
    how = configuration.QuicConfiguration(
        is_client=True,
        alpn_protocols=["h3"],
        verify_mode=ssl.CERT_NONE,
        server_name="localhost",
        max_datagram_frame_size=datagrams,
    )
    async with client.connect(
        host, port, configuration=how, create_protocol=make_protocol(modules), wait_connected=True
    ) as connection:
        if http:
            connection.begin()
        yield connection
