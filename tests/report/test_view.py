"""What is shown of a run while it goes on: any moment, at any size, and what is told of it."""

import pathlib
import re
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent.parent / "bench" / "report"))

import view  # noqa: E402
import viewer  # noqa: E402

PLAIN = view.Style(80, 24)
TURN = {"p50_ns": 1500000, "p99_ns": 4200000, "p999_ns": 0, "faults": 0, "server_cpu": 0.98,
        "ratio": 0, "client_bound": False}


def row(name, workload, rate):
    return {**TURN, "name": name, "workload": workload, "deliveries_per_s": rate}


def busy(**more):
    """The middle of a run with everything that a view can have."""
    rows = [row("websocket", "depth 8", 104000), row("bare-send", "depth 8", 110000)]
    return {"experiment": "fanout", "phase": "turns", "contestant": "websocket",
            "detail": "depth 8, round 3", "elapsed_s": 72.4, "share": 0.6, "left_s": 48,
            "progress": "24 of 40 turns", "connections": 9000, "clients": 9000,
            "deliveries_per_s": 104000, "server_cpu": 0.98, "client_cpu": 0.86,
            "server_cpus": "0", "client_cpus": "1", "rss_bytes": 12e6, "slab_bytes": 402e6,
            "available_bytes": 14e9, "p50_ns": 4200000, "p99_ns": 8100000, "p999_ns": 9300000,
            "failures": {}, "faults": 0, "rows": rows, "last": rows[0],
            "history": {"deliveries_per_s": list(range(60)), "server_cpu": [0] * 60,
                        "client_cpu": []}, **more}


def drawn(state, style=PLAIN):
    """Draws, and checks what holds of every drawing: none too long, none too many."""
    lines = view.draw(state, style)
    assert len(lines) < style.lines
    assert all(len(re.sub("\033\\[[0-9]*m", "", line)) < style.columns for line in lines)
    return "\n".join(lines) + "\n"


def test_all_figures_at_80_columns():
    text = drawn(busy())
    for part in ("fanout  turns, websocket, depth 8, round 3", "1:12, 48 s left\n", "##",
                 "24 of 40 turns\n", "connected  9,000 of 9,000\n", "delivered  104k/s",
                 "latency    p50 4.20 ms  p99 8.10 ms  p99.9 9.30 ms\n",
                 "server CPU 98 % of CPU 0", "client CPU 86 % of CPU 1",
                 "kernel slab 402 MB  free 14.0 GB\n", "errors     none\n", "websocket, depth 8"):
        assert part in text
    assert text.isascii() and "\033" not in text


def test_narrow_keeps_what_matters():
    text = drawn(busy(), view.Style(40, 24))
    for part in ("1:12, 48 s left\n", "24 of 40 turns\n", "p50 4.20 ms  p99 8.10 ms\n", "104k"):
        assert part in text
    assert "p99.9" not in text


def test_wide_has_two_panes():
    """Where there is room contestants stand to the right of the gauges, in the same lines."""
    lines = drawn(busy(), view.Style(200, 24)).splitlines()
    assert any("connected" in line and "last turn" in line for line in lines)
    table = [i for i, line in enumerate(lines) if "websocket, depth 8  " in line]
    assert table and table[0] < next(i for i, line in enumerate(lines) if "errors" in line)


def test_any_size_holds_its_bounds():
    rows = [row("a contestant whose name is rather long", f"and workload {i} too", 1)
            for i in range(viewer.ROWS)]
    state = busy(rows=rows, last=rows[3], failures={f"reason {i}": 1000000 for i in range(12)})
    for columns in range(2, 300):
        for lines in range(1, viewer.LINES_MOST, 7):
            drawn(state, view.Style(columns, lines, columns % 2, lines % 2))


def test_nothing_is_known_at_the_start():
    text = drawn(viewer.Run("hold", "0", "1").now())
    for part in ("hold  start ", " 0 s\n", "delivered  0/s\n", "latency    -\n"):
        assert part in text
    assert "left" not in text and "last turn" not in text


def test_errors_are_named():
    text = drawn(busy(faults=5000, failures={"refused": 12, "timeout": 3}))
    assert ("errors     5,000 lost, doubled, out of order or corrupt, 12 refused, 3 timeout\n"
            in text)


