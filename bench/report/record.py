#!/usr/bin/env python3
"""Keeps a run in results/, among those that documents cite, and writes results/index.html anew. Of
its page nothing is kept: report.py makes it from run.json."""

import argparse
import pathlib
import shutil
import sys

import index
import load


def why_not(run):
    """Why a figure of this run could not be followed to what ran; None when it can."""
    build = run["build"]
    if build["commit"] == "unknown":
        return "it does not know what was built; build in a checkout"
    if build["dirty"]:
        return "what was built had uncommitted changes; commit, build and run again"
    if run["interrupted"]:
        return "it was interrupted"
    server = build.get("server", build["commit"])
    if server != build["commit"]:
        return f"the server was built from {server}, the bench from {build['commit']}"
    return None


def main():
    parser = argparse.ArgumentParser(description="Keep a run in results/.")
    parser.add_argument("run", help="its folder")
    parser.add_argument("--results", default="results", help="default: results")
    options = parser.parse_args()

    folder, results = pathlib.Path(options.run), pathlib.Path(options.results)
    run = load.load(folder / "run.json")
    reason = why_not(run)
    if reason:
        raise load.BadRun(f"{folder}: not recorded: {reason}")
    target = results / folder.name
    if target.exists():
        raise load.BadRun(f"{target}: is there already")
    target.mkdir(parents=True)
    shutil.copy(folder / "run.json", target)
    index.write(results)
    print(target)
    return 0


if __name__ == "__main__":
    sys.exit(load.exit_on_bad_run(main))
