"""`bench half-open`, small and quick: each kind of peer that vanished is closed under its name."""

import os

import pytest

from bench import bench
from test_bench_storm import of

# Nobody but who has vanished may be silent for longer than the timeouts, which are short.
pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return bench(
        tmp_path_factory.mktemp("half"), "half-open", "--tls", "--subscribers", "10",
        "--vanished", "9", "--rate", "20", "--turn-ms", "300", "--heartbeat-ms", "1000",
    ).run


@pytest.mark.parametrize("over", ["", ", aes128-gcm"])
@pytest.mark.parametrize(
    ("name", "reason"),
    [("websocket", "heartbeat"), ("sse", "stalled"), ("half a head", "head_timeout")])
def test_all_are_found_by_name(run, name, reason, over):
    contestant = of(run, name, f"vanished{over}")
    assert contestant["reaped"]["reason"] == reason
    assert contestant["reaped"]["closed"] == contestant["connections"] == 3


@pytest.mark.parametrize("over", ["", ", aes128-gcm"])
def test_memory_is_read_before_with_and_after(run, over):
    course = of(run, "others", f"during{over}")["course"]
    assert [m["when"] for m in course] == [
        "before", "with them", "all found", "their own ends closed"]
    assert all(m["rss_bytes"] > 0 for m in course)
    readable = os.access("/proc/slabinfo", os.R_OK)
    assert ["kernel_bytes" in m for m in course] == [readable] * 4


@pytest.mark.parametrize("over", ["", ", aes128-gcm"])
@pytest.mark.parametrize("workload", ["before", "during"])
def test_the_others_lose_nothing(run, workload, over):
    ledger = of(run, "others", workload + over)["ledger"]
    assert ledger["delivered"] == ledger["expected"] > 0
    assert ledger["lost"] == ledger["duplicate"] == ledger["out_of_order"] == 0
