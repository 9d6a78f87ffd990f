"""What broke in a climb, from the evidence of a step."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent.parent / "bench" / "report"))

import causes  # noqa: E402
import judge  # noqa: E402


def broken(stage, counters=None, errors=None, **seen):
    """A step of 320,000 that broke at some stage, and nothing that says why."""
    return causes.Step({
        "name": "websocket", "counters": counters or {}, "errors": errors or {},
        "evidence": {
            "stage": stage, "wanted": 320000, "up": 300000 if stage == "ramp" else 320000,
            "elapsed_s": 60, "allowed_s": 60, "stalled": False, "closes": 0, "faults": 0,
            "missing": 1204 if stage == "broadcast" else 0, "server_ended": False,
            "publisher_down": False, "memory_low": False, "memory_available_bytes": 0,
            "client_cpu_share": 0} | seen})


def cause(step):
    return causes.of(step)[0].name


@pytest.mark.parametrize("stage, counter, name", [
    ("ramp", "server:refused_table_full", "max_connections"),
    ("ramp", "server:closed_table_full", "max_connections"),
    ("ramp", "server:refused_overloaded", "hub"),
    ("ramp", "server:accept_refused", "accept"),
    ("ramp", "ListenOverflows", "backlog"),
    ("ramp", "ListenDrops", "backlog"),
    ("ramp", "TCPReqQFullDrop", "half open"),
    ("hold", "server:closed_heartbeat", "heartbeat"),
    ("broadcast", "TCPMemoryPressures", "tcp_mem"),
    ("broadcast", "TCPAbortOnMemory", "orphans"),
    ("broadcast", "server:closed_slow_reader", "slow readers"),
    ("broadcast", "server:closed_stalled", "slow readers"),
    ("broadcast", "server:closed_queue_total", "slow readers"),
    ("broadcast", "softnet_dropped", "packets"),
    ("broadcast", "PruneCalled", "receive buffers"),
    ("broadcast", "TCPRcvQDrop", "receive buffers"),
    # An overflow of the backlog says nothing about a broadcast.
    ("broadcast", "ListenOverflows", "unexplained"),
    ("broadcast", "TCPTimeouts", "unexplained"),
])
def test_counters(stage, counter, name):
    assert cause(broken(stage, {counter: 312})) == name
    assert cause(broken(stage, {counter: 0})) == "unexplained"
    assert cause(broken(stage)) == "unexplained"  # what is unknown is no evidence


def test_every_counter_of_a_cause_is_read():
    """The names are those that the bench gives them."""
    table = (pathlib.Path(causes.__file__).parent.parent / "experiment" / "capacity_counters.h"
             ).read_text(encoding="utf-8")
    source = pathlib.Path(causes.__file__).read_text(encoding="utf-8")
    used = {part for line in source.splitlines() if "grew(" in line or '"server:closed' in line
            for part in line.split('"')
            if " " not in part and part.startswith(("server:", "TCP", "Listen", "Prune"))}
    assert len(used) > 12
    for name in used:
        known = name.removeprefix("server:").removeprefix("closed_").removeprefix("refused_")
        assert f'"{known}"' in table, name


@pytest.mark.parametrize("errno, name", [
    ("EMFILE", "nofile"), ("ENFILE", "file-max"), ("EADDRNOTAVAIL", "ports"),
    ("EADDRINUSE", "ports"), ("ENOMEM", "kernel memory"), ("ENOBUFS", "kernel memory"),
    ("ECONNREFUSED", "refused")])
def test_errnos(errno, name):
    assert cause(broken("ramp", {f"connect:{errno}": 80000})) == name
    # A few that were tried again kept nobody down.
    assert cause(broken("ramp", {f"connect:{errno}": 3})) == "unexplained"


def test_without_its_publisher_a_step_has_no_ramp():
    step = broken("ramp", {"connect:EADDRNOTAVAIL": 4}, publisher_down=True)
    assert cause(step) == "ports"
    assert causes.what(step) == "At 320,000, the publisher had no connection"


def test_what_is_certain_comes_first():
    counters = {}
    step = broken("broadcast", counters, server_cpu_share=0.99, client_cpu_share=0.99)
    assert cause(step) == "server CPU"
    step.counters["TCPMemoryPressures"] = 1
    first, others = causes.of(step)
    assert (first.name, [c.name for c in others]) == ("tcp_mem", ["server CPU", "client CPU"])
    step.seen["server_ended"] = True
    assert cause(step) == "server"
    step.seen["memory_low"] = True
    assert cause(step) == "memory"
    assert cause(broken("ramp", errors={"shed": 80000})) == "shed"


def test_held_but_slowed():
    assert causes.slowed(broken("whole", server_cpu_share=1)) is None
    assert causes.slowed(broken("whole", {"ListenOverflows": 2796})).name == "backlog"


def test_words():
    step = broken("broadcast", {"TCPMemoryPressures": 312, "server:accepted": 9,
                                "sockstat:tcp_mem_most": 575801})
    assert causes.what(step) == "At 320,000, the broadcast stalled: 1,204 had not got it after 60 s"
    assert causes.evidence(step) == "TCP held up to 575801 pages, TCPMemoryPressures +312"
    step.seen["closes"] = 5
    assert causes.what(step) == "At 320,000, 5 connections were lost during the broadcast"
    step = broken("ramp", {"connect:EADDRNOTAVAIL": 80000}, {"address_in_use": 80000})
    assert causes.what(step) == "At 320,000, only 300,000 came up within 60 s"
    assert causes.evidence(step) == ("connect: EADDRNOTAVAIL 80000 times, "
                                     "clients: address_in_use 80000 times")
    assert causes.evidence(broken("hold")) == "no counter moved"


@pytest.mark.parametrize("row", causes.CAUSES, ids=lambda row: row.name)
def test_every_row_can_be_acted_on(row):
    remedy = row.remedy_for(4000000)
    assert len(remedy) > 20 and "{" not in remedy
    assert "tuning/tune" not in row.remedy or "4000000" in remedy
    assert not row.slows or row.setting


def run_of(*steps, to=320000):
    return {"experiment": "capacity", "interrupted": False, "settings": {"to": to}, "notes": [],
            "verdicts": [], "contestants": [step.contestant for step in steps]}


def test_a_climb_that_broke():
    run = run_of(broken("whole", {"ListenOverflows": 7}, wanted=160000),
                 broken("broadcast", {"TCPMemoryPressures": 1, "sockstat:tcp_mem_most": 9},
                        server_cpu_share=0.99))
    judge.of_run(run)
    (verdict,) = run["verdicts"]
    assert verdict["claim"] == "320,000 websocket connections hold here"
    assert verdict["verdict"] == "fails"
    assert verdict["measured"].startswith(
        "160,000 websocket connections hold. At 320,000, the broadcast stalled: 1,204 had not got "
        "it after 60 s: TCP memory ran short (net.ipv4.tcp_mem ")
    assert run["headline"] == "160,000 websocket connections hold; then: TCP memory ran short"
    assert run["contestants"][1]["notes"] == [
        "At 320,000, the broadcast stalled: 1,204 had not got it after 60 s: TCP memory ran short."]
    assert run["notes"][0].startswith("160,000 held, but slowed: the accept backlog overflowed")
    assert run["notes"][1] == ("Seen as well: the server had no CPU time left: --server-cpus and "
                               "--shards.")


@pytest.mark.parametrize("to, then", [(320000, "the end that was asked for"), (None, "memory")])
def test_a_climb_that_reached_its_end(to, then):
    step = broken("whole")
    step.contestant["bound"] = {"name": "memory", "connections": 400000, "why": "it is so",
                                "remedy": "`tuning/tune plan {n}`"}
    run = run_of(step, to=to)
    judge.of_run(run)
    assert run["verdicts"][0]["verdict"] == "holds"
    assert run["headline"] == f"320,000 websocket connections hold; then: {then}"
    assert ("640000" in run["verdicts"][0]["measured"]) == (to is None)


def test_what_was_interrupted_is_not_judged():
    run = run_of(broken("ramp")) | {"interrupted": True}
    judge.of_run(run)
    assert run["verdicts"] == [] and "headline" not in run
