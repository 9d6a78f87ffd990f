"""Experiments over QUIC: HTTP/3 and WebTransport, alone and with many subscribers on a connection.
The server is ours; what the clients speak is by ngtcp2 and nghttp3, as the server's is, and held to
somebody else's reading in test_h3*.py. No speed is asserted."""

import pytest
from bench import bench
from test_bench_small import SMALL, check_clean, taking_part

NAMES = "h3-sse,h3-poll"


@pytest.mark.not_in("asan", why="each row of it has a test of its own here")
def test_compared_with_tcp(tmp_path):
    found = bench(tmp_path, "compare", "--subscribers", "7", "--streams", "3", *SMALL,
                  "--transport", f"sse,{NAMES}", "--against", "none")
    seen = taking_part(found.run)
    for load in ("rate 2/s", "depth 1"):
        for name in NAMES.split(","):
            contestant = seen[name, load]
            assert (contestant["connections"], contestant["subscribers"]) == (3, 7)
            check_clean({**contestant, "connections": 7}, 7)
            assert contestant["tls"]["cipher"] == "aes128-gcm"


def test_connections_are_held_and_come_back(tmp_path):
    found = bench(tmp_path, "hold", "--connections", "20", "--seconds", "1", "--transport",
                  "h3-sse", "--against", "none")
    held = taking_part(found.run)["h3-sse", None]
    assert (held["connect"]["opened"], held["connect"]["failed"]) == (20, 0)
    assert (held["reconnect"]["dropped"], held["reconnect"]["recovered"]) == (2, 2)
    assert held["leave"]["connections"] == 20


SESSIONS = "webtransport-stream,webtransport-stream-envelope,webtransport-datagram"


def test_sessions_of_webtransport_with_a_subscriber_each(tmp_path):
    found = bench(tmp_path, "hold", "--connections", "10", "--seconds", "1", "--transport",
                  SESSIONS, "--against", "none")
    for contestant in taking_part(found.run).values():
        assert (contestant["connect"]["opened"], contestant["connect"]["failed"]) == (10, 0)
        assert (contestant["reconnect"]["dropped"], contestant["reconnect"]["recovered"]) == (1, 1)
        assert contestant["ledger"]["delivered"] + contestant["ledger"].get("superseded", 0) == 40


def test_sessions_of_webtransport_with_several(tmp_path):
    found = bench(tmp_path, "fanout", "--subscribers", "7", "--streams", "3", "--rate", "10",
                  "--turns", "1", "--turn-ms", "500", "--transport", SESSIONS, "--against", "none")
    for contestant in taking_part(found.run).values():
        assert (contestant["connections"], contestant["subscribers"]) == (3, 7)
        ledger = contestant["ledger"]
        assert {ledger[k] for k in ("lost", "duplicate", "out_of_order", "corrupt")} == {0}
        assert ledger["delivered"] > 0


def test_a_round_trip_is_made_by_the_bench_itself(tmp_path):
    found = bench(tmp_path, "latency", "--subscribers", "4", "--rtt-ms", "20", "--rate", "10",
                  "--turns", "1", "--turn-ms", "300", "--transport", "h3-sse")
    seen = taking_part(found.run)["h3-sse", "RTT 20 ms"]
    assert seen["connect"]["elapsed_s"] >= 0.04 and seen["ledger"]["lost"] == 0
