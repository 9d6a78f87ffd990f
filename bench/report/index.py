#!/usr/bin/env python3
"""Writes results/index.html: every recorded run, newest first."""

import argparse
import pathlib
import sys

import findings
import load
import page
from markup import Raw, el, table


ABOUT = ("Each report names the machine and the command that makes it again. Figures of different "
         "machines or days compare only as ratios.")


def runs_in(folder):
    """([(folder name, run)], [faults]): a run that cannot be read does not stop the rest."""
    found, faults = [], []
    for path in sorted(folder.glob("*/run.json")):
        try:
            found.append((path.parent.name, load.load(path)))
        except load.BadRun as fault:
            faults.append(str(fault))
    found.sort(key=lambda item: item[1]["started_at"], reverse=True)
    return found, faults


def document(folder, found, faults):
    def row(name, run):
        target = "report.html" if (folder / name / "report.html").exists() else "run.json"
        machine = run["machine"]
        return [el("a", page.date_name(run), href=f"{name}/{target}"), run["experiment"],
                el("b", findings.headline(run)) if not run["interrupted"]
                else [el("b", findings.headline(run)), " (interrupted)"],
                el("code", page.commit_name(run["build"])),
                [f"{machine['cpu_model']}, {machine['cores']} cores",
                 el("span", f"Linux {machine['kernel']}", class_="side")]]
    rows = [row(name, run) for name, run in found]
    body = el("main", el("header", el("p", "Ringside", class_="over"), el("h1", "Recorded runs"),
                         el("p", ABOUT, class_="meta")),
              el("div", table("", ["Date", "Experiment", "Headline", "Commit", "Machine"], rows),
                 class_="runs words") if rows else el("p", "No run has been recorded yet."),
              [el("p", f"Left out: {fault}", class_="meta") for fault in faults])
    return page.document("Recorded runs · Ringside", [Raw(body)])


def write(folder):
    """Writes the page, and returns its path."""
    found, faults = runs_in(folder)
    for fault in faults:
        print(f"index: left out {fault}", file=sys.stderr)
    output = folder / "index.html"
    output.write_text(document(folder, found, faults), encoding="utf-8")
    return output


def main():
    parser = argparse.ArgumentParser(description="Write index.html over all recorded runs.")
    parser.add_argument("results", nargs="?", default="results", help="default: results")
    options = parser.parse_args()

    folder = pathlib.Path(options.results)
    if not folder.is_dir():
        raise load.BadRun(f"{folder}: is not a folder")
    print(write(folder))
    return 0


if __name__ == "__main__":
    sys.exit(load.exit_on_bad_run(main))
