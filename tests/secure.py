"""A server whose clients come over TLS: the same requests, by another port.

Its certificate is tests/certificates/local.pem, which clients trust and check.
"""

import http.client
import socket
import ssl
from pathlib import Path

from ringside import HOST, PATIENCE_S, Server, at, hold_port, port_of

CERTIFICATES = Path(__file__).resolve().parent / "certificates"
TRUSTED = CERTIFICATES / "local.pem"


def pair(name):
    """A certificate and its key, as the setting wants them."""
    return f"{CERTIFICATES / name}.pem:{CERTIFICATES / name}.key.pem"


def client_context(trusted=TRUSTED):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(trusted)
    context.set_alpn_protocols(["http/1.1"])
    return context


class SecureServer(Server):
    """`port`, `address` and the URLs are those of the TLS port; `plain_port` is the other."""

    def __init__(self, folder, config=None, certificates=("local",), **options):
        tls_held = hold_port()
        tls_port = port_of(tls_held)
        settings = {
            "tls_listen": f"{HOST}:{tls_port}",
            "tls_certificates": [pair(name) for name in certificates],
            **(config or {}),
        }
        super().__init__(folder, config=settings, **options)
        self.held.append(tls_held)
        self.plain_port = self.port
        self.port = tls_port
        self.address = f"{HOST}:{tls_port}"
        self.context = client_context(CERTIFICATES / f"{certificates[0]}.pem")
        self.context.check_hostname = certificates[0] in ("local", "rsa")
        self.foreign = {"ssl": self.context}

    def plain(self):
        """The same server by its plain port, for questions that must not cost a handshake."""
        other = Server.__new__(Server)
        other.host = self.host
        other.port = self.plain_port
        other.address = at(self.host, self.plain_port)
        return other

    def wrap(self, connection):
        return self.context.wrap_socket(connection, server_hostname=HOST)

    def connect(self):
        return http.client.HTTPSConnection(
            HOST, self.port, timeout=PATIENCE_S, context=self.context
        )

    def url(self, path, scheme="http", **query):
        return super().url(path, scheme + "s", **query)

    def all_tls_errors(self):
        """{name: how many} of those that have happened."""
        return {
            labels["reason"]: number
            for name, labels, number in self.samples()
            if name == "ringside_tls_errors_total" and number > 0
        }

    def tls_errors(self, reason):
        """How many failures of TLS had this name."""
        return self.metric("ringside_tls_errors_total", reason=reason)


class RecordClient:
    """A client that holds its own records in its hands: OpenSSL makes them, the test sends them."""

    def __init__(self, server, context=None, server_hostname=HOST):
        self.connection = socket.create_connection((HOST, server.port), timeout=PATIENCE_S)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = (context or server.context).wrap_bio(
            self.incoming, self.outgoing, server_hostname=server_hostname
        )

    def send(self, records):
        """Sends bytes as they are."""
        self.connection.sendall(records)

    def send_slowly(self, records):
        for byte in records:
            self.connection.sendall(bytes([byte]))

    def feed(self):
        """Takes what the server sends next; False at its end."""
        try:
            chunk = self.connection.recv(65536)
        except ConnectionResetError:
            return False
        if chunk:
            self.incoming.write(chunk)
        return bool(chunk)

    def hello(self):
        """The first flight, not sent."""
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        return self.outgoing.read()

    def handshake(self, send=None):
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                (send or self.send)(self.outgoing.read())
                assert self.feed(), "the server closed during the handshake"
            else:
                self.send(self.outgoing.read())
                return self

    def seal(self, data):
        """The records of some data, not sent."""
        self.tls.write(data)
        return self.outgoing.read()

    def read(self):
        """Plaintext; b"" at close_notify. An alert raises ssl.SSLError."""
        while True:
            try:
                return self.tls.read(65536)
            except ssl.SSLWantReadError:
                if not self.feed():
                    raise EOFError("no close_notify") from None
            except ssl.SSLZeroReturnError:
                return b""

    def read_what_has_come(self):
        """Plaintext of all whole records; the socket must be readable."""
        assert self.feed(), "the server closed"
        plaintext = b""
        while True:
            try:
                plaintext += self.tls.read(65536)
            except ssl.SSLWantReadError:
                return plaintext

    def read_alert(self):
        """The alert that the server ends with, as OpenSSL names it."""
        try:
            while self.read():
                pass
        except ssl.SSLError as error:
            return error.reason
        return None

    def close(self):
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
