"""`bench slow-readers`, small: who stops reading loses what the policy says, and nobody else
anything. No speed is asserted."""

import pytest

from test_bench_storm import bench, of

POLICIES = ("disconnect", "drop_oldest", "keep_latest")
STOPPED, TURNS = 8, 2


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return bench(
        tmp_path_factory.mktemp("slow"), "slow-readers", "--subscribers", "20", "--stalled", "40",
        "--rate", "60", "--size", "16384", "--turn-ms", "1500", "--turns", str(TURNS),
        "--queue", "65536", "--set", "unsent_bytes_max=65536",
    )


@pytest.mark.parametrize("policy", POLICIES)
def test_the_others_lose_nothing(run, policy):
    for workload in (policy, f"{policy}, without"):
        ledger = of(run, "others", workload)["ledger"]
        assert ledger["delivered"] == ledger["expected"] > 0
        assert ledger["lost"] == ledger["duplicate"] == ledger["out_of_order"] == 0


@pytest.mark.parametrize("policy", POLICIES)
def test_who_reads_again_has_the_latest(run, policy):
    stall = of(run, "others", policy)["stall"]
    assert stall["readers"] == STOPPED and stall["turns"] == TURNS
    assert stall["latest"] == STOPPED * TURNS
    assert stall["duplicate"] == stall["out_of_order"] == stall["unrecovered"] == 0


@pytest.mark.parametrize("policy", POLICIES)
def test_memory_is_bounded_and_given_back(run, policy):
    stall = of(run, "others", policy)["stall"]
    assert stall["bound_bytes"] == STOPPED * 65536
    assert 0 < stall["queue_bytes"] <= stall["bound_bytes"]
    assert stall["queue_left"] <= 2 * 65600  # the block in hand, and one that a publisher has


def test_disconnect_closes_by_name_and_they_recover_everything(run):
    contestant = of(run, "others", "disconnect")
    stall = contestant["stall"]
    assert contestant["counters"]["server:closed_slow_reader"] == stall["closed"]
    assert stall["closed"] == stall["returned"] == STOPPED * TURNS
    assert stall["lost"] == stall["dropped"] == 0


@pytest.mark.parametrize("policy", POLICIES[1:])
def test_what_is_lost_is_what_the_server_says_it_dropped(run, policy):
    stall = of(run, "others", policy)["stall"]
    assert stall["closed"] == 0
    assert stall["lost"] == stall["dropped"] > 0
