"""What a run of webhooks says of claims: at least once, how fast, and what receivers in trouble do
to the others."""

import series
import units
from series import get

# What an endpoint in trouble may do to the p99 of the others.
TROUBLE_MAX = 1.2
EVENTS_PER_S = 10000
PUSH_MAX = 1.02
# Of a CPU: a side that uses more of one in a turn has no time left.
BUSY = 0.9


def derive(run, c, put):
    """`put(into, name, values, places)` makes a spread of them."""
    of = c["webhooks"]
    straight = c["kind"] != "ceiling" and next(
        (o["webhooks"] for o in run["contestants"] if o["kind"] == "ceiling" and "webhooks" in o
         and o.get("workload") == c.get("workload")), None)

    def rates(figures, name):
        return [n / s if s else 0 for n, s in zip(figures[name], figures["elapsed_s"])]

    put(of, "accepted_per_s", rates(of, "accepted"), 1)
    put(of, "arrived_per_s", [n / (s + more) if s else 0 for n, s, more in
                              zip(of["arrived"], of["elapsed_s"], of["drained_s"])], 1)
    put(of, "server_cpu_ns_per_event",
        [1e9 * cpu / n for cpu, n in zip(of["server_cpu_s"], of["accepted"]) if n and cpu], 1)
    used = [(server, bench, s + more) for server, bench, s, more in
            zip(of["server_cpu_s"], of.get("bench_cpu_s", []), of["elapsed_s"], of["drained_s"])
            if s]
    if used:
        put(of, "bench_busy", [bench / s for _, bench, s in used], 3)
        put(of, "server_busy", [server / s for server, _, s in used], 3)
    if straight:
        put(of, "of_straight",
            [a / b for a, b in zip(rates(of, "accepted"), rates(straight, "accepted")) if b], 4)


def derive_beside(c, put):
    of = c["beside"]
    put(of, "shard_cpu_ns_per_delivery",
        [1e9 * cpu / turn["deliveries"] for cpu, turn in zip(of["shard_cpu_s"], c["turns"])
         if turn["deliveries"]], 1)
    put(of, "delivered_per_s", [n / turn["elapsed_s"] for n, turn in
                                zip(of["delivered"], c["turns"]) if turn["elapsed_s"]], 1)


def _p99(run, name):
    found = next((c for c in run["contestants"]
                  if c["name"] == name and c.get("workload", "").startswith("latency")), None)
    return found and series.percentile(get(found, "latency", "corrected"), 99)


def limit(of):
    """Which side had no time left in a turn: the figure is that side's."""
    bench, server = (get(of, name, "median") or 0 for name in ("bench_busy", "server_busy"))
    return ("the bench's own posters and receivers" if bench > BUSY and bench >= server else
            "the server" if server > BUSY else "neither side's CPU: the disk, or waiting")


def headline(run):
    ours = series.find(run, "ringside", "as many as are accepted")["webhooks"]
    rate = ours.get("arrived_per_s")
    return (f"{rate['median']:,.0f} events/s accepted on disk and delivered to "
            f"{run['settings']['endpoints']:,} endpoints" if rate else None)


def verdicts(run):
    """A claim, a verdict and what was measured of each."""
    of = series.find(run, "ringside", "as many as are accepted")["webhooks"]
    ours = of.get("arrived_per_s")
    said = f"; the limit was {limit(of)}" if "bench_busy" in of else ""
    if ours:
        yield (f"{EVENTS_PER_S:,} events a second are accepted durably and delivered",
               "holds" if ours["p25"] >= EVENTS_PER_S else
               "fails" if ours["p75"] < EVENTS_PER_S else "depends",
               f"{ours['median']:,.0f}/s ({ours['p25']:,.0f} to {ours['p75']:,.0f})" + said)
    well, trouble = _p99(run, "all well"), _p99(run, "a tenth in trouble")
    if well and trouble:
        yield (f"A tenth of receivers in trouble raises the p99 of others to {TROUBLE_MAX} times",
               "holds" if trouble <= TROUBLE_MAX * well else "fails",
               f"{units.time_ns(trouble)} against {units.time_ns(well)}")
    yield from beside(run)
    for c in run["contestants"]:
        if "deliveries" in c:
            yield from _ledger(c)


def beside(run):
    """What the shards feel of a courier at full load on the other CPU."""
    rest, load = ([c for c in run["contestants"] if "beside" in c] + [None, None])[:2]
    if not load:
        return
    sides = [{"shard CPU for each delivery": get(c, "beside", "shard_cpu_ns_per_delivery",
                                                 "median"),
              "p50": series.percentile(get(c, "latency", "corrected"), 50),
              "p99": series.percentile(get(c, "latency", "corrected"), 99)}
             for c in (rest, load)]
    for name, calm in sides[0].items():
        busy = sides[1][name]
        if calm and busy:
            yield (f"Push beside a courier at full load: {name} within 2 %",
                   "holds" if busy <= PUSH_MAX * calm else "fails",
                   f"{units.time_ns(busy)} against {units.time_ns(calm)}, "
                   f"{get(load, 'beside', 'delivered_per_s', 'median') or 0:,.0f} webhooks/s")


def _ledger(c):
    of, ledger = c["deliveries"], c["ledger"]
    yield (f"What was accepted is delivered at least once, {c['name']}",
           "holds" if ledger["lost"] == 0 else "fails",
           f"{of['accepted']:,} accepted, {of['refused']:,} refused, {ledger['lost']:,} never "
           f"taken by an endpoint that takes them in the end; {of['tries']:,} tries")
    yield (f"A repeat has the same id, {c['name']}",
           "holds" if ledger["corrupt"] == 0 else "fails",
           f"{of['repeated']:,} came again after a 200; {ledger['corrupt']:,} of all tries had "
           "another id")
