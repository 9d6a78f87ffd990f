"""`bench slow-readers`, small: who reads nothing, or too little, loses what the policy says, and
nobody else anything; over WebSockets, over event streams without and with TLS, and by windows of
HTTP/2 that stay shut. No speed is asserted."""

import pytest

from bench import bench
from test_bench_storm import of

# The others have queues that are small as well: whoever gets no CPU for a while loses messages.
pytestmark = pytest.mark.alone

POLICIES = ("disconnect", "drop_oldest", "keep_latest")
SUBSCRIBERS, SLOW, TRICKLING = 20, 8, 4
BLOCK = 65600
TURNS = {"websocket": 2, "sse": 1, "h2-sse": 1, "h2-websocket": 1}
SECURE = ", aes128-gcm"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Made as they are asked for; that over event streams is the one with --tls."""
    made = {}

    def run_over(transport):
        if transport not in made:
            made[transport] = bench(
                tmp_path_factory.mktemp("slow"), "slow-readers", "--subscribers", SUBSCRIBERS,
                "--stalled", "40", "--rate", "80", "--size", "16384", "--turn-ms", "600",
                "--warmup", "0", "--turns", str(TURNS[transport]), "--transport", transport,
                "--queue", "65536", "--set", "unsent_bytes_max=65536",
                *(["--tls"] if transport == "sse" else []),
            ).run
        return made[transport]
    return run_over


@pytest.fixture(scope="module", params=[("websocket", ""), ("sse", ""), ("sse", SECURE),
                                        ("h2-sse", ""), ("h2-websocket", "")],
                ids=["websocket", "sse", "sse-tls", "h2-sse", "h2-websocket"])
def run(request, runs):
    transport, over = request.param
    return {**runs(transport), "slow_turns": TURNS[transport], "over": over,
            "over_h2": transport.startswith("h2-")}


def others(run, policy, suffix=""):
    return of(run, "others", policy + run["over"] + suffix)


@pytest.mark.parametrize("policy", POLICIES)
def test_the_others_lose_nothing(run, policy):
    for suffix in ("", ", without"):
        ledger = others(run, policy, suffix)["ledger"]
        assert ledger["delivered"] == ledger["expected"] > 0
        assert ledger["lost"] == ledger["duplicate"] == ledger["out_of_order"] == 0


@pytest.mark.parametrize("policy", POLICIES)
def test_who_reads_again_has_the_latest(run, policy):
    stall = others(run, policy)["stall"]
    assert stall["readers"] == SLOW and stall["trickling"] == TRICKLING
    assert stall["turns"] == run["slow_turns"]
    assert stall["latest"] == SLOW * run["slow_turns"]
    assert stall["duplicate"] == stall["out_of_order"] == stall["unrecovered"] == 0


@pytest.mark.parametrize("policy", POLICIES)
def test_a_trickle_brings_something_and_not_all(run, policy):
    contestant = others(run, policy)
    published = sum(turn["publishes"] for turn in contestant["turns"])
    trickled = contestant["stall"]["trickled"]
    assert trickled < TRICKLING * published
    # A socket has something to read when it is full. A window is shut at once, and 64 KiB later,
    # which is 50 ms, its stream is closed.
    assert trickled > 0 or (policy == "disconnect" and run["over_h2"])


@pytest.mark.parametrize("policy", POLICIES)
def test_memory_is_bounded_and_given_back(run, policy):
    stall = others(run, policy)["stall"]
    assert stall["bound_bytes"] == SLOW * 65536
    # What is seen is the sum over everybody, and the others' queues are not always empty.
    assert 0 < stall["queue_bytes"] <= SUBSCRIBERS * BLOCK
    # The block in hand, one of what full sockets left over, and the answer that says so. That
    # nobody's queue is among them: test_back_pressure.py.
    assert stall["queue_left"] <= 3 * BLOCK < stall["bound_bytes"]


def test_disconnect_closes_by_name_and_they_recover_everything(run):
    contestant = others(run, "disconnect")
    stall = contestant["stall"]
    assert contestant["counters"]["server:closed_slow_reader"] == stall["closed"]
    assert stall["closed"] == stall["returned"] == SLOW * run["slow_turns"]
    assert stall["trickling_returned"] == TRICKLING * run["slow_turns"]
    assert stall["lost"] == stall["dropped"] == 0


@pytest.mark.parametrize("policy", POLICIES[1:])
def test_what_is_lost_is_what_the_server_says_it_dropped(run, policy):
    stall = others(run, policy)["stall"]
    assert stall["closed"] == 0
    assert stall["lost"] == stall["dropped"] > 0
