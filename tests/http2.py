"""A client that speaks HTTP/2 by Python's `h2`, which has been written by others than the server's
library; it keeps what each stream was told, and can be told not to play by the rules."""

import socket
import struct
import time

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

from ringside import HOST, PATIENCE_S
from secure import SecureServer, client_context
from wire import frame

HEAD = 9
SETTINGS_ENABLE_CONNECT_PROTOCOL = 8


class Stream:
    """What has come on one stream."""

    def __init__(self, number):
        self.number = number
        self.status = None
        self.headers = {}
        self.data = b""
        self.frames = 0
        self.ended = False
        self.reset = None

    @property
    def over(self):
        return self.ended or self.reset is not None


class Http2:
    """A connection. Whatever waits reads until it is there, for as long as a test has patience."""

    def __init__(self, server, window=None, acknowledge=True):
        """`window`: SETTINGS_INITIAL_WINDOW_SIZE; `acknowledge`: gives windows back as it reads."""
        self.server = server
        self.acknowledge = acknowledge
        self.connection = socket.create_connection((server.host, server.port), timeout=PATIENCE_S)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if isinstance(server, SecureServer):
            context = client_context()
            context.set_alpn_protocols(["h2", "http/1.1"])
            self.connection = context.wrap_socket(self.connection, server_hostname=HOST)
            assert self.connection.selected_alpn_protocol() == "h2"
        self.h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(
                client_side=True, header_encoding="utf-8", validate_outbound_headers=False
            )
        )
        if window is not None:
            self.h2.local_settings = h2.settings.Settings(
                client=True,
                initial_values={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window},
            )
        self.h2.initiate_connection()
        self.streams = {}
        self.settings = {}
        self.goaway = None
        self.closed = False
        self.pongs = 0
        self.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.connection.close()

    # ---- sending ----

    def flush(self):
        try:
            self.connection.sendall(self.h2.data_to_send())
        except OSError:
            self.closed = True

    def raw(self, data):
        """Bytes of the test's own."""
        try:
            self.connection.sendall(data)
        except OSError:
            self.closed = True

    def frame(self, kind, flags, stream, payload=b""):
        self.raw(
            struct.pack(">I", len(payload))[1:]
            + bytes([kind, flags])
            + struct.pack(">I", stream)
            + payload
        )

    def open(self, path, method="GET", end=True, fields=(), flush=True, **pseudo):
        """Sends a request, whole unless `end` is false; without `flush` with what is sent next."""
        number = self.h2.get_next_available_stream_id()
        heads = [(":method", method), (":scheme", "http")]
        heads += [(":authority", self.server.address), (":path", path)]
        heads += [(":" + name, value) for name, value in pseudo.items()]
        self.h2.send_headers(number, heads + list(fields), end_stream=end)
        self.streams[number] = Stream(number)
        if flush:
            self.flush()
        return self.streams[number]

    def send(self, stream, data, end=False):
        """Sends a body, as the windows allow."""
        while data or end:
            room = self.h2.local_flow_control_window(stream.number)
            part = min(len(data), room, self.h2.max_outbound_frame_size)
            if data and part == 0:
                self.read()
                continue
            self.h2.send_data(stream.number, data[:part], end_stream=end and part == len(data))
            self.flush()
            data = data[part:]
            end = end and bool(data)

    def reset(self, stream, code=8):
        self.h2.reset_stream(stream.number, code)
        self.flush()

    def give(self, stream, window):
        self.h2.increment_flow_control_window(window, stream.number)
        self.flush()

    # ---- receiving ----

    def read(self):
        """Takes what comes next; False at the end."""
        try:
            data = self.connection.recv(65536)
        except ConnectionResetError:
            data = b""
        if not data:
            self.closed = True
            return False
        try:
            events = self.h2.receive_data(data)
        except h2.exceptions.ProtocolError:
            events = []
        for event in events:
            self.take(event)
        self.flush()
        return True

    def take(self, event):
        stream = self.streams.get(getattr(event, "stream_id", None))
        if isinstance(event, h2.events.RemoteSettingsChanged):
            self.settings.update(
                {int(code): one.new_value for code, one in event.changed_settings.items()}
            )
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.goaway = int(event.error_code)
        elif isinstance(event, h2.events.PingAckReceived):
            self.pongs += 1
        elif stream is None:
            pass
        elif isinstance(event, h2.events.ResponseReceived):
            stream.headers = dict(event.headers)
            stream.status = int(stream.headers[":status"])
        elif isinstance(event, h2.events.DataReceived):
            stream.data += event.data
            stream.frames += 1
            if self.acknowledge:
                self.h2.acknowledge_received_data(event.flow_controlled_length, stream.number)
        elif isinstance(event, h2.events.StreamEnded):
            stream.ended = True
        elif isinstance(event, h2.events.StreamReset):
            stream.reset = int(event.error_code)

    def until(self, condition, what):
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, f"waited for: {what}"
            assert self.read(), f"the server closed before: {what}"

    def until_closed(self):
        while self.read():
            pass
        return self.goaway

    def whole(self, stream):
        self.until(lambda: stream.over, f"the end of stream {stream.number}")
        return stream

    def get(self, path, **options):
        return self.whole(self.open(path, **options))

    def post(self, path, body):
        stream = self.open(path, method="POST", end=False)
        self.send(stream, body, end=True)
        return self.whole(stream)

    # ---- WebSockets (RFC 8441) ----

    def websocket(self, path, fields=(("sec-websocket-version", "13"),), end=False):
        self.until(
            lambda: self.settings.get(SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1,
            "SETTINGS_ENABLE_CONNECT_PROTOCOL",
        )
        stream = self.open(path, method="CONNECT", end=end, fields=fields, protocol="websocket")
        self.until(lambda: stream.status or stream.over, "the answer to CONNECT")
        return stream

    def say(self, stream, opcode, payload):
        self.send(stream, frame(opcode, payload))

    def hear(self, stream):
        """The next frame of the server: (opcode, payload)."""
        def whole():
            data = stream.data
            if len(data) < 2:
                return None
            head, length = 2, data[1]
            if length == 126:
                head, length = 4, int.from_bytes(data[2:4], "big")
            elif length == 127:
                head, length = 10, int.from_bytes(data[2:10], "big")
            return (head, length) if len(data) >= head + length else None

        self.until(lambda: whole() or stream.over, "a frame")
        found = whole()
        if not found:
            return None
        head, length = found
        opcode, payload = stream.data[0] & 15, stream.data[head : head + length]
        stream.data = stream.data[head + length :]
        return opcode, payload
