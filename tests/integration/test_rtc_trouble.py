"""Data channels on a bad network: losses each way, records that come again, peers that share an
address or are gone without a word."""

import hashlib
import hmac
import os
import socket
import struct
import zlib

import pytest

from ringside import HOST
from test_rtc import CONFIG, SDP, connect, offer  # noqa: F401 (a fixture)
from udp_relay import UdpRelay

LOSS = 0.15
CONSENT_MS = 9000  # these stacks check every 5 s, or 6


@pytest.fixture
def server(start_server):
    return start_server(shards=1, args=("--echo",), config=CONFIG)


@pytest.fixture
def relay(server):
    """relay(...): a UdpRelay to the server."""
    relays = []

    def begin(**how):
        relays.append(UdpRelay(server, **how))
        return relays[-1]

    yield begin
    for each in relays:
        each.close()


class Through:
    """As a server whose offers are posted to a relay."""

    def __init__(self, relay):
        self.relay = relay

    def url(self, _):
        return self.relay.url


@pytest.mark.parametrize("connect", ["aiortc"], indirect=True)
def test_losses_each_way(server, connect, relay, eventually):  # noqa: F811
    """All of it still works: both kinds, what is long, what is closed. Handshakes meet losses in
    test_browser_rtc_trouble.py."""
    bad = relay(seed=15)
    unreliable = ("/ws?channel=news", {"ordered": False, "maxRetransmits": 0})
    client = connect(Through(bad), "/ws?channel=news", unreliable, "/echo")
    for number in range(3):
        client.wait("open", number)
    bad.loss = LOSS
    eventually(lambda: server.metric("ringside_subscriptions") == 2, "both are subscribed")
    client.act("send", 2, "x" * 60000)
    for number in range(30):
        server.publish("news", f"message {number}")
    for number in range(30):
        assert client.wait("message", 0) == [f"message {number}"]
    assert client.wait("message", 2) == ["x" * 60000]
    client.act("close", 2)
    client.wait("close", 2)
    assert bad.lost > 10


def test_records_that_come_again_are_heard_once(server, connect, relay):  # noqa: F811
    twice = relay(twice=1.0)
    client = connect(Through(twice), "/echo")
    client.wait("open", 0)
    for number in range(20):
        client.act("send", 0, str(number))
    for number in range(20):
        assert client.wait("message", 0) == [str(number)]
    assert server.metric("ringside_rtc_records_bad_total") >= 20
    client.act("send", 0, "the last")
    assert client.wait("message", 0) == ["the last"]


FLIGHT_LAST = 20  # the first byte of a datagram with a change of keys
HELLO, REPEATS = 22, 2
SEALED, COOKIE_ACK_SIZE = 23, 53  # a chunk without a value: until the end there is no other


def test_a_handshake_survives_what_is_lost_and_what_is_forged(server, connect, relay):  # noqa: F811
    """The server's last flight is lost twice, what comes before the client's last message is
    swapped with it, and somebody sends records that only look like those under the keys. Then the
    answer to the peer's cookie is lost: it asks again a server that has parked it."""
    lost, kept, answers = [], [], []
    forged = b"\x17\xfe\xfd\0\1" + b"\0" * 6 + struct.pack(">H", 40) + b"f" * 40

    def meddle(datagram, to_server):
        if not to_server and datagram[0] == FLIGHT_LAST and len(lost) < REPEATS:
            lost.append(datagram)
            return []
        if to_server and datagram[0] == HELLO and len(kept) == 0 and datagram[13] == 11:
            kept.append(datagram)  # the certificate: it comes with the next flight
            return []
        if not to_server and (datagram[0], len(datagram)) == (SEALED, COOKIE_ACK_SIZE):
            answers.append(datagram)
            return [datagram] if len(answers) > 1 else []
        return [datagram, forged] if to_server and datagram[0] >= FLIGHT_LAST else [datagram]

    client = connect(Through(relay(meddle=meddle)), "/echo")
    client.wait("open", 0)
    assert len(lost) == REPEATS and len(kept) == 1 and len(answers) > 1
    client.act("send", 0, "hello")
    assert client.wait("message", 0) == ["hello"]


def test_peers_of_one_host(server, connect, relay, eventually):  # noqa: F811
    """Behind one address, told apart by their ports."""
    both = relay()
    clients = [connect(Through(both), "/ws?channel=news", "/echo") for _ in range(2)]
    for client in clients:
        client.wait("open", 0)
        client.wait("open", 1)
    eventually(lambda: server.metric("ringside_subscriptions") == 2, "both are subscribed")
    server.publish("news", "hello")
    for number, client in enumerate(clients):
        assert client.wait("message", 0) == ["hello"]
        client.act("send", 1, str(number))
        assert client.wait("message", 1) == [str(number)]


# ---- without a stack ----

def check(sdp, nominates=True):
    """A check of the peer's path, as its owner makes one."""
    user = f"{sdp.split('a=ice-ufrag:')[1].split()[0]}:abcd".encode()
    password = sdp.split("a=ice-pwd:")[1].split()[0].encode()
    body = struct.pack(">HH", 6, len(user)) + user + b"\0" * (-len(user) % 4)
    body += struct.pack(">HHI", 0x24, 4, 1) + struct.pack(">HH", 0x802A, 8) + b"\0" * 8
    if nominates:
        body += struct.pack(">HH", 0x25, 0)
    transaction = os.urandom(12)

    def head(more):
        return struct.pack(">HHI", 1, len(body) + more, 0x2112A442) + transaction

    mac = hmac.new(password, head(24) + body, hashlib.sha1).digest()
    body += struct.pack(">HH", 8, 20) + mac
    crc = zlib.crc32(head(8) + body) ^ 0x5354554E
    return head(8) + body + struct.pack(">HHI", 0x8028, 4, crc)


