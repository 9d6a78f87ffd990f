"""Data channels of foreign stacks, unmodified: aiortc in Python, werift under Node."""

import base64
import hashlib
import hmac
import json
import os
import queue
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

import pytest

import sdk
from ringside import HOST, PATIENCE_S

HERE = Path(__file__).parent
AIORTC = "1.16.0"
WERIFT = "0.25.2"
IDLE_BYTES = 280  # of a peer with two channels, besides its lines
CONFIG = {"rtc_address": HOST, "rtc_port": 0}


class Client:
    """python_rtc.py or node/rtc.js as a process, read by a thread so that waiting can end."""

    def __init__(self, stack, url, labels, token=None):
        if stack == "aiortc":
            command = [sys.executable, HERE / "python_rtc.py"]
            environment = {**os.environ, "PYTHONPATH": str(sdk.pip("aiortc", AIORTC))}
        else:
            command = ["node", HERE / "node" / "rtc.js", sdk.npm("werift", WERIFT)]
            environment = sdk.node_environment()
        channels = [[label, options] for label, options in labels]
        self.process = subprocess.Popen(
            [*command, url, json.dumps(channels), *([token] if token else [])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        self.events = queue.Queue()
        self.kept = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.events.put(json.loads(line))
        self.events.put(None)

    def wait(self, *wanted):
        """The next event that begins so; others are kept for later."""
        for event in self.kept:
            if event[:len(wanted)] == list(wanted):
                self.kept.remove(event)
                return event[len(wanted):]
        while (event := self.events.get(timeout=PATIENCE_S)) is not None:
            if event[:len(wanted)] == list(wanted):
                return event[len(wanted):]
            self.kept.append(event)
        raise AssertionError(f"ended without {wanted}; it said {self.kept}")

    def act(self, *action):
        self.process.stdin.write(json.dumps(action) + "\n")
        self.process.stdin.flush()

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()


@pytest.fixture(params=["aiortc", "werift"])
def connect(request):
    """connect(server, *labels, token=): a client of one stack, with a channel for each label."""
    clients = []

    def begin(server, *labels, token=None):
        labels = [(label, {}) if isinstance(label, str) else label for label in labels]
        clients.append(Client(request.param, server.url("/rtc"), labels, token))
        return clients[-1]

    yield begin
    for client in clients:
        client.close()


@pytest.fixture
def server(start_server):
    return start_server(args=("--echo",), config=CONFIG)


def test_channels_of_both_kinds_are_given_what_is_published(server, connect, eventually):
    unreliable = ("/ws?channel=news", {"ordered": False, "maxRetransmits": 0})
    client = connect(server, "/ws?channel=news", unreliable)
    status, location, answer = client.wait("answered")
    assert status == 201 and location.startswith("/rtc/")
    assert "a=ice-lite\r\n" in answer and "a=setup:passive\r\n" in answer
    client.wait("open", 0)
    client.wait("open", 1)
    eventually(lambda: server.metric("ringside_subscriptions") == 2, "both are subscribed")
    server.publish("news", "hello")
    assert client.wait("message", 0) == ["hello"]
    assert client.wait("message", 1) == ["hello"]
    server.publish("news", b"\xff\0")
    assert client.wait("message", 0) == [[255, 0]]


def test_an_echo_of_all_sizes(server, connect):
    client = connect(server, "/echo")
    client.wait("open", 0)
    for size in (1, 1151, 1152, 1200, 60000):
        client.act("send", 0, "x" * size)
        assert client.wait("message", 0) == ["x" * size]
    client.act("send", 0, [0, 255])
    assert client.wait("message", 0) == [[0, 255]]


def test_a_channel_that_is_closed_may_be_opened_again(server, connect, eventually):
    client = connect(server, "/ws?channel=a", "/echo")
    client.wait("open", 0)
    client.wait("open", 1)
    client.act("close", 0)
    client.wait("close", 0)
    eventually(lambda: server.metric("ringside_subscriptions") == 0, "it is not subscribed")
    client.act("send", 1, "still here")
    assert client.wait("message", 1) == ["still here"]


def test_an_idle_peer_is_parked_and_wakes(server, connect, eventually):
    """Also while it is parked its channels end, and are opened anew."""
    def parked():
        return 0 < server.metric("ringside_rtc_bytes") <= IDLE_BYTES

    lossy = ("/ws?channel=news", {"ordered": False, "maxPacketLifeTime": 300})
    client = connect(server, "/ws?channel=news", lossy)
    client.wait("open", 0)
    client.wait("open", 1)
    for text in ("one", "two"):
        eventually(parked, "nothing is under way")
        server.publish("news", text)
        assert client.wait("message", 0) == [text]
        assert client.wait("message", 1) == [text]
    eventually(parked, "nothing is under way")
    client.act("close", 0)
    client.wait("close", 0)
    eventually(parked, "nothing is under way")
    server.publish("news", "three")
    assert client.wait("message", 1) == ["three"]


def test_what_is_no_websocket_is_said_and_closed(server, connect):
    client = connect(server, "/nowhere", "/ws", "chat")
    for number, error in ((0, "not_found"), (1, "no_channel")):
        client.wait("open", number)
        assert json.loads(client.wait("message", number)[0])["error"] == error
        client.wait("close", number)
    client.wait("close", 2)


def test_deleted_by_its_location(server, connect, eventually):
    client = connect(server, "/ws?channel=news")
    location = client.wait("answered")[1]
    client.wait("open", 0)
    forged = location[:-4] + ("0000" if location[-4:] != "0000" else "1111")
    assert server.request("DELETE", forged).status == 404
    assert server.request("DELETE", location).status == 204
    client.wait("close", 0)
    eventually(lambda: server.metric("ringside_rtc_peers") == 0, "it is gone")
    assert server.request("DELETE", location).json()["error"] == "no_peer"


def test_the_token_of_the_offer_counts_for_its_channels(start_server, tmp_path, connect):
    server = start_server(config=sdk.with_keys(tmp_path, **CONFIG, anonymous="off"))
    client = connect(server, "/ws?channel=news", token=sdk.token(sub="ann"))
    client.wait("open", 0)
    stranger = connect(server, "/ws?channel=news")
    stranger.wait("open", 0)
    assert json.loads(stranger.wait("message", 0)[0])["error"] == "token_required"
    stranger.wait("close", 0)


def test_a_server_that_goes_away_says_so(start_server, connect):
    server = start_server(config=CONFIG)
    client = connect(server, "/ws?channel=news")
    client.wait("open", 0)
    server.signal()
    client.wait("close", 0)
    assert server.wait() == 0


# ---- without a stack ----

def offer(**changed):
    lines = {"v": "v=0", "o": "o=- 1 1 IN IP4 0.0.0.0", "s": "s=-", "t": "t=0 0",
             "m": "m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "ufrag": "a=ice-ufrag:abcd",
             "pwd": "a=ice-pwd:0123456789abcdef012345",
             "print": "a=fingerprint:sha-256 " + ":".join(["AB"] * 32),
             "setup": "a=setup:actpass", "sctp": "a=sctp-port:5000", **changed}
    return "".join(line + "\r\n" for line in lines.values() if line)


SDP = {"Content-Type": "application/sdp"}


@pytest.mark.parametrize("changed, error", [
    ({"v": "v=1"}, "offer_version"), ({"s": "s"}, "offer_syntax"), ({"m": ""}, "offer_media"),
    ({"ufrag": ""}, "offer_ice"), ({"print": ""}, "offer_fingerprint"),
    ({"setup": "a=setup:passive"}, "offer_setup"), ({"sctp": ""}, "offer_sctp"),
])
def test_offers_that_are_none(server, changed, error):
    answer = server.request("POST", "/rtc", offer(**changed), SDP)
    assert (answer.status, answer.json()["error"]) == (422, error)


def test_refusals(server, start_server):
    assert server.request("POST", "/rtc", offer(), {"Content-Type": "text/plain"}).status == 415
    assert server.request("POST", "/rtc", offer() + "a=x" * 9000, SDP).status == 413
    assert server.get("/rtc").status == 405
    without = start_server()
    assert without.request("POST", "/rtc", offer(), SDP).json()["error"] == "rtc_off"
    few = start_server(shards=1, config={**CONFIG, "rtc_handshakes_max": 1})
    assert few.request("POST", "/rtc", offer(), SDP).status == 201
    assert few.request("POST", "/rtc", offer(), SDP).json()["error"] == "rtc_full"


def test_strangers_hear_nothing(server, eventually):
    """A check without a password, records from nowhere, and noise, to the port of an answer."""
    sdp = server.request("POST", "/rtc", offer(), SDP).body.decode()
    port = int(sdp.split("m=application ")[1].split()[0])
    ufrag = sdp.split("a=ice-ufrag:")[1].split()[0]
    user = f"{ufrag}:abcd".encode()
    body = struct.pack(">HH", 6, len(user)) + user + b"\0" * (-len(user) % 4)
    body += struct.pack(">HH", 8, 20) + b"\0" * 20
    head = struct.pack(">HHI", 1, len(body) + 8, 0x2112A442) + b"t" * 12
    crc = zlib.crc32(head + body) ^ 0x5354554E
    forged = head + body + struct.pack(">HHI", 0x8028, 4, crc)
    record = b"\x16\xfe\xfd" + b"\0" * 8 + struct.pack(">H", 4) + b"abcd"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.connect((HOST, port))
        for datagram in (forged, forged[:-1], record, b"noise", b"\0", b""):
            stranger.send(datagram)
        eventually(lambda: server.metric("ringside_rtc_forged_total") == 1
                   and server.metric("ringside_rtc_strays_total") >= 4, "all have come")
        stranger.setblocking(False)
        with pytest.raises(BlockingIOError):
            stranger.recv(2000)


# ---- credentials for a relay ----

TURN_SECRET = "a secret that two servers have"
URIS = ["turn:turn.example.org:3478", "turns:turn.example.org:5349?transport=tcp"]


@pytest.fixture
def with_turn(start_server, tmp_path):
    (tmp_path / "turn.secret").write_text(TURN_SECRET + "\n")
    return start_server(config=sdk.with_keys(
        tmp_path, turn_uris=" ".join(URIS), turn_secret=f"file:{tmp_path}/turn.secret"))


def test_who_has_a_token_may_be_relayed(with_turn):
    headers = {"Authorization": f"Bearer {sdk.token(sub='ann')}"}
    answer = with_turn.get("/turn", headers)
    given = answer.json()
    ends, user = given["username"].split(":")
    mac = hmac.new(TURN_SECRET.encode(), given["username"].encode(), hashlib.sha1).digest()
    assert given["password"] == base64.b64encode(mac).decode()
    assert (user, given["ttl"], given["uris"]) == ("ann", 3600, URIS)
    assert int(ends) >= time.time() + 3590
    assert answer.headers["Cache-Control"] == "no-store"


def test_others_may_not(with_turn, server):
    assert with_turn.get("/turn").json()["error"] == "token_required"
    assert with_turn.get("/turn", {"Authorization": "Bearer x"}).status == 401
    assert server.get("/turn").json()["error"] == "turn_off"
