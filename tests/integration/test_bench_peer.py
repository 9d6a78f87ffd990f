"""Other servers beside Ringside: `compare --peer`, at smoke size. No speed is asserted.

The peers of bench/peers/ run where somebody has installed them; ws does anywhere, on Debian's
package. Ways to describe a peer are tried on peer_server.py, which takes exactly what its protocol
says and nothing else.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import ROOT, bench, bench_binary
from ringside import HOST, hold_port, port_of, wait_until

PEERS = ROOT / "bench" / "peers"
SERVER = ROOT / "tests" / "peer_server.py"
SUBSCRIBERS = 50
SMALL = ("--subscribers", SUBSCRIBERS, "--turns", "2", "--turn-ms", "100", "--against", "none")
NAMES = sorted(path.parent.name for path in PEERS.glob("*/peer.ini"))
# Those that only do handshakes are tried in test_bench_handshakes.py.
ANYWHERE = "ws of Debian"
NODE_WS = Path("/usr/share/nodejs/ws")
WITH_SUBSCRIBERS = [name for name in NAMES
                    if "[subscribe]" in (PEERS / name / "peer.ini").read_text()]


def manifest(folder, text):
    path = Path(folder) / "other" / "peer.ini"
    path.parent.mkdir()
    path.write_text(text)
    return path


def listed():
    """What the installer says of each peer, by its name."""
    environment = {**os.environ, "RINGSIDE_BUILD": str(bench_binary().parents[2])}
    made = subprocess.run([PEERS / "install"], capture_output=True, text=True, check=True,
                          env=environment)
    return {line.split()[0]: line for line in made.stdout.splitlines()}


def installed():
    return [name for name, line in listed().items() if line.endswith(" there")]


# In the same order in every process that collects the tests.
THERE = installed()
PRESENT = [name for name in WITH_SUBSCRIBERS if name in THERE]


def ws_of_debian(folder):
    """The peer ws as it is set up, with Debian's package in the place of that from npm."""
    packages = folder / "products" / "node_modules"
    packages.mkdir(parents=True)
    (packages / "ws").symlink_to(NODE_WS)
    text = (PEERS / "ws" / "peer.ini").read_text()
    return manifest(folder, text.replace("@products@", str(packages.parent))
                    .replace("@here@", str(PEERS / "ws")))


def check(found, name):
    """Everybody got everything, at both depths, and the figures of the peer are there."""
    entries = [c for c in found.run["contestants"] if c["name"] == name]
    assert [c["workload"] for c in entries] == ["depth 1", "depth 8"]
    for entry in entries:
        ledger = entry["ledger"]
        assert entry["kind"] == "peer" and entry["connections"] == SUBSCRIBERS
        assert ledger["delivered"] == ledger["expected"] > 0
        assert ledger["lost"] == ledger["duplicate"] == ledger["out_of_order"] == 0
    assert entries[0]["memory"]["user_bytes"] > 0
    assert sum(turn["server_cpu_s"] for entry in entries for turn in entry["turns"]) > 0
    return entries


@pytest.mark.parametrize("name", [ANYWHERE, *PRESENT])
def test_installed_peer(tmp_path, name):
    """One that is there wherever the tests are, and whichever others somebody has installed."""
    peer = ws_of_debian(tmp_path) if name == ANYWHERE else name
    found = bench(tmp_path, "compare", "--peer", peer, *SMALL)
    entries = check(found, "other" if name == ANYWHERE else name)
    assert entries[0]["version"] not in ("", "unknown")


def test_binary_messages_and_a_subprotocol(tmp_path):
    path = manifest(tmp_path, f"""
[server]
command = {sys.executable} {SERVER} @port@ mqtt
[subscribe]
path = /mqtt
protocol = mqtt
binary = \\x10\\x0c\\x00\\x04MQTT\\x04\\x02\\x00\\x00\\x00\\x00
binary = \\x82\\x0a\\x00\\x01\\x00\\x05@channel@\\x00
[publish]
by = websocket
protocol = mqtt
binary = \\x10\\x0c\\x00\\x04MQTT\\x04\\x02\\x00\\x00\\x00\\x00
send_binary = \\x30@varint+7@\\x00\\x05@channel@@payload@
""")
    check(bench(tmp_path, "compare", "--peer", path, *SMALL), "other")


@pytest.fixture
def running():
    """Starts peer_server.py; returns its port, and the one that takes its POSTs."""
    started = []

    def start(protocol):
        held = hold_port(), hold_port()
        port, post_port = (str(port_of(one)) for one in held)
        process = subprocess.Popen([sys.executable, SERVER, port, protocol, post_port])
        started.append((process, held))
        wait_until(lambda: listens(int(port)), "the peer to listen")
        return port, post_port

    yield start
    for process, held in started:
        process.terminate()
        assert process.wait(timeout=30) == 0
        for one in held:
            one.close()


def listens(port):
    table = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return any(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"
               for line in table)


def test_a_running_server_by_urls(tmp_path, running):
    port, _ = running("raw")
    found = bench(tmp_path, "compare", "--peer-url", f"ws://{HOST}:{port}/sub",
                  "--peer-publish-url", f"ws://{HOST}:{port}/pub", *SMALL)
    check(found, f"{HOST}:{port}")
    assert any("was not pinned" in note for note in found.run["notes"])


def test_a_running_server_with_messages_around_the_payload(tmp_path, running):
    port, post_port = running("json")
    path = manifest(tmp_path, f"""
[server]
address = {HOST}:{port}
[subscribe]
path = /
field = X-Key: open
message = {{"join": "@channel@"}}
[publish]
by = post
address = {HOST}:{post_port}
path = /pub
field = Content-Type: application/json
send = {{"text": "@payload@"}}
""")
    check(bench(tmp_path, "compare", "--peer", path, *SMALL), "other")


def test_event_streams_of_another_server(tmp_path, running):
    """Beside ours on the same transport, and named so."""
    port, post_port = running("sse")
    path = manifest(tmp_path, f"""
[server]
address = {HOST}:{port}
[subscribe]
transport = sse
path = /events
field = X-Key: open
[publish]
by = post
address = {HOST}:{post_port}
path = /pub
field = Content-Type: application/json
send = {{"text": "@payload@"}}
""")
    found = bench(tmp_path, "compare", "--peer", path, "-T", "sse", *SMALL)
    for entry in check(found, "other"):
        assert entry["transport"] == "sse"
    assert found.run["headline"].startswith("Deliveries per second, Ringside to other ")


@pytest.mark.parametrize("text,why", [
    ("[subscribe]\ntransport = poll\n",
     "transport of [subscribe]: there are websocket, sse and longpoll"),
    ("[server]\nport = 1\n", "there is no port in [server] of a manifest"),
    ("[server]\ncommand = true\n[subscribe]\npath = /\n", "there is no by in [publish]"),
    ("[publish]\nsend = x\n", "it needs a place for @payload@"),
    ("[install]\nneeds = no-such-program\n[server]\ncommand = x\n[subscribe]\npath = /\n"
     "[publish]\nby = post\n", "is not installed: there is no no-such-program"),
])
def test_what_a_manifest_lacks_is_said(tmp_path, text, why):
    path = manifest(tmp_path, text)
    tried = subprocess.run([bench_binary(), "compare", "--peer", path, "--results", tmp_path],
                           capture_output=True, text=True, check=False)
    assert tried.returncode != 0
    assert why in tried.stderr


def test_the_installer_lists_every_peer():
    assert list(listed()) == NAMES
