"""Every run says which side was at its limit, the same in the table, below it and in run.json. What
makes a side that, tests/unit/output/test_result.c knows."""

from bench import bench

SMALL = ("fanout", "--subscribers", "30", "--depth", "1,4", "--turns", "2", "--turn-ms", "100",
         "--transport", "websocket", "--against", "bare-send")


def asked(contestant, side):
    shares = (contestant.get(f"{side}_{what}_share", 0) for what in ("cpu", "waited", "steal"))
    return min(1, sum(shares))


def test_saturation(tmp_path):
    found = bench(tmp_path, *SMALL)
    assert len(found.run["contestants"]) == 4
    assert found.run["settings"]["warmup_rounds"] == 1
    assert "warm-up rounds 1," in found.output
    for c in found.run["contestants"]:
        for side in ("server", "client"):
            # What a side had of its CPU is read within the time that it is divided by.
            assert 0 <= c[f"{side}_cpu_share"] <= 1.01
            assert all(turn[f"{side}_waited_s"] >= 0 for turn in c["turns"])
        assert (c["saturated"] in ("client", "both")) == (asked(c, "client") >= 0.95)
        assert c["client_bound"] == (c["saturated"] == "client")
    bound = [c for c in found.run["contestants"] if c["client_bound"]]
    assert ("client-bound" in found.output) == ("≥" in found.output) == bool(bound)
    assert ("The client was the bottleneck for" in found.output) == bool(bound)
    for side in {c["saturated"] for c in found.run["contestants"]} - {"client"}:
        assert side in found.output
