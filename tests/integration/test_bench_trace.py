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
