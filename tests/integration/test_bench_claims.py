"""`bench claims` and `bench scenario` over small scenarios: a verdict for each claim, and a reason
for each that could not be measured."""

import configparser
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from bench import ROOT, bench, bench_binary
from test_bench_view import Terminal

SHIPPED = sorted((ROOT / "bench" / "scenarios").glob("*.ini"))

SMALL = """
; smoke size
[scenario]
title = A small one
experiment = hold
seconds = 60
[options]
connections = 30
seconds = 1
against = none
[claim held]
claim = All of them were held
source = this test
value = of("websocket").connections
measured = {it} connections
holds = it == 30
[claim more]
claim = More of them were held
value = of("websocket").connections
holds = it > 30
[claim none]
claim = Somebody else was there
value = of("nobody").connections
holds = True
"""


def write(folder, name, text):
    path = folder / f"{name}.ini"
    path.write_text(text, encoding="utf-8")
    return path


def verdicts(found):
    return [(v["scenario"], v["verdict"], v["measured"]) for v in found.run["verdicts"]]


def test_one_table_of_two_scenarios(tmp_path):
    second = SMALL.replace("30", "20").replace("= hold", "= latency").replace(
        "connections = 20\nseconds = 1\nagainst = none",
        "subscribers = 2\nrtt-ms = 0\ntransport = websocket\nturns = 1\nturn-ms = 300").replace(
        "holds = it == 20", "holds = it == 2")
    found = bench(tmp_path, "claims", write(tmp_path, "one", SMALL),
                  write(tmp_path, "two", second), report=True)
    assert verdicts(found) == [
        ("one", "holds", "30 connections"), ("one", "fails", "30"),
        ("one", "not measured", "the run has no nobody"),
        ("two", "holds", "2 connections"), ("two", "fails", "2"),
        ("two", "not measured", "the run has no nobody")]
    assert found.run["headline"] == ("2 claims hold, 0 are derived, 0 depend, 2 fail, "
                                      "2 were not measured")
    assert [s["name"] for s in found.run["scenarios"]] == ["one", "two"]
    assert "--connections=30" in found.run["scenarios"][0]["command"]
    names = {(c["scenario"], c["name"], c["workload"]) for c in found.run["contestants"]}
    assert ("one", "websocket", "one") in names
    assert ("two", "websocket", "two: RTT 0 ms") in names
    assert "All of them were held" in found.output and "this test" in found.output
    page = (found.folder / "report.html").read_text(encoding="utf-8")
    assert page.index("Measured here") < page.index('id="one"')


def test_a_scenario_that_fails_leaves_the_others(tmp_path):
    wrong = SMALL.replace("connections = 30", "connections = many")
    slow = SMALL.replace("seconds = 1\nag", "seconds = 9\nag").replace("= 60", "= 1")
    found = bench(tmp_path, "claims", write(tmp_path, "slow", slow), write(tmp_path, "good", SMALL),
                  write(tmp_path, "wrong", wrong), expect=1)
    by_name = {}
    for name, verdict, measured in verdicts(found):
        by_name.setdefault(name, set()).add((verdict, measured))
    assert by_name["slow"] == {("not measured", "it took longer than 1 s")}
    assert ("holds", "30 connections") in by_name["good"]
    [(verdict, reason)] = by_name["wrong"]
    assert verdict == "not measured" and "many: needs a whole number" in reason
    assert "2 scenarios could not be run" in found.complaints


def test_one_scenario_shows_its_run(tmp_path):
    found = bench(tmp_path, "scenario", write(tmp_path, "own", SMALL))
    assert "Connects" in found.output
    assert found.run["experiment"] == "scenario"
    assert found.run["scenarios"][0]["title"] == "A small one"


@pytest.mark.parametrize("text, complaint", [
    (SMALL.replace("title = A small one\n", ""), "no title in [scenario]"),
    (SMALL.replace("holds = True", "holds = Tru("), "holds of [claim none] is no expression"),
    (SMALL.replace("connections = 30", "connections = most of fits"), "'most of fits' is not"),
    (SMALL + "[extra]\na = 1\n", "there is no section [extra]"),
])
def test_a_bad_file_is_refused_before_anything_runs(tmp_path, text, complaint):
    found = bench(tmp_path, "claims", write(tmp_path, "good", SMALL), write(tmp_path, "bad", text),
                  expect=1)
    assert complaint in found.complaints and "bad.ini" in found.complaints
    assert found.folder is None


