"""The contestants of a run in reading order, with the name and colour each has in every report."""

import math
import statistics

LABELS = {
    "websocket": "WebSocket", "websocket both ways": "WebSocket, both ways",
    "centrifuge": "Centrifuge protocol",
    "sse": "SSE", "longpoll": "Long polling", "poll": "Short polling",
    "webtransport": "WebTransport", "webtransport-stream": "WebTransport, streams",
    "webtransport-datagram": "WebTransport, datagrams", "webrtc-reliable": "WebRTC, reliable",
    "webrtc-unreliable": "WebRTC, unreliable", "webhooks": "Webhooks",
    "connected": "Stayed connected",
    "ringside": "Ringside", "nginx-tls": "nginx with OpenSSL",
    "bare-send": "Bare send()", "bare-uring": "Bare io_uring", "bare-coalesce": "Bare coalescing",
}

CARRIERS = {"h2-": "HTTP/2", "h3-": "HTTP/3"}

# A transport keeps its colour from report to report. The names are CSS variables of style.css.
_TRANSPORT_COLOURS = {
    "websocket": "c1", "sse": "c2", "longpoll": "c3", "poll": "c4", "h2-sse": "c5",
    "webtransport": "c6", "webrtc-reliable": "c7", "webrtc-unreliable": "c4",
    "webhooks": "c8", "h3-sse": "c7", "webtransport-stream": "c6", "webtransport-datagram": "c8",
    "centrifuge": "c8",
}
_CEILING_COLOURS = ("g1", "g2", "g3")
_SPARE_COLOURS = ("c7", "c8", "c5", "c6", "c3", "c4", "c2", "c1")
_DASHES = {"transport": "-", "ceiling": ":", "peer": (0, (5, 2))}

# Nothing is told by colour alone: lines are labelled at their end and differ in dash by kind.


def label(name):
    for prefix, carrier in CARRIERS.items():
        if name.startswith(prefix):
            return f"{label(name.removeprefix(prefix))} over {carrier}"
    return LABELS.get(name, name)


def full_name(contestant):
    """WebSocket, depth 8"""
    workload = contestant.get("workload")
    return label(contestant["name"]) + (f", {workload}" if workload else "")


def dash(contestant):
    return _DASHES[contestant["kind"]]


def groups(run):
    """[(workload or "", [contestants])], both in the order of the run."""
    found = {}
    for contestant in run["contestants"]:
        found.setdefault(contestant.get("workload") or "", []).append(contestant)
    return list(found.items())


def having(run, *path):
    """The groups with only those contestants that have the field."""
    kept = [(workload, [c for c in members if get(c, *path) is not None])
            for workload, members in groups(run)]
    return [(workload, members) for workload, members in kept if members]


def get(value, *path):
    """value[path[0]][path[1]]..., or None as soon as something is absent."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def colours(run):
    """name -> CSS variable, for all contestants of the run."""
    chosen, ceilings = {}, iter(_CEILING_COLOURS * 8)
    spare = iter([c for c in _SPARE_COLOURS if c not in
                  {_TRANSPORT_COLOURS.get(x["name"]) for x in run["contestants"]}] * 32)
    for contestant in run["contestants"]:
        name = contestant["name"]
        if name in chosen:
            continue
        if contestant["kind"] == "ceiling":
            chosen[name] = next(ceilings)
        else:
            chosen[name] = _TRANSPORT_COLOURS.get(name) or next(spare)
    return chosen


def find(run, name, workload):
    return next((c for c in run["contestants"]
                 if c["name"] == name and c.get("workload") == workload), None)


def turn_rate(turn):
    return turn["deliveries"] / turn["elapsed_s"] if turn["elapsed_s"] else None


def turn_server_cpu(turn):
    return turn["server_cpu_s"] / turn["deliveries"] if turn["deliveries"] else None


def quotients(contestant, other, figure):
    """The spread of one quotient for each round in which both had a turn; None without any."""
    theirs = {turn["round"]: figure(turn) for turn in other["turns"]}
    ours = ((figure(turn), theirs.get(turn["round"])) for turn in contestant["turns"])
    return spread_of([a / b for a, b in ours if a and b])


def spread_of(values):
    """Quartiles by nearest rank, as the bench has them."""
    if not values:
        return None
    rising, n = sorted(values), len(values)

    def rank(share):
        return rising[max(math.ceil(share * n), 1) - 1]
    return {"median": rank(0.5), "min": rising[0], "p25": rank(0.25), "p75": rank(0.75),
            "max": rising[-1], "n": n}


def slowest_ns(contestant):
    found = histogram(contestant)
    return found and found["max_ns"]


def empty_share(contestant):
    requests = contestant.get("requests")
    return requests["empty"] / requests["answered"] if requests and requests["answered"] else None


def connects_per_s(contestant):
    connect = contestant.get("connect")
    return connect["opened"] / connect["elapsed_s"] if connect and connect["elapsed_s"] else None


def cpu_ns_per_connect(contestant):
    rounds = contestant.get("server_cpu_ns_per_connect")
    return statistics.median(rounds) if rounds else None


def per_gib(contestant):
    """How many server ends of connections a GiB holds, or None."""
    user = get(contestant, "memory", "user_bytes_per_connection")
    kernel = get(contestant, "memory", "kernel_bytes_per_connection")
    if user is None or kernel is None:
        return None
    each = user + kernel / (get(contestant, "memory", "kernel_ends") or 1)
    return 2**30 / each if each > 0 else None


def handshakes_per_core(contestant):
    """What one core could do, if it did nothing else and each cost what it cost here."""
    each_ns = get(contestant, "handshakes", "server_cpu_ns", "median")
    return 1e9 / each_ns if each_ns else None


def idle_cpu(contestant):
    idle = contestant.get("idle")
    return idle["server_cpu_s"] / idle["elapsed_s"] if idle and idle["elapsed_s"] else None


def histogram(contestant):
    """The histogram to quote: the corrected one where there is one."""
    latency = contestant.get("latency") or {}
    return latency.get("corrected") or latency.get("uncorrected")


def percentile(histogram_, percent):
    for at, value in (histogram_ or {}).get("percentiles", []):
        if at == percent:
            return value
    return None


def knee_value(contestant):
    """860/s, or "≥ 9,000 subscribers": what is beyond was not tried, or was the client's limit."""
    knee = contestant.get("knee")
    if not knee:
        return None
    if not knee.get("value"):
        return "none held"
    written = (f"{knee['value']:,.0f} subscribers" if knee["of"] == "subscribers"
               else f"{knee['value']:,.4g}/s")
    return ("≥\u00a0" if knee["client_limited"] or not knee.get("failed") else "") + written


