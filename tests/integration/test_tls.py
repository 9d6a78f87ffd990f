"""TLS itself, with clients of OpenSSL: what is agreed on, what is refused, and how it is told."""

import fcntl
import re
import select
import socket
import ssl
import struct
import subprocess
import termios

import pytest

from ringside import HOST, PATIENCE_S
from secure import CERTIFICATES, TRUSTED, RecordClient, client_context
from wire import TEXT, RawWebSocket, dial, frame, read_answer, read_to_end, upgrade

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


VERSIONS = ["1.2", "1.3"]


@pytest.fixture(params=VERSIONS)
def server(start_server, request):
    """One that speaks this version alone, so that all clients do."""
    return start_server(secure=True, config={"tls_versions": request.param})


@pytest.fixture
def server_12(start_server):
    return start_server(secure=True, config={"tls_versions": "1.2"})


def anybody():
    """A context that trusts every certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def connect(server, context, name=HOST, **options):
    raw = socket.create_connection((HOST, server.port), timeout=PATIENCE_S)
    return context.wrap_socket(raw, server_hostname=name, **options)


def ask(connection):
    connection.sendall(REQUEST)
    status, _, body = read_answer(connection)
    assert status == 200, body
    return body


def s_client(server, *options, stdin=b"", trusted=TRUSTED):
    """What `openssl s_client` says."""
    command = ["openssl", "s_client", "-connect", f"{HOST}:{server.port}", "-CAfile", str(trusted)]
    done = subprocess.run(
        [*command, *options], input=stdin, capture_output=True, timeout=PATIENCE_S, check=False
    )
    return (done.stdout + done.stderr).decode(errors="replace")


# ---- what is agreed on ----

@pytest.mark.parametrize("certificate", ["local", "rsa"])
@pytest.mark.parametrize(
    "cipher", ["AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305"]
)
def test_each_cipher_with_each_kind_of_key(start_server, certificate, cipher):
    server = start_server(secure=True, certificates=[certificate], args=["--echo"],
                          config={"tls_versions": "1.2"})
    kind = "RSA" if certificate == "rsa" else "ECDSA"
    server.context.set_ciphers(f"ECDHE-{kind}-{cipher}")
    client = RawWebSocket(server, "/echo")
    assert client.connection.cipher()[:2] == (f"ECDHE-{kind}-{cipher}", "TLSv1.2")
    assert_echoes(client)


def assert_echoes(client):
    for size in (0, 1, 125, 126, 16383, 16384, 16385, 70000):
        payload = bytes(range(97, 123)) * (size // 26) + b"x" * (size % 26)
        client.send(frame(TEXT, payload))
        assert client.read() == (TEXT, payload)


@pytest.mark.parametrize("certificate", ["local", "rsa", "p384"])
@pytest.mark.parametrize("cipher, suite", [("aes128-gcm", "TLS_AES_128_GCM_SHA256"),
                                           ("aes256-gcm", "TLS_AES_256_GCM_SHA384"),
                                           ("chacha20-poly1305", "TLS_CHACHA20_POLY1305_SHA256")])
def test_each_cipher_of_1_3_with_each_kind_of_key(start_server, certificate, cipher, suite):
    """With both versions on: the best that a client offers is taken."""
    server = start_server(secure=True, certificates=[certificate], args=["--echo"],
                          config={"tls_ciphers": cipher})
    client = RawWebSocket(server, "/echo")
    assert client.connection.cipher()[:2] == (suite, "TLSv1.3")
    assert_echoes(client)


def test_the_order_of_the_server_counts(start_server):
    order = {"tls_ciphers": "chacha20-poly1305 aes256-gcm", "tls_versions": "1.2"}
    server = start_server(secure=True, config=order)
    context = client_context()
    context.set_ciphers("ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305")
    with connect(server, context) as connection:
        assert connection.cipher()[0] == "ECDHE-ECDSA-CHACHA20-POLY1305"


@pytest.mark.parametrize("curve, called", [("X25519", "X25519"), ("P-256", "prime256v1")])
def test_curves(server, curve, called):
    said = s_client(server, "-curves", curve)
    assert re.search(rf"(?:Server|Peer) Temp Key: .*{called}", said), said


def test_a_curve_that_the_client_has_no_share_of(start_server):
    """The server asks for another hello (RFC 8446 section 4.1.4)."""
    server = start_server(secure=True, config={"tls_versions": "1.3"})
    said = s_client(server, "-curves", "P-521:P-256", "-msg")
    assert re.search("(?:Server|Peer) Temp Key: ECDH, prime256v1", said), said
    assert said.count("<<< TLS 1.3, Handshake [length") and said.count("ServerHello") == 2


def test_only_a_curve_that_is_not_spoken(server):
    assert "handshake failure" in s_client(server, "-curves", "P-521:X448")
    assert server.tls_errors("nothing_common") == 1


@pytest.mark.parametrize(
    "name, certificate",
    [
        ("a.example", "ec"),
        ("WWW.A.example", "ec"),
        ("x.b.example", "wild"),
        ("c.example", "p384"),
        ("b.example", "ec"),
        ("unknown.example", "ec"),
        (None, "ec"),
    ],
)
def test_the_name_chooses_the_certificate(start_server, name, certificate):
    server = start_server(secure=True, certificates=["ec", "wild", "p384"])
    shown = ssl.PEM_cert_to_DER_cert((CERTIFICATES / f"{certificate}.pem").read_text())
    with connect(server, anybody(), name) as connection:
        assert connection.getpeercert(binary_form=True) == shown


def test_the_key_that_the_client_can_verify_is_used(start_server):
    server = start_server(secure=True, certificates=["ec", "rsa"])
    context = anybody()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")
    with connect(server, context) as connection:
        assert connection.cipher()[0] == "ECDHE-RSA-AES128-GCM-SHA256"


@pytest.mark.parametrize("algorithm, shown", [("ecdsa_secp256r1_sha256", "ECDSA"),
                                              ("ecdsa_secp384r1_sha384", "ECDSA"),
                                              ("rsa_pss_rsae_sha512", "RSA-PSS")])
def test_the_key_that_the_client_can_verify_is_used_in_1_3(start_server, algorithm, shown):
    server = start_server(secure=True, certificates=["ec", "p384", "rsa"])
    said = s_client(server, "-tls1_3", "-sigalgs", algorithm)
    assert re.search(f"Peer signature type: (?:{shown}|{algorithm})", said), said


def test_no_key_that_the_client_can_verify(start_server):
    server = start_server(secure=True, config={"tls_versions": "1.3"})
    said = s_client(server, "-sigalgs", "rsa_pss_rsae_sha256")
    assert "handshake failure" in said, said
    assert server.tls_errors("nothing_common") == 1


def test_protocols(server):
    context = client_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with connect(server, context) as connection:
        assert connection.selected_alpn_protocol() == "h2"
    context.set_alpn_protocols(["http/1.1", "h2"])
    with connect(server, context) as connection:
        assert connection.selected_alpn_protocol() == "h2"
    with connect(server, client_context()) as connection:
        assert connection.selected_alpn_protocol() == "http/1.1"
    plain = ssl.create_default_context(cafile=TRUSTED)
    with connect(server, plain) as connection:
        assert connection.selected_alpn_protocol() is None
        ask(connection)


# ---- resumption ----

@pytest.mark.parametrize("version", VERSIONS)
def test_sessions_resume_on_any_shard(start_server, version):
    server = start_server(secure=True, shards=4, config={"tls_versions": version})
    context = client_context()
    with connect(server, context) as connection:
        ask(connection)
        assert not connection.session_reused
        session = connection.session
    for _ in range(12):
        with connect(server, context, session=session) as connection:
            ask(connection)
            assert connection.session_reused
    assert server.metric("ringside_tls_handshakes_resumed_total") == 12


def test_a_session_is_of_one_server_name(start_server):
    """RFC 6066 section 3: it MUST NOT be resumed under another."""
    server = start_server(secure=True, certificates=["ec", "wild"])
    context = anybody()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with connect(server, context, "a.example") as connection:
        ask(connection)
        session = connection.session
    for name, reused in (("x.b.example", False), ("a.example", True)):
        with connect(server, context, name, session=session) as connection:
            ask(connection)
            assert connection.session_reused == reused, name


def test_sessions_of_another_process_resume(server_12, tmp_path):
    server = server_12
    kept = str(tmp_path / "session.pem")
    assert "New, TLSv1.2" in s_client(server, "-tls1_2", "-sess_out", kept)
    assert "Reused, TLSv1.2" in s_client(server, "-tls1_2", "-sess_in", kept)
    assert s_client(server, "-tls1_2", "-reconnect").count("Reused, TLSv1.2") == 5


def test_no_sessions(start_server):
    server = start_server(secure=True, config={"tls_tickets": "off"})
    assert "Reused" not in s_client(server, "-tls1_2", "-reconnect")
    with connect(server, client_context()) as connection:
        ask(connection)
        assert not connection.session.has_ticket


@pytest.mark.parametrize("version", VERSIONS)
def test_sessions_end(start_server, eventually, version):
    server = start_server(
        secure=True, config={"tls_session_lifetime_ms": 1000, "tls_versions": version})
    context = client_context()
    with connect(server, context) as connection:
        ask(connection)
        session = connection.session

    def is_forgotten():
        with connect(server, context, session=session) as connection:
            return not connection.session_reused

    eventually(is_forgotten, "a session that has expired")


# ---- what is refused ----

def assert_refused(server, context, error):
    before = server.tls_errors(error)
    with pytest.raises(ssl.SSLError):
        connect(server, context).close()
    assert server.tls_errors(error) == before + 1


def test_other_versions(server_12):
    server = server_12
    said = s_client(server, "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0")
    assert "Cipher is (NONE)" in said, said
    assert server.tls_errors("version") == 1
    # To a server of TLS 1.2, a client of 1.3 alone is one of 1.2 that has none of its suites.
    context = anybody()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    assert_refused(server, context, "nothing_common")


def test_a_server_of_1_3_alone(start_server):
    server = start_server(secure=True, config={"tls_versions": "1.3"})
    said = s_client(server, "-tls1_2")
    assert "alert protocol version" in said, said
    assert server.tls_errors("version") == 1


def test_nothing_in_common(server_12):
    server = server_12
    context = anybody()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    theirs = "ECDHE-ECDSA-AES128-SHA256", "AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"
    for ciphers in theirs:
        context.set_ciphers(ciphers)
        assert_refused(server, context, "nothing_common")


def test_no_protocol_that_is_spoken(server):
    context = anybody()
    context.set_alpn_protocols(["h3"])
    assert_refused(server, context, "no_protocol")


def test_renegotiation(server_12):
    server = server_12
    said = s_client(server, "-tls1_2", stdin=b"R\n")
    assert "no renegotiation" in said, said
    assert server.tls_errors("renegotiation") == 1
    assert "Secure Renegotiation IS supported" in said


def test_client_that_does_not_trust(server, eventually):
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(server, ssl.create_default_context()).close()
    eventually(lambda: server.closed("tls") == 1, "the alert to be heard")
    assert server.tls_errors("alert_received") == 1


@pytest.mark.parametrize("asked", [b"GET /", b"POST /publish?channel=c"])
def test_plain_http_is_told_so(server, asked):
    with socket.create_connection((HOST, server.port), timeout=PATIENCE_S) as connection:
        connection.sendall(asked + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = read_to_end(connection)
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    assert b'"error":"tls_required"' in answer and b"https://" in answer
    assert b"\r\nDate: " in answer and b"Retry-After" not in answer
    assert b"\r\nDate: " in answer and b"Retry-After" not in answer
    assert server.refused("tls_required") == 1
    assert server.tls_errors("plain_http") == 1


# ---- bytes that no client sends ----

def send_in_pieces(connection, sent, size):
    """Each piece in a segment of its own, taken by the peer's kernel before the next one leaves.
    Ends early when the peer has answered, or reset the connection."""
    for at in range(0, len(sent), size):
        try:
            connection.sendall(sent[at:at + size])
        except ConnectionError:
            return
        while unsent(connection):
            if select.select([connection], [], [], 0.001)[0]:
                return


def unsent(connection):
    """Bytes that the peer's kernel has not acknowledged."""
    return struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)))[0]