def test_too_many_contestants():
    """All contestants where they fit, else those of the workload that had the last turn."""
    state, low = busy(), view.Style(80, 16)
    state["rows"] += [row("websocket", "depth 1", 1), row("bare-send", "depth 1", 1)]
    assert "websocket, depth 1" in drawn(state)
    assert "websocket, depth 8" in drawn(state, low) and "depth 1" not in drawn(state, low)
    state["last"] = state["rows"][2]
    assert "websocket, depth 1" in drawn(state, low)


def test_colours_and_curves_take_no_columns():
    text = drawn(busy(), view.Style(80, 24, colour=True, unicode=True))
    assert "\033[1mfanout\033[0m" in text and "━" in text and "█" in text


def test_as_one_line():
    state = busy(failures={"reset": 2})
    head = "[  72.4 s] turns, websocket, depth 8, round 3 (24 of 40 turns, 48 s left)"
    assert view.sentence(state, False) == head
    assert view.sentence(state, True) == (
        head + ": 9,000 connected, 104k deliveries/s, p50 4.20 ms, p99 8.10 ms; CPU server 0.98, "
        "client 0.86; server 12.0 MB, kernel slab 402 MB; errors: 2 reset")


# ---- what the bench tells ----

def message(t, **more):
    return {"t": t, "phase": "turns", "contestant": "sse", "detail": "", "phase_at": 8,
            "phase_s": 4, "turns_done": 2, "turns_ahead": 8, "turns_at": 0, "rest_at": 0,
            "rest_s": 0, **more}


def reading(t, connections, deliveries):
    return message(t, reading={"connections": connections, "clients": 100, "failures": {},
                               "deliveries": deliveries, "server_cpu_s": t / 2, "client_cpu_s": 1})


@pytest.fixture(name="run")
def a_run(monkeypatch):
    """Whose clock stands still between messages."""
    monkeypatch.setattr(viewer.time, "monotonic", lambda: 0)
    return viewer.Run("fanout", "0", "1")


def test_rates_are_those_of_the_last_readings(run):
    for i in range(8):
        run.take(reading(i / 4, 10 * i, 1000 * i))
    state = run.now()
    assert (state["connections"], state["clients"], state["connects_per_s"]) == (70, 100, 40)
    assert (state["deliveries_per_s"], state["server_cpu"], state["client_cpu"]) == (4000, 0.5, 0)
    run.take(reading(2, 5, 0))  # a load that was made anew
    assert run.now()["deliveries_per_s"] == 0


@pytest.mark.parametrize("more, expected", (
    ({}, (2.5 / 8, 22, "2 of 8 turns")),  # half of the third is over
    ({"phase_s": 0}, (2 / 8, 30, "2 of 8 turns")),
    ({"turns_done": 8}, (0.5, 2, "turns")),
    ({"turns_ahead": 0, "turns_done": 0, "phase_s": 0}, (None, None, "")),
    ({"rest_at": 5, "rest_s": 20}, (0.25, 15, "turns")),
))
def test_how_far_it_is(run, more, expected):
    run.take(message(10, **more))
    state = run.now()
    assert (state["share"], state["left_s"], state["progress"]) == expected


def test_how_far_a_ramp_is(run):
    for i in range(3):
        run.take({**reading(i, 20 * i, 0), "phase": "ramp"})
    state = run.now()
    assert (state["share"], state["left_s"], state["progress"]) == (0.4, 3, "connecting")


def test_a_contestant_has_one_line_and_the_oldest_leaves(run):
    for i in range(viewer.ROWS + 3):
        run.take(message(1, turn=row(f"c{i}", "", i)))
    run.take(message(1, turn=row("c20", "", 99)))
    run.take(message(1, turn=TURN))  # of nobody who is listed
    state = run.now()
    names = [each["name"] for each in state["rows"]]
    assert names == [f"c{i}" for i in range(3, viewer.ROWS + 3)]
    assert state["last"]["deliveries_per_s"] == 99 and state["last"] in state["rows"]


def test_latency_is_that_of_the_last_turn_or_of_the_witness(run):
    sample = {"deliveries_per_s": 1, "server_cpu": 0.5, "client_cpu": 0.5, "rss_bytes": 1,
              "slab_bytes": 2, "available_bytes": 3, "p50_ns": 0, "p99_ns": 0}
    run.take(message(1, turn=TURN))
    run.take(message(2, sample=sample))
    assert (run.now()["p50_ns"], run.now()["history"]["server_cpu"]) == (1500000, [0.5])
    run.take(message(3, sample={**sample, "p50_ns": 7, "p99_ns": 9}))
    assert (run.now()["p50_ns"], run.now()["p99_ns"], run.now()["p999_ns"]) == (7, 9, 0)
