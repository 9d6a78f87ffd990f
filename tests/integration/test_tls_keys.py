"""New keys of TLS 1.3, asked for by either side, and how often: with clients of OpenSSL."""

import subprocess
import threading

import pytest

from ringside import HOST, PATIENCE_S
from secure import TRUSTED

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
