#!/usr/bin/env python3
"""Two runs side by side: what changed, and what is only noise."""

import argparse
import sys
from dataclasses import dataclass

import load
import series
import units
from series import get

SAME_WITHIN = 0.03
AGREE_WITHIN = 0.10  # two runs of one experiment, minutes apart
PACED_WITHIN = 0.005

# (what it is called, where it is, how it is written, whether more is better). The first two are
# alternatives: ratios where both runs have one, since absolute rates move with the host.
_RATIO = ("deliveries, × ceiling", ("ratio", "deliveries_per_s"), units.times, True)
_RATE = ("deliveries", ("deliveries_per_s",), units.rate, True)
_CPU_RATIO = ("server CPU, × ceiling", ("ratio", "server_cpu_per_delivery"), units.times, False)
_CPU = ("server CPU per delivery", ("server_cpu_ns_per_delivery",), units.time_ns, False)
_HANDSHAKES = ("handshakes", ("handshakes", "per_s"), units.rate, True)
_HANDSHAKE_CPU = ("server CPU per handshake", ("handshakes", "server_cpu_ns"), units.time_ns, False)
_SINGLE = (
    ("user memory each", ("memory", "user_bytes_per_connection"), units.size_bytes, False),
    ("kernel memory each", ("memory", "kernel_bytes_per_connection"), units.size_bytes, False),
)


@dataclass
class Line:
    contestant: str
    figure: str
    old: str
    new: str
    quotient: float | None
    verdict: str


def verdict(old, new, more_is_better):
    """Both are spreads. A change is told only when the middle halves do not touch."""
    if series.noisy(old) or series.noisy(new):
        return "too noisy to tell"
    if abs(_quotient(old["median"], new["median"]) - 1) <= SAME_WITHIN:
        return "same"
    if old["p75"] >= new["p25"] and new["p75"] >= old["p25"]:
        return "within the noise"
    return "better" if (new["median"] > old["median"]) == more_is_better else "worse"


def _quotient(old, new):
    if old == 0:
        return 1.0 if new == 0 else float("inf")
    return new / old


def _paced(old, new):
    """Deliveries at the rate of a clock, as those of short polling are: whatever runs as fast as it
    can does not come out alike in every turn of two runs. The ceiling's rate says nothing of it."""
    rates = [get(c, *_RATE[1]) for c in (old, new)]
    if None in rates:
        return False
    lowest, highest = min(r["min"] for r in rates), max(r["max"] for r in rates)
    return lowest > 0 and highest / lowest - 1 <= PACED_WITHIN


def _spread_line(name, old, new, preferred, other):
    for figure, path, form, more_is_better in (preferred, other):
        if figure == _RATIO[0] and _paced(old, new):
            continue
        a, b = get(old, *path), get(new, *path)
        if a and b:
            bound = more_is_better and (series.client_bound(old) or series.client_bound(new))
            return Line(name, figure, form(a["median"]), form(b["median"]),
                        _quotient(a["median"], b["median"]),
                        "client-bound" if bound else verdict(a, b, more_is_better))
    return None


def _value_line(name, figure, form, a, b):
    """One figure has no spread: its quotient is told without a verdict, unless it is the same."""
    if a is None or b is None:
        return None
    quotient = _quotient(a, b)
    return Line(name, figure, form(a), form(b), quotient,
                "same" if abs(quotient - 1) <= SAME_WITHIN else "one figure, no spread")


def compare(old, new):
    name = series.full_name(old)
    lines = [_spread_line(name, old, new, _RATIO, _RATE),
             _spread_line(name, old, new, _CPU_RATIO, _CPU),
             _spread_line(name, old, new, _HANDSHAKES, _HANDSHAKES),
             _spread_line(name, old, new, _HANDSHAKE_CPU, _HANDSHAKE_CPU)]
    lines += [_value_line(name, figure, form, get(old, *path), get(new, *path))
              for figure, path, form, _ in _SINGLE]
    lines += [_value_line(name, f"latency p{p}", units.time_ns,
                          series.percentile(series.histogram(old), p),
                          series.percentile(series.histogram(new), p)) for p in (50, 99)]
    faults = [series.ledger_faults(c) for c in (old, new)]
    if None not in faults and any(faults):
        lines.append(Line(name, "ledger faults", *map(units.count, faults), None,
                          "better" if faults[1] < faults[0] else
                          "worse" if faults[1] > faults[0] else "not clean"))
    return [line for line in lines if line]


