"""What a run of webhooks says of claims."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent.parent / "bench" / "report"))

import derive  # noqa: E402
import judge  # noqa: E402
import webhooks  # noqa: E402

MOST = "as many as are accepted"


def part(name, counts, kind="transport", workload=MOST):
    return {"name": name, "workload": workload, "kind": kind, "connections": 4, "turns": [],
            "webhooks": {"accepted": counts, "arrived": counts, "elapsed_s": [0.5] * len(counts),
                         "drained_s": [0.5] * len(counts), "server_cpu_s": [0.25] * len(counts),
                         "refused": 0}}


def whole(name, lost=0, corrupt=0):
    return {"name": name, "workload": "all of the run", "kind": "transport", "connections": 4,
            "turns": [], "ledger": {"expected": 10, "delivered": 10 - lost, "lost": lost,
                                    "duplicate": 0, "out_of_order": 0, "corrupt": corrupt},
            "deliveries": {"accepted": 10, "refused": 0, "unanswered": 0, "tries": 12,
                           "repeated": 1}}


def beside(shard_cpu_s):
    return {"name": "websocket", "workload": "push", "kind": "transport", "connections": 4,
            "turns": [{"deliveries": 20000, "elapsed_s": 2.0}],
            "beside": {"shard_cpu_s": [shard_cpu_s], "delivered": [30000]}}


def run(counts=(12000, 13000, 14000), **faults):
    found = {"experiment": "webhooks", "interrupted": False, "settings": {"endpoints": 10},
             "contestants": [part("straight", [40000] * len(counts), "ceiling"),
                             part("ringside", list(counts)), whole("all well", **faults)]}
    derive.of_run(found)
    judge.of_run(found)
    return found


def verdicts(found):
    return {v["claim"].split(",")[0]: v["verdict"] for v in found["verdicts"]}


def test_rates_count_until_all_have_arrived():
    of = run()["contestants"][1]["webhooks"]
    assert of["accepted_per_s"]["median"] == 26000 and of["arrived_per_s"]["median"] == 13000
    assert of["of_straight"]["median"] == pytest.approx(0.325)


def test_the_headline_has_the_rate():
    assert run()["headline"].startswith("13,000 events/s")


@pytest.mark.parametrize("counts, verdict", (((12000, 14000), "holds"), ((900, 1000), "fails"),
                                             ((9000, 12000), "depends")))
def test_the_rate_is_judged(counts, verdict):
    assert verdicts(run(counts))["10"] == verdict


@pytest.mark.parametrize("faults, claim", (
    ({"lost": 1}, "What was accepted is delivered at least once"),
    ({"corrupt": 1}, "A repeat has the same id")))
def test_a_fault_is_judged(faults, claim):
    assert verdicts(run())[claim] == "holds"
    assert verdicts(run(**faults))[claim] == "fails"


def test_the_limit_is_said():
    assert webhooks.limit({"bench_busy": {"median": 0.95}, "server_busy": {"median": 0.94}}) \
        .startswith("the bench")
    assert webhooks.limit({"bench_busy": {"median": 0.4}, "server_busy": {"median": 0.97}}) == \
        "the server"
    assert "disk" in webhooks.limit({"bench_busy": {"median": 0.4}, "server_busy": {"median": 0.5}})


@pytest.mark.parametrize("cpu_s, verdict", ((0.101, "holds"), (0.104, "fails")))
def test_push_beside_a_courier_is_judged(cpu_s, verdict):
    sides = [beside(0.1), beside(cpu_s)]
    for side in sides:
        webhooks.derive_beside(side, lambda into, name, values, places:
                               into.update({name: {"median": round(values[0], places)}}))
    said = list(webhooks.beside({"contestants": sides}))
    assert [v for _, v, _ in said] == [verdict]
    assert "15,000 webhooks/s" in said[0][2]
