"""Experiments with data channels, reliable and not. The server is ours; what the clients speak is
by the same codecs, which test_rtc.py holds to other stacks. No speed is asserted."""

from bench import bench
from test_bench_small import SMALL, check_clean, taking_part

NAMES = ("webrtc-reliable", "webrtc-unreliable")


def check_exact(contestant, lossy):
    """Only where messages may be lost is it no fault."""
    ledger = contestant["ledger"]
    assert {ledger[k] for k in ("lost", "duplicate", "out_of_order", "corrupt")} == {0}
    assert ledger["expected"] == ledger["delivered"]
    assert lossy or "superseded" not in ledger


def test_compared_with_websockets(tmp_path):
    found = bench(tmp_path, "compare", "--subscribers", "7", *SMALL, "--transport",
                  f"websocket,{','.join(NAMES)}", "--against", "none")
    seen = taking_part(found.run)
    for load in ("rate 2/s", "depth 1"):
        for name in ("websocket", *NAMES):
            check_clean(seen[name, load], 7)


def test_peers_are_held_and_come_back(tmp_path):
    found = bench(tmp_path, "hold", "--connections", "20", "--seconds", "1", "--transport",
                  ",".join(NAMES), "--against", "none")
    for name in NAMES:
        held = taking_part(found.run)[name, None]
        assert (held["connect"]["opened"], held["connect"]["failed"]) == (20, 0)
        assert (held["reconnect"]["dropped"], held["reconnect"]["recovered"]) == (2, 2)
        assert held["leave"]["connections"] == 20


def test_peers_come_and_go(tmp_path):
    found = bench(tmp_path, "churn", "--subscribers", "20", "--churn", "10", "--rate", "10",
                  "--turns", "1", "--turn-ms", "500", "--transport", NAMES[0])
    churned = taking_part(found.run)[NAMES[0], None]
    assert churned["reconnect"]["dropped"] == churned["reconnect"]["recovered"] > 0
    check_exact(churned, lossy=False)


def test_a_round_trip_is_made_by_the_bench_itself(tmp_path):
    found = bench(tmp_path, "latency", "--subscribers", "4", "--rtt-ms", "20", "--rate", "10",
                  "--turns", "1", "--turn-ms", "300", "--transport", ",".join(NAMES))
    for name in NAMES:
        seen = taking_part(found.run)[name, "RTT 20 ms"]
        assert seen["connect"]["elapsed_s"] >= 0.08
        check_exact(seen, lossy=name == NAMES[1])
