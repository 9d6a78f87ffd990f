"""What a run says, in sentences: only what the figures carry, with the doubt that they have."""

import series
import units
from series import get, label

TITLES = {
    "compare": "Transports compared", "fanout": "Fan-out", "hold": "Connections held",
    "ceiling": "The machine's ceiling", "claims": "Claims, tested", "churn": "Connection churn",
    "latency": "Latency", "knee": "The knee: how far until latency leaves its bound",
    "storm": "Reconnect storms", "chaos": "Connections that end at random",
    "slow-readers": "Readers that stop reading, or read too slowly",
    "half-open": "Peers that vanish without a word",
    "engines": "io_uring and epoll", "capacity": "How many connections",
    "connect": "Letting subscribers in",
    "handshakes": "TLS handshakes", "page": "A page of a browser",
    "push": "Server push", "cluster": "Several nodes around one engine",
    "webhooks": "Webhooks",
    "abuse": "Attacks on a server, and what everybody else notices",
}


def title(run):
    return run.get("title") or TITLES.get(run["experiment"], run["experiment"].capitalize())


def _connections(c):
    on_them = f" of {units.count(c['subscribers'])} subscribers" if c.get("subscribers") else ""
    return f"{units.count(c['connections'])} {label(c['name'])} connections{on_them}"


def headline(run):
    """One line for the index: the writer's own, or the first of these that the run can carry."""
    if run.get("headline"):
        return run["headline"]
    best = _best_ratio(run)
    if best:
        return (f"{label(best['name'])} {units.times(best['ratio']['deliveries_per_s']['median'])} "
                f"{label(best['ratio']['ceiling'])}{_under(best)}")
    if run["experiment"] == "hold":
        held = max(run["contestants"], default=None,
                   key=lambda c: (c["kind"] != "ceiling", c["connections"]))
        if held:
            each = get(held, "memory", "user_bytes_per_connection")
            return (_connections(held)
                    + (f", {units.size_bytes(each)} each" if each is not None else ""))
    rates = [c for c in run["contestants"] if c.get("deliveries_per_s")]
    if rates:
        top = max(rates, key=lambda c: c["deliveries_per_s"]["median"])
        return f"{label(top['name'])} {units.rate(top['deliveries_per_s']['median'])}{_under(top)}"
    let_in = [c for c in run["contestants"]
              if c["kind"] != "ceiling" and series.connects_per_s(c)]
    if let_in:
        return "Connects: " + ", ".join(f"{label(c['name'])} {units.rate(series.connects_per_s(c))}"
                                        for c in let_in)
    return f"{len(run['contestants'])} contestants"


def _best_ratio(run):
    """Of the first workload: a figure of the plainest case, not the most flattering one."""
    for kinds in (("transport",), ("peer",), ("ceiling",)):
        for _, members in series.having(run, "ratio"):
            fit = [c for c in members if c["kind"] in kinds and not series.client_bound(c)]
            if fit:
                return max(fit, key=lambda c: c["ratio"]["deliveries_per_s"]["median"])
    return None


def _under(contestant):
    return f", {contestant['workload']}" if contestant.get("workload") else ""


def sentences(run):
    makers = (_headline, _held, _knee, _handshakes, _throughput, _latency, _memory, _idle, _empty,
              _ledger)
    return [s for s in (make(run) for make in makers) if s]


def _headline(run):
    """Of experiments that say themselves what they found."""
    said = run.get("headline")
    return said and said + ("" if said.endswith(".") else ".")


def _held(run):
    if run["experiment"] != "hold":
        return None
    parts = [f"{_connections(c)} were held"
             + (f", opened at {units.rate(series.connects_per_s(c))}"
                if series.connects_per_s(c) else "") for c in run["contestants"]]
    return "; ".join(parts) + "." if parts else None


def _knee(run):
    found = [c for c in run["contestants"] if c.get("knee")]
    if not found:
        return None
    parts = [f"{label(c['name'])} {series.knee_value(c)}" for c in found]
    bound = units.time_ns(found[0]["knee"]["bound_ns"])
    what = ("to " + units.count(found[0]["connections"]) + " subscribers"
            if found[0]["knee"]["of"] == "rate"
            else "at " + units.rate(found[0]["knee"].get("rate_per_s")))
    return f"The most that keeps p99 under {bound}, {what}: " + ", ".join(parts) + "."


