"""New keys of TLS 1.3, asked for by either side, and how often: with clients of OpenSSL."""

import struct
import subprocess
import threading

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from ringside import HOST, PATIENCE_S
from secure import TRUSTED, RecordClient, client_context

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Client:
    """`openssl s_client`, which changes its keys when it reads K, and asks for ours with k."""

    def __init__(self, server):
        self.process = subprocess.Popen(
            ["openssl", "s_client", "-connect", f"{HOST}:{server.port}", "-CAfile", str(TRUSTED),
             "-tls1_3"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.heard = b""
        self.changed = threading.Condition()
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        while chunk := self.process.stdout.read1(65536):
            with self.changed:
                self.heard += chunk
                self.changed.notify_all()
        with self.changed:
            self.heard += b"(end)"
            self.changed.notify_all()

    def say(self, said):
        self.process.stdin.write(said)
        self.process.stdin.flush()

    def wait(self, what, count=1):
        with self.changed:
            assert self.changed.wait_for(
                lambda: self.heard.count(what) >= count, PATIENCE_S), self.heard

    def close(self):
        self.process.stdin.close()
        self.process.kill()
        self.reader.join()
        self.process.stdout.close()
        self.process.wait()


@pytest.fixture
def client(start_server):
    server = start_server(secure=True, shards=1)
    client = Client(server)
    client.server = server
    client.wait(b"Verify return code: 0")
    yield client
    client.close()


def test_new_keys_of_the_client_and_of_the_server(client):
    client.say(REQUEST)
    client.wait(b"HTTP/1.1 200")
    for round_, letter in enumerate((b"K", b"k", b"k", b"K")):
        client.say(letter + b"\n")
        client.wait(b"KEYUPDATE", round_ + 1)
        client.say(REQUEST)
        client.wait(b"HTTP/1.1 200", round_ + 2)
    assert client.server.metric("ringside_tls_key_updates_total") == 4
    assert client.server.all_tls_errors() == {}


def test_a_stream_goes_on_with_new_keys(client):
    client.say(b"GET /sse?channel=news HTTP/1.1\r\nHost: localhost\r\n\r\n")
    client.wait(b"id: ")
    for number in range(4):
        client.say(b"k\n")
        client.wait(b"KEYUPDATE", number + 1)
        client.server.publish("news", f"message {number}")
        client.wait(f"data: message {number}".encode())
    assert client.server.all_tls_errors() == {}


# ---- records that OpenSSL does not send ----

def expand(secret, label, size):
    """HKDF-Expand-Label (RFC 8446 section 7.1)."""
    label = b"tls13 " + label
    info = struct.pack("!HB", size, len(label)) + label + b"\0"
    return HKDFExpand(SHA256(), size, info).derive(secret)


class Sealer:
    """The sending side of a client, whose secret OpenSSL has written down."""

    def __init__(self, secret):
        self.secret = secret
        self.begin()

    def begin(self):
        self.sequence = 0
        self.key = AESGCM(expand(self.secret, b"key", 16))
        self.iv = int.from_bytes(expand(self.secret, b"iv", 12), "big")

    def seal(self, kind, data):
        head = struct.pack("!BHH", 23, 0x0303, len(data) + 17)
        nonce = (self.iv ^ self.sequence).to_bytes(12, "big")
        self.sequence += 1
        return head + self.key.encrypt(nonce, data + bytes([kind]), head)

    def update(self, both):
        """A KeyUpdate; what follows has the next keys."""
        record = self.seal(22, bytes([24, 0, 0, 1, both]))
        self.secret = expand(self.secret, b"traffic upd", 32)
        self.begin()
        return record


@pytest.fixture
def sealing(start_server, tmp_path):
    """A client whose handshake is over, and who seals from then on."""
    server = start_server(secure=True, shards=1)
    context = client_context()
    context.keylog_filename = str(tmp_path / "secrets")
    client = RecordClient(server, context).handshake()
    line = next(line for line in (tmp_path / "secrets").read_text().splitlines()
                if line.startswith("CLIENT_TRAFFIC_SECRET_0"))
    client.sealer = Sealer(bytes.fromhex(line.split()[2]))
    client.server = server
    yield client
    client.close()


def test_many_new_keys_in_one_receive_are_too_many(sealing):
    updates = b"".join(sealing.sealer.update(both=True) for _ in range(9))
    sealing.send(updates)
    assert sealing.read_alert() == "SSLV3_ALERT_UNEXPECTED_MESSAGE"
    assert sealing.server.all_tls_errors() == {"key_updates": 1}


def test_who_asks_often_is_answered_once(sealing):
    updates = b"".join(sealing.sealer.update(both=True) for _ in range(8))
    sealing.send(updates + sealing.sealer.seal(23, REQUEST))
    assert sealing.read().startswith(b"HTTP/1.1 200")
    assert sealing.server.metric("ringside_tls_key_updates_total") == 8
    sealing.send(sealing.sealer.seal(23, REQUEST))
    assert sealing.read().startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("kind, data, error", [
    (22, bytes([24, 0, 0, 1, 2]), "unexpected"),         # neither asked nor not asked for
    (22, bytes([24, 0, 0, 1, 0] * 2), "unexpected"),     # the second has other keys
    (22, bytes([4, 0, 0, 0]), "unexpected"),             # a ticket, which a server sends
    (22, bytes([1, 0, 0, 0]), "unexpected"),             # a second hello
    (0, bytes(20), "unexpected"),                        # nothing but zeros
    (21, bytes([1, 0, 0]), "bad_alert"),
    (21, bytes([1, 40]), "alert_received"),              # every level is fatal
    (23, bytes(16385), "record_too_long"),
])
def test_what_no_client_may_say(sealing, kind, data, error):
    sealing.send(sealing.sealer.seal(kind, data))
    sealing.server.until_closed("tls")
    assert sealing.server.all_tls_errors() == {error: 1}
