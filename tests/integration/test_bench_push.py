"""`bench push`: a page and its resource, asked for and pushed. No speed is asserted."""

from bench import bench

TURNS = 3
CLAIM = "Server push saves a round trip"


def test_a_resource_is_asked_for_or_pushed(tmp_path):
    found = bench(tmp_path, "push", "--rtt-ms", "20", "--turns", TURNS)
    seen = {c["name"]: c["push"] for c in found.run["contestants"]}
    pushes = {name: push["pushes"] for name, push in seen.items()}
    assert pushes == {"asked for": 0, "pushed": TURNS}
    for push in seen.values():
        assert len(push["loads_s"]) == TURNS and min(push["loads_s"]) > 0
        assert push["load_s"]["n"] == TURNS
    # Two round trips of the relay for a connection, and one for each answer that is waited for.
    assert min(seen["asked for"]["loads_s"]) > 3 * 0.02 < min(seen["pushed"]["loads_s"]) + 0.02
    (verdict,) = found.run["verdicts"]
    assert verdict["claim"] == CLAIM and verdict["verdict"] in ("holds", "fails")


def test_without_a_round_trip_nothing_is_said(tmp_path):
    found = bench(tmp_path, "push", "--rtt-ms", "0", "--turns", "1")
    assert [v["verdict"] for v in found.run["verdicts"]] == ["not measured"]


def test_what_cannot_be_is_refused(tmp_path):
    refused = bench(tmp_path, "push", "--turns", "65", expect=1)
    assert "at most 64 --turns" in refused.complaints