def knee_points(knee):
    """[(value, {figure: median over the turns at it}, turns that held, turns)], rising."""
    found = {}
    for step in knee["steps"]:
        found.setdefault(step["value"], []).append(step)
    names = ("deliveries_per_s", "p50_ns", "p99_ns", "p99_uncorrected_ns", "server_cpu_share",
             "client_cpu_share")
    return [(value, {name: _lower_median([s[name] for s in steps if s.get(name) is not None])
                     for name in names}, sum(s["held"] for s in steps), len(steps))
            for value, steps in sorted(found.items())]


def latency_ns(contestant, percent):
    """Of a knee, the median over its repeats: pooled, the worst of them would be all that shows."""
    knee = contestant.get("knee")
    if knee and percent in (50, 99):
        return _lower_median([s.get(f"p{percent}_ns") for s in knee["steps"]
                              if s.get("repeat") and s["value"] == knee.get("value")])
    return percentile(histogram(contestant), percent)


def _lower_median(values):
    return sorted(values)[(len(values) - 1) // 2] if values else None


NOISY_FROM = 0.25


def noisy(spread):
    """The middle half of the turns spans more than a quarter of their median."""
    return (spread["p75"] - spread["p25"]) > NOISY_FROM * spread["median"]


MODE_SHARE, MODE_GAP, MODE_APART = 0.2, 0.1, 4


def modes(contestant):
    """((turns, median rate), (turns, median rate)) where the turns fall into two heaps and their
    median is of one by chance; else None. Each heap has a fifth of the turns or more, and between
    them is a gap of a tenth of the rate, and of four times what lies between two of a heap."""
    rates = sorted(filter(None, map(turn_rate, contestant["turns"])))
    least = max(2, math.ceil(MODE_SHARE * len(rates)))
    gaps = [(rates[i] - rates[i - 1], i) for i in range(least, len(rates) - least + 1)]
    if not gaps:
        return None
    gap, at = max(gaps)
    inside = [b - a for i, (a, b) in enumerate(zip(rates, rates[1:]), 1) if i != at]
    if gap < MODE_GAP * rates[at] or gap < MODE_APART * sum(inside) / len(inside):
        return None
    return tuple((len(heap), _lower_median(heap)) for heap in (rates[:at], rates[at:]))


LEDGER_FAULTS = ("lost", "duplicate", "out_of_order", "corrupt")


def ledger_faults(contestant):
    ledger = contestant.get("ledger")
    return ledger and sum(ledger.get(fault) or 0 for fault in LEDGER_FAULTS)


def client_bound(contestant):
    """The client set the limit: a rate is then a lower bound for the server."""
    return contestant.get("client_bound", contestant.get("saturated") == "client")


def kept_waiting(contestant, side):
    """The share of the time for which a side wanted its CPU and did not have it: no more than
    all of it, though the kernel's ticks are coarse and two of its clocks may say so."""
    taken = "others" if f"{side}_others_share" in contestant else "waited"
    shares = [contestant.get(f"{side}_{what}_share") for what in (taken, "steal")]
    known = [share for share in shares if share is not None]
    return min(sum(known), 1) if known else None


def charges_cores(run):
    """The server is charged with all that its CPUs did; before, with its own clock alone."""
    return run["schema"] != "ringside-run/1"
