"""`bench chaos`, small: who is cut off at random gets every message once, or is told otherwise."""

import pytest

from bench import bench
from test_bench_lies import LEDGER, check_all, lying  # noqa: F401 (a fixture)

SMALL = ["--subscribers", "64", "--streams", "4", "--cuts", "60", "--rate", "20",
         "--poll-interval-ms", "100", "--seconds", "1",
         "--set", "retry_ms=100", "--set", "retry_spread_ms=100"]


def told(run):
    return {c["name"]: c["chaos"] for c in run["contestants"]}


def test_whoever_is_cut_off_misses_nothing(tmp_path):
    run = bench(tmp_path, "chaos", *SMALL, "--stops", "1").run
    assert set(told(run)) >= {"websocket", "websocket-envelope", "sse", "poll", "longpoll",
                              "centrifuge", "h2-sse", "h2-longpoll"}
    for contestant in run["contestants"]:
        ledger, chaos = contestant["ledger"], contestant["chaos"]
        assert ledger["delivered"] == ledger["expected"] > 0
        assert ledger["lost"] == ledger["duplicate"] == ledger["out_of_order"] == 0
        assert chaos["clients"] == chaos["up"] == 8
        assert chaos["unrecovered"] == chaos["ended"] == 0
    assert sum(chaos["missed"] for chaos in told(run).values()) > 0
    (verdict,) = run["verdicts"]
    assert verdict["verdict"] == "holds"
    assert run["headline"].startswith("64 clients cut at random: every message once")


@pytest.mark.not_in("tsan", why="what two threads meet in is in the test above")
def test_a_server_that_has_forgotten_says_so(tmp_path):
    run = bench(tmp_path, "chaos", *SMALL, "--stops", "0", "--restarts", "1").run
    for name, chaos in told(run).items():
        assert chaos["clients"] == chaos["up"]
        assert chaos["unrecovered"] == (chaos["clients"] if chaos["positioned"] else 0), name
    assert run["verdicts"][0]["verdict"] == "holds"


def test_a_server_that_lies_is_found_out(tmp_path, lying):  # noqa: F811
    """To those who come back with a position."""
    found = bench(tmp_path, "chaos", *SMALL, "--stops", "0", "-T", "sse,websocket-envelope",
                  *lying("--double", "2", "--reopened"), expect=LEDGER)
    check_all(found, {"duplicate": 2})
    assert found.run["verdicts"][0]["verdict"] == "fails"
