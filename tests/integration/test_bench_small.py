"""Experiments at the smallest size, held to what is exact at any: who took part, what each turn
delivered, bytes that follow from the protocol, and the claims that were judged. No speed is
asserted, and so no verdict that is one."""

import pytest

from bench import bench
from ringside import HOST

SMALL = ("--turns", "1", "--warmup", "0", "--turn-ms", "100")
# 128 bytes and the head of a frame, which is two bytes longer from 126 on.
FRAME = {"down_bytes_per_delivery": 132.0, "up_bytes_per_delivery": 0.0, "payload_bytes": 128}


def taking_part(run):
    return {(c["name"], c.get("workload")): c for c in run["contestants"]}


def check_clean(contestant, subscribers, streams=1):
    """All that was published reached all of them, once, in order, unchanged."""
    ledger = contestant["ledger"]
    assert contestant["connections"] == subscribers / streams
    for turn in contestant["turns"]:
        assert turn["deliveries"] == turn["publishes"] * subscribers > 0
    assert ledger["expected"] == ledger["delivered"]
    assert ledger["delivered"] == sum(turn["deliveries"] for turn in contestant["turns"])
    assert {ledger[k] for k in ("lost", "duplicate", "out_of_order", "corrupt")} == {0}


def check_webhooks(contestant, endpoints):
    """Likewise, and every delivery is a request and its answer."""
    check_clean(contestant, endpoints)
    wire = contestant["wire"]
    assert wire["up_bytes_per_delivery"] == len("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert wire["down_bytes_per_delivery"] > wire["payload_bytes"] == 128
    latency, = contestant["latency"].values()
    assert latency["count"] >= contestant["ledger"]["delivered"]
    assert contestant.get("errors") is None and "ratio" not in contestant


def judged(run):
    return {v["claim"]: v for v in run["verdicts"]}


def test_compare_as_it_comes(tmp_path):
    """Both loops, all transports, the bare loop, the quiet hour of short polling, and webhooks."""
    found = bench(tmp_path, "compare", "--subscribers", "10", *SMALL, "--poll-interval-ms", "10",
                  "--endpoints", "12")
    seen = taking_part(found.run)
    for load in ("rate 2/s", "depth 1"):
        check_webhooks(seen.pop(("webhooks", load)), 12)
    names = ("poll", "longpoll", "sse", "websocket", "h2-sse", "h2-websocket", "bare-send")
    assert seen.keys() == {(name, load) for name in names for load in ("rate 2/s", "depth 1")} | {
        ("poll", "quiet")}
    for (name, _), contestant in seen.items():
        check_clean(contestant, 10, streams=10 if name.startswith("h2-") else 1)
    for load in ("rate 2/s", "depth 1"):
        assert seen["websocket", load]["wire"] == seen["bare-send", load]["wire"] == FRAME
    for name in names[:-1]:
        assert "ratio" not in seen[name, "rate 2/s"]
        ratio = seen[name, "depth 1"].get("ratio", {})
        assert ratio.get("ceiling") == (None if name == "poll" else "bare-send")
    quiet = seen["poll", "quiet"]
    assert [turn["publishes"] for turn in quiet["turns"]] == [1]
    requests = quiet["requests"]
    assert requests["empty"] == requests["answered"] - 10
    verdicts = judged(found.run)
    assert len(verdicts) == 4
    frame = verdicts["A WebSocket frame costs 2 to 14 bytes"]
    assert frame["verdict"] == "holds"
    assert frame["measured"] == "4.0 bytes around a payload of 128"
    empty = verdicts["98 % of short polls bring nothing"]["measured"]
    share = 100 * requests["empty"] / requests["answered"]
    assert empty.startswith(f"{share:.1f} % of {requests['answered']} answers were empty")
    assert "poll interval" in found.output and "Webhooks" in found.output
    assert any(note.startswith("Webhooks: each delivery is") for note in found.run["notes"])


def test_ceiling(tmp_path):
    found = bench(tmp_path, "ceiling", "--subscribers", "8", *SMALL)
    seen = taking_part(found.run)
    loops = ("bare-send", "bare-uring", "bare-coalesce")
    assert seen.keys() == {("bare-connect", None)} | {
        (loop, load) for loop in loops for load in ("depth 1", "depth 8")}
    connect = seen.pop(("bare-connect", None))["connect"]
    assert (connect["opened"], connect["failed"]) == (8, 0)
    for (loop, _), contestant in seen.items():
        assert contestant["kind"] == "ceiling"
        check_clean(contestant, 8)
        assert contestant["wire"] == FRAME
        assert (contestant.get("ratio") or {}).get("ceiling") == (
            None if loop == "bare-send" else "bare-send")
    assert "bare-connect" in found.output and "Connects" in found.output, found.complaints


def test_connect(tmp_path):
    found = bench(tmp_path, "connect", "--connections", "12", "--turns", "2")
    seen = taking_part(found.run)
    subscribers = ("websocket", "sse", "longpoll")
    assert [name for name, _ in seen] == ["bare-connect", *subscribers]
    for contestant in seen.values():
        assert contestant["connections"] == contestant["connect"]["opened"] == 12
        assert contestant["connect"]["failed"] == 0
        assert len(contestant["server_cpu_ns_per_connect"]) == 2
        assert min(contestant["server_cpu_ns_per_connect"]) >= 0  # 12 may be too few to be seen
    assert judged(found.run).keys() == {
        f"{name} subscribers are let in at 0.7 of the bare connect rate" for name in subscribers}


def test_hold_beside_bare_sockets(tmp_path):
    """Three messages to all of them, a tenth that comes back, one more message, and all leave."""
    found = bench(tmp_path, "hold", "--connections", "20", "--seconds", "1", "--against",
                  "bare-uring")
    seen = taking_part(found.run)
    assert list(seen) == [("bare-connect", None), ("websocket", None)]
    for contestant in seen.values():
        assert contestant["connect"]["opened"] == 20 and contestant["connect"]["failed"] == 0
    held = seen["websocket", None]
    check_clean(held, 20)
    assert [turn["publishes"] for turn in held["turns"]] == [1] * 4
    back = held["reconnect"]
    assert (back["dropped"], back["recovered"]) == (2, 2)
    assert held["leave"]["connections"] == 20
    assert held["idle"]["elapsed_s"] >= 1
    assert "ledger" not in seen["bare-connect", None]
    assert judged(found.run).keys() == {
        "An idle server with 20 websocket subscribers does not spin",
        "A ramp with websocket handshakes reaches 0.7 of the bare connect rate"}


def test_capacity(tmp_path):
    found = bench(tmp_path, "capacity", "--from", "10", "--to", "30", "--step", "+10",
                  "--hold-seconds", "1", "--broadcast-seconds", "20")
    seen = taking_part(found.run)
    assert list(seen) == [("websocket", f"{count} connections") for count in (10, 20, 30)]
    for count, contestant in zip((10, 20, 30), seen.values()):
        check_clean(contestant, count)
        assert [turn["publishes"] for turn in contestant["turns"]] == [1]
        assert contestant["connect"]["opened"] == 10  # those of the step
        assert contestant["counters"]["server:messages_dropped"] == 0
    verdict = judged(found.run)["30 websocket connections hold here"]
    assert verdict["verdict"] == "holds"
    assert verdict["measured"].startswith("Nothing broke, and that is where --to ends.")


def test_a_server_that_runs_already(tmp_path, start_server):
    server = start_server(shards=1, config={"websocket_publish": "on"})
    found = bench(tmp_path, "fanout", "--address", f"{HOST}:{server.port}", "--subscribers", "10",
                  *SMALL, "--depth", "1", "--transport", "websocket,sse", "--against", "none")
    seen = taking_part(found.run)
    assert list(seen) == [("websocket", "depth 1"), ("sse", "depth 1")]
    for contestant in seen.values():
        check_clean(contestant, 10)
        # Its process was found by the port, and so were its CPU time and memory.
        assert "server_cpu_share" in contestant and "memory" in contestant
    assert any("ran already and was not pinned" in note for note in found.run["notes"])
    published = sum(turn["publishes"] for c in seen.values() for turn in c["turns"])
    assert server.metric("ringside_published_total") >= published
    assert server.get("/healthz").status == 200  # it is not the bench's to end


@pytest.fixture(scope="module")
def given_up(tmp_path_factory):
    """All are told to go in order, and only ten a second are let in again; that is over after one
    second, by --give-up."""
    return bench(tmp_path_factory.mktemp("storm"), "storm", "--subscribers", "40", "--live", "4",
                 "--rate", "10", "--admit", "10", "--turn-ms", "100", "--give-up", "1", "--drop",
                 "fin", "--set", "retry_ms=100", "--set", "retry_spread_ms=100", expect=2).run


def test_who_is_not_back_in_time_stays_away(given_up):
    seen = taking_part(given_up)
    away = 0
    for name in ("sse", "websocket"):
        contestant = seen[name, "admission"]
        back, ledger = contestant["reconnect"], contestant["ledger"]
        missing = back["dropped"] - back["recovered"]
        assert back["dropped"] == 20 and back["unrecovered"] == 0
        # Each of them has lost all since its end. The others have lost none.
        published, rest = divmod(ledger["expected"], 20)
        assert missing <= ledger["lost"] <= missing * published and rest == 0
        assert ledger["delivered"] == ledger["expected"] - ledger["lost"]
        assert ledger["duplicate"] == ledger["out_of_order"] == ledger["corrupt"] == 0
        away += missing
    assert 0 < away < 40
    server = seen["connected", "admission"]["counters"]
    back = [seen[name, "admission"]["reconnect"] for name in ("sse", "websocket")]
    assert server["server:recovered"] == sum(side["recovered"] for side in back)
    assert server["server:refused_admission"] == sum(side["shed"] for side in back)
    assert seen["connected", "admission"]["ledger"]["lost"] == 0
    claim = judged(given_up)["A mass reconnect with resume loses nothing, publishing going on"]
    assert claim["verdict"] == "fails"
    assert f"{40 - away} of 40 back" in claim["measured"]


def test_a_farewell_in_order_is_no_loss(given_up):
    """Those who ended their connections by FIN come back like those who reset them. How the server
    saw them go says nothing: a message that crosses a FIN is answered by a reset."""
    seen = taking_part(given_up)
    for name in ("sse", "websocket"):
        contestant = seen[name, "at once"]
        assert contestant["reconnect"]["dropped"] == contestant["reconnect"]["recovered"] == 20
        assert contestant["ledger"]["lost"] == 0


def test_the_centrifuge_protocol(tmp_path):
    found = bench(tmp_path, "fanout", "--transport", "centrifuge", "--against", "none",
                  "--subscribers", "10", "--depth", "1,4", *SMALL)
    for contestant in taking_part(found.run).values():
        check_clean(contestant, 10)
        assert contestant["wire"]["down_bytes_per_delivery"] > 128 + len('{"push":{"channel":')
