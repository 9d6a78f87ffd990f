"""The bench against servers that lie: what was lost, doubled, swapped or changed is what it says,
to the message, and its status is 2. No speed is asserted.

The servers are lying_server.py before ours and peer_server.py; lies.py says when they lie."""

import json
import shlex
import sys
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from bench import ROOT, bench
from ringside import server_binary
from test_bench_peer import SERVER as PEER_SERVER
from test_bench_peer import manifest

LIAR = ROOT / "tests" / "lying_server.py"
NAMED = {"drop": "lost", "double": "duplicate", "swap": "out_of_order", "corrupt": "corrupt"}
ONCE = pytest.mark.not_in("asan", why="every lie is in one ledger, and one of them here")
LEDGER = 2  # the status
HTTP2 = ("h2-poll", "h2-longpoll", "h2-sse", "h2-websocket", "h2-websocket-envelope")
TRANSPORTS = ("poll", "longpoll", "sse", "websocket", "websocket-envelope")
# What is published first begins the ledgers; no lie is told of it.
# Four times as many messages as there are lies, for a busy machine that lets a part of a turn pass.
SMALL = ("--turns", "1", "--warmup", "0", "--turn-ms", "500", "--rate", "120")
FEW = ("--subscribers", "6", *SMALL)


def front(folder, *lies):
    """The options that make the bench start a server that tells these lies."""
    command = (sys.executable, LIAR, "--tally", folder / "tally", *lies, "--",
               Path(server_binary()).resolve())
    path = folder / "liar"
    path.write_text(f'#!/bin/sh\nexec {shlex.join(map(str, command))} "$@"\n')
    path.chmod(0o755)
    return "--server", path, "--set", "drain_ms=50"


@pytest.fixture
def lying(tmp_path):
    return partial(front, tmp_path)


def told(tmp_path):
    """The lies told on each channel, of each server that ran."""
    return [json.loads(line) for line in (tmp_path / "tally").read_text().splitlines()]


def faults(counts):
    return {name: counts[name] for name in NAMED.values() if counts[name]}


def contestants(found, kind="transport"):
    return {(c["name"], c.get("workload")): c for c in found.run["contestants"]
            if c["kind"] == kind and "ledger" in c}


def check_all(found, expected):
    """All contestants that a server of ours stands behind have those faults, and no others."""
    seen = {who: faults(c["ledger"]) for who, c in contestants(found).items()}
    assert seen and seen == dict.fromkeys(seen, expected), (
        seen, told(found.folder), [c["turns"] for c in contestants(found).values()])
    total = sum(expected.values()) * len(seen)
    assert f"the ledger is not clean: {total} messages were lost" in found.complaints
    return seen


# ---- every transport ----

@pytest.mark.parametrize("names", [TRANSPORTS, HTTP2], ids=["HTTP/1.1", "HTTP/2"])
def test_whoever_passes_on_the_truth_is_believed(tmp_path, lying, names):
    found = bench(tmp_path, "fanout", *FEW, "--transport", ",".join(names), "--streams", "6",
                  "--against", "none", "--poll-interval-ms", "20", *lying())
    assert [faults(c["ledger"]) for c in found.run["contestants"]] == [{}] * len(names)
    assert "the ledger is not clean" not in found.complaints


@pytest.mark.parametrize("lie", ["drop", *(pytest.param(lie, marks=ONCE)
                                          for lie in NAMED if lie != "drop")])
def test_every_transport(tmp_path, lying, lie):
    found = bench(tmp_path, "fanout", *FEW, "--transport", ",".join(TRANSPORTS), "--against",
                  "none", "--poll-interval-ms", "20", *lying(f"--{lie}", "3"), expect=LEDGER)
    assert told(tmp_path) == [{f"bench-{name}": 3 for name in TRANSPORTS}]
    assert len(check_all(found, {NAMED[lie]: 3})) == len(TRANSPORTS)
    told_so = f"3 {NAMED[lie].replace('_', ' ')}"
    assert (found.output.count(f" {told_so}\n") == len(TRANSPORTS)
            or f"ledger {told_so}." in found.output)  # all have it in common
    # A message that is lost is not waited for until the patience of a turn, 20 s, is over.
    assert all(turn["elapsed_s"] < 15 for c in found.run["contestants"] for turn in c["turns"])


