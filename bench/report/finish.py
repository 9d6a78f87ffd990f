#!/usr/bin/env python3
"""Finishes a run: what the bench has measured comes in, and its verdicts are added; run.json, the
page and the tables of the terminal go out. The bench starts it; `finish.py -o DIR < measured.json`
does the same to what was left where Python was missing."""

import argparse
import json
import pathlib
import sys

import derive
import judge
import machine
import text


def draw(run, folder):
    """The page; whether there is one."""
    try:
        import page
        (folder / "report.html").write_text(page.of_run(run), encoding="utf-8")
    except ImportError as missing:
        print(f"ringside-bench: no report: {missing}; `./build.sh deps report` installs what it "
              "needs", file=sys.stderr)
        return False
    return True


def main():
    parser = argparse.ArgumentParser(description="Finish the run that comes in as JSON.")
    parser.add_argument("-o", "--output", help="a folder for run.json and report.html")
    parser.add_argument("--json", help="another place for run.json")
    parser.add_argument("--text", action="store_true", help="print tables, verdicts and notes")
    options = parser.parse_args()

    run = json.load(sys.stdin)
    run["machine"] = machine.complete(run["machine"])
    derive.of_run(run)
    judge.of_run(run)
    folder = options.output and pathlib.Path(options.output)
    drawn = False
    for path in filter(None, (folder and folder / "run.json", options.json)):
        try:
            pathlib.Path(path).write_text(
                json.dumps(run, indent=1, ensure_ascii=False, allow_nan=False) + "\n",
                encoding="utf-8")
        except OSError as error:
            print(f"ringside-bench: cannot write {path}: {error.strerror}", file=sys.stderr)
            return 1
    if folder:
        drawn = draw(run, folder)
    if options.text:
        text.show(["", *text.lines(run, text.window()), "", *text.verdicts(run)])
        if folder:
            print(f"\n  {folder}/{'report.html' if drawn else 'run.json'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
