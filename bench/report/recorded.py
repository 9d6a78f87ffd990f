#!/usr/bin/env python3
"""Makes the runs of bench/recorded.txt anew, one after the other, and keeps each as results/NAME.

One commit, one machine: it refuses a tree with changes, and a run whose bench or server was built
from something else. What could not be made is named at the end, with the reason; the others are
kept. A run whose peers are not installed is not tried."""

import argparse
import importlib.machinery
import importlib.util
import pathlib
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass

import index
import load
import record
import units

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TABLE = ROOT / "bench" / "recorded.txt"
INSTALLER = ROOT / "bench" / "peers" / "install"
SLACK = 3  # a run may take so many times the minutes of its row


@dataclass
class Row:
    name: str
    minutes: float
    lab: str       # arguments of `tune lab --for`; "-": none
    command: str

    def words(self, results):
        wrapped = [] if self.lab == "-" else ["tuning/tune", "lab", "--for", *self.lab.split(),
                                              "--"]
        return [*wrapped, "./build.sh", "bench", *shlex.split(self.command), "--results", results]

    def peers(self):
        words = shlex.split(self.command)
        return [after for word, after in zip(words, words[1:]) if word == "--peer"]

    def written(self):
        return shlex.join(self.words("DIR")[:-2])


def rows(text):
    """Of the table; ValueError names the line that is none."""
    found = []
    for at, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.startswith("#"):
            continue
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) != 4 or not all(cells):
            raise ValueError(f"line {at}: needs a name, minutes, a namespace and a command")
        found.append(Row(cells[0], float(cells[1]), *cells[2:]))
    if len({row.name for row in found}) < len(found):
        raise ValueError("a name is there twice")
    return found


def chosen(all_, names):
    known = {row.name: row for row in all_}
    for name in names:
        if name not in known:
            raise load.BadRun(f"there is no run '{name}': {', '.join(known)}")
    return [known[name] for name in names] or all_


def not_installed(all_):
    """Of the peers of these rows."""
    loader = importlib.machinery.SourceFileLoader("peers_install", str(INSTALLER))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    installer = importlib.util.module_from_spec(spec)
    sys.dont_write_bytecode = True
    loader.exec_module(installer)
    names = dict.fromkeys(name for row in all_ for name in row.peers())
    return [name for name in names if installer.Peer(name).missing()]


def keep(folder, target):
    """Moves the run that was just made to its place; why not, if it is not to be kept."""
    made = sorted(pathlib.Path(folder).glob("*/run.json"))
    if len(made) != 1:
        return "it left no run"
    reason = record.why_not(load.load(made[0]))
    if reason:
        return reason
    target.mkdir(parents=True, exist_ok=True)
    shutil.copy(made[0], target / "run.json")
    return None


def make(row, results):
    """Why there is none; None when it was kept."""
    with tempfile.TemporaryDirectory(prefix="ringside-record-") as folder:
        try:
            status = subprocess.run(row.words(folder), cwd=ROOT,
                                    timeout=row.minutes * 60 * SLACK + 120).returncode
        except subprocess.TimeoutExpired:
            return f"it took more than {SLACK} times {row.minutes:g} min"
        except OSError as error:
            return error.strerror
        if status != 0:
            return f"it ended with status {status}"
        return keep(folder, results / row.name)


def changes():
    told = subprocess.run(["git", "status", "--porcelain", "--untracked-files=no", "--",
                           ":!results"], cwd=ROOT, text=True, stdout=subprocess.PIPE, check=True)
    return told.stdout.split("\n")[:-1]


def main():
    parser = argparse.ArgumentParser(prog="./build.sh record", description=(
        "Makes the runs that documents cite, on this commit and this machine."))
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these")
    parser.add_argument("--list", action="store_true", help="say what would be run, and how long")
    parser.add_argument("--results", default=str(ROOT / "results"), help="default: results")
    options = parser.parse_args()

    due = chosen(rows(TABLE.read_text(encoding="utf-8")), options.names)
    total = units.duration(60 * sum(row.minutes for row in due)).replace("\u00a0", " ")
    for row in due:
        print(f"{row.minutes:4g} min  {row.name:18} {row.written()}")
    print(f"{len(due)} runs, about {total} in all", flush=True)
    missing = not_installed(due)
    for name in missing:
        print(f"warning: {name} is not installed, so there will be no "
              f"{', '.join(row.name for row in due if name in row.peers())}: `./build.sh peers "
              f"{name}`", file=sys.stderr)
    if options.list:
        return 0
    if changes():
        raise load.BadRun("the tree has changes, and what is recorded must name a commit: commit "
                          "them first")
    failed = {}
    for i, row in enumerate(due, 1):
        print(f"\n[{i}/{len(due)}] {row.name}: about {row.minutes:g} min", flush=True)
        gone = [name for name in row.peers() if name in missing]
        why = (f"{gone[0]} is not installed: `./build.sh peers {gone[0]}`" if gone else
               make(row, pathlib.Path(options.results)))
        if why:
            failed[row.name] = why
    index.write(pathlib.Path(options.results))
    for name, why in failed.items():
        print(f"not recorded: {name}: {why}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(load.exit_on_bad_run(main))
