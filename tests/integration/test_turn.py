"""Credentials of GET /turn, at Debian's coturn: traffic of a client that has them is relayed, and
nobody else's. The two servers have a secret in common, and nothing else."""

import re
import socket
import struct
import subprocess

import pytest

import sdk
from ringside import HOST, hold_port, port_of, wait_until

SECRET = "a secret that two servers have"
MESSAGES = 3


def answers(port):
    """Whether a STUN server is there: its log is written late."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asks:
        asks.settimeout(0.2)
        asks.connect((HOST, port))
        try:
            asks.send(struct.pack(">HHI", 1, 0, 0x2112A442) + b"t" * 12)
            return asks.recv(2000)[:2] == b"\x01\x01"
        except OSError:
            return False


@pytest.fixture
def coturn(tmp_path):
    """The port of a relay on loopback."""
    held = hold_port()
    port = port_of(held)
    held.close()  # it does not share its port, for UDP
    with open(tmp_path / "coturn.log", "wb") as output:
        process = subprocess.Popen(
            ["turnserver", "-n", "--use-auth-secret", f"--static-auth-secret={SECRET}",
             "--realm=ringside", f"--listening-ip={HOST}", f"--relay-ip={HOST}",
             f"--listening-port={port}", "--allow-loopback-peers", "--no-tls", "--no-dtls",
             "--no-cli", "--log-file=stdout", "--simple-log", f"--pidfile={tmp_path}/coturn.pid",
             f"--userdb={tmp_path}/coturn.db"],
            stdout=output, stderr=output, cwd=tmp_path)
    try:
        wait_until(lambda: answers(port), "coturn listens")
        yield port
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def given(start_server, tmp_path):
    """What a user is given."""
    (tmp_path / "turn.secret").write_text(SECRET + "\n")
    server = start_server(config=sdk.with_keys(
        tmp_path, turn_uris="turn:turn.example.org:3478",
        turn_secret=f"file:{tmp_path}/turn.secret"))
    return server.get("/turn", {"Authorization": f"Bearer {sdk.token(sub='ann')}"}).json()


def relayed(port, username, password):
    """How many messages of two clients have come to each other through the relay."""
    said = subprocess.run(
        ["turnutils_uclient", "-y", "-c", "-m", "1", "-n", str(MESSAGES), "-p", str(port),
         "-u", username, "-w", password, HOST],
        capture_output=True, text=True, timeout=60, check=False)
    found = re.search(r"tot_send_msgs=(\d+), tot_recv_msgs=(\d+)\n", said.stdout)
    return int(found[2]) if found else 0


def test_what_is_given_is_relayed(coturn, given):
    assert relayed(coturn, given["username"], given["password"]) == 2 * MESSAGES


def test_what_is_not_given_is_not(coturn, given):
    """Neither for longer than it was given, nor for another user."""
    ends, user = given["username"].split(":")
    assert relayed(coturn, f"{int(ends) + 3600}:{user}", given["password"]) == 0
    assert relayed(coturn, f"{ends}:bob", given["password"]) == 0
