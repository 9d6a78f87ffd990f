"""`bench webhooks`: events, endpoints and a ledger, as small as it goes. No speed is asserted."""

import pytest

from bench import bench


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return bench(tmp_path_factory.mktemp("webhooks"), "webhooks", "--endpoints", "50", "-n", "4",
                 "-t", "2", "--turn-ms", "200", "--warmup", "0", "--rate", "200")


def by_name(run):
    return {(c["name"], c["workload"].partition(",")[0]): c for c in run["contestants"]}


def test_what_was_accepted_has_arrived(found):
    seen = by_name(found.run)
    for name in ("straight", "ringside"):
        of = seen[name, "as many as are accepted"]["webhooks"]
        assert of["accepted"] == of["arrived"] and min(of["accepted"]) > 0 and of["refused"] == 0
    assert seen["ringside", "as many as are accepted"]["webhooks"]["of_straight"]["n"] == 2


def test_the_ledger_has_all_events(found):
    seen = by_name(found.run)
    for name in ("all well", "a tenth in trouble"):
        of, ledger = (seen[name, "all of the run"][part] for part in ("deliveries", "ledger"))
        assert ledger["lost"] == ledger["corrupt"] == 0 < ledger["delivered"] <= of["accepted"]
        assert of["tries"] >= ledger["delivered"]
    assert seen["all well", "all of the run"]["ledger"]["delivered"] == \
        seen["all well", "all of the run"]["deliveries"]["accepted"]


def test_latency_is_that_of_endpoints_which_answer_at_once(found):
    seen = by_name(found.run)
    for name in ("all well", "a tenth in trouble"):
        assert seen[name, "latency"]["latency"]["corrected"]["count"] == \
            sum(seen[name, "latency"]["webhooks"]["arrived"]) > 0


def test_claims_are_judged(found):
    said = {verdict["claim"]: verdict["verdict"] for verdict in found.run["verdicts"]}
    assert said["What was accepted is delivered at least once, all well"] == "holds"
    assert said["What was accepted is delivered at least once, a tenth in trouble"] == "holds"
    assert said["A repeat has the same id, all well"] == "holds"
    beside = [claim for claim in said if claim.startswith("Push beside")]
    shared = any("share a CPU" in note for note in found.run["notes"])
    assert len(said) - len(beside) == 6 and len(beside) == (0 if shared else 3)
