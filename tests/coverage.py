#!/usr/bin/env python3
"""Which lines the tests of a coverage build have reached: `coverage.py BUILD`.

Prints a line for each folder, leaves a page with every line in BUILD/report/index.html, and holds
the sums for server/ and bench/ against the floor in coverage.floor. Below it is a failure. Well
above it the floor is raised in the file, to be committed: it only rises.
"""

import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FLOOR = ROOT / "tests" / "coverage.floor"
# What two runs of the same tests may differ by, in percent: which thread was late, which socket
# was full.
PLAY = 0.5
WHOLE = ("server", "bench")


def measure(build):
    """Runs gcovr; returns {file: (lines reached, lines)}."""
    report = build / "report"
    report.mkdir(exist_ok=True)
    subprocess.run(
        ["gcovr", "--root", ".", "--object-directory", build, "-j", str(os.cpu_count()),
         "--filter", "server/", "--filter", "bench/", "--exclude-throw-branches",
         "--json-summary", report / "summary.json", "--html-details", report / "index.html",
         "--html-title", "Ringside: lines that the tests reach", build],
        cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    files = json.loads((report / "summary.json").read_text(encoding="utf-8"))["files"]
    return {one["filename"]: (one["line_covered"], one["line_total"]) for one in files}


def by_folder(files):
    """{folder: (reached, lines)}; the whole of server/ and bench/ too."""
    sums = defaultdict(lambda: [0, 0])
    for name, (reached, lines) in files.items():
        for folder in {name.split("/")[0], os.path.dirname(name)}:
            sums[folder][0] += reached
            sums[folder][1] += lines
    return sums


def floors():
    """{folder: percent}; lines that begin with # are for people."""
    text = FLOOR.read_text(encoding="utf-8").splitlines()
    rows = [line.split() for line in text if line and not line.startswith("#")]
    return {folder: float(percent) for folder, percent in rows}


def raise_floors(risen):
    kept = [line for line in FLOOR.read_text(encoding="utf-8").splitlines() if line[:1] == "#"]
    rows = [f"{folder} {percent:.1f}" for folder, percent in risen.items()]
    FLOOR.write_text("\n".join([*kept, *rows]) + "\n", encoding="utf-8")


def main(build):
    build = build.resolve()
    sums = by_folder(measure(build))
    print(f"{'lines reached':<24}{'':>8}{'of':>8}")
    for folder, (reached, lines) in sorted(sums.items()):
        print(f"{folder:<24}{reached:8d}{lines:8d}{100 * reached / lines:8.1f} %")
    floor = floors()
    found = {folder: 100 * sums[folder][0] / max(sums[folder][1], 1) for folder in WHOLE}
    below = [folder for folder in WHOLE if found[folder] < floor[folder]]
    for folder in below:
        print(f"{folder}/: {found[folder]:.1f} % is below the floor of {floor[folder]:.1f} % "
              f"in {FLOOR.relative_to(ROOT)}")
    risen = {folder: max(floor[folder], int(10 * (found[folder] - PLAY)) / 10) for folder in WHOLE}
    if risen != floor and not below:
        raise_floors(risen)
        print(f"the floor has risen: commit {FLOOR.relative_to(ROOT)}")
    print(f"every line: {build / 'report' / 'index.html'}")
    return 1 if below else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