def asides(run):
    """What stands in no table."""
    return [said for c in run["contestants"] for said in (*_knee_limits(c), *_goings(c))]


def _knee_limits(c):
    knee = c.get("knee") or {"steps": []}
    value, failed = knee.get("value"), knee.get("failed")
    if value and not failed:
        yield f"{label(c['name'])}: all held, so the knee is beyond what was tried."
    elif value and knee["client_limited"]:
        yield (f"{label(c['name'])}: at {failed:,.6g} the client was saturated and the server was "
               "not: the server can do more.")
    late = next(((at, m["p99_ns"] / m["p99_uncorrected_ns"])
                 for at, m, _, _ in series.knee_points(knee) if _parted(m)), None)
    if late:
        yield (f"{label(c['name'])}: from {late[0]:,.6g} on the publisher is late, and an "
               f"uncorrected figure hides it: {units.times(late[1])}.")
    if knee.get("closed_loop"):
        closed = knee["closed_loop"]
        yield (f"{label(c['name'])}: a closed loop at depth 1 publishes "
               f"{units.rate(closed['rate_per_s'])} with p99 {units.time_ns(closed['p99_ns'])}, "
               "and shows nothing of this.")


def _parted(medians):
    """By more than a tenth, and by what one would notice."""
    late, seen = medians["p99_ns"], medians["p99_uncorrected_ns"]
    return late and seen and late > 1.1 * seen and late > seen + 100_000


def _goings(c):
    """Of connections that all were cut at once, without a storm around them."""
    back, leave = c.get("reconnect"), c.get("leave")
    if back and leave:
        yield (f"{label(c['name'])}: {units.count(back['dropped'])} connections were reset at once "
               f"and back in {units.duration(back['elapsed_s'])}.")
    if leave:
        yield (f"{label(c['name'])}: {units.count(leave['connections'])} connections were reset "
               f"at once and forgotten by the server in {units.duration(leave['elapsed_s'])}.")


def _handshakes(run):
    """Of the first cipher, which changes little."""
    parts = {}
    for workload, members in series.having(run, "handshakes", "server_cpu_ns"):
        for c in members:
            kind = c["handshakes"]["kind"]
            parts.setdefault(kind, {}).setdefault(
                label(c["name"]), units.time_ns(c["handshakes"]["server_cpu_ns"]["median"]))
    if not parts:
        return None
    return ("Server CPU for a connection and its handshake: " + "; ".join(
        f"{kind} " + ", ".join(f"{time} {name}" for name, time in by_name.items())
        for kind, by_name in parts.items()) + ".")


def _throughput(run):
    parts = []
    for workload, members in series.having(run, "ratio"):
        fit = [c for c in members if not series.client_bound(c)]
        fit = [c for c in fit if c["kind"] != "ceiling"] or fit
        if not fit:
            continue
        best = max(fit, key=lambda c: c["ratio"]["deliveries_per_s"]["median"])
        ratio = best["ratio"]["deliveries_per_s"]
        parts.append(f"{units.times(ratio['median'])} "
                     f"({units.times(ratio['p25'])} to {units.times(ratio['p75'])}) with "
                     f"{label(best['name'])}" + (f" at {workload}" if workload else ""))
    if not parts:
        return None
    ceiling = series.having(run, "ratio")[0][1][0]["ratio"]["ceiling"]
    return f"Most deliveries, as a multiple of {label(ceiling)}: " + "; ".join(parts) + "."


def _latency(run):
    """Of the first workload, in the order of the table."""
    for workload, members in series.having(run, "latency"):
        parts = [f"{label(c['name'])} {units.time_ns(series.latency_ns(c, 99))}"
                 for c in members if series.histogram(c)]
        if parts:
            where = f" ({workload})" if workload else ""
            return f"99 % of deliveries arrive within{where}: " + ", ".join(parts) + "."
    return None


def _memory(run):
    parts = {label(c["name"]): units.size_bytes(c["memory"]["user_bytes_per_connection"])
             for _, members in series.having(run, "memory") for c in members}
    if not parts:
        return None
    return "User memory per connection: " + ", ".join(f"{k} {v}" for k, v in parts.items()) + "."


