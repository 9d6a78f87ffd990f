#!/usr/bin/env python3
"""Writes the example runs beside it. Invented figures with the shape of real ones: test data.

The files are committed; run this only to change them."""

import json
import math
import pathlib
import random

HERE = pathlib.Path(__file__).parent
PERCENTS = [0, 10, 20, 30, 40, 50, 60, 70, 75, 80, 85, 90, 92, 94, 95, 96, 97, 98, 99, 99.3, 99.5,
            99.7, 99.8, 99.9, 99.93, 99.95, 99.97, 99.98, 99.99, 99.995, 99.999, 100]
ROUNDS = 9
MS = 1_000_000


def rank(values, share):
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def spread(values, places=4):
    points = {"median": 0.5, "min": 0.0, "p25": 0.25, "p75": 0.75, "max": 1.0}
    return {k: round(rank(values, p), places) for k, p in points.items()} | {"n": len(values)}


def histogram(count, median_ns, tail, stall_ns=0, stall_share=0.0):
    """Log-normal with a spread `tail`, and a share of stalls at the end."""
    points = []
    for percent in PERCENTS:
        p = min(percent / 100, 1 - 0.4 / count)
        z = math.sqrt(2) * inverse_erf(2 * max(p, 0.4 / count) - 1)
        value = median_ns * math.exp(tail * z)
        if stall_share and p > 1 - stall_share:
            value += stall_ns * (p - 1 + stall_share) / stall_share
        points.append([percent, max(int(value), points[-1][1] if points else 0)])
    return {"count": count, "min_ns": points[0][1], "max_ns": points[-1][1],
            "mean_ns": round(median_ns * math.exp(tail**2 / 2) + stall_ns * stall_share / 2, 1),
            "percentiles": points}


def inverse_erf(x):
    a = 0.147
    log = math.log(1 - x * x)
    part = 2 / (math.pi * a) + log / 2
    return math.copysign(math.sqrt(math.sqrt(part**2 - log / a) - part), x)


def machine(**also):
    return {
        "kernel": "6.1.0-26-amd64", "os": "Debian GNU/Linux 12 (bookworm)",
        "cpu_model": "Example CPU 2.8 GHz (test data)", "cores": 2,
        "memory_bytes": 24 * 2**30, "nofile_soft": 20000, "nofile_hard": 20000,
        "server_cpus": "0", "client_cpus": "1", "load_average": 0.21,
        "sysctls": {"net.core.somaxconn": "4096", "net.ipv4.tcp_congestion_control": "bbr",
                    "net.ipv4.tcp_mem": "287901 383868 575802",
                    "net.ipv4.ip_local_port_range": "32768 60999"},
        "io_uring": {"liburing": "2.3", "features": ["SINGLE_ISSUER", "DEFER_TASKRUN",
                                                     "multishot accept", "multishot receive"]},
    } | also


def run(experiment, seconds, settings, contestants, **also):
    return {
        "schema": "ringside-run/2", "experiment": experiment,
        "title": also.pop("title"),
        "command": also.pop("command"),
        "started_at": "2026-11-03T14:05:22Z", "duration_s": seconds, "interrupted": False,
        "build": {"version": "0.1.0", "commit": "0123456789abcdef0123456789abcdef01234567",
                  "dirty": False, "compiler": "gcc 12.2.0", "type": "release"},
        "machine": machine(), "settings": settings, "contestants": contestants,
        "notes": ["Test data: these figures were invented to exercise the report."], **also}


def per_s(turn):
    return turn["deliveries"] / turn["elapsed_s"]


