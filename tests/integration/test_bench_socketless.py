"""Clients without sockets: a device in a network namespace, and the same server behind it."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from bench import bench

ALONE = ["unshare", "-n", "--", "sh", "-ec", 'ip link set lo up; exec "$@"', "sh"]
CLIENTS = ["--clients", "socketless"]
SMALL = ["-s", 1, "--against", "none"]


def missing():
    if os.geteuid() != 0:
        return "needs root, to make a device"
    if not Path("/dev/net/tun").exists():
        return "needs /dev/net/tun"
    tried = subprocess.run(["unshare", "-n", "ip", "tuntap", "add", "try0", "mode", "tun"],
                           capture_output=True, check=False)
    return None if tried.returncode == 0 else "no device can be made in a namespace here"


REASON = missing()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))


def alone(*before):
    """A namespace of its own, in which these commands have run first."""
    script = " ".join(["ip link set lo up;", *(f"{line};" for line in before), 'exec "$@"'])
    return ["unshare", "-n", "-m", "--", "sh", "-ec", script, "sh"]


def ledgers_clean(run):
    for contestant in run["contestants"]:
        ledger = contestant["ledger"]
        assert ledger["delivered"] == ledger["expected"] > 0, contestant["name"]
        assert ledger["lost"] + ledger["duplicate"] + ledger["out_of_order"] == 0


def note(run, pattern):
    """The numbers of the note that says so."""
    for text in run["notes"]:
        found = re.search(pattern, text)
        if found:
            return [int(number) for number in found.groups()]
    raise AssertionError(f"no note says {pattern}: {run['notes']}")


@pytest.mark.parametrize("transport", ["websocket", "sse", "longpoll"])
def test_the_same_as_kernel_clients(tmp_path, transport):
    """The same workload, and what both kinds of clients have counted."""
    def counted(*more):
        run = bench(tmp_path, "hold", "-T", transport, "-n", 300, *SMALL, *more,
                    within=ALONE).run
        ledgers_clean(run)
        (contestant,) = run["contestants"]
        turns = contestant["turns"]
        assert all(("segments_in" in turn) == bool(more) for turn in turns)
        if more:
            assert contestant["segments"]["in_per_s"] > 0
        if "kernel_ends" in contestant["memory"]:
            assert contestant["memory"]["kernel_ends"] == (1 if more else 2)
        said = (contestant["connections"], contestant["ledger"],
                [(turn["publishes"], turn["deliveries"]) for turn in turns])
        return said, [turn["down_bytes"] / turn["deliveries"] for turn in turns]

    (said, length), (said_by_kernel, length_by_kernel) = counted(*CLIENTS), counted()
    assert said == said_by_kernel
    # Not the bytes up, as a Host says another address; an epoch may have some digits less.
    assert length == pytest.approx(length_by_kernel, abs=0 if transport == "websocket" else 4)


def test_every_transport(tmp_path):
    transports = "poll,longpoll,sse,websocket,websocket-envelope,h2-sse,h2-websocket,h2-poll"
    run = bench(tmp_path, "hold", "-T", transports, "-n", 60, *SMALL, *CLIENTS,
                within=ALONE).run
    assert len(run["contestants"]) == transports.count(",") + 1
    ledgers_clean(run)
    assert run["settings"]["clients"] == "socketless"


def test_tls(tmp_path):
    run = bench(tmp_path, "hold", "-T", "websocket,h2-sse", "--tls", "--tls-cipher", "chacha20",
                "-n", 40, *SMALL, *CLIENTS, within=ALONE).run
    assert len(run["contestants"]) == 4
    ledgers_clean(run)


def test_large_messages_and_a_bare_loop(tmp_path):
    """More than a window: segments come as one packet, and are acknowledged in time."""
    run = bench(tmp_path, "fanout", "-T", "websocket", "-n", 20, "-b", 300000, "-t", 2, "--warmup",
                0, "--turn-ms", 300, "-d", 2, "-a", "bare-send", *CLIENTS, within=ALONE).run
    ledgers_clean(run)


def test_churn(tmp_path):
    """Who comes back does so from another port, and resumes."""
    run = bench(tmp_path, "churn", "-T", "sse", "-n", 100, "-c", 50, "-t", 2, *CLIENTS,
                within=ALONE).run
    for contestant in run["contestants"]:
        assert contestant["ledger"]["lost"] == 0


def test_storm(tmp_path):
    """All come back at once, from other ports, while a witness has sockets."""
    run = bench(tmp_path, "storm", "--subscribers", 60, "--live", 10, "--rate", 4, *CLIENTS,
                within=ALONE).run
    storms = [contestant for contestant in run["contestants"] if "ledger" in contestant]
    assert storms
    for contestant in storms:
        assert contestant["ledger"]["lost"] == 0, contestant["name"]


def test_half_open(tmp_path):
    """Those who vanish are clients too: more than there are descriptors for."""
    run = bench(tmp_path, "half-open", "--subscribers", 6, "--vanished", 300, "--rate", 20,
                "--turn-ms", 300, "--heartbeat-ms", 1000, *CLIENTS, within=ALONE).run
    found = [contestant for contestant in run["contestants"] if "reaped" in contestant]
    assert [contestant["reaped"]["closed"] for contestant in found] == [100] * 3
    assert [contestant["connections"] for contestant in found] == [100] * 3


@pytest.mark.parametrize("experiment", [
    ["hold", "-n", 300, "-s", 1, "-T", "sse"],
    ["fanout", "-n", 300, "-r", 20, "-t", 1, "--turn-ms", 500, "--warmup", 0, "-T", "websocket"],
])
def test_clients_that_vanish(tmp_path, experiment):
    """Both sides count the same, by a seed; and nobody else lacks a message."""
    def vanished(seed):
        run = bench(tmp_path, *experiment, "--against", "none", "--vanish", 10, "--seed", seed,
                    *CLIENTS, "--set", "heartbeat_ms=700", "--set", "stall_timeout_ms=1000",
                    within=ALONE).run
        ledgers_clean(run)
        (contestant,) = run["contestants"]
        seen = contestant["vanished"]
        assert seen["closed"] == seen["clients"] > 0
        assert {"closed_heartbeat", "closed_stalled"} >= set(seen["reasons"]) - {"closed_idle"}
        return seen["clients"]

    counts = [vanished(seed) for seed in (3, 3, 4)]
    assert counts[0] == counts[1] and all(10 < count < 60 for count in counts)


def test_bare_connects_do_not_overrun_the_accept_queue(tmp_path):
    """A bare connect is over before it is accepted: only the kernel knows how many are not yet."""
    script = ('ip link set lo up; echo 2048 > /proc/sys/net/core/somaxconn; "$@"; '
              "grep ^TcpExt: /proc/net/netstat")
    run = bench(tmp_path, "connect", "-T", "websocket", "-n", 15000, "-t", 1, *CLIENTS, "--quiet",
                within=["unshare", "-n", "--", "sh", "-ec", script, "sh"])
    lines = [line.split() for line in run.output.splitlines() if line.startswith("TcpExt:")]
    assert dict(zip(*lines))["ListenOverflows"] == "0"
    assert run.run["contestants"][0]["connect"]["opened"] == 15000


NETWORK = ["--rtt-ms", 20, "--jitter-ms", 5, "--loss", "3,2", "--reorder", 1]


@pytest.mark.alone
def test_a_network_that_loses(tmp_path):
    """Packets are lost, messages are not."""
    run = bench(tmp_path, "fanout", "-T", "websocket,sse", "-n", 50, "-r", 20, "-t", 2, "--warmup",
                0, "-a", "none", *NETWORK, "--seed", 7, *CLIENTS, within=ALONE).run
    ledgers_clean(run)
    carried, lost, overtook = note(
        run, r"seed 7 carried (\d+) packets, lost (\d+), and let (\d+) overtake")
    assert 0.01 * carried < lost < 0.06 * carried
    assert 0 < overtook < 0.03 * carried
    for contestant in run["contestants"]:
        assert min(turn["p50_ns"] for turn in contestant["turns"]) >= 10e6  # half a round trip


def test_a_narrow_line(tmp_path):
    run = bench(tmp_path, "fanout", "-T", "websocket", "-n", 10, "-r", 5, "-t", 1, "--warmup", 0,
                "-a", "none", "--line-rate", 20000, *CLIENTS, within=ALONE).run
    ledgers_clean(run)


# ---- refusals: one line each, with what to do ----

def refusal(tmp_path, within, *arguments):
    result = bench(tmp_path, "hold", "-n", 10, *SMALL, *arguments, expect=1, within=within)
    (line,) = [line for line in result.complaints.splitlines() if line.startswith("ringside-bench")]
    return line


def test_without_the_capability(tmp_path):
    within = [*ALONE, "setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"]
    assert "CAP_NET_ADMIN is missing: run it as root" in refusal(tmp_path, within, *CLIENTS)


def test_without_the_device(tmp_path):
    within = alone("mount -t tmpfs none /dev/net")
    assert "/dev/net/tun is missing: modprobe tun" in refusal(tmp_path, within, *CLIENTS)


def test_a_device_of_that_name(tmp_path):
    within = alone("ip tuntap add ringside0 mode tun")
    assert "there is a device ringside0 already" in refusal(tmp_path, within, *CLIENTS)


@pytest.mark.parametrize("taken", [
    ["ip addr add 198.18.5.1/24 dev lo"],
    ["ip tuntap add up0 mode tun", "ip link set up0 up", "ip route add 198.19.0.0/16 dev up0"],
])
def test_addresses_in_use(tmp_path, taken):
    within = alone(*taken)
    assert "addresses near 198.18.0.1 are in use here" in refusal(tmp_path, within, *CLIENTS)


@pytest.mark.parametrize("option", [["--loss", "1"], ["--reorder", "1"], ["--line-rate", "5000"],
                                    ["--vanish", "1"], ["--tcp-options", "sack"]])
def test_a_network_needs_clients_without_sockets(tmp_path, option):
    assert f"{option[0]} needs --clients socketless" in refusal(tmp_path, ALONE, *option)


def test_too_many_that_vanish(tmp_path):
    result = bench(tmp_path, "half-open", "--vanished", 20000, expect=1)
    assert "more than 15000 that vanish need --clients socketless" in result.complaints


def test_a_server_that_runs_already(tmp_path):
    line = refusal(tmp_path, ALONE, *CLIENTS, "--address", "127.0.0.1:8080")
    assert "--clients socketless starts its own server" in line


def test_nothing_is_left(tmp_path):
    """The device, its addresses and its routes end with the run."""
    script = 'ip link set lo up; "$@"; ip -brief link; ip route'
    run = bench(tmp_path, "hold", "-T", "websocket", "-n", 50, *SMALL, *CLIENTS,
                within=["unshare", "-n", "--", "sh", "-ec", script, "sh"])
    assert "ringside0" not in run.output and "198.18" not in run.output
