#!/usr/bin/env python3
"""Reads a run.json and says exactly what is wrong with it."""

import argparse
import json
import pathlib
import signal
import sys

import schema


class BadRun(Exception):
    """One line that a person can act on."""


def run_path(path):
    """A run is named by its file or by its folder."""
    path = pathlib.Path(path)
    return path / "run.json" if path.is_dir() else path


def read(path):
    try:
        text = (sys.stdin.read() if str(path) == "-" else
                run_path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise BadRun(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadRun(f"{path}: is not UTF-8 text") from None
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise BadRun(f"{path}: is not JSON: {error.msg}, line {error.lineno}") from None


faults = schema.faults


def load(path, strict=False):
    """The run as a dict; BadRun names the first fault and how many more there are."""
    run = read(path)
    version = run.get("schema") if isinstance(run, dict) else None
    if version not in schema.SCHEMAS:
        raise BadRun(f"{path}: schema is {version!r}, this program reads "
                     f"{' and '.join(map(repr, schema.SCHEMAS))}")
    found = faults(run, strict)
    if found:
        more = f" (and {len(found) - 1} more, see load.py --strict)" if len(found) > 1 else ""
        raise BadRun(f"{path}: {found[0]}{more}")
    return run


def exit_on_bad_run(main):
    """Runs a program's main; a bad run is one line on standard error and exit status 1."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `export.py ... | head` is no error
    try:
        return main()
    except BadRun as error:
        print(f"{pathlib.Path(sys.argv[0]).stem}: {error}", file=sys.stderr)
        return 1


def main():
    parser = argparse.ArgumentParser(description="Check a run.json against the schema.")
    parser.add_argument("run", help="run.json, or its folder")
    parser.add_argument("--strict", action="store_true",
                        help="also report fields that the schema does not have")
    options = parser.parse_args()

    found = faults(read(options.run), options.strict)
    for fault in found:
        print(fault)
    print("valid" if not found else f"{len(found)} faults")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(exit_on_bad_run(main))
