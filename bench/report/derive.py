"""The figures that follow from a run's turns: rates, CPU per delivery, ratios, which side was the
limit. The bench counts and reads clocks; what is divided is divided here, once.

    turns of a contestant ─► its spreads, ratios, shares, "saturated"

A figure that cannot be had is absent."""

import hdr
import series
import webhooks

# A side that asks for this much of its CPUs sets the limit; while the server asks for less than the
# second, a client at its limit hides what the server could do.
SHARE_FULL, SHARE_BUSY = 0.95, 0.90


def of_run(run):
    for c in run["contestants"]:
        turns = [turn for turn in c["turns"] if work(turn)]
        _rates(c, turns)
        _wire(c)
        _segments(c)
        _usage(c)
        for seen in c.get("latency", {}).values():
            seen["hdr"] = hdr.text_of(seen.pop("buckets"))
    for c in run["contestants"]:  # what is set beside others, whose figures are there now
        _ratio(run, c)
        _tls(run, c)
        _handshakes(run, c)
        _stall(run, c)
        if "cluster" in c:
            _cluster(run, c)
        if "webhooks" in c:
            webhooks.derive(run, c, _set)
        if "beside" in c:
            webhooks.derive_beside(c, _set)
        if "push" in c:
            _set(c["push"], "load_s", c["push"]["loads_s"], 6)


def work(turn):
    """What a turn was for: deliveries, or connections that were opened and ended."""
    return turn.get("handshakes") or turn["deliveries"]


def rate(turn):
    return work(turn) / turn["elapsed_s"] if turn["elapsed_s"] else 0


def server_cpu(turn):
    return turn["server_cpu_s"] / work(turn) if work(turn) else 0


def client_cpu(turn):
    return turn["client_cpu_s"] / work(turn) if work(turn) else 0


def _spread(values, places):
    """Rounded to what it can carry."""
    found = series.spread_of(values)
    return found and {k: v if k == "n" else round(v, places) for k, v in found.items()}


def _set(into, name, values, places):
    found = _spread(values, places)
    if found:
        into[name] = found


def pairs(contestant, other):
    """The turns of both in each round in which both did something."""
    theirs = {turn["round"]: turn for turn in other["turns"] if work(turn)}
    return [(turn, theirs[turn["round"]]) for turn in contestant["turns"]
            if work(turn) and turn["round"] in theirs]


def quotients(contestant, other, figure):
    return [figure(ours) / figure(theirs) for ours, theirs in pairs(contestant, other)
            if figure(theirs) > 0]


# ---- of one contestant ----------------------------------------------------------------------

def _rates(c, turns):
    if any(turn.get("handshakes") for turn in c["turns"]):
        return
    _set(c, "deliveries_per_s", list(map(rate, turns)), 1)
    if c.get("server_cpus"):
        _set(c, "server_cpu_ns_per_delivery", [1e9 * server_cpu(turn) for turn in turns], 1)
    _set(c, "client_cpu_ns_per_delivery", [1e9 * client_cpu(turn) for turn in turns], 1)


def _wire(c):
    deliveries = sum(turn["deliveries"] for turn in c["turns"])
    payload = c.pop("payload_bytes", 0)
    if deliveries:
        down, up = (sum(turn[f"{way}_bytes"] for turn in c["turns"]) for way in ("down", "up"))
        c["wire"] = {"down_bytes_per_delivery": round(down / deliveries, 2),
                     "up_bytes_per_delivery": round(up / deliveries, 2), "payload_bytes": payload}


def _segments(c):
    """Of clients without sockets: what their TCP received and sent."""
    turns = [turn for turn in c["turns"] if turn.get("segments_in")]
    elapsed_s = sum(turn["elapsed_s"] for turn in turns)
    if elapsed_s > 0:
        came, left, needless = (sum(turn[f"segments_{what}"] for turn in turns)
                                for what in ("in", "out", "needless"))
        c["segments"] = {"in_per_s": round(came / elapsed_s, 1),
                         "out_per_s": round(left / elapsed_s, 1),
                         "needless_share": round(needless / came, 6)}


def _known(turns, name):
    """The sum over the turns; None where one does not know it."""
    values = [turn.get(name) for turn in turns]
    return None if None in values else sum(values)


def _shares(turns, side, cpus, elapsed_s, cpu_s):
    """What a side did with the CPUs that it was given, as shares of their time."""
    whole_s = sum(turn["elapsed_s"] for turn in turns)
    given_s = elapsed_s * cpus
    if given_s <= 0:
        return {}
    found = {"cpu": cpu_s / given_s}
    waited = _known(turns, f"{side}_waited_s")
    if waited is not None:
        found["waited"] = waited / given_s
    for what in ("steal", "softirq"):
        name = f"{side}_{what}_share"
        if _known(turns, name) is not None:
            found[what] = sum(turn[name] * turn["elapsed_s"] for turn in turns) / whole_s
    if side == "server" and _known(turns, "server_others_s") is not None:
        others = sum(turn["server_cpu_s"] - turn["server_process_cpu_s"] - turn["server_softirqd_s"]
                     for turn in turns)
        found["others"] = max(others, 0) / given_s
    return found


def asked(shares):
    """How much of its CPUs a side asked for: used and stolen, and waited for where that is not in
    the time that was used."""
    waited = 0 if "others" in shares else shares.get("waited", 0)
    return min(shares.get("cpu", 0) + shares.get("steal", 0) + waited, 1)


