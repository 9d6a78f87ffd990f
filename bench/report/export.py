#!/usr/bin/env python3
"""A run for other programs: CSV with one figure per line, OpenMetrics text, or its histograms."""

import argparse
import csv
import sys
from datetime import datetime

import flat
import hdr
import load
from series import get


def to_csv(run, out):
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(["experiment", "started_at", "commit", "contestant", "workload", "kind",
                   "figure", "statistic", "value"])
    for f in flat.figures(run):
        rows.writerow([run["experiment"], run["started_at"], run["build"]["commit"], f.contestant,
                       f.workload, f.kind, f.name, f.statistic, f.value])


def to_openmetrics(run, out):
    """Gauges, stamped with the time of the run. A family's lines stand together, as they must."""
    stamp = datetime.fromisoformat(run["started_at"].replace("Z", "+00:00")).timestamp()
    families = {}
    for f in flat.figures(run):
        families.setdefault(f"ringside_bench_{f.name}", []).append(f)
    for family, figures in families.items():
        out.write(f"# TYPE {family} gauge\n")
        for f in figures:
            labels = {"experiment": run["experiment"], "commit": run["build"]["commit"][:10],
                      "contestant": f.contestant, "workload": f.workload, "kind": f.kind,
                      "statistic": f.statistic}
            written = ",".join(f'{k}="{_escape(v)}"' for k, v in labels.items() if v)
            out.write(f"{family}{{{written}}} {f.value} {stamp:.0f}\n")
    out.write("# EOF\n")


def to_histogram(run, out):
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(["contestant", "workload", "kind", "low_ns", "high_ns", "count"])
    for contestant in run["contestants"]:
        for kind in ("corrected", "uncorrected"):
            text = get(contestant, "latency", kind, "hdr")
            for bucket in hdr.buckets(text) if text else ():
                rows.writerow([contestant["name"], contestant.get("workload", ""), kind, *bucket])


def _escape(value):
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def main():
    parser = argparse.ArgumentParser(description="Write a run as CSV or OpenMetrics.")
    parser.add_argument("run", help="run.json, or its folder")
    form = parser.add_mutually_exclusive_group(required=True)
    form.add_argument("--csv", action="store_const", dest="write", const=to_csv)
    form.add_argument("--openmetrics", action="store_const", dest="write", const=to_openmetrics)
    form.add_argument("--histogram", action="store_const", dest="write", const=to_histogram)
    options = parser.parse_args()

    options.write(load.load(options.run), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(load.exit_on_bad_run(main))