def mapped_port(answer):
    assert answer[:2] == b"\x01\x01"
    return struct.unpack(">H", answer[26:28])[0] ^ 0x2112


def test_an_address_that_is_another_peers_next(server, eventually):
    """Whoever is heard from an address last has it; one that nominates another moves there, also
    from IPv4 to IPv6 and back."""
    answers = [server.request("POST", "/rtc", offer(), SDP).body.decode() for _ in range(2)]
    ports = [int(sdp.split("m=application ")[1].split()[0]) for sdp in answers]
    hosts = (HOST, HOST, "::1")
    sockets = [socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET,
                             socket.SOCK_DGRAM) for host in hosts]
    for each, host in zip(sockets, hosts):
        each.bind((host, 0))
        each.settimeout(20)
    # A record from an address that no check has come from is a stray.
    record = b"\x16\xfe\xfd" + b"\0" * 8 + struct.pack(">H", 4) + b"abcd"
    steps = [(0, 0, True), (0, 1, True), (0, 0, False), (1, 0, True), (2, 1, True), (1, 1, True),
             (2, 0, True)]
    for at, peer, nominates in steps:
        sockets[at].sendto(check(answers[peer], nominates), (hosts[at], ports[peer]))
        assert mapped_port(sockets[at].recv(2000)) == sockets[at].getsockname()[1]
    assert server.metric("ringside_rtc_checks_total") == len(steps)
    strays = server.metric("ringside_rtc_strays_total")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        sockets[2].sendto(record, (hosts[2], ports[0]))
        stranger.sendto(record, (HOST, ports[0]))
    eventually(lambda: server.metric("ringside_rtc_strays_total") == strays + 1, "it has come")
    for each in sockets:
        each.close()


def test_a_flood_of_offers_is_bounded(start_server, eventually):
    """In all by rtc_handshakes_max; and they are gone when no check has come."""
    server = start_server(shards=1, config={**CONFIG, "rtc_handshakes_max": 8})
    answers = [server.request("POST", "/rtc", offer(), SDP) for _ in range(30)]
    assert [answer.status for answer in answers].count(201) == 8
    assert {answer.json()["error"] for answer in answers if answer.status != 201} == {"rtc_full"}
    assert server.metric("ringside_rtc_bytes") < 8 * 20000
    eventually(lambda: server.metric("ringside_rtc_peers") == 0, "nobody has come", 30)
    assert server.request("POST", "/rtc", offer(), SDP).status == 201


def test_who_is_killed_is_gone(start_server, connect, eventually):  # noqa: F811
    """Without a word, as a tab is; others stay, who are checked for in time."""
    server = start_server(shards=1, config={**CONFIG, "rtc_consent_ms": CONSENT_MS})
    killed, stays = [connect(server, "/ws?channel=news") for _ in range(2)]
    for client in (killed, stays):
        client.wait("open", 0)
    eventually(lambda: server.metric("ringside_subscriptions") == 2, "both are subscribed")
    killed.process.kill()
    eventually(lambda: server.metric("ringside_rtc_peers") == 1, "one is gone")
    assert server.metric("ringside_subscriptions") == 1
    server.publish("news", "hello")
    assert stays.wait("message", 0) == ["hello"]


def test_a_flood_of_checks_is_bounded_by_address(start_server, eventually):
    """What is beyond costs no HMAC, and a peer's own checks are not part of it."""
    server = start_server(shards=1, config={**CONFIG, "address_requests_per_s": 20})
    answer = server.request("POST", "/rtc", offer(), SDP).body.decode()
    port = int(answer.split("m=application ")[1].split()[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flood:
        for each in (peer, flood):
            each.connect((HOST, port))
        peer.settimeout(20)
        peer.send(check(answer))
        assert mapped_port(peer.recv(2000)) == peer.getsockname()[1]
        forged = check(answer.replace("a=ice-pwd:", "a=ice-pwd:forged"))
        for _ in range(200):
            flood.send(forged)
        for _ in range(5):
            peer.send(check(answer))
            assert mapped_port(peer.recv(2000)) == peer.getsockname()[1]

    def limited():
        answer = server.get("/metrics")  # a request of that address, too
        return answer.status == 200 and b"ringside_rtc_limited_total 0" not in answer.body

    eventually(limited, "it was too much")


def test_a_flood_of_checks_is_answered_by_nobody(server, eventually):
    sdp = server.request("POST", "/rtc", offer(), SDP).body.decode()
    port = int(sdp.split("m=application ")[1].split()[0])
    forged = check(sdp.replace("a=ice-pwd:", "a=ice-pwd:forged"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flood:
        flood.connect((HOST, port))
        for _ in range(500):
            flood.send(forged)
        eventually(lambda: server.metric("ringside_rtc_forged_total") > 0, "some have come")
        flood.send(check(sdp))
        flood.settimeout(20)
        assert mapped_port(flood.recv(2000)) == flood.getsockname()[1]
