"""Node's `ws` and `eventsource`, the clients that most servers and many scripts use."""

import json
import os
import queue
import subprocess
import threading
from pathlib import Path

import pytest

from ringside import PATIENCE_S

SCRIPT = Path(__file__).parent / "node" / "clients.js"


class NodeClient:
    """node/clients.js as a process, read by a thread so that waiting for it can end."""

    def __init__(self, kind, url):
        # Debian's packages are outside the path of a node that came from elsewhere.
        env = {**os.environ, "NODE_PATH": "/usr/share/nodejs:/usr/lib/nodejs"}
        self.process = subprocess.Popen(
            ["node", str(SCRIPT), kind, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=env,
            text=True,
        )
        self.queue = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.queue.put(json.loads(line))
        self.queue.put(None)

    def next(self):
        return self.queue.get(timeout=PATIENCE_S)

    def next_of(self, kind):
        """Skips to the next event of that kind."""
        while (event := self.next()) is not None:
            if event[0] == kind:
                return event
        raise AssertionError(f"ended without {kind!r}")

    def send(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def close(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def node():
    clients = []

    def start(kind, url):
        clients.append(NodeClient(kind, url))
        return clients[-1]

    yield start
    for client in clients:
        client.close()


def test_ws_subscribes(server, node):
    client = node("ws", server.ws_url(channel="c"))
    assert client.next() == ["open"]
    server.publish("c", "Grüße")
    server.publish("c", b"\xff\x00\xfe")
    assert client.next() == ["message", "Grüße", False]
    assert client.next() == ["message", "/wD+", True]


def test_ws_envelope_and_resume(server, node):
    position = server.position(["a", "b"])
    server.publish("b", "missed")
    client = node("ws", server.ws_url(channel=["a", "b"], since=position, envelope=1))
    assert client.next() == ["open"]
    assert json.loads(client.next()[1])["recovered"] is True
    message = json.loads(client.next()[1])
    assert (message["channel"], message["data"]) == ("b", "missed")


def test_ws_echo(start_server, node):
    server = start_server(args=["--echo"])
    client = node("ws", server.ws_url("/echo"))
    client.next_of("open")
    for size in (1, 126, 70_000):
        client.send("e" * size)
        assert client.next() == ["message", "e" * size, False]


def test_ws_inflates_and_deflates(start_server, node):
    server = start_server(config={"websocket_deflate": "on", "websocket_publish": "on"})
    client = node("ws", server.ws_url(channel="c"))
    assert client.next() == ["open"]
    long = "Grüße " * 500
    server.publish("c", long)
    assert client.next() == ["message", long, False]
    client.send(long)
    assert client.next() == ["message", long, False]
    assert server.metric("ringside_deflate_accepted_total") == 1
    assert server.metric("ringside_inflates_total") == 1


def test_ws_hears_the_heartbeat(start_server, node):
    server = start_server(config={"heartbeat_ms": 1000})
    client = node("ws", server.ws_url(channel="c"))
    for _ in range(3):
        client.next_of("ping")
    server.publish("c", "still here")
    assert client.next_of("message")[1] == "still here"


def test_ws_is_told_to_go_away(server, node):
    client = node("ws", server.ws_url(channel="c"))
    assert client.next() == ["open"]
    server.signal()
    assert client.next_of("close") == ["close", 1001]


def test_ws_is_refused(server, node):
    assert node("ws", server.ws_url()).next_of("refused") == ["refused", 400]
    assert node("ws", server.ws_url("/nothing")).next_of("refused") == ["refused", 404]


def test_eventsource_subscribes(server, node):
    client = node("sse", server.url("/sse", channel="c", since="start"))
    assert client.next() == ["open"]
    published = server.publish("c", "one\ntwo")
    position = f"{published['epoch']}.{published['offset']}"
    assert client.next() == ["message", "one\ntwo", position]


def test_eventsource_is_told_of_bytes(server, node):
    client = node("sse", server.url("/sse", channel="c", since="start"))
    client.next_of("open")
    server.publish("c", b"\xff\x00\xfe")
    assert client.next()[:2] == ["binary", "/wD+"]


def test_eventsource_comes_back_to_a_new_life(start_server, node):
    """It reconnects by itself with its last id, of an epoch that is gone, and is told so."""
    server = start_server()
    client = node("sse", server.url("/sse", channel="c", since="start"))
    client.next_of("open")
    server.publish("c", "before")
    assert client.next_of("message")[1] == "before"
    server.stop()
    server.start()
    client.next_of("open")
    client.next_of("unrecoverable")
    server.publish("c", "after")
    assert client.next_of("message")[1] == "after"


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_http2_of_node_itself(start_server, node, secure):
    server = start_server(secure=secure)
    client = node("http2", server.url("/sse", channel="c", since="start"))
    assert client.next() == ["open", 200]
    server.publish("c", "to node")
    assert client.next_of("message") == ["message", "to node"]
    server.signal()
    assert client.next_of("end") == ["end"]
    assert server.wait() == 0