@pytest.mark.parametrize("lie", ["drop", *(pytest.param(lie, marks=ONCE)
                                          for lie in NAMED if lie != "drop")])
def test_every_transport_over_http2(tmp_path, lying, lie):
    """Of six subscribers four share a connection, and two the next. Each poll is a stream of its
    own, with nobody to send a message behind the next."""
    names = [name for name in HTTP2 if lie != "swap" or "poll" not in name]
    found = bench(tmp_path, "fanout", *FEW, "--transport", ",".join(names), "--streams", "4",
                  "--against", "none", "--poll-interval-ms", "20", *lying(f"--{lie}", "3"),
                  expect=LEDGER)
    assert told(tmp_path) == [{f"bench-{name}": 3 for name in names}]
    assert len(check_all(found, {NAMED[lie]: 3})) == len(names)
    assert {(c["connections"], c["subscribers"]) for c in contestants(found).values()} == {(2, 6)}


def test_http2_under_tls(tmp_path, lying):
    found = bench(tmp_path, "fanout", *FEW, "--tls", "--transport", "h2-sse,h2-websocket",
                  "--streams", "3", "--against", "none", *lying("--swap", "2"), expect=LEDGER)
    assert len(check_all(found, {"out_of_order": 2})) == 4


def test_under_tls(tmp_path, lying):
    found = bench(tmp_path, "fanout", *FEW, "--tls", "--transport", "sse,websocket", "--against",
                  "none", *lying("--swap", "2"), expect=LEDGER)
    assert len(check_all(found, {"out_of_order": 2})) == 4


def test_whichever_byte_is_changed(tmp_path, lying):
    """A head that is not right does not say which message it is: that one is lost as well."""
    head, text = (0, 9, 16, 20, 33), (34, 41, 100, 127)
    found = bench(tmp_path, "fanout", "--subscribers", "6", "--turns", "1", "--warmup", "0",
                  "--turn-ms", "800", "--rate", "120", "--transport", ",".join(TRANSPORTS),
                  "--against", "none", "--poll-interval-ms", "20",
                  *lying("--corrupt", len(head + text), "--byte", *head, *text), expect=LEDGER)
    check_all(found, {"corrupt": len(head + text), "lost": len(head)})


def test_messages_that_come_in_pieces(tmp_path, lying):
    places = (8150, 8192, 20000, 39999)
    found = bench(tmp_path, "fanout", *FEW[:-1], "60", "--size", "40000", "--transport",
                  "longpoll,sse,websocket,websocket-envelope", "--against", "none",
                  *lying("--corrupt", "4", "--byte", *places), expect=LEDGER)
    assert len(check_all(found, {"corrupt": 4})) == 4


# ---- every experiment with a ledger ----

def test_compare(tmp_path, lying):
    """On a busy machine a turn at a rate may be over before there was enough to lie about: the rest
    is told in the next one, which is as fast as it can be."""
    found = bench(tmp_path, "compare", *FEW, "--depth", "2", "--poll-interval-ms", "10",
                  "--transport", ",".join((*TRANSPORTS[:-1], "h2-sse", "h2-websocket")),
                  *lying("--double", "2"), expect=LEDGER)
    seen = Counter()
    for (name, _), c in contestants(found).items():
        seen[name] += c["ledger"]["duplicate"]
        assert not faults(c["ledger"]).keys() - {"duplicate"}, name
    assert told(tmp_path) == [{f"bench-{name}": 2 for name in seen}]
    assert seen == dict.fromkeys(seen, 2) and "websocket" in seen
    for c in contestants(found, "ceiling").values():
        assert faults(c["ledger"]) == {}


