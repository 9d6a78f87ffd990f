"""Clients without sockets beside the kernel's: the same WebSockets, packet by packet, as they
passed through a namespace. A TCP of our own that lies would be found here."""

import json
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from bench import bench
from test_bench_socketless import REASON

pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

TRACE = Path(__file__).resolve().parent.parent / "trace.py"
SHAPE = [">S", "<SA", ">GET", "<HTTP/1.1", "<message", ">FA", "<FA"]
CHURN = ["churn", "-T", "websocket", "-n", 4, "-c", 4, "-t", 1, "--drop", "fin"]


def subscribers(tmp_path, clients):
    """The segments of each connection that only listened, and was closed while nothing was on its
    way: in their order."""
    out = tmp_path / f"{clients}.json"
    within = ["unshare", "-n", "--", "sh", "-ec", 'ip link set lo up; exec "$@"', "sh",
              sys.executable, str(TRACE), str(out)]
    assert bench(tmp_path, *CHURN, "--clients", clients, within=within).run["contestants"]
    flows = defaultdict(list)
    for segment in json.loads(out.read_text(encoding="utf-8")):
        flows[frozenset((segment["from"], segment["to"]))].append(segment)
    found = [flow for flow in flows.values() if len(said(flow)) == 1
             and said(flow)[0].startswith("GET /ws?")
             and {flag for segment in flow for flag in segment["flags"]} == set("SAF")]
    assert found
    return found


def said(flow):
    """By the client."""
    return [segment["payload"] for segment in flow
            if segment["from"] == flow[0]["from"] and segment["payload"]]


def shape(flow):
    """Who sends what, without acknowledgements, whose number follows the clock, and without the
    messages, whose number does."""
    client, words = flow[0]["from"], []
    for segment in flow:
        what = segment["payload"].split(" ")[0] if segment["payload"] else segment["flags"]
        word = (">" if segment["from"] == client else "<") + (
            what if what.isascii() and what.isupper() or "/" in what else "message")
        if what != "A" and word not in words:
            words.append(word)
    return words


def check_numbers(flow):
    """What RFC 9293 asks of a client, whatever it looks like. Numbers begin with the SYNs'."""
    client, first = flow[0]["from"], {"S": flow[0]["seq"], "SA": flow[1]["seq"]}
    sent = heard = acknowledged = 0
    for segment in flow:
        mine = segment["from"] == client
        seq = (segment["seq"] - first["S" if mine else "SA"]) % 2**32
        ack = (segment["ack"] - first["SA" if mine else "S"]) % 2**32
        end = seq + len(segment["payload"]) + sum(flag in segment["flags"] for flag in "SF")
        if not mine:
            heard = max(heard, end)
            assert ack <= sent
            continue
        assert seq <= sent, "a gap"
        sent = max(sent, end)
        assert (segment["ttl"], segment["dont_fragment"]) == (64, True)
        if "A" in segment["flags"]:
            assert acknowledged <= ack <= heard
            acknowledged = ack
    assert acknowledged == heard


def test_the_packets_of_a_websocket(tmp_path):
    """Handshake, request, messages, and FIN both ways."""
    traces = {clients: subscribers(tmp_path, clients) for clients in ("kernel", "socketless")}
    for clients, flows in traces.items():
        for flow in flows:
            assert shape(flow) == SHAPE, clients
            check_numbers(flow)
            assert [segment["flags"] for segment in flow[:3]] == ["S", "SA", "A"]
            assert "2" in flow[0]["options"], "a SYN says its MSS"


def options_of(tmp_path, *more):
    """Those of SYN, SYN+ACK and what follows, of each connection, with the most that the server
    has had under way; and the run."""
    out = tmp_path / "options.json"
    within = ["unshare", "-n", "--", "sh", "-ec", 'ip link set lo up; exec "$@"', "sh",
              sys.executable, str(TRACE), str(out)]
    run = bench(tmp_path, "fanout", "-T", "websocket", "-n", 2, "-b", 400000, "-d", 1, "-t", 1,
                "--warmup", 0, "--turn-ms", 200, "-a", "none", *more, within=within).run
    for contestant in run["contestants"]:
        assert contestant["ledger"]["delivered"] == contestant["ledger"]["expected"] > 0
        assert contestant["ledger"]["lost"] == 0
    flows = defaultdict(list)
    for segment in json.loads(out.read_text(encoding="utf-8")):
        flows[frozenset((segment["from"], segment["to"]))].append(segment)
    found = [flow for flow in flows.values() if len(said(flow)) > 0
             and said(flow)[0].startswith("GET /ws?") and flow[0]["flags"] == "S"]
    assert found
    return found, max(map(under_way, found))


def under_way(flow):
    client, most, acknowledged = flow[0]["from"], 0, None
    for segment in flow:
        if segment["from"] == client and "A" in segment["flags"]:
            acknowledged = segment["ack"]
        elif acknowledged is not None and segment["payload"]:
            most = max(most, (segment["seq"] + len(segment["payload"]) - acknowledged) % 2**32)
    return most


SACK, TIMESTAMP, SCALE = "4", "8", "3"


def test_options_as_the_kernel_has_them(tmp_path):
    """The same options as a kernel's client says; the server's kernel takes them, and means it."""
    kernel, _ = options_of(tmp_path, "--clients", "kernel")
    flows, most = options_of(tmp_path, "--clients", "socketless", "--rtt-ms", 20, "--tcp-options",
                             "timestamps,sack,window-scale")
    for flow in flows:
        assert set(flow[0]["options"]) == set(kernel[0][0]["options"])
        assert set(flow[1]["options"]) == set(kernel[0][1]["options"])
        client, times = flow[0]["from"], {True: [], False: []}
        for segment in flow:
            if "R" in segment["flags"]:
                continue
            time, echo = (int(segment["options"][TIMESTAMP][i:i + 8], 16) for i in (0, 8))
            mine = segment["from"] == client
            assert echo == 0 and segment["flags"] == "S" or echo in times[not mine]
            assert not times[mine] or time >= times[mine][-1]
            times[mine].append(time)
    assert most > 65535


def test_no_options_unless_asked(tmp_path):
    flows, most = options_of(tmp_path, "--clients", "socketless", "--rtt-ms", 20, "--loss", "0")
    for flow in flows:
        assert not {TIMESTAMP, SCALE} & {kind for segment in flow for kind in segment["options"]}
    assert most <= 65535


def test_sack_is_of_what_the_kernel_had_sent(tmp_path):
    """Blocks of lost packets: the kernel sends what is missing, and no byte is lost or doubled."""
    flows, _ = options_of(tmp_path, "--clients", "socketless", "--rtt-ms", 10, "--loss", "3",
                          "--tcp-options", "timestamps,window-scale")
    blocks = 0
    for flow in flows:
        client, sent = flow[0]["from"], flow[1]["seq"]
        for segment in flow[1:]:
            if segment["from"] != client:
                end = segment["seq"] + len(segment["payload"])
                sent = end if 0 < (end - sent) % 2**32 < 2**31 else sent
            found = segment["options"].get("5", "")
            for at in range(0, len(found), 16):
                first, last = (int(found[at + i:at + i + 8], 16) for i in (0, 8))
                assert 0 < (last - first) % 2**32 < 2**31
                assert (sent - last) % 2**32 < 2**31 and segment["from"] == client
                blocks += 1
    assert blocks > 0
