"""ringside-bench under test: run an experiment at smoke size, and read what it left behind.

The bench is that of the build whose server is $RINGSIDE_SERVER. Nothing here asserts a speed.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from ringside import ServerFault, check_output, server_binary

ROOT = Path(__file__).resolve().parent.parent
REPORT = ROOT / "bench" / "report"
PATIENCE_S = 240

sys.path.insert(0, str(REPORT))


def bench_binary():
    path = Path(server_binary()).resolve().parent.parent / "bench" / "ringside-bench"
    assert path.exists(), f"no bench at {path}: ./build.sh build"
    return path


@dataclass
class Run:
    status: int
    output: str
    complaints: str
    folder: Path | None
    run: dict = field(default_factory=dict)


def check_end(made):
    """By itself, so that its words are in no report of a run that only ended otherwise: again.py
    reads them there."""
    check_output(made.stderr)
    if made.returncode < 0:
        raise ServerFault(f"the bench died of signal {-made.returncode}: {made.stderr}")


def bench(folder, *arguments, expect=0, report=False, lines=False, within=()):
    """Runs one experiment; its run.json is checked against the schema, unknown fields too. Without
    `report` no page is drawn, which takes longer than a small run; without `lines` nothing is said
    of it while it goes on. `within` is a command that runs
    the bench, such as one that makes a namespace."""
    import load  # bench/report

    path = Path(folder) / "run.json"
    files = ["--results", str(folder)] if report else ["--results", "none", "--json", str(path)]
    said = [] if lines else ["--quiet"]
    made = subprocess.run([*within, str(bench_binary()), *map(str, arguments), *said, *files],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=PATIENCE_S, env=os.environ, check=False)
    check_end(made)
    assert made.returncode == expect, made.stdout + made.stderr
    if report:
        (path,) = Path(folder).glob("*/run.json")
    found = Run(made.returncode, made.stdout, made.stderr, path.parent if path.exists() else None)
    if found.folder:
        found.run = json.loads(path.read_text(encoding="utf-8"))
        path.unlink()  # so that a further run in this folder cannot pass for this one
        faults = load.faults(found.run, strict=True)
        assert faults == [], faults
    return found
