"""The storm experiment, small: everybody comes back, and the ledger is clean. No speed is asserted.
"""

import pytest

from bench import bench

PLAIN = ("admission", "jitter", "at once")
SECURE = tuple(f"{variant}, aes128-gcm" for variant in PLAIN)
VARIANTS = PLAIN + SECURE


@pytest.fixture(scope="module")
def storm(tmp_path_factory):
    return bench(
        tmp_path_factory.mktemp("storm"), "storm", "--tls", "--subscribers", "60", "--live", "10",
        "--rate", "20", "--admit", "60", "--turn-ms", "100", "--give-up", "60",
        "--set", "retry_ms=100", "--set", "retry_spread_ms=100",
    ).run


def of(run, name, variant):
    (found,) = [
        c for c in run["contestants"] if (c["name"], c.get("workload")) == (name, variant)
    ]
    return found


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", ["sse", "websocket"])
def test_everybody_comes_back_with_what_was_missed(storm, name, variant):
    contestant = of(storm, name, variant)
    back = contestant["reconnect"]
    assert back["dropped"] == back["recovered"] == 30
    assert back["unrecovered"] == 0
    ledger = contestant["ledger"]
    assert ledger["delivered"] == ledger["expected"] > 0
    assert ledger["lost"] == ledger["duplicate"] == ledger["out_of_order"] == 0


@pytest.mark.parametrize("variant", VARIANTS)
def test_who_stays_connected_loses_nothing(storm, variant):
    contestant = of(storm, "connected", variant)
    assert contestant["ledger"]["lost"] == 0
    assert contestant["counters"]["server:recovered"] == 60
    assert contestant["counters"]["server:admitted"] == 60


@pytest.mark.parametrize("variant", SECURE)
def test_who_comes_back_over_tls_resumes_the_session(storm, variant):
    for name in ("sse", "websocket"):
        contestant = of(storm, name, variant)
        assert contestant["tls"]["cipher"] == "aes128-gcm"
        assert contestant["tls"]["full"] == 0
        assert contestant["tls"]["resumed"] >= 30


def test_only_admission_sends_anybody_away(storm):
    for variant in PLAIN[1:] + SECURE[1:]:
        assert of(storm, "connected", variant)["counters"]["server:refused_admission"] == 0


def test_the_timeline_has_every_storm(storm):
    seen = {s.get("contestant") for s in storm["timeline"] if s.get("phase") == "storm"}
    assert seen == set(VARIANTS)
