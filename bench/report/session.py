#!/usr/bin/env python3
"""`claims` and `scenario`: runs scenarios one after the other, each as a process of its own, and
sets what is claimed beside what they measured. One that fails leaves its claims "not measured",
with the reason, and the others go on.

    scenario files ─► read and check all ─► run each ─► judge its claims ─► run.json, report
"""

import argparse
import datetime
import json
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress

import findings
import machine
import scenario
import schema
import text

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "scenarios"
GRACE_S = 20  # in which a run that is asked to end writes what it has
FOLDERS_MAX = 100
VERDICTS = (("holds", "hold"), ("derived", "are derived"), ("depends", "depend"),
            ("fails", "fail"), ("not measured", "were not measured"))


class Failed(Exception):
    """One line, and the end of the session."""


def summed(verdicts):
    count = Counter(v["verdict"] for v in verdicts)
    said = [f"{count[verdict]} {words}" for verdict, words in VERDICTS]
    return f"{said[0].replace(' hold', ' claims hold')}, {', '.join(said[1:])}"


class Session:
    def __init__(self, bench, options):
        self.bench, self.options = bench, options
        self.started = time.time()
        self.aloud = options.experiment == "scenario"
        self.shows = sys.stdout.isatty() and not (options.plain or options.quiet)
        self.interrupted, self.child = False, None
        self.contestants, self.scenarios, self.verdicts = [], [], []
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._interrupt)

    def _interrupt(self, _number, _frame):
        self.interrupted = True

    # ---- reading ----

    def read(self):
        asked = subprocess.run([self.bench, "--about"], stdout=subprocess.PIPE, check=True)
        self.about = json.loads(asked.stdout)
        self.machine = machine.complete(self.about["machine"])
        paths = self.options.files or sorted(FOLDER.glob("*.ini"))
        if self.aloud and not self.options.files:
            raise Failed("which scenario? `bench scenario FILE`; `ls bench/scenarios` shows those "
                         "that there are")
        try:
            found = [scenario.read(path, self.about["fits"]) for path in paths]
        except scenario.BadScenario as fault:
            raise Failed(str(fault)) from None
        twice = [name for name, n in Counter(s.name for s in found).items() if n > 1]
        if twice:
            raise Failed(f"two scenarios are called {twice[0]}: their figures could not be told "
                         "apart")
        return found

    # ---- running ----

    def _command(self, one, path):
        """This machine's CPUs and server come first, so that a scenario may set others."""
        given = [f"--{name}={value}" for name, value in (
            ("server", self.options.server), ("server-cpus", self.options.server_cpus),
            ("client-cpus", self.options.client_cpus)) if value]
        tied = ["setpriv", "--pdeathsig=TERM", "--"] if shutil.which("setpriv") else []
        seen = [] if self.shows else ["--plain"] if self.aloud else ["--quiet"]
        return [*tied, self.bench, one.experiment, "--results", "none", "--brief", "--json", path,
                *seen, *given, *one.options]

    def _wait(self, one):
        """None when it has ended by itself, or why it was ended."""
        end, why = time.monotonic() + one.seconds, None
        while self.child.poll() is None:
            late = time.monotonic() > end
            if late or self.interrupted:
                why = "interrupted" if self.interrupted else f"it took longer than {one.seconds} s"
                self.child.terminate()
                try:
                    self.child.wait(GRACE_S)
                except subprocess.TimeoutExpired:
                    self.child.kill()
            with suppress(subprocess.TimeoutExpired):
                self.child.wait(0.1)
        return why

    def _run(self, one):
        """(its run or None, why there is none)"""
        with tempfile.TemporaryDirectory(prefix="ringside-claims-") as folder:
            path, said = os.path.join(folder, "run.json"), os.path.join(folder, "said")
            with open(said, "w", encoding="utf-8") as complaints:
                out = None if self.shows or self.aloud else subprocess.DEVNULL
                # A group of its own: Ctrl-C comes here, and is passed on once.
                self.child = subprocess.Popen(self._command(one, path), stdout=out,
                                              stderr=complaints, process_group=0)
                why, status = self._wait(one), self.child.returncode
                self.child = None
            if not why and status == 0:
                with open(path, encoding="utf-8") as file:
                    return json.load(file), None
            with open(said, encoding="utf-8", errors="replace") as complaints:
                told = [line.partition(": ")[2].strip() for line in complaints
                        if line.startswith("ringside-bench")]
        if why:
            return None, why
        if status < 0:
            return None, f"its run was ended by signal {-status}"
        return None, told[-1] if told else f"its run ended with status {status}"

    def play(self, one):
        began = time.monotonic()
        run, why = self._run(one)
        judged = [(c, *(c.judge(run) if run else ("not measured", why))) for c in one.claims]
        self.verdicts += [{"claim": c.claim, "scenario": one.name, "measured": measured,
                           "verdict": verdict} | ({"source": c.source} if c.source else {})
                          for c, verdict, measured in judged]
        self.scenarios.append(
            {"name": one.name, "title": one.title, "experiment": one.experiment,
             "command": shlex.join(["./build.sh", "bench", one.experiment, *one.options]),
             "elapsed_s": round(time.monotonic() - began, 3)}
            | ({"about": one.about} if one.about else {})
            | ({name: run[name] for name in ("settings", "timeline", "notes")} if run
               else {"failed": why}))
        for c in run["contestants"] if run else []:
            under = c.get("workload")
            self.contestants.append(c | {"scenario": one.name, "workload": one.name + (
                f": {under}" if under else "")})
        return [verdict for _, verdict, _ in judged]

    def leave_out(self, ones):
        """Those that an interruption left out are in the table too."""
        self.verdicts += [{"claim": c.claim, "scenario": one.name, "verdict": "not measured",
                           "measured": "interrupted before"} for one in ones for c in one.claims]

    def all(self, ones):
        took = may = 0
        for i, one in enumerate(ones):
            head = f"[{i + 1:2}/{len(ones)}] {one.name:12}"
            if self.shows:
                left = sum(s.seconds for s in ones[i:]) * (took / may if may else 1)
                print(f"{head}  at most {one.seconds} s, about {left:.0f} s for all that are left; "
                      f"{summed(self.verdicts)}", flush=True)
            else:
                print(head, end="\n" if self.aloud else "", flush=True)
            verdicts = self.play(one)
            took, may = took + self.scenarios[-1]["elapsed_s"], may + one.seconds
            print(("\x1b[A\r\x1b[K" if self.shows else "") + (
                head if self.shows or self.aloud else ""),
                f"{self.scenarios[-1]['elapsed_s']:4.0f} s  {', '.join(verdicts)}", flush=True)
            if self.interrupted:
                self.leave_out(ones[i + 1:])
                break

    # ---- what it leaves ----

    def run(self):
        notes = []
        return {
            "schema": schema.SCHEMA, "experiment": self.options.experiment,
            "headline": summed(self.verdicts),
            "command": self._own_command(),
            "started_at": datetime.datetime.fromtimestamp(
                self.started, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "duration_s": round(time.time() - self.started, 3), "interrupted": self.interrupted,
            "build": self.about["build"], "machine": self.machine, "settings": {},
            "contestants": self.contestants, "timeline": [], "scenarios": self.scenarios,
            "verdicts": self.verdicts, "notes": notes}

    @staticmethod
    def _own_command():
        """Without what says only where the result goes."""
        lab, kept, words = os.environ.get("RINGSIDE_LAB"), [], iter(sys.argv[1:])
        for word in words:
            if word in ("--results", "--json"):
                next(words, None)
            elif not word.startswith(("--results=", "--json=")):
                kept.append(word)
        return (f"{lab} -- " if lab else "") + shlex.join(["./build.sh", "bench", *kept])

    def folder(self, run):
        """runs/<date>-<experiment>-<commit>[-dirty][-n]/"""
        build = run["build"]
        base = (f"{run['started_at'][:10]}-{run['experiment']}-{build['commit'][:7]}"
                + ("-dirty" if build["dirty"] else ""))
        results = pathlib.Path(self.options.results or "runs")
        results.mkdir(exist_ok=True)
        for i in range(1, FOLDERS_MAX):
            try:
                made = results / (base if i == 1 else f"{base}-{i}")
                made.mkdir()
                return made
            except FileExistsError:
                continue
        raise Failed(f"cannot make {results / base}")

    def write(self):
        run = self.run()
        for folder in [] if self.options.results == "none" else [self.folder(run)]:
            _dump(run, folder / "run.json")
            self._report(folder)
        if self.options.json:
            _dump(run, self.options.json)
        text.show(["", *text.claims(run, 120), "", *text.verdicts(run | {"notes": []})])
        if self.options.results != "none":
            print(f"\n  {folder}/report.html")

    @staticmethod
    def _report(folder):
        done = subprocess.run([sys.executable, pathlib.Path(__file__).with_name("report.py"),
                               folder], stdout=subprocess.DEVNULL)
        if done.returncode != 0:
            print("ringside-bench: no report: `./build.sh deps report` installs what it needs",
                  file=sys.stderr)


def _dump(run, path):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(run, file, indent=1, ensure_ascii=False)
        file.write("\n")


def arguments(experiment):
    about = {
        "claims": "Runs all scenarios of bench/scenarios, or those that are named, and sets each "
                  "claim beside what was measured. It takes less than 15 minutes on two cores.",
        "scenario": "Runs one scenario, perhaps your own, and shows its run. "
                    "bench/scenarios/README.md says how one is written."}[experiment]
    parser = argparse.ArgumentParser(prog=f"ringside-bench {experiment}", description=about)
    parser.add_argument("files", nargs="*", metavar="FILE")
    parser.add_argument("--server", metavar="PATH", help="ringside-server to start")
    parser.add_argument("--server-cpus", metavar="LIST", help="CPUs of the server")
    parser.add_argument("--client-cpus", metavar="LIST", help="CPUs of the clients")
    parser.add_argument("--results", metavar="DIR",
                        help="where the folder of this run goes (default: runs/); none: nowhere")
    parser.add_argument("--json", metavar="FILE", help="write run.json here as well")
    parser.add_argument("--plain", action="store_true", help="a line for each scenario")
    parser.add_argument("--quiet", action="store_true", help="likewise")
    return parser


def main():
    experiment = sys.argv[1]
    options = arguments(experiment).parse_args(sys.argv[2:],
                                               argparse.Namespace(experiment=experiment))
    session = Session(os.environ["RINGSIDE_BENCH"], options)
    try:
        session.all(session.read())
        session.write()
    except (Failed, OSError) as error:
        print(f"ringside-bench: {error}", file=sys.stderr)
        return 1
    unrun = sum("failed" in s for s in session.scenarios)
    if unrun and not session.interrupted:
        print(f"ringside-bench: {unrun} scenarios could not be run: the table says why",
              file=sys.stderr)
    return 130 if session.interrupted else 1 if unrun else 0


if __name__ == "__main__":
    sys.exit(main())
