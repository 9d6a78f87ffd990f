"""QUIC below HTTP/3: who is no client, addresses that change, floods, certificates."""

import asyncio
import ctypes
import platform
import shutil
import signal
import socket
import struct
import time

import pytest

import h3
from ringside import HOST, PATIENCE_S
from secure import CERTIFICATES

FLOOD = 150
HALF_OPEN = 20
SILENCE_S = 0.7
LONG_HEADER = 0xC0
SETSOCKOPT = 54
ATTACH_REUSEPORT_CBPF = 51


@pytest.fixture
def served(start_server):
    return start_server(secure=True, config={"http3": "on", "quic_retry_over": str(HALF_OPEN)})


def first_packet():
    """What a client sends first."""
    h3.load()
    from aioquic.quic.configuration import QuicConfiguration
    from aioquic.quic.connection import QuicConnection

    connection = QuicConnection(
        configuration=QuicConfiguration(is_client=True, alpn_protocols=["h3"])
    )
    connection.connect((HOST, 1), now=time.time())
    return connection.datagrams_to_send(now=time.time())[0][0]


def dial(port):
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.connect((HOST, port))
    udp.settimeout(SILENCE_S)
    return udp


def heard(udp):
    """All datagrams that come until there is silence."""
    came = []
    try:
        while True:
            came.append(udp.recv(2048))
    except TimeoutError:
        return came


def test_a_client_that_never_answers_gets_three_times_what_it_sent(served):
    with dial(served.port) as udp:
        first = first_packet()
        udp.send(first)
        came = heard(udp)
    assert came and sum(len(one) for one in came) <= 3 * len(first)


def test_a_flood_of_first_packets_has_to_prove_its_address(served):
    with dial(served.port) as udp:
        for _ in range(FLOOD):
            udp.send(first_packet())
        heard(udp)
    open_now = served.metric("ringside_quic_connections")
    assert open_now <= 2 * HALF_OPEN  # of two shards
    assert served.metric("ringside_quic_retries_total") == FLOOD - open_now
    assert served.metric("ringside_quic_bytes") < open_now * 200_000
    assert served.plain().get("/healthz").status == 200


def test_what_is_no_packet_of_anybody(served):
    other_version = bytes([LONG_HEADER]) + b"\x1a\x2a\x3a\x4a" + b"\x08destined\x04from"
    with dial(served.port) as udp:
        udp.send(other_version + bytes(1200))
        versions = heard(udp)
        udp.send(other_version)
        udp.send(b"")
        udp.send(b"\x40")
        udp.send(bytes([LONG_HEADER]) * 30)
        udp.send(bytes([LONG_HEADER]) + bytes(4) + b"\xff" + bytes(300))  # a server's packet
        short = b"\x40" + bytes(60)
        for shard in range(2):
            udp.send(short[:1] + bytes([shard]) + short[2:])
        resets = heard(udp)
    assert len(versions) == 1 and versions[0][1:5] == bytes(4)
    assert versions[0].endswith(b"\x00\x00\x00\x01")
    assert len(resets) == 2 and all(len(one) < len(short) for one in resets)
    assert served.metric("ringside_quic_resets_total") == 2


class Nat(asyncio.DatagramProtocol):
    """Between a client and the server; forgets its port when it is told to."""

    def __init__(self, server):
        self.server = server
        self.inside = None
        self.outside = None
        self.client = None

    def connection_made(self, transport):
        self.inside = transport

    def datagram_received(self, data, address):
        self.client = address
        self.outside.sendto(data)

    async def rebind(self):
        """A new port to the outside; what comes to the old one is lost."""
        nat = self

        class Outside(asyncio.DatagramProtocol):
            def datagram_received(self, data, address):
                nat.inside.sendto(data, nat.client)

        if self.outside:
            self.outside.close()
        loop = asyncio.get_running_loop()
        self.outside, _ = await loop.create_datagram_endpoint(
            Outside, remote_addr=(HOST, self.server)
        )


def change_addresses(served):
    async def one(number):
        loop = asyncio.get_running_loop()
        _, nat = await loop.create_datagram_endpoint(
            lambda: Nat(served.port), local_addr=(HOST, 0)
        )
        await nat.rebind()
        port = nat.inside.get_extra_info("sockname")[1]
        async with h3.connect(port) as client:
            events = client.ask(f"/sse?channel=nat-{number}")
            await client.until(lambda: events.body)
            for turn in range(3):
                await nat.rebind()
                await client.ping()
                await asyncio.to_thread(served.publish, f"nat-{number}", f"after {turn}")
                await client.until(lambda turn=turn: f"after {turn}".encode() in events.body)
        nat.outside.close()
        nat.inside.close()

    async def several():
        await asyncio.gather(*(one(number) for number in range(6)))

    h3.load()
    asyncio.run(asyncio.wait_for(several(), PATIENCE_S * 3))
    assert served.metric("ringside_quic_handshakes_total") == 6
    assert served.metric("ringside_quic_resets_total") == 0


def test_a_client_whose_address_changes_goes_on(served):
    change_addresses(served)
    assert served.metric("ringside_quic_handed_on_total") == 0


def refuse_programs():
    """No socket gets a program: as a sandbox has it."""
    load, equal, give = 0x20, 0x15, 0x06
    code = [(load, 0, 0, 0), (equal, 0, 3, SETSOCKOPT), (load, 0, 0, 32),
            (equal, 0, 1, ATTACH_REUSEPORT_CBPF), (give, 0, 0, 0x00050001),
            (give, 0, 0, 0x7FFF0000)]
    filters = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in code))
    program = struct.pack("HxxxxxxQ", len(code), ctypes.addressof(filters))
    libc = ctypes.CDLL(None, use_errno=True)
    no_new_privileges, seccomp, by_filter = 38, 22, 2
    assert libc.prctl(no_new_privileges, 1, 0, 0, 0) == 0
    assert libc.prctl(seccomp, by_filter, program, 0, 0) == 0


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers of its system calls")
def test_without_a_program_packets_find_their_shard_by_lane(start_server):
    served = start_server(secure=True, config={"http3": "on"}, before=refuse_programs)
    change_addresses(served)
    assert served.metric("ringside_quic_handed_on_total") > 0
    assert served.metric("ringside_quic_stuck_total") == 0


def test_a_reload_shows_another_certificate(start_server, tmp_path, eventually):
    own = tmp_path / "own"

    def put(name):
        shutil.copy(CERTIFICATES / f"{name}.pem", f"{own}.pem")
        shutil.copy(CERTIFICATES / f"{name}.key.pem", f"{own}.key.pem")

    async def shown():
        async with h3.connect(served.port) as client:
            return client._quic.tls._peer_certificate.serial_number

    put("local")
    served = start_server(secure=True, certificates=(str(own),), config={"http3": "on"})
    h3.load()
    before = asyncio.run(shown())
    put("ec")
    served.signal(1)
    eventually(lambda: asyncio.run(shown()) != before, "another certificate")