def _idle(run):
    for _, members in series.having(run, "idle"):
        cpu = series.idle_cpu(members[0])
        if cpu is not None:
            return (f"With {units.count(members[0]['connections'])} connections and nothing "
                    f"published, the server uses {units.share(cpu)} of one CPU.")
    return None


def _empty(run):
    for _, members in series.having(run, "requests"):
        polls = [c for c in members if c["name"] == "poll"]
        if polls and series.empty_share(polls[0]) is not None:
            return (f"{units.share(series.empty_share(polls[0]))} of the short polling answers "
                    "were empty.")
    return None


def _ledger(run):
    with_ledger = [c for c in run["contestants"] if c.get("ledger")]
    if not with_ledger:
        return None
    bad = [c for c in with_ledger if series.ledger_faults(c)]
    if not bad:
        expected = sum(c["ledger"]["expected"] for c in with_ledger)
        return (f"The ledger is clean: of {units.count(expected)} deliveries none was lost, "
                "doubled, out of order or corrupt.")
    parts = [f"{series.full_name(c)} lost {units.count(c['ledger']['lost'])}, doubled "
             f"{units.count(c['ledger']['duplicate'])}, out of order "
             f"{units.count(c['ledger']['out_of_order'])}, corrupt "
             f"{units.count(c['ledger'].get('corrupt') or 0)}" for c in bad]
    return "The ledger is not clean: " + "; ".join(parts) + "."


def warnings(run):
    """What must be known before any figure is believed."""
    found = []
    if run["interrupted"]:
        found.append("The run was interrupted. The figures are of the turns that were complete.")
    if run["build"]["dirty"]:
        found.append("What was built had uncommitted changes: the commit does not name it.")
    if run["build"]["commit"] == "unknown":
        found.append("What was built is unknown: there was no checkout.")
    if not series.charges_cores(run):
        found.append("Server CPU is the process's own clock: what the kernel's threads did for it "
                     "on the same CPUs is not in it, and may be a tenth more.")
    bound = _together(c for c in run["contestants"] if series.client_bound(c))
    if bound:
        found.append("The client was the bottleneck for " + ", ".join(bound)
                     + ": such a rate is a lower bound for the server and is marked with ≥.")
    found += filter(None, (_shared(run, side) for side in ("server", "client")))
    found += _two_modes(run)
    noisy = _noisy_ones(run)
    if noisy:
        found.append("The machine was noisy: the middle half of the turns spans more than a "
                     "quarter of the median for " + ", ".join(noisy) + ".")
    return found


def _two_modes(run):
    told = []
    for c in run["contestants"]:
        heaps = series.modes(c) if c.get("deliveries_per_s") else None
        if heaps:
            told.append(f"{series.full_name(c)} " + " and ".join(
                f"{units.rate(rate)} in {turns} turns" for turns, rate in heaps))
    return ["Two modes, so that a median is of one of them by chance: " + "; ".join(told) + "."
            ] if told else []


WAITED_FROM = 0.05


def _shared(run, side):
    waits = [(series.kept_waiting(c, side) or 0, c) for c in run["contestants"]]
    worst, contestant = max(waits, key=lambda item: item[0], default=(0, None))
    if worst < WAITED_FROM:
        return None
    return (f"The machine was shared: the {side} wanted its CPU and did not have it for up to "
            f"{units.share(worst)} of the time ({series.full_name(contestant)}).")


def _together(contestants):
    """["Short polling (depth 1, depth 8)"]"""
    found = {}
    for c in contestants:
        found.setdefault(label(c["name"]), []).append(c.get("workload"))
    return [name + (f" ({', '.join(filter(None, where))})" if any(where) else "")
            for name, where in found.items()]


NOISY_NAMED = 6


def _noisy_ones(run):
    """Where that is nearly all of many, their number is all that one wants to read."""
    found = [c for c in run["contestants"] if _noisy(c)]
    if len(found) > NOISY_NAMED:
        return [f"{len(found)} of {len(run['contestants'])} rows"]
    return _together(found)


def _noisy(contestant):
    spread = get(contestant, "ratio", "deliveries_per_s") or contestant.get("deliveries_per_s")
    return bool(spread and series.noisy(spread))