def contestant(dice, name, kind, connections, rate, server_us, client_us, wire, **also):
    """Turns around the given medians. The host's own noise is shared by all turns of a round."""
    turns = []
    paced = also.get("saturated") == "neither"  # by the rate, and not by the machine
    for number in range(ROUNDS):
        noise = 1 if paced else HOST_NOISE[number] * math.exp(dice.gauss(0, 0.02))
        publishes = max(1, round(rate * noise / connections))
        deliveries = publishes * connections
        elapsed_s = round(deliveries / (rate * noise), 6)
        cpu = math.exp(dice.gauss(0, 0.015)) / HOST_NOISE[number]
        turn = {"round": number, "elapsed_s": elapsed_s, "publishes": publishes,
                "deliveries": deliveries, "down_bytes": int(deliveries * wire[0]),
                "up_bytes": int(deliveries * wire[1]),
                "server_cpu_s": round(min(elapsed_s, deliveries * server_us * cpu * 1e-6), 4),
                "client_cpu_s": round(min(elapsed_s, deliveries * client_us * cpu * 1e-6), 4)}
        turns.append(turn)
    expected = sum(t["deliveries"] for t in turns)

    def per_delivery(side):
        return spread([t[side] / t["deliveries"] * 1e9 for t in turns], 1)

    return {
        "name": name, "kind": kind, "connections": connections,
        "deliveries_per_s": spread([per_s(t) for t in turns], 1),
        "server_cpu_ns_per_delivery": per_delivery("server_cpu_s"),
        "client_cpu_ns_per_delivery": per_delivery("client_cpu_s"),
        "wire": {"down_bytes_per_delivery": wire[0], "up_bytes_per_delivery": wire[1],
                 "payload_bytes": 128},
        "ledger": {"expected": expected, "delivered": expected, "lost": 0, "duplicate": 0,
                   "out_of_order": 0},
        "server_cpu_share": round(sum(t["server_cpu_s"] for t in turns) / ROUNDS, 3),
        "client_cpu_share": round(sum(t["client_cpu_s"] for t in turns) / ROUNDS, 3),
        **also, "turns": turns}


HOST_NOISE = [1.02, 0.97, 1.05, 0.81, 1.0, 1.08, 0.93, 1.01, 0.99]


def add_ratios(contestants, ceiling_name):
    for c in contestants:
        base = next(x for x in contestants if x["name"] == ceiling_name
                    and x.get("workload") == c.get("workload"))
        if c is base:
            continue
        pairs = list(zip(c["turns"], base["turns"]))
        cpu = [(a["server_cpu_s"] / a["deliveries"]) / (b["server_cpu_s"] / b["deliveries"])
               for a, b in pairs]
        c["ratio"] = {
            "ceiling": ceiling_name,
            "deliveries_per_s": spread([per_s(a) / per_s(b) for a, b in pairs]),
            "server_cpu_per_delivery": spread(cpu)}


def memory(user, kernel, connections):
    caches = (("TCP", 2368), ("sock_inode_cache", 832), ("kmalloc-512", 512), ("io_kiocb", 266),
              ("filp", 192), ("dentry", 192), ("kmalloc-96", 96))
    scale = kernel / sum(size for _, size in caches)
    return {"user_bytes_per_connection": user, "kernel_bytes_per_connection": kernel,
            "kernel_ends": 2, "user_bytes": int(user * connections),
            "kernel_bytes": int(kernel * connections),
            "slab": [{"cache": cache, "objects": 2 * connections,
                      "bytes": int(size * scale * connections)} for cache, size in caches]}


def timeline_of_turns(dice, names, rates, connections, rss, slab):
    samples, t = [], 0.0
    for step in range(12):
        share = min(1, (step + 1) / 11)
        samples.append({"t_s": t, "phase": "ramp", "connections": int(connections * share),
                        "deliveries_per_s": 0, "server_cpu": round(0.7 + dice.random() * 0.1, 3),
                        "client_cpu": round(0.6 + dice.random() * 0.1, 3),
                        "rss_bytes": int(rss * (0.3 + 0.7 * share)),
                        "slab_bytes": int(4e8 + slab * share)})
        t += 1
    for phase, rounds in (("warm-up", 1), ("turns", ROUNDS)):
        for number in range(rounds):
            for name, rate in zip(names, rates):
                got = rate * HOST_NOISE[number] * math.exp(dice.gauss(0, 0.03))
                samples.append({"t_s": t, "phase": phase, "contestant": name,
                                "connections": connections, "deliveries_per_s": round(got, 1),
                                "server_cpu": round(min(1, 0.96 + dice.random() * 0.04), 3),
                                "client_cpu": round(0.7 + dice.random() * 0.15, 3),
                                "rss_bytes": int(rss * (1 + 0.01 * dice.random())),
                                "slab_bytes": int(4e8 + slab * (1 + 0.05 * dice.random()))})
                t += 1
    return samples


