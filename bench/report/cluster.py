"""What a run of several nodes says of claims: rates beside the engine's own, latency across nodes
beside within one, and what trouble has lost."""

import series
import units
from series import get

# Of what the engine takes from its own benchmark.
KINDS = (("with history", 0.5, "the same script under redis-benchmark"),
         ("without history", 0.8, "a plain PUBLISH under redis-benchmark"))
ACROSS_MAX = 3
BUSY = 0.9  # of a CPU: below it the engine was not the limit
ENOUGH = 100  # acknowledged publishes: fewer prove little


def _publishes(run, kind):
    return series.find(run, "ringside", f"publish, {kind}")["cluster"]


def headline(run):
    rates = [(_publishes(run, kind).get("publishes_per_s"), kind) for kind, _, _ in KINDS]
    told = [f"{rate['median']:,.0f}/s {kind}" for rate, kind in rates if rate]
    return f"{run['settings']['nodes']} nodes publish {' and '.join(told)}" if told else None


def verdicts(run):
    """A claim, a verdict and what was measured of each."""
    for kind, least, what in KINDS:
        ours = _publishes(run, kind)
        of = ours.get("of_ceiling")
        if of:
            yield (f"Publishes {kind} reach {least:g} times {what}", *_reach(ours, least))
    within, across = (_p99(run, name) for name in ("within a node", "across nodes"))
    if within and across:
        yield (f"Across nodes p99 is at most {ACROSS_MAX} times that within a node",
               "holds" if across <= ACROSS_MAX * within else "fails",
               f"{units.time_ns(across)} against {units.time_ns(within)}")
    yield from (_trouble(c) for c in run["contestants"] if "trouble" in c)


def _reach(ours, least):
    """By the rate; where the engine was idle, and it is cheap enough, who asked was the limit."""
    of, cost = ours["of_ceiling"], ours["engine_cpu_of_ceiling"]
    busy = ours["engine_cpu_share"]["median"]
    told = (f"{of['median']:.2f} times ({of['p25']:.2f} to {of['p75']:.2f}), at "
            f"{cost['median']:.2f} times the engine's CPU for each")
    if of["p25"] >= least:
        return "holds", told
    if of["p75"] < least and (busy >= BUSY or cost["median"] > 1 / least):
        return "fails", told
    idle = f"; the engine took {busy:.0%} of a CPU, so nodes and clients were the limit"
    return "depends", told + (idle if busy < BUSY else "")


def _p99(run, name):
    found = next(c for c in run["contestants"] if c["name"] == name)
    return series.percentile(get(found, "latency", "corrected"), 99)


def _trouble(c):
    trouble, lost = c["trouble"], series.ledger_faults(c) or 0
    away = trouble["clients"] - trouble["up"]
    kept = "holds" if trouble["acknowledged"] >= ENOUGH else "depends"
    meanwhile = f" ({trouble['meanwhile']:,} meanwhile)" if "meanwhile" in trouble else ""
    return (f"Nothing that was acknowledged is lost silently when {c['workload']}",
            kept if lost == 0 and away == 0 else "fails",
            f"{trouble['acknowledged']:,} publishes acknowledged{meanwhile}, "
            f"{trouble['refused']:,} refused, "
            f"{trouble['doubts']:,} in doubt; {trouble['clients']:,} clients, "
            f"{trouble['missed']:,} messages by replay; told \"not recovered\" "
            f"{trouble['unrecovered']:,} times; {lost} faults in the ledger, {away} clients away "
            "in the end")
