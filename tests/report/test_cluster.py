"""What a run of several nodes says of claims."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent.parent / "bench" / "report"))

import cluster  # noqa: E402
import derive  # noqa: E402
import judge  # noqa: E402


def figures(publishes, cpu_s=0.25):
    return {"nodes": 2, "publishes": publishes, "elapsed_s": [0.5] * len(publishes),
            "engine_cpu_s": [cpu_s] * len(publishes)}


def contestant(name, workload, kind="transport", **more):
    return {"name": name, "workload": workload, "kind": kind, "connections": 4, "turns": []} | more


def run(ours=(600, 800), bare=(1000, 1000), ours_cpu_s=0.25, trouble=None):
    both = [contestant(name, f"publish, {kind}", of, cluster=figures(list(counts), cpu_s))
            for kind in ("with history", "without history")
            for name, of, counts, cpu_s in (("ringside", "transport", ours, ours_cpu_s),
                                            ("redis-benchmark", "ceiling", bare, 0.25))]
    latencies = [contestant(name, "latency") for name in ("within a node", "across nodes")]
    found = {"experiment": "cluster", "interrupted": False, "settings": {"nodes": 2},
             "contestants": [*both, *latencies, *([trouble] if trouble else [])]}
    derive.of_run(found)
    judge.of_run(found)
    return found


def verdicts(**options):
    return {v["claim"].split(",")[0]: v["verdict"] for v in run(**options)["verdicts"]}


def test_rates_are_set_beside_those_of_the_same_round():
    found = run()["contestants"][0]["cluster"]
    assert (found["publishes_per_s"]["min"], found["publishes_per_s"]["max"]) == (1200, 1600)
    assert (found["of_ceiling"]["min"], found["of_ceiling"]["max"]) == (0.6, 0.8)
    assert found["engine_cpu_share"]["median"] == 0.5
    assert "of_ceiling" not in run()["contestants"][1]["cluster"]


@pytest.mark.parametrize("ours, with_history, without", [
    ((900, 900), "holds", "holds"), ((600, 600), "holds", "fails"),
    ((700, 900), "holds", "depends"), ((100, 100), "fails", "fails")])
def test_a_share_of_the_engines_own_rate_is_asked_for(ours, with_history, without):
    assert list(verdicts(ours=ours).values()) == [with_history, without]


@pytest.mark.parametrize("cpu_s, verdict", [(0.03, "depends"), (0.04, "fails"), (0.5, "fails")])
def test_an_engine_that_was_idle_was_not_the_limit(cpu_s, verdict):
    found = run(ours=(300, 300), bare=(3000, 3000), ours_cpu_s=cpu_s)["verdicts"][1]
    assert found["verdict"] == verdict
    assert ("were the limit" in found["measured"]) == (verdict == "depends")


@pytest.mark.parametrize("up, lost, acknowledged, verdict", [
    (10, 0, 100, "holds"), (9, 0, 100, "fails"), (10, 1, 100, "fails"), (10, 0, 99, "depends")])
def test_trouble_loses_nothing_and_nobody(up, lost, acknowledged, verdict):
    seen = {"clients": 10, "up": up, "missed": 3, "ended": 5, "unrecovered": 0,
            "acknowledged": acknowledged, "meanwhile": 42, "refused": 1, "doubts": 1,
            "doubtful": 2}
    ledger = {"expected": 70, "delivered": 70 - lost, "lost": lost, "duplicate": 0,
              "out_of_order": 0, "corrupt": 0}
    trouble = contestant("ringside", "a node is killed", trouble=seen, ledger=ledger)
    found = run(trouble=trouble)["verdicts"][-1]
    assert found["claim"].endswith("a node is killed") and found["verdict"] == verdict
    assert f"{acknowledged} publishes acknowledged (42 meanwhile)" in found["measured"]


def test_the_headline_has_both_rates():
    assert run(ours=(500, 500))["headline"] == (
        "2 nodes publish 1,000/s with history and 1,000/s without history")
    assert cluster.ACROSS_MAX == 3
