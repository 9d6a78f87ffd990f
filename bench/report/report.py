#!/usr/bin/env python3
"""Writes the report of a run: one HTML file with nothing outside it; or its tables as text."""

import argparse
import pathlib
import sys

import load


def main():
    parser = argparse.ArgumentParser(description="Write report.html from a run.json.")
    parser.add_argument("run", help="run.json, or its folder; -: standard input")
    parser.add_argument("--text", action="store_true",
                        help="the tables, to standard output, and no file")
    parser.add_argument("--width", type=int, help="of the text (default: the terminal's)")
    parser.add_argument("-o", "--output", help="default: report.html beside run.json")
    options = parser.parse_args()

    run = load.load(options.run)
    if options.text:
        import text
        written = text.claims if run.get("scenarios") else text.lines
        text.show(written(run, options.width or text.window()))
        return 0
    # After the check: a bad run is rejected without waiting for matplotlib.
    import claims
    import page
    document = claims.document if run.get("scenarios") else page.of_run
    output = pathlib.Path(options.output or load.run_path(options.run).with_name("report.html"))
    try:
        output.write_text(document(run), encoding="utf-8")
    except OSError as error:
        raise load.BadRun(f"{output}: {error.strerror}") from None
    print(output)
    return 0


if __name__ == "__main__":
    sys.exit(load.exit_on_bad_run(main))
