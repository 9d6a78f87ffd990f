"""`bench knee` at smoke size: a knee between what held and what did not, and every step in the
run."""

from bench import bench

SMALL = ("knee", "--transport", "websocket", "--bound-ms", "300", "--turn-ms", "100",
         "--search-seconds", "2", "--turns", "1")


def check_steps(knee):
    assert knee["steps"]
    for step in knee["steps"]:
        assert step["p50_ns"] <= step["p99_ns"]
        if step["held"]:
            assert step["p99_ns"] <= knee["bound_ns"]
            assert step["missing"] == 0
    assert knee["value"] > 0
    repeats = [s for s in knee["steps"] if s["repeat"] and s["value"] == knee["value"]]
    assert [s["held"] for s in repeats] == [True]
    assert all(s["value"] != knee["value"] or s["held"] for s in knee["steps"])
    if "failed" in knee:
        assert knee["failed"] > knee["value"]
        assert any(s["value"] == knee["failed"] and not s["held"] for s in knee["steps"])


def test_rate(tmp_path):
    found = bench(tmp_path, *SMALL, "--subscribers", "60")
    [contestant] = found.run["contestants"]
    knee = contestant["knee"]
    assert knee["of"] == "rate" and knee["bound_ns"] == 300_000_000
    assert knee["closed_loop"]["rate_per_s"] > 0
    check_steps(knee)
    assert "uncorrected" in found.output


def test_subscribers(tmp_path):
    found = bench(tmp_path, *SMALL, "--subscribers", "40", "--rate", "20")
    [contestant] = found.run["contestants"]
    knee = contestant["knee"]
    assert knee["of"] == "subscribers" and knee["rate_per_s"] == 20
    assert all(step["value"] == int(step["value"]) <= 40 for step in knee["steps"])
    check_steps(knee)
    assert ("beyond what was tried" in found.output) == (knee["value"] == 40)
    assert contestant["connections"] == knee["value"]


def test_one_rate_only(tmp_path):
    found = bench(tmp_path, *SMALL, "--rate", "1,2", expect=1)
    assert "knee takes one --rate" in found.complaints
    assert found.folder is None
