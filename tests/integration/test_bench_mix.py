"""`bench mix` at smoke size: many channels, several sizes, and the state on connecting. The ledger
of every subscriber counts in its own channel."""

import pytest

from bench import bench

ROOMS = "name=rooms transport={} subscribers=40 channels=10 kinds=48x5,200x1 rate=120"


def only(found):
    [contestant] = found.run["contestants"]
    return contestant


@pytest.mark.parametrize("transport", ("websocket", "sse", "longpoll"))
def test_rooms(tmp_path, transport):
    found = bench(tmp_path, "mix", "--stream", ROOMS.format(transport), "--turns", "2",
                  "--turn-ms", "500")
    rooms = only(found)
    turns = rooms["turns"]
    # Each message reaches the four of its room, and nobody else.
    assert all(t["deliveries"] == 4 * t["publishes"] for t in turns)
    assert rooms["ledger"]["lost"] + rooms["ledger"]["duplicate"] == 0
    assert 48 < rooms["wire"]["payload_bytes"] < 200
    assert rooms["latency"]["corrected"]["count"] == sum(t["deliveries"] for t in turns)


def test_the_state_on_connecting(tmp_path):
    streams = [f"name={name} transport={name} subscribers=30 channels=15 rate=15 state=yes "
               "poll-ms=200" for name in ("sse", "poll", "websocket")]
    found = bench(tmp_path, "mix", *(part for s in streams for part in ("--stream", s)),
                  "--set", "history_messages_max=1", "--turns", "1", "--turn-ms", "900",
                  "--warmup", "0")
    for contestant in found.run["contestants"]:
        assert contestant["informed"] == contestant["connections"] == 30
        assert contestant["ledger"]["lost"] == 0
    assert "had the state 30" in found.output  # the same for all


def test_streams_differ(tmp_path):
    found = bench(tmp_path, "mix", "--stream", "name=full subscribers=20 size=9000 rate=5",
                  "--stream", "name=delta subscribers=10 size=100 rate=10", "--turns", "1",
                  "--turn-ms", "600")
    full, delta = found.run["contestants"]
    assert (full["connections"], delta["connections"]) == (20, 10)
    assert full["wire"]["payload_bytes"] == 9000 and delta["wire"]["payload_bytes"] == 100
    assert 0 < full["wire"]["down_bytes_per_delivery"] - 9000 < 15


# A cache that waits for its server's answer gives the last one, so on a busy machine nobody hears.
@pytest.mark.alone
def test_polls_through_a_cache(tmp_path):
    """Nobody misses a message for it, and of the many polls few reach the server."""
    each = "transport=poll subscribers=40 poll-ms=100 rate=2"
    found = bench(tmp_path, "mix", "--stream", f"name=direct {each}",
                  "--stream", f"name=cached {each} cache=yes", "--set", "poll_s_maxage=1",
                  "--turns", "1", "--turn-ms", "1500", "--warmup", "0")
    direct, cached = found.run["contestants"]
    for crowd in (direct, cached):
        assert crowd["ledger"]["delivered"] > 0
        assert crowd["ledger"]["lost"] + crowd["ledger"]["duplicate"] == 0
    assert direct["arrivals"]["reached"] >= direct["requests"]["answered"]
    assert cached["arrivals"]["reached"] < cached["requests"]["answered"] / 3
    assert "cache_cpu_s" in cached["arrivals"] and "cache_cpu_s" not in direct["arrivals"]


def test_a_cache_is_compared_with_nobody(tmp_path):
    found = bench(tmp_path, "compare", "--peer", "nginx-cache", expect=1)
    assert "it is for `bench mix`" in found.complaints


@pytest.mark.parametrize("arguments, complaint", [
    ((), "which streams?"),
    (("--stream", "name=a cache=yes"), "cache=yes needs transport=poll"),
    (("--stream", "name=a transport=poll cache=yes", "--tls"), "goes neither with --tls"),
    (("--stream", "name=a size=1"), "size=1: needs a whole number"),
    (("--stream", "name=a", "--stream", "name=a"), "two are called a"),
])
def test_bad_streams(tmp_path, arguments, complaint):
    found = bench(tmp_path, "mix", *arguments, expect=1)
    assert complaint in found.complaints
    assert found.folder is None
