"""Experiments over HTTP/2, many subscribers on a connection: how many there are of each, and that
nobody's messages are another's. The server is ours, once by itself, and once with the HTTP/2 of
python3-h2 in front of it (lying_h2.py), so that what the bench's clients speak is held to somebody
else's reading of it too. No speed is asserted."""

import pytest

from bench import bench
from test_bench_lies import front
from test_bench_small import SMALL, check_clean, judged, taking_part


@pytest.fixture(params=["Ringside", "python3-h2"])
def server(request, tmp_path):
    return () if request.param == "Ringside" else front(tmp_path)


def check_shared(contestant, connections, subscribers):
    assert (contestant["connections"], contestant["subscribers"]) == (connections, subscribers)
    check_clean({**contestant, "connections": subscribers}, subscribers)


def test_streams_of_connections_that_are_held(tmp_path, server):
    """Three messages to all, a tenth of the connections comes back, one more message, all leave."""
    found = bench(tmp_path, "hold", "--connections", "190", "--streams", "20", "--seconds", "1",
                  "--transport", "h2-sse", "--against", "none", *server)
    held = taking_part(found.run)["h2-sse", None]
    check_shared(held, 10, 190)
    assert (held["connect"]["opened"], held["connect"]["failed"]) == (10, 0)
    assert [turn["publishes"] for turn in held["turns"]] == [1] * 4
    back = held["reconnect"]
    assert (back["dropped"], back["recovered"]) == (1, 1)
    assert held["leave"]["connections"] == 10
    assert judged(found.run).keys() == {
        "An idle server with 190 h2-sse subscribers does not spin"}


def test_compared_with_a_connection_for_each(tmp_path, server):
    found = bench(tmp_path, "compare", "--subscribers", "7", "--streams", "3", *SMALL,
                  "--transport", "sse,h2-sse,h2-websocket", "--against", "none", *server)
    seen = taking_part(found.run)
    for load in ("rate 2/s", "depth 1"):
        check_clean(seen["sse", load], 7)
        assert "subscribers" not in seen["sse", load]
        check_shared(seen["h2-sse", load], 3, 7)
        check_shared(seen["h2-websocket", load], 3, 7)


def test_connections_are_what_is_opened(tmp_path, server):
    found = bench(tmp_path, "connect", "--connections", "20", "--streams", "5", "--turns", "1",
                  "--transport", "h2-sse,h2-websocket", *server)
    seen = taking_part(found.run)
    for name in ("h2-sse", "h2-websocket"):
        assert (seen[name, None]["connect"]["opened"], seen[name, None]["connections"]) == (4, 4)


def test_whoever_was_cut_off_comes_back_with_a_position(tmp_path, server):
    found = bench(tmp_path, "storm", "--subscribers", "40", "--streams", "5", "--live", "4",
                  "--rate", "10", "--turn-ms", "100", "--transport", "h2-sse,h2-websocket",
                  *server)
    for (name, _), contestant in taking_part(found.run).items():
        ledger = contestant.get("ledger")
        if name in ("h2-sse", "h2-websocket"):
            back = contestant["reconnect"]
            assert (back["dropped"], back["recovered"], back["unrecovered"]) == (20, 20, 0)
        if ledger:
            assert {ledger[k] for k in ("lost", "duplicate", "out_of_order", "corrupt")} == {0}


def test_connections_come_and_go_with_their_streams(tmp_path, server):
    found = bench(tmp_path, "churn", "--subscribers", "40", "--streams", "10", "--churn", "20",
                  "--rate", "10", "--turns", "1", "--turn-ms", "500", "--transport", "h2-sse",
                  *server)
    churned = taking_part(found.run)["h2-sse", None]
    check_shared(churned, 4, 40)
    assert churned["reconnect"]["dropped"] == churned["reconnect"]["recovered"] > 0


def test_latency_of_streams_through_a_relay(tmp_path):
    found = bench(tmp_path, "latency", "--subscribers", "6", "--streams", "3", "--rtt-ms", "5",
                  "--rate", "10", "--turns", "1", "--turn-ms", "300", "--transport", "h2-sse")
    check_shared(taking_part(found.run)["h2-sse", "RTT 5 ms"], 2, 6)


def test_a_mixture_of_streams(tmp_path, server):
    found = bench(tmp_path, "mix", "--streams", "7", "--turns", "1", "--turn-ms", "500",
                  "--stream", "name=rooms transport=h2-sse subscribers=60 channels=6 rate=30",
                  "--stream", "name=one transport=websocket subscribers=5 rate=5", *server)
    seen = {c["name"]: c for c in found.run["contestants"]}
    assert (seen["rooms"]["connections"], seen["rooms"]["subscribers"]) == (9, 60)
    assert "subscribers" not in seen["one"]
    assert all(c["ledger"]["lost"] == 0 < c["ledger"]["delivered"] for c in seen.values())


def test_a_climb_counts_subscribers(tmp_path):
    found = bench(tmp_path, "capacity", "--from", "105", "--to", "205", "--step", "+100",
                  "--hold-seconds", "1", "--streams", "10", "--transport", "h2-sse")
    assert [(c["connections"], c["subscribers"]) for c in found.run["contestants"]
            ] == [(11, 110), (21, 205)]


@pytest.mark.not_in("asan", why="a knee of subscribers is in test_bench_knee.py too")
def test_a_knee_of_subscribers_on_shared_connections(tmp_path):
    found = bench(tmp_path, "knee", "--rate", "10", "--subscribers", "60", "--streams", "10",
                  "--turns", "1", "--turn-ms", "200", "--bound-ms", "2000", "--search-seconds",
                  "2", "--transport", "h2-sse")
    knee = taking_part(found.run)["h2-sse", None]
    assert knee["knee"]["steps"] and knee["connections"] <= 6


def test_handshakes_of_connections_with_streams(tmp_path):
    found = bench(tmp_path, "handshakes", "--under-way", "2", "--streams", "3", *SMALL,
                  "--tls-cipher", "gcm", "--transport", "h2-websocket")
    seen = taking_part(found.run)
    assert len(seen) == 4  # plain, two key exchanges, resumed
    for (_, workload), contestant in seen.items():
        assert contestant["connections"] == 2
        handshakes = contestant["tls"] if workload != "plain" else None
        visits = sum(turn["handshakes"] for turn in contestant["turns"])
        assert visits > 0 and (handshakes is None
                               or handshakes["full"] + handshakes["resumed"] >= visits)
    assert found.run["verdicts"] == []