def compare():
    dice = random.Random(1)
    n = 10000
    contestants = []
    bare = {"saturated": "server"}
    for workload, rates in (
            ("depth 1", dict(send=104000, coalesce=105500, ws=114000, sse=110500, lp=31000,
                             poll=9800)),
            ("depth 8", dict(send=103000, coalesce=596000, ws=571000, sse=548000, lp=118000,
                             poll=9900))):
        def add(name, kind, rate, us, client, wire, **also):
            contestants.append(contestant(dice, name, kind, n, rate, us, client, wire,
                                          workload=workload, **also))

        deep = workload == "depth 8"
        add("bare-send", "ceiling", rates["send"], 9.4, 6.8, (130, 0), **bare)
        add("bare-coalesce", "ceiling", rates["coalesce"], 1.63 if deep else 9.3,
            1.2 if deep else 6.7, (130, 0), **bare)
        add("websocket", "transport", rates["ws"], 1.7 if deep else 8.6, 1.3 if deep else 6.6,
            (130, 0), saturated="server", memory=memory(118, 9150, n),
            connect={"opened": n, "failed": 0, "elapsed_s": 0.46},
            latency={"uncorrected": histogram(9_300_000, 46 * MS if not deep else 71 * MS, 0.33,
                                              60 * MS, 0.002)})
        add("sse", "transport", rates["sse"], 1.8 if deep else 8.9, 1.35 if deep else 6.9,
            (172, 0), saturated="server", memory=memory(121, 9150, n),
            connect={"opened": n, "failed": 0, "elapsed_s": 0.45},
            latency={"uncorrected": histogram(9_100_000, 48 * MS if not deep else 74 * MS, 0.34,
                                              70 * MS, 0.002)})
        add("longpoll", "transport", rates["lp"], 8.2 if deep else 31, 6 if deep else 24,
            (318 if not deep else 204, 236 if not deep else 61), saturated="server",
            memory=memory(187, 9150, n),
            connect={"opened": n, "failed": 0, "elapsed_s": 0.44},
            requests={"sent": 280_000, "answered": 279_000, "empty": 1_400},
            latency={"uncorrected": histogram(2_600_000, 160 * MS, 0.42, 300 * MS, 0.004)})
        add("poll", "transport", rates["poll"], 96, 71, (8620, 10100), saturated="client",
            memory=memory(64, 9020, n),
            connect={"opened": n, "failed": 0, "elapsed_s": 0.41},
            requests={"sent": 4_420_000, "answered": 4_420_000, "empty": 4_331_600},
            latency={"uncorrected": histogram(88_000, 510 * MS, 0.5, 500 * MS, 0.01)})
        add_ratios([c for c in contestants if c["workload"] == workload], "bare-send")
    names = ["bare-send", "bare-coalesce", "websocket", "sse", "longpoll", "poll"]
    return run(
        "compare", 138.4,
        {"subscribers": n, "message_bytes": 128, "channels": 1, "shards": 1, "turns": ROUNDS,
         "turn_s": 1, "warmup_s": 6, "poll_interval_s": 1},
        contestants, title="Test data: four transports, 10,000 subscribers each",
        command="./build.sh compare --subscribers 10000",
        timeline=timeline_of_turns(dice, names, [104e3, 105e3, 114e3, 110e3, 31e3, 9.8e3],
                                   6 * n, 61e6, 5.2e8),
        verdicts=[
            {"claim": "98 % of short polls bring nothing", "source": "capacity articles",
             "measured": "98.0 % of 4,420,000 answers were empty", "verdict": "holds"},
            {"claim": "An HTTP answer costs about 800 bytes of headers",
             "source": "transport comparisons",
             "measured": "190 bytes down and 236 up per long-poll delivery",
             "verdict": "depends"},
            {"claim": "SSE is slower than WebSocket", "source": "transport comparisons",
             "measured": "0.97× the WebSocket rate", "verdict": "fails"}])