def saturated_by(server, client):
    wanted = asked(server)
    if asked(client) >= SHARE_FULL:
        return "both" if wanted >= SHARE_BUSY else "client"
    return "server" if wanted >= SHARE_FULL else "neither"


def _usage(c):
    turns, cpus = c["turns"], c.get("server_cpus")
    if not turns or not cpus:
        return
    elapsed_s, server_s, client_s, burst_s, burst_client_s = (
        sum(turn.get(name, 0) for turn in turns)
        for name in ("elapsed_s", "server_cpu_s", "client_cpu_s", "burst_s", "burst_client_cpu_s"))
    seen_s = _known(turns, "server_elapsed_s") or elapsed_s
    server = _shares(turns, "server", cpus, seen_s, server_s)
    client = _shares(turns, "client", 1, elapsed_s, client_s)
    judged = server, client
    if 0 < burst_s < elapsed_s:
        # At a rate it is judged over the bursts of messages, in between which both sides idle. What
        # the server did in them is not known, but at most all that it did.
        judged = (_shares(turns, "server", cpus, burst_s, min(server_s, burst_s * cpus)),
                  _shares(turns, "client", 1, burst_s, burst_client_s))
    c["saturated"] = saturated_by(*judged)
    c["client_bound"] = c["saturated"] == "client"
    for side, shares in (("server", server), ("client", client)):
        c.update({f"{side}_{what}_share": round(share, 4) for what, share in shares.items()})


# ---- beside others --------------------------------------------------------------------------

def _to(run, c, name, but=""):
    """The contestant of that name in the same workload, but for its end."""
    return series.find(run, name, c.get("workload", "") + but or None)


def _ratio(run, c):
    ceiling = c.pop("ceiling", None)
    other = ceiling and _to(run, c, ceiling)
    if other and quotients(c, other, rate):
        c["ratio"] = {"ceiling": ceiling}
        _set(c["ratio"], "deliveries_per_s", quotients(c, other, rate), 4)
        _set(c["ratio"], "server_cpu_per_delivery", quotients(c, other, server_cpu), 4)


def _cluster(run, c):
    """What the engine took, and how much of what it takes from its own benchmark."""
    ours = c["cluster"]
    other = c["kind"] != "ceiling" and next(
        (o["cluster"] for o in run["contestants"] if o["kind"] == "ceiling" and "cluster" in o
         and o.get("workload") == c.get("workload")), None)

    def rates(of):
        return [n / s if s else 0 for n, s in zip(of["publishes"], of["elapsed_s"])]

    def costs(of):
        return [s / n if n else 0 for n, s in zip(of["publishes"], of["engine_cpu_s"])]

    _set(ours, "publishes_per_s", rates(ours), 1)
    _set(ours, "engine_cpu_ns_per_publish", [1e9 * cost for cost in costs(ours)], 1)
    _set(ours, "engine_cpu_share",
         [cpu / s for cpu, s in zip(ours["engine_cpu_s"], ours["elapsed_s"]) if s], 4)
    if other:
        for name, figures in (("of_ceiling", rates), ("engine_cpu_of_ceiling", costs)):
            _set(ours, name, [a / b for a, b in zip(figures(ours), figures(other)) if b], 4)


def _tls(run, c):
    plain = c.get("tls", {}).pop("plain", None)
    other = plain and _to(run, c, plain)
    if other and quotients(c, other, rate):
        c["tls"]["plain"] = plain
        _set(c["tls"], "deliveries_per_s", quotients(c, other, rate), 4)
        _set(c["tls"], "server_cpu_per_delivery", quotients(c, other, server_cpu), 4)


def _stall(run, c):
    """p99 of the others with slow readers beside them, over that without, of each round."""
    without = "stall" in c and _to(run, c, c["name"], ", without")
    both = [(ours["p99_ns"], theirs["p99_ns"]) for ours, theirs in pairs(c, without)
            if ours.get("p99_ns") and theirs.get("p99_ns")] if without else []
    _set(c.get("stall"), "p99_ratio", [ours / theirs for ours, theirs in both], 4)


def _handshakes(run, c):
    out = c.get("handshakes")
    if not out:
        return
    turns = [turn for turn in c["turns"] if work(turn)]
    _set(out, "per_s", list(map(rate, turns)), 1)
    if c.get("server_cpus"):
        _set(out, "server_cpu_ns", [1e9 * server_cpu(turn) for turn in turns], 1)
    plain = next((o for o in run["contestants"] if o["name"] == c["name"] and o is not c and
                  o.get("handshakes", {}).get("kind") == "plain"), None)
    if plain and c.get("server_cpus"):
        more = series.spread_of([server_cpu(ours) - server_cpu(theirs)
                                 for ours, theirs in pairs(c, plain)])
        out["tls_cpu_ns"] = round(max(1e9 * more["median"], 0), 1) if more else 0
    _set(out, "client_cpu_ns", [1e9 * client_cpu(turn) for turn in turns], 1)
    ours = c["kind"] == "peer" and _to(run, c, "ringside")
    if ours and quotients(c, ours, rate):
        out["versus"] = ours["name"]
        _set(out, "versus_per_s", quotients(c, ours, rate), 4)
        _set(out, "versus_server_cpu", quotients(c, ours, server_cpu), 4)