def pairs(old, new):
    def keyed(run):
        return {(c["name"], c.get("workload")): c for c in run["contestants"]}
    a, b = keyed(old), keyed(new)
    missing = [f"only in {which}: {series.full_name(one[key])}"
               for which, one, other in (("A", a, b), ("B", b, a))
               for key in one if key not in other]
    return [(a[key], b[key]) for key in a if key in b], missing


def cautions(old, new):
    found = []
    for text, path in (("experiment", ("experiment",)), ("CPU", ("machine", "cpu_model")),
                       ("kernel", ("machine", "kernel")), ("cores", ("machine", "cores"))):
        if get(old, *path) != get(new, *path):
            found.append(f"{text} differs: {get(old, *path)} and {get(new, *path)}")
    names = old["settings"].keys() | new["settings"].keys()
    for n in sorted(names):
        a, b = (run["settings"].get(n, "not set") for run in (old, new))
        if a != b:
            found.append(f"setting {n} differs: {a} and {b}")
    found += [f"{which} was interrupted" for which, run in (("A", old), ("B", new))
              if run["interrupted"]]
    return found


def _cannot_tell(line):
    """Its turns overlap, and yet it is too far apart to agree: neither can be said."""
    return line.verdict == "too noisy to tell" or (
        line.verdict == "within the noise" and abs(line.quotient - 1) > AGREE_WITHIN)


def summary(lines):
    """Whether the runs agree on their ratios, or rates where there are none, as far as the machine
    lets one tell."""
    found = [line for line in lines if line.verdict != "client-bound"]
    ratios = [line for line in found if line.figure == _RATIO[0]]
    rates = ratios or [line for line in found
                       if line.figure in (_RATE[0], _HANDSHAKE_CPU[0])]
    if not rates:
        return "No rates to compare."
    told = [line for line in rates if not _cannot_tell(line)]
    if not told:
        return "The machine was too noisy to tell."
    noisy = len(rates) - len(told)
    what = "ratios" if ratios else "rates"
    widest = max(abs(line.quotient - 1) for line in told)
    moved = sum(line.verdict in ("better", "worse") for line in told)
    said = f"The machine was too noisy to tell for {noisy} of {len(rates)}. " if noisy else ""
    otherwise = " otherwise" if noisy else ""
    if widest <= AGREE_WITHIN:
        said += (f"The runs agree{otherwise}: all {what} are within {widest * 100:.1f} % of each "
                 "other")
    else:
        said += (f"The runs do not agree{otherwise}: {what} are up to {widest * 100:.1f} % apart")
    return said + (f". {moved} of {len(told)} moved by more than the noise." if moved
                   else ", and none moved by more than the noise.")


def _print_table(lines):
    rows = [["contestant", "figure", "A", "B", "B/A", "verdict"]]
    previous = None
    for line in lines:
        rows.append(["" if line.contestant == previous else line.contestant, line.figure, line.old,
                     line.new, f"{line.quotient:.3f}" if line.quotient is not None else "",
                     line.verdict])
        previous = line.contestant
    widths = [max(len(row[i]) for row in rows) for i in range(6)]
    for row in rows:
        cells = [cell.rjust(w) if 2 <= i <= 4 else cell.ljust(w)
                 for i, (cell, w) in enumerate(zip(row, widths))]
        print("  ".join(cells).replace("\u00a0", " ").rstrip())


def main():
    parser = argparse.ArgumentParser(description="Compare two runs.")
    parser.add_argument("a", metavar="A", help="run.json or its folder: the older run")
    parser.add_argument("b", metavar="B", help="the newer run")
    options = parser.parse_args()

    old, new = load.load(options.a), load.load(options.b)
    for name, run, path in (("A", old, options.a), ("B", new, options.b)):
        print(f"{name}: {path}  {run['experiment']}, {run['started_at']}, "
              f"{run['build']['commit'][:10]}{' + changes' if run['build']['dirty'] else ''}")
    found, missing = pairs(old, new)
    for text in cautions(old, new) + missing:
        print(f"note: {text}")
    lines = [line for a, b in found for line in compare(a, b)]
    if series.charges_cores(old) != series.charges_cores(new):
        print("note: the server's CPU is charged in two ways (its own clock, its whole core), "
              "so it is not compared")
        lines = [line for line in lines if not line.figure.startswith("server CPU")]
    print()
    if not lines:
        print("The runs have no figure in common.")
        return 0
    _print_table(lines)
    print(f"\n{summary(lines)}")
    return 0


if __name__ == "__main__":
    sys.exit(load.exit_on_bad_run(main))