def fanout():
    dice = random.Random(2)
    n = 9000
    contestants = []
    for rate, ws, nchan in ((4, (19 * MS, 0.25), (31 * MS, 0.3)),
                            (8, (21 * MS, 0.28), (64 * MS, 0.4)),
                            (12, (41 * MS, 0.4), (900 * MS, 0.5))):
        workload = f"{rate} messages/s"
        slow = rate == 12

        def stream(median, tail, late):
            return {"uncorrected": histogram(rate * n * ROUNDS, median, tail, median * 3, 0.001),
                    "corrected": histogram(rate * n * ROUNDS, median * (1 + late), tail * 1.15,
                                           median * (4 + 20 * late), 0.003)}
        contestants.append(contestant(
            dice, "websocket", "transport", n, rate * n, 8.4, 6.6, (130, 0), workload=workload,
            saturated="neither", memory=memory(117, 9150, n), latency=stream(*ws, 0.1),
            connect={"opened": n, "failed": 0, "elapsed_s": 0.4}))
        peer = contestant(
            dice, "nchan", "peer", n, rate * n * (0.68 if slow else 1), 13.5, 7.4, (130, 0),
            workload=workload, version="1.3.6", saturated="server" if slow else "neither",
            memory=memory(10400, 9800, n), latency=stream(*nchan, 2.5 if slow else 0.3),
            connect={"opened": n, "failed": 0, "elapsed_s": 1.2},
            notes=["nginx 1.22 from Debian, one worker, pinned to the server's CPU"])
        if slow:
            lost = 412
            peer["ledger"]["expected"] += lost
            peer["ledger"]["lost"] = lost
            peer["errors"] = {"publish_timeout": 3}
        contestants.append(peer)
    return run(
        "fanout", 96.0,
        {"subscribers": n, "message_bytes": 128, "channels": 1, "shards": 1, "turns": ROUNDS,
         "turn_s": 1, "warmup_s": 3},
        contestants, title="Test data: open-loop fan-out against a peer",
        command="./build.sh bench fanout --subscribers 9000 --rate 4,8,12 --peer nchan",
        timeline=timeline_of_turns(dice, ["websocket", "nchan"], [72e3, 70e3], 2 * n, 1.2e8, 1.7e8))


def hold():
    dice = random.Random(3)
    n = 1_000_000
    samples = []
    for i in range(40):
        share = min(1.0, (i + 1) / 38)
        samples.append({"t_s": i, "phase": "ramp", "connections": int(n * share),
                        "deliveries_per_s": 0, "server_cpu": round(0.82 + dice.random() * 0.1, 3),
                        "client_cpu": round(0.9 + dice.random() * 0.1, 3),
                        "rss_bytes": int(3.1e7 + 1.06e8 * share),
                        "slab_bytes": int(4e8 + 9.4e9 * share)})
    for i in range(60):
        beat = i % 25 in (8, 9)
        samples.append({"t_s": 40 + i, "phase": "idle", "connections": n, "deliveries_per_s": 0,
                        "server_cpu": round(0.31 if beat else 0.001 * dice.random(), 3),
                        "client_cpu": round(0.28 if beat else 0.002 * dice.random(), 3),
                        "rss_bytes": int(1.37e8), "slab_bytes": int(9.8e9)})
    for i in range(24):
        sending = i % 12 < 11
        samples.append({"t_s": 100 + i, "phase": "broadcast", "connections": n,
                        "deliveries_per_s": round(91e3 * (0.94 + 0.12 * dice.random()))
                        if sending else 0,
                        "server_cpu": round(0.97 + 0.03 * dice.random(), 3) if sending else 0.01,
                        "client_cpu": round(0.97 + 0.03 * dice.random(), 3) if sending else 0.01,
                        "rss_bytes": int(1.37e8 + 4e6 * sending),
                        "slab_bytes": int(9.8e9 + 6e8 * sending)})
    holder = {
        "name": "websocket", "kind": "transport", "connections": n, "turns": [],
        "connect": {"opened": n, "failed": 0, "elapsed_s": 38.2},
        "memory": memory(106.2, 9396, n),
        "ledger": {"expected": 2 * n, "delivered": 2 * n, "lost": 0, "duplicate": 0,
                   "out_of_order": 0},
        "latency": {"uncorrected": histogram(2 * n, 5200 * MS, 0.5)},
        "idle": {"elapsed_s": 60, "server_cpu_s": 1.27},
        "saturated": "both", "server_cpu_share": 0.98, "client_cpu_share": 0.99,
        "notes": ["Both ends are on this machine: kernel memory counts two sockets each."]}
    return run(
        "hold", 124.0, {"subscribers": n, "message_bytes": 64, "shards": 53, "channels": 1},
        [holder], title="Test data: one million idle WebSocket subscribers",
        command="./build.sh bench hold --subscribers 1000000", timeline=samples)