def test_engines(tmp_path, lying):
    found = bench(tmp_path, "engines", *FEW, "--against", "none", *lying("--swap", "2"),
                  expect=LEDGER)
    assert {name for name, _ in check_all(found, {"out_of_order": 2})} == {"io_uring", "epoll"}


def test_latency(tmp_path, lying):
    found = bench(tmp_path, "latency", *SMALL, "--subscribers", "3", "--rtt-ms", "10",
                  "--poll-interval-ms", "20", *lying("--swap", "2"), expect=LEDGER)
    assert len(check_all(found, {"out_of_order": 2})) == 5


def test_mix(tmp_path, lying):
    found = bench(tmp_path, "mix", "--stream", "name=a subscribers=6 channels=2 rate=80",
                  "--stream", "name=b subscribers=3 transport=sse rate=60", "--turns", "1",
                  "--warmup", "0", "--turn-ms", "800", *lying("--double", "2"), expect=LEDGER)
    assert {name: faults(c["ledger"]) for (name, _), c in contestants(found).items()} == {
        "a": {"duplicate": 4}, "b": {"duplicate": 2}}
    assert told(tmp_path) == [{"bench-a-0": 2, "bench-a-1": 2, "bench-b": 2}]


@pytest.mark.parametrize("lie", ["drop", "swap"])
def test_churn(tmp_path, lying, lie):
    """Lies to those who have just come back, with a position or without one."""
    found = bench(tmp_path, "churn", "--subscribers", "20", "--churn", "20", "--rate", "40",
                  "--turns", "1", "--turn-ms", "1500", "--transport", "websocket,sse",
                  *lying(f"--{lie}", "2", "--reopened"), expect=LEDGER)
    assert len(check_all(found, {NAMED[lie]: 2})) == 2
    assert found.run["verdicts"][0]["verdict"] == "fails"


def storm(tmp_path, *more):
    found = bench(tmp_path, "storm", "--subscribers", "20", "--live", "4",
                  "--give-up", "30", "--set", "retry_ms=100",
                  "--set", "retry_spread_ms=100", *more, expect=LEDGER)
    return {variant: {name: faults(contestants(found)[name, variant]["ledger"])
                      for name in ("sse", "websocket", "connected")}
            for variant in ("admission", "jitter", "at once")}


def test_before_a_storm(tmp_path, lying):
    """Those who come back with a position, in envelopes and event streams, and those who stay."""
    seen = storm(tmp_path, "--rate", "20", "--admit", "20", "--turn-ms", "600",
                 *lying("--drop", "2", "--from", "3"))
    assert seen == dict.fromkeys(seen, dict.fromkeys(("sse", "websocket", "connected"),
                                                     {"lost": 2}))


def test_in_what_a_storm_replays(tmp_path, lying):
    """With admission the last of them come back a second later, and have missed enough to be lied
    to twice. The others may be back before anything is published."""
    seen = storm(tmp_path, "--rate", "40", "--admit", "10", "--turn-ms", "400",
                 *lying("--corrupt", "2", "--reopened", "--fresh", "20"))
    channels = ("bench-sse", "bench-websocket-envelope")
    for counts, lies in zip(seen.values(), told(tmp_path), strict=True):
        for name, channel in zip(("sse", "websocket"), channels):
            count = lies.get(channel, 0)
            assert counts[name] == ({"corrupt": count} if count else {}), lies
        assert counts["connected"] == {}
    assert told(tmp_path)[0] == dict.fromkeys(channels, 2)


def test_hold(tmp_path, lying):
    found = bench(tmp_path, "hold", "--connections", "10", "--seconds", "1", "--transport",
                  "sse,longpoll", "--against", "none", *lying("--double", "1", "--from", "2"),
                  expect=LEDGER)
    assert len(check_all(found, {"duplicate": 1})) == 2


def test_capacity(tmp_path, lying):
    """A step that lost a message is broken, and the climb ends there."""
    found = bench(tmp_path, "capacity", "--from", "10", "--to", "40", "--hold-seconds", "1",
                  "--broadcast-seconds", "1", *lying("--drop", "1", "--from", "2"), expect=LEDGER)
    assert list(contestants(found)) == [("websocket", "10 connections")]
    check_all(found, {"lost": 1})


