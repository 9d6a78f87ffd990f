"""Figures that follow from turns: rates, ratios, shares, and which side was the limit."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent.parent / "bench" / "report"))

import derive  # noqa: E402


def turn(round_=0, times=1, **more):
    """`times` as long, and as much."""
    return {"round": round_, "elapsed_s": 0.5 * times, "publishes": 4 * times,
            "deliveries": 4000 * times, "down_bytes": 528000 * times, "up_bytes": 2000 * times,
            "server_cpu_s": 0.25 * times, "client_cpu_s": 0.125 * times} | more


def contestant(*turns, name="websocket", **more):
    return {"name": name, "kind": "transport", "workload": "depth 8", "connections": 1000,
            "payload_bytes": 128, "server_cpus": 1, "turns": list(turns)} | more


def derived(*contestants):
    derive.of_run({"contestants": list(contestants)})
    return contestants[0]


def same(value, n):
    return dict.fromkeys(("median", "min", "p25", "p75", "max"), value) | {"n": n}


def test_segments_of_clients_without_sockets():
    told = {"segments_in": 4000, "segments_out": 3000, "segments_needless": 10}
    one = derived(contestant(turn(0, 0) | told, turn(1, 1) | told, turn(2, 2)))
    rounds_s = sum(turn(i, i)["elapsed_s"] for i in range(2))
    assert one["segments"] == {"in_per_s": 8000 / rounds_s, "out_per_s": 6000 / rounds_s,
                               "needless_share": 0.0025}
    assert "segments" not in derived(contestant(turn(0, 0)))


def test_rates_over_the_turns():
    bare = contestant(*(turn(i, i + 1, deliveries=8000 * (i + 1)) for i in range(3)),
                      name="bare-send", kind="ceiling")
    one = derived(contestant(*(turn(i, i + 1) for i in range(3)), ceiling="bare-send"), bare)
    assert one["deliveries_per_s"] == same(8000, 3)
    assert one["server_cpu_ns_per_delivery"] == same(62500, 3)
    assert one["client_cpu_ns_per_delivery"] == same(31250, 3)
    assert one["ratio"] == {"ceiling": "bare-send", "deliveries_per_s": same(0.5, 3),
                            "server_cpu_per_delivery": same(2, 3)}
    assert one["wire"] == {"down_bytes_per_delivery": 132.0, "up_bytes_per_delivery": 0.5,
                           "payload_bytes": 128}
    assert (one["saturated"], one["client_bound"]) == ("neither", False)
    assert (one["server_cpu_share"], one["client_cpu_share"]) == (0.5, 0.25)
    assert "server_waited_share" not in one
    assert "ratio" not in bare and "ceiling" not in one and "payload_bytes" not in one


def test_what_slow_readers_do_to_the_others():
    def others(workload, p99s, **more):
        return contestant(*(turn(i, p99_ns=ns) for i, ns in enumerate(p99s)), name="others",
                          workload=workload, **more)

    one = derived(others("disconnect", [30, 60, 10], stall={"policy": "disconnect"}),
                  others("disconnect, without", [20, 20, 0]))
    assert one["stall"]["p99_ratio"] == {"median": 1.5, "min": 1.5, "p25": 1.5, "p75": 3,
                                         "max": 3, "n": 2}
    alone = derived(others("disconnect", [30], stall={"policy": "disconnect"}))
    assert alone["stall"] == {"policy": "disconnect"}


def test_nothing_measured():
    one = derived(contestant(ceiling="bare-send"), contestant(name="bare-send", kind="ceiling"))
    assert one.keys() == {"name", "kind", "workload", "connections", "server_cpus", "turns"}


def test_a_turn_that_brought_nothing_says_nothing_about_each():
    one = derived(contestant(turn(), turn(1, deliveries=0)))
    assert one["deliveries_per_s"]["n"] == 1


def test_a_ratio_is_taken_within_a_round():
    bare = contestant(turn(1), turn(2, deliveries=0), name="bare-send", kind="ceiling")
    one = derived(contestant(turn(0), turn(1, deliveries=6000), turn(2), ceiling="bare-send"), bare)
    assert one["ratio"]["deliveries_per_s"] == same(1.5, 1)


def test_beside_plain():
    plain = contestant(turn(), name="websocket")
    one = derived(contestant(turn(deliveries=2000), name="websocket-tls-gcm",
                             tls={"cipher": "aes128-gcm", "full": 1, "resumed": 0,
                                  "plain": "websocket"}), plain)
    assert one["tls"]["plain"] == "websocket"
    assert one["tls"]["deliveries_per_s"] == same(0.5, 1)
    one = derived(contestant(turn(), tls={"cipher": "aes128-gcm", "plain": "gone"}))
    assert one["tls"] == {"cipher": "aes128-gcm"}


# ---- which side was the limit ---------------------------------------------------------------

@pytest.mark.parametrize("server, client, side", [
    ({"cpu": 0.97}, {"cpu": 0.50}, "server"),
    ({"cpu": 0.50}, {"cpu": 0.97}, "client"),
    ({"cpu": 0.92}, {"cpu": 0.97}, "both"),
    ({"cpu": 0.92}, {"cpu": 0.50}, "neither"),
    ({"cpu": 0.40}, {"cpu": 0.60, "waited": 0.38}, "client"),
    ({"cpu": 0.40, "waited": 0.30, "steal": 0.28}, {"cpu": 0.60}, "server"),
    ({}, {"cpu": 0.5}, "neither"),
])
def test_saturated_by_what_was_asked_for(server, client, side):
    assert derive.saturated_by(server, client) == side


def test_asked_is_all_at_most_and_who_it_waited_for_is_in_a_core():
    assert derive.asked({"cpu": 0.9, "waited": 0.4, "steal": 0.1}) == 1
    assert derive.asked({"cpu": 0.9, "waited": 0.2, "others": 0.1}) == 0.9


PACED = {"elapsed_s": 1, "server_cpu_s": 0.1, "client_cpu_s": 0.31, "burst_s": 0.3,
         "burst_client_cpu_s": 0.295}


@pytest.mark.parametrize("more, cpus, side", [
    ({}, 1, "client"),
    ({"server_cpu_s": 0.32}, 1, "both"),  # more than fits into them: it also did other things
    ({"server_cpu_s": 0.32, "burst_client_cpu_s": 0.1}, 1, "server"),
    ({"server_cpu_s": 0.32, "burst_client_cpu_s": 0.1}, 4, "neither"),
    ({"burst_s": 0, "burst_client_cpu_s": 0}, 1, "neither"),  # a closed loop
])
def test_a_rate_is_judged_over_its_bursts(more, cpus, side):
    """Four messages a second to so many that the clients need all of their CPU for 75 ms each: in
    the turn as a whole nobody is at a limit."""
    assert derived(contestant(turn(**PACED | more), server_cpus=cpus))["saturated"] == side


def strained(server, client, **more):
    """Of a second."""
    return turn(elapsed_s=1, server_cpu_s=server, client_cpu_s=client, server_process_cpu_s=server,
                server_waited_s=0, client_waited_s=0, server_steal_share=0, client_steal_share=0,
                server_softirq_share=0, client_softirq_share=0, **more)


def test_shares_over_all_turns():
    second = strained(0.4, 0.9) | {"client_waited_s": 0.1, "client_steal_share": 0.2}
    one = derived(contestant(strained(0.2, 1.0), second))
    assert one["server_cpu_share"] == 0.3 and one["client_cpu_share"] == 0.95
    assert one["client_waited_share"] == 0.05 and one["client_steal_share"] == 0.1
    assert one["client_bound"]
    # A server elsewhere: nobody knows what it did.
    one = derived(contestant(strained(0.2, 1.0), second, server_cpus=0))
    assert "server_cpu_share" not in one and "client_bound" not in one


def test_a_server_is_judged_over_the_stretch_in_which_it_was_read():
    one = derived(contestant(strained(0.9, 0.5, server_elapsed_s=1.2)))
    assert one["server_cpu_share"] == 0.75 and one["client_cpu_share"] == 0.5


def test_what_one_turn_did_not_see_is_unknown():
    one = derived(contestant(strained(1, 0.5), turn(elapsed_s=1, server_cpu_s=1), server_cpus=2))
    assert one["server_cpu_share"] == 0.5
    assert not {"server_waited_share", "server_steal_share", "server_softirq_share"} & one.keys()


def test_what_is_left_of_a_core_was_somebody_elses():
    seen = strained(0.9, 0.5, server_softirqd_s=0.2, server_others_s=0.1)
    seen["server_process_cpu_s"] = 0.6
    one = derived(contestant(seen, seen))
    assert one["server_others_share"] == 0.1


def test_handshakes():
    def visits(count, cpu_s):
        return turn(elapsed_s=1, deliveries=0, handshakes=count, server_cpu_s=cpu_s)
    ours = [contestant(visits(n, 0.5), name="ringside", workload=kind, handshakes={"kind": kind})
            for kind, n in (("plain", 1000), ("resumed", 500))]
    theirs = contestant(visits(250, 0.5), name="nginx-tls", kind="peer", workload="resumed",
                        handshakes={"kind": "resumed"})
    derived(*ours, theirs)
    assert "deliveries_per_s" not in ours[1]
    assert ours[1]["handshakes"]["per_s"] == same(500, 1)
    assert ours[1]["handshakes"]["server_cpu_ns"] == same(1e6, 1)
    assert ours[1]["handshakes"]["tls_cpu_ns"] == 5e5
    assert theirs["handshakes"]["versus"] == "ringside"
    assert theirs["handshakes"]["versus_per_s"] == same(0.5, 1)
    assert theirs["handshakes"]["versus_server_cpu"] == same(2, 1)