def ceiling():
    dice = random.Random(4)
    n = 9000
    contestants = []
    for workload, rates, costs in (("depth 1", (105e3, 112e3, 105e3), (9.3, 8.0, 9.3)),
                                   ("depth 8", (104e3, 107e3, 603e3), (9.3, 8.2, 1.6))):
        for name, rate, cost in zip(("bare-send", "bare-uring", "bare-coalesce"), rates, costs):
            contestants.append(contestant(
                dice, name, "ceiling", n, rate, cost, cost * 0.72, (130, 0), workload=workload,
                saturated="server", connect={"opened": n, "failed": 0, "elapsed_s": 0.33}))
        add_ratios([c for c in contestants if c["workload"] == workload], "bare-send")
    result = run(
        "ceiling", 61.2, {"subscribers": n, "message_bytes": 128, "turns": ROUNDS, "turn_s": 1},
        contestants, title="Test data: what this machine can do at most",
        command="./build.sh bench ceiling --subscribers 9000")
    result["build"]["dirty"] = True
    result["interrupted"] = True
    return result


def knee():
    """SSE's knee was the client's: what is beyond it is not known."""
    dice = random.Random(5)
    n, bound = 1000, 500 * MS
    contestants = []
    for name, knee_at, client_limited in (("websocket", 3560, False), ("sse", 2960, True)):
        def step(value, repeat=False, at=knee_at):
            over = value / at
            p99 = 25 * MS * (1 + over**2) if over <= 1 else bound * (1 + 3 * (over - 1))
            p99 *= math.exp(dice.gauss(0, 0.12))
            late = 1.0 if over < 0.7 else 1 + 0.25 * over
            return {"value": value, "held": p99 <= bound, "repeat": repeat,
                    "deliveries_per_s": round(min(value, at) * n * 1.0, 1),
                    "p50_ns": int(p99 / 4), "p99_ns": int(p99),
                    "p99_uncorrected_ns": int(p99 / late), "missing": 0,
                    "server_cpu_share": round(min(0.99, 0.2 + 0.75 * over), 3),
                    "client_cpu_share": round(min(1, (0.3 if client_limited else 0.1) + 0.8 * over),
                                              3)}
        steps = [step(v) for v in (55.4, 111, 222, 443, 886, 1770, knee_at, 7090, 5010, 4220,
                                   round(knee_at * 1.05, -1), round(knee_at * 1.05, -1))]
        steps += [step(knee_at, repeat=True) for _ in range(3)]
        made = contestant(dice, name, "transport", n, knee_at * n, 0.21, 0.24, (132, 0),
                          saturated="client" if client_limited else "server",
                          latency={"corrected": histogram(42_000_000, 18 * MS, 0.6),
                                   "uncorrected": histogram(42_000_000, 16 * MS, 0.6)},
                          knee={"of": "rate", "bound_ns": bound, "client_limited": client_limited,
                                "closed": 0, "value": knee_at, "failed": steps[-4]["value"],
                                "closed_loop": {"rate_per_s": 111.2, "p99_ns": 17 * MS},
                                "steps": steps})
        contestants.append(made)
    return run("knee", 88.0, {"subscribers": n, "bound_ms": 500, "turns": 3, "turn_s": 1},
               contestants, title="Test data: the knee of two transports",
               command="./build.sh bench knee")