def test_knee(tmp_path, lying):
    """Where something is doubled there is no knee, and the run says why."""
    found = bench(tmp_path, "knee", "--subscribers", "6", "--transport", "websocket", "--bound-ms",
                  "50", "--turn-ms", "100", "--search-seconds", "1", "--turns", "1",
                  *lying("--double", "1000000"), expect=LEDGER)
    (knee,) = contestants(found).values()
    assert "value" not in knee["knee"]
    assert knee["ledger"]["duplicate"] > 0 and not faults(knee["ledger"]).keys() - {"duplicate"}


def test_slow_readers(tmp_path, lying):
    """The first is told to somebody in the turn without slow readers; in the other one all are."""
    found = bench(tmp_path, "slow-readers", "--subscribers", "10", "--stalled", "40", "--rate",
                  "60", "--size", "4096", "--turn-ms", "300", "--warmup", "0", "--turns", "1",
                  "--queue", "65536", *lying("--corrupt", "40"), expect=LEDGER)
    for lies, policy in zip(told(tmp_path), ("disconnect", "drop_oldest", "keep_latest"),
                            strict=True):
        turns = [contestants(found)["others", workload]
                 for workload in (policy, f"{policy}, without")]
        seen = [c["ledger"]["corrupt"] for c in turns] + [turns[0]["stall"]["corrupt"]]
        assert sum(seen) == lies["bench-others"] > 0


def test_half_open(tmp_path, lying):
    found = bench(tmp_path, "half-open", "--subscribers", "6", "--vanished", "3", "--rate", "60",
                  "--turn-ms", "600", "--heartbeat-ms", "1000", *lying("--double", "2"),
                  expect=LEDGER)
    assert [faults(contestants(found)["others", when]["ledger"])
            for when in ("before", "during")] == [{"duplicate": 2}, {}]


def test_abuse(tmp_path, lying):
    """To those who are served beside an attack."""
    found = bench(tmp_path, "abuse", "--attack", "metrics-unread", "--subscribers", "5", "--rate",
                  "20", "--seconds", "1", "--turn-ms", "100", *lying("--corrupt", "1000000"),
                  expect=LEDGER)
    (attacked,) = found.run["contestants"]
    assert attacked["abuse"]["corrupt"] > 0 and "closed" in attacked["abuse"]["broken"]
    assert attacked["abuse"]["duplicate"] == attacked["abuse"]["out_of_order"] == 0


# ---- other servers ----

RAW = """
[subscribe]
path = /sub
[publish]
by = websocket
path = /pub
send = @payload@
"""
MQTT = r"""
[subscribe]
path = /mqtt
protocol = mqtt
binary = \x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00
binary = \x82\x0a\x00\x01\x00\x05@channel@\x00
[publish]
by = websocket
protocol = mqtt
binary = \x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00
send_binary = \x30@varint+7@\x00\x05@channel@@payload@
"""


@pytest.mark.parametrize("protocol,lie", [
    ("raw", "drop"), ("raw", "double"), ("mqtt", "swap"), ("mqtt", "corrupt")])
def test_a_peer(tmp_path, protocol, lie):
    command = f"{sys.executable} {PEER_SERVER} @port@ {protocol} --{lie} 3"
    how = RAW if protocol == "raw" else MQTT
    path = manifest(tmp_path, f"[server]\ncommand = {command}\n{how}")
    found = bench(tmp_path, "compare", "--peer", path, "--subscribers", "6", "--turns", "1",
                  "--warmup", "0", "--turn-ms", "600", "--depth", "8", "--against", "none",
                  expect=LEDGER)
    (peer,) = contestants(found, "peer").values()
    assert faults(peer["ledger"]) == {NAMED[lie]: 3}
    assert [faults(c["ledger"]) for c in contestants(found).values()] == [{}]