def test_a_file_that_is_not_there(tmp_path):
    found = bench(tmp_path, "scenario", tmp_path / "none.ini", expect=1)
    assert "cannot read" in found.complaints and "No such file" in found.complaints
    found = bench(tmp_path, "scenario", expect=1)
    assert "which scenario?" in found.complaints


def test_an_interruption_leaves_a_table(tmp_path):
    long = SMALL.replace("seconds = 1\nag", "seconds = 50\nag")
    command = [str(bench_binary()), "claims", str(write(tmp_path, "one", long)),
               str(write(tmp_path, "two", SMALL)), "--results", str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env=os.environ) as process:
        assert process.stdout.read(len("[ 1/2] one")) == "[ 1/2] one"
        process.send_signal(signal.SIGINT)
        output, complaints = process.communicate(timeout=60)
    assert process.returncode == 130, output + complaints
    assert "interrupted" in output and "interrupted before" in output
    assert len(list(Path(tmp_path / "out").glob("*/run.json"))) == 1


def two_on_a_terminal(folder, text, *options):
    return Terminal("claims", str(write(folder, "one", text)),
                    str(write(folder, "two", text)), *options, columns=100, NO_COLOR="1")


def test_on_a_terminal_the_run_is_seen_as_it_goes_on(tmp_path):
    # Long enough to be drawn, which is nobody's hurry on a busy machine.
    terminal = two_on_a_terminal(tmp_path, SMALL.replace("seconds = 1\nag", "seconds = 3\nag"))
    terminal.read_until(b"[ 1/2] one")
    terminal.read_until(b"at most 60 s")
    terminal.read_until(b"idle")  # what only the run itself can know
    terminal.read_until(b"30 of 30")
    before = len(terminal.written)
    terminal.read_until(b"[ 2/2] two", since=before)
    terminal.read_until(b"idle", since=before)
    assert terminal.end() == 0
    assert terminal.cursor_is_shown()
    drawn = terminal.text()
    assert "0 claims hold, 0 are derived, 0 depend, 0 fail, 0 were not measured" in drawn
    assert "1 claims hold, 0 are derived, 0 depend, 1 fail, 1 were not measured" in drawn
    assert re.search(r"\[ 1/2\] one +\d+ s  holds, fails, not measured\r\n", drawn)


def test_on_a_terminal_too_plain_is_a_line_for_each(tmp_path):
    terminal = two_on_a_terminal(tmp_path, SMALL, "--plain")
    assert terminal.end() == 0
    assert b"\x1b" not in terminal.written
    assert re.match(rb"\[ 1/2\] one +\d+ s  holds, fails, not measured\r\n"
                    rb"\[ 2/2\] two +\d+ s  holds, fails, not measured\r\n\r\n", terminal.written)


def test_the_scenarios_fit_into_a_quarter_of_an_hour():
    """Even if every one of them took all the time that it may."""
    total = 0
    for path in SHIPPED:
        file = configparser.RawConfigParser(strict=False)
        file.read(path, encoding="utf-8")
        total += file.getint("scenario", "seconds")
    assert 0 < total <= 900


# A cache that waits for its server's answer gives the last one, so on a busy machine nobody hears.
@pytest.mark.alone
def test_the_scenario_of_the_cache_at_smoke_size(tmp_path):
    text = (ROOT / "bench" / "scenarios" / "cached.ini").read_text(encoding="utf-8")
    for large, small in (("2 % of fits, at most 1000", "40"), ("turn-ms = 3000", "turn-ms = 1500"),
                         ("poll-ms = 500", "poll-ms = 100"), ("rate = 0.5", "rate = 2"),
                         ("turns = 2", "turns = 1"), ("warmup = 1", "warmup = 0"),
                         ("< 0.05 *", "< 0.3 *")):
        assert large in text
        text = text.replace(large, small)
    found = bench(tmp_path, "claims", write(tmp_path, "cached", text))
    reach, share, million = (v for v in found.run["verdicts"])
    assert reach["verdict"] == "holds", reach
    for verdict in (share, million):
        assert "the run has no" not in verdict["measured"], verdict