def slow_readers():
    """Three policies, and what the others notice of each."""
    dice = random.Random(6)
    n, stopped = 9000, 1000
    contestants = []
    for policy, closed, dropped in (("disconnect", 3 * stopped, 0), ("drop_oldest", 0, 41_000),
                                    ("keep_latest", 0, 57_000)):
        for suffix, slower in ((", without", 1), ("", 1.04)):
            contestants.append(contestant(
                dice, "others", "transport", n, 36e3, 11.2, 9.8, (16_392, 0),
                workload=policy + suffix, saturated="neither",
                latency={"corrected": histogram(860_000, 60 * MS * slower, 0.4)}))
        contestants[-1]["stall"] = {
            "policy": policy, "readers": stopped, "trickling": stopped // 2, "trickled": 9_400,
            "trickling_returned": closed // 2, "turns": 3, "queue_bytes_max": 262144,
            "bound_bytes": 262144 * stopped, "queue_bytes": 786_432, "rss_bytes": 1_400_000,
            "tcp_bytes": 268_000_000, "queue_left": 65_560, "closed": closed,
            "dropped": dropped, "lost": dropped, "duplicate": 0, "out_of_order": 0,
            "returned": closed, "unrecovered": 0, "latest": 3 * stopped,
            "p99_ratio": spread([dice.gauss(1.04, 0.03) for _ in range(3)])}
    return run("slow-readers", 190.0, {"subscribers": n + stopped, "stalled_percent": 10,
                                       "message_bytes": 16384, "turns": 3, "turn_s": 8},
               contestants, title="Test data: readers that stop reading",
               command="./build.sh bench slow-readers")


def handshakes():
    """OpenSSL's handshakes are cheap enough for the clients to be the limit."""
    dice = random.Random(6)
    n = 64
    contestants = []
    for kind, cipher, costs in (("plain", "", (21, 26)), ("full P-256", "aes128-gcm", (1710, 330)),
                                ("full X25519", "aes128-gcm", (1010, 310)),
                                ("resumed", "aes128-gcm", (64, 118))):
        workload = kind + (f", {cipher}" if cipher else "")
        for name, cost_us, plain_us in zip(("ringside", "nginx-tls"), costs, (21, 26)):
            client_us = 1400 if "P-256" in kind else 640 if "X25519" in kind else 45
            made = contestant(dice, name, "transport" if name == "ringside" else "peer", n,
                              1e6 / max(cost_us, client_us), cost_us, client_us, (720, 480),
                              workload=workload,
                              saturated="server" if cost_us > client_us else "client")
            for turn in made["turns"]:
                turn["handshakes"], turn["deliveries"] = turn["deliveries"], 0
            figures = {"kind": kind, "per_s": made.pop("deliveries_per_s"),
                       "server_cpu_ns": made.pop("server_cpu_ns_per_delivery"),
                       "client_cpu_ns": made.pop("client_cpu_ns_per_delivery")}
            if cipher:
                made["tls"] = {"cipher": cipher, "full": 0, "resumed": 0}
                made["tls"]["resumed" if kind == "resumed" else "full"] = sum(
                    t["handshakes"] for t in made["turns"])
                figures["tls_cpu_ns"] = (cost_us - plain_us) * 1000
            if name == "nginx-tls":
                ours = contestants[-1]
                pairs = list(zip(made["turns"], ours["turns"]))
                cpu = [(a["server_cpu_s"] / a["handshakes"]) / (b["server_cpu_s"] / b["handshakes"])
                       for a, b in pairs]
                figures |= {"versus": "ringside",
                            "versus_per_s": spread([a["handshakes"] / b["handshakes"]
                                                    for a, b in pairs]),
                            "versus_server_cpu": spread(cpu)}
                made["version"] = "nginx 1.22.1, OpenSSL 3.0"
            del made["wire"], made["ledger"]
            made["handshakes"] = figures
            contestants.append(made)
    return run("handshakes", 98.0, {"under_way": n, "tls_cipher": "gcm", "turns": ROUNDS,
                                    "turn_s": 1, "warmup_rounds": 1},
               contestants, title="Test data: TLS handshakes of two servers",
               command="./build.sh bench handshakes --tls-cipher gcm")


