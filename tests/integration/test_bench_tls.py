"""Experiments over TLS, at smoke size: through relays, and with sessions resumed."""

import pytest

from bench import bench

SMALL = ("--turns", "1", "--turn-ms", "250", "--warmup", "0")


def ledger_is_clean(contestant):
    ledger = contestant["ledger"]
    assert ledger["delivered"] == ledger["expected"] > 0
    assert ledger["lost"] == ledger["duplicate"] == ledger["out_of_order"] == 0


@pytest.mark.parametrize("version, hello", [("1.2", 2), ("1.3", 1)])
def test_latency_through_a_relay(tmp_path, version, hello):
    found = bench(tmp_path, "latency", "--tls-version", version, "--rtt-ms", "10",
                  "--subscribers", "3", "--transport", "websocket", "--rate", "20", *SMALL)
    of = {c["name"]: c for c in found.run["contestants"]}
    assert list(of) == ["websocket", "websocket-tls-gcm", "websocket both ways",
                        "websocket-tls-gcm both ways"]
    for name, contestant in of.items():
        ledger_is_clean(contestant)
        assert ("tls" in contestant) == ("-tls-" in name)
        # Nothing is faster than the path.
        crossings = 2 if "both ways" in name else 1
        assert contestant["latency"]["corrected"]["min_ns"] >= crossings * 5e6
        # TCP, the handshake, the request.
        round_trips = 2 + hello if "-tls-" in name else 2
        assert contestant["connect"]["elapsed_s"] >= round_trips * 0.01
    assert sum("over TLS" in note for note in found.run["notes"]) == 1


def test_latency_with_sessions_resumed(tmp_path):
    found = bench(tmp_path, "latency", "--tls-resume-ramp", "--rtt-ms", "10", "--subscribers", "3",
                  "--transport", "sse", *SMALL)
    plain, secure = found.run["contestants"]
    assert "tls" not in plain
    assert (secure["tls"]["full"], secure["tls"]["resumed"]) == (0, 3)
    assert secure["connect"]["elapsed_s"] >= 0.03


def test_fanout_through_a_relay(tmp_path):
    found = bench(tmp_path, "fanout", "--tls", "--rtt-ms", "4", "--subscribers", "5",
                  "--transport", "websocket", "--rate", "20", "--against", "none", *SMALL)
    plain, secure = found.run["contestants"]
    for contestant in (plain, secure):
        ledger_is_clean(contestant)
        assert contestant["latency"]["corrected"]["min_ns"] >= 2e6
    assert secure["tls"]["full"] == 5


def test_a_ramp_that_resumes(tmp_path):
    found = bench(tmp_path, "hold", "--tls-resume-ramp", "--tls-cipher", "chacha20",
                  "--connections", "40", "--seconds", "1", "--against", "none")
    plain, secure = found.run["contestants"]
    assert "tls" not in plain
    ledger_is_clean(secure)
    # The publisher's was in full; then 40 came, and a tenth of them once more.
    assert (secure["tls"]["full"], secure["tls"]["resumed"]) == (0, 44)


def test_too_many_for_one_run(tmp_path):
    found = bench(tmp_path, "latency", "--tls", "--rtt-ms", "0,1,2,3", expect=1)
    assert "too many for one run" in found.complaints


def test_rooms_of_a_mix(tmp_path):
    found = bench(tmp_path, "mix", "--tls", "--stream", "name=rooms subscribers=20 channels=5 "
                  "kinds=48x5,200x1 rate=120", *SMALL)
    plain, secure = found.run["contestants"]
    assert (plain["name"], secure["name"]) == ("rooms", "rooms-tls-gcm")
    for contestant in (plain, secure):
        ledger_is_clean(contestant)
        assert all(t["deliveries"] == 4 * t["publishes"] > 0 for t in contestant["turns"])
    assert secure["tls"]["full"] == 20


def test_both_engines(tmp_path):
    found = bench(tmp_path, "engines", "--tls", "--subscribers", "4", "--depth", "1",
                  "--against", "none", *SMALL)
    names = [c["name"] for c in found.run["contestants"]]
    assert names == ["io_uring", "epoll", "io_uring-tls-gcm", "epoll-tls-gcm"]
    for contestant in found.run["contestants"]:
        ledger_is_clean(contestant)
    assert len(found.run["verdicts"]) == 2