@pytest.mark.parametrize("slowly", [False, True])
@pytest.mark.parametrize(
    "sent, error, alert",
    [
        (b"\x00\x01\x02\x03", "not_tls", None),
        (b"\x80\x2e\x01\x00\x02", "not_tls", None),
        (b"\x16\x02\x00\x00\x10", "version", 70),
        (b"\x16\x03\x01\x48\x01", "record_too_long", 22),
        (b"\x16\x03\x01\x00\x04\x02\x00\x00\x00", "unexpected", 10),
        (b"\x16\x03\x01\x00\x04\x01\x00\x00\x00", "bad_handshake", 50),
        (b"\x17\x03\x03\x00\x05hello", "unexpected", 10),
        (b"\x14\x03\x03\x00\x01\x01", "unexpected", 10),
        (b"\x15\x03\x03\x00\x02\x02\x28", "alert_received", None),
        (b"\x15\x03\x03\x00\x02\x01\x00", "closed", None),
        (b"\x15\x03\x01\x00\x03\x01\x00\x00", "bad_alert", 50),
        (b"\x15\x03\x03\x00\x00", "bad_alert", 50),
    ],
)
def test_handshakes_that_are_none(start_server, sent, error, alert, slowly):
    server = start_server(secure=True)
    with socket.create_connection((HOST, server.port), timeout=PATIENCE_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        send_in_pieces(connection, sent, 1 if slowly else len(sent))
        answer = read_to_end(connection)
    server.until_closed("tls")
    assert server.all_tls_errors() == {error: 1}
    if alert is not None:
        assert answer[:1] == b"\x15" and answer[6] == alert, answer


def header(kind=23, version=0x0303, length=32):
    return bytes([kind]) + version.to_bytes(2, "big") + length.to_bytes(2, "big")


@pytest.mark.parametrize("slowly", [False, True])
@pytest.mark.parametrize(
    "sent, error",
    [
        (header(length=16384 + 25), "record_too_long"),
        (header(length=65535), "record_too_long"),
        (header(length=23), "record_too_short"),
        (header(kind=99), "unknown_type"),
        (header(kind=0), "unknown_type"),
        (header(version=0x0304), "version"),
        (header(length=40) + bytes(40), "bad_mac"),
        (header(kind=21, length=26) + bytes(26), "bad_mac"),
        (header(kind=22, length=40) + bytes(40), "bad_mac"),
    ],
)
def test_records_that_are_none(server_12, sent, error, slowly):
    server = server_12
    with RecordClient(server).handshake() as client:
        (client.send_slowly if slowly else client.send)(sent)
        assert client.read_alert() is not None
    server.until_closed("tls")
    assert server.tls_errors(error) == 1


@pytest.mark.parametrize(
    "sent, error",
    [
        (header(length=16384 + 257), "record_too_long"),
        (header(length=16), "record_too_short"),
        (header(kind=99), "unknown_type"),
        (header(version=0x0304), "version"),
        (header(length=40) + bytes(40), "bad_mac"),
        (header(kind=20, length=1) + b"\x01", "unexpected"),
        (header(kind=21, length=2) + b"\x02\x28", "unexpected"),
        (header(kind=22, length=40), "unexpected"),
    ],
)
def test_records_of_1_3_that_are_none(start_server, sent, error):
    server = start_server(secure=True, config={"tls_versions": "1.3"})
    with RecordClient(server).handshake() as client:
        client.send(sent)
        assert client.read_alert() is not None
    server.until_closed("tls")
    assert server.tls_errors(error) == 1


@pytest.mark.parametrize("at", [0, 5, 13, 30, -1])
def test_a_bit_that_has_changed(server, at):
    with RecordClient(server).handshake() as client:
        records = bytearray(client.seal(REQUEST))
        records[at] ^= 0x10
        client.send(records)
        assert client.read_alert() is not None
    assert server.tls_errors("unknown_type" if at == 0 else "bad_mac") == 1


def test_records_twice_and_out_of_order(server):
    for order in ((0, 0), (1, 0)):
        with RecordClient(server).handshake() as client:
            records = [client.seal(REQUEST), client.seal(REQUEST)]
            client.send(records[order[0]] + records[order[1]])
            assert client.read_alert() == "SSLV3_ALERT_BAD_RECORD_MAC"
    assert server.tls_errors("bad_mac") == 2


def test_stream_that_is_cut(server, eventually):
    with RecordClient(server).handshake() as client:
        client.send(client.seal(REQUEST))
        client.read()
        client.send(client.seal(REQUEST)[:-3])
    eventually(lambda: server.tls_errors("truncated") == 1, "a truncated stream")
    hello = RecordClient(server)
    hello.send(hello.hello()[:-3])
    hello.close()
    eventually(lambda: server.tls_errors("truncated") == 2, "a truncated handshake")


# ---- pieces ----

def test_one_byte_at_a_time(server):
    with RecordClient(server) as client:
        client.handshake(send=client.send_slowly)
        for _ in range(2):
            client.send_slowly(client.seal(REQUEST))
            assert client.read().startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("size", [7, 100, 1000, 16390])
def test_records_across_all_borders(start_server, size):
    server = start_server(secure=True, args=["--echo"])
    client = RawWebSocketOverRecords(server)
    payloads = [bytes([97 + i % 26]) * (i * 37 % 3000) for i in range(100)]
    records = b"".join(client.tls.seal(frame(TEXT, payload)) for payload in payloads)
    for at in range(0, len(records), size):
        client.tls.send(records[at:at + size])
    assert client.read(payloads)
    client.tls.close()


class RawWebSocketOverRecords:
    """An /echo whose records the test cuts."""

    def __init__(self, server):
        self.tls = RecordClient(server).handshake()
        self.tls.send(self.tls.seal(upgrade("/echo")))
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.tls.read()
        self.pending = head.split(b"\r\n\r\n", 1)[1]

    def read(self, payloads):
        """Whether exactly these came back, in this order."""
        expected = b"".join(unmasked(payload) for payload in payloads)
        while len(self.pending) < len(expected):
            self.pending += self.tls.read()
        return self.pending == expected


def unmasked(payload):
    """A server's frame."""
    if len(payload) < 126:
        return bytes([0x81, len(payload)]) + payload
    return bytes([0x81, 126]) + len(payload).to_bytes(2, "big") + payload


# ---- ends ----

def test_an_orderly_end_has_close_notify(server, eventually):
    with dial(server) as connection:
        connection.suppress_ragged_eofs = False
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        assert read_to_end(connection).startswith(b"HTTP/1.1 200")
    eventually(lambda: server.closed("done") >= 1, "the end to be counted")


def test_the_end_of_an_idle_connection_has_close_notify(start_server, eventually):
    server = start_server(secure=True, config={"idle_timeout_ms": 1000})
    with RecordClient(server).handshake() as client:
        client.send(client.seal(REQUEST))
        assert client.read().startswith(b"HTTP/1.1 200")
        assert client.read() == b""
    eventually(lambda: server.closed("idle") == 1, "the connection to be closed")


def test_close_notify_is_answered(server, eventually):
    with RecordClient(server).handshake() as client:
        client.send(client.seal(REQUEST))
        assert client.read().startswith(b"HTTP/1.1 200")
        with pytest.raises(ssl.SSLWantReadError):
            client.tls.unwrap()
        client.send(client.outgoing.read())
        assert client.read_alert() is None
    eventually(lambda: server.metric("ringside_tls_connections") == 1, "only the one who asks")
    assert server.all_tls_errors() == {}