def half_open():
    dice = random.Random(8)
    n, vanished = 1000, 900
    others = [contestant(dice, "others", "transport", n, 20 * n, 4.1, 3.9, (34, 0),
                         workload=workload, saturated="neither",
                         latency={"corrected": histogram(200_000, 3 * MS, 0.4)})
              for workload in ("before", "during")]
    others[1]["course"] = [
        {"when": when, "rss_bytes": rss, "kernel_bytes": kernel} for when, rss, kernel in (
            ("before", 6_291_456, 0), ("with them", 6_467_584, 7_045_120),
            ("all found", 6_467_584, 3_750_372), ("their own ends closed", 6_463_488, 57_703))]
    reaped = [{"name": name, "kind": "transport", "connections": vanished // 3, "turns": [],
               "workload": "vanished",
               "reaped": {"reason": reason, "closed": vanished // 3, "first_s": first,
                          "last_s": last, "bound_s": bound}}
              for name, reason, first, last, bound in (
                  ("websocket", "heartbeat", 25.1, 49.7, 50), ("sse", "stalled", 31.2, 54.6, 55),
                  ("half a head", "head_timeout", 10, 10.4, 12))]
    return run("half-open", 78.0, {"subscribers": n, "vanished": vanished, "rate_per_s": 20},
               others + reaped, title="Test data: 900 peers that vanish without a word",
               command="./build.sh bench half-open")


def attacked(name, kind, workload, sent, grew, p99_ms, broken=(), **also):
    return {"name": name, "kind": kind, "workload": workload, "connections": 1000, "turns": [],
            "abuse": {
                "about": "An attack of which a report is made", "alive": True, "attackers": 100,
                "visits": 100, "refused": 0, "ended": 12, "sent_bytes": sent, "received_bytes": 0,
                "elapsed_s": 4.0, "attacker_cpu_s": 0.02, "attacker_waited_s": 0.1,
                "rss_before_bytes": 9_400_000,
                "rss_peak_bytes": 9_400_000 + grew, "rss_after_bytes": 9_600_000,
                "bound_bytes": 4 * sent + 10_000_000, "tcp_bytes": 4_000_000, "cpu_calm": 0.21,
                "cpu_during": 0.24, "p50_before_ns": 5 * MS, "p99_before_ns": 9 * MS,
                "p50_ns": 5 * MS, "p99_ns": p99_ms * MS, "p50_after_ns": 5 * MS,
                "p99_after_ns": 10 * MS, "closed": 0, "lost": 0, "duplicate": 0,
                "out_of_order": 0, "newcomers": 40, "newcomers_served": 40,
                "newcomer_slowest_ns": 4 * MS, "recovered_s": 0.26,
                "reasons": {"closed_head_timeout": 12} if kind == "transport" else {},
                "broken": list(broken), **also}}


def abuse():
    contestants = [
        attacked("ringside", "transport", "half-heads", 86_000, 484_000, 10),
        attacked("ringside", "transport", "polls-unread", 8_192, 1_120_000_000, 41,
                 ("memory", "p99")),
        attacked("nchan", "peer", "half-heads", 86_000, 9_100_000, 12),
        attacked("nchan", "peer", "polls-unread", 8_192, 900_000, 11, ("alive", "recovery"),
                 alive=False, said="worker process exited on signal 11", recovered_s=None)]
    return run("abuse", 60.0, {"subscribers": 1000, "rate_per_s": 40, "turn_s": 3}, contestants,
               title="Test data: two attacks on two servers",
               command="./build.sh bench abuse --attack half-heads,polls-unread --peer nchan",
               verdicts=[{"claim": f"No attack harms {name} beyond the written bounds",
                          "measured": "1 of 2 attacks stayed within them; not polls-unread "
                                      f"({broke})", "verdict": "fails"}
                         for name, broke in (("ringside", "memory, p99"), ("nchan", "died"))])


def main():
    for make in (compare, fanout, hold, ceiling, knee, slow_readers, handshakes, half_open,
                 abuse):
        text = json.dumps(make(), ensure_ascii=False, indent=1)
        (HERE / f"{make.__name__}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
