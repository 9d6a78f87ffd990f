"""Runs steps side by side, each with its output in a file, and says at the end what they found.

A lane is a list of steps that run one after the other; lanes run beside each other. A step waits
for those that it names in `needs`, and is not run when one of them has failed. The lanes of `last`
run when all others are through, with the machine to themselves. After that, cases that may have
failed for nothing run once more, by themselves (again.py). Ctrl-C, or SIGTERM, ends what runs:
every step is a session of its own, and all of its processes are told.
"""

import asyncio
import os
import re
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import again
import count

GRACE_S = 10  # from SIGTERM to SIGKILL
SHOWN_LINES = 400  # of the output of a step that failed; the whole is in its file
# What of it is said again below the summary, for whoever has the last lines alone. Of compilers and
# linkers, linters, Meson's tests and pytest: what they say of a fault.
REPEATED_LINES = 40  # of all steps
LINE_CHARS = 300
FAULT = re.compile(r"\berror\b|undefined reference|^FAILED|^ERROR|^E  |\b(FAIL|TIMEOUT)\b"
                   r"|Sanitizer:|^SUMMARY|\bfailed\b", re.IGNORECASE)
# Runs a command, and leaves in the file $0 what its processes took of the CPU.
TIMED = '"$@"; status=$?; times >"$0"; exit $status'
TIME = re.compile(r"(\d+)m([\d.]+)s")


@dataclass
class Step:
    name: str
    command: list  # or a function that returns it when its turn has come; None: nothing to do
    needs: tuple = ()
    env: dict = field(default_factory=dict)
    report: Path | None = None  # of its cases; without one the step is a case itself
    again: Callable | None = None  # the step that runs cases of those names by themselves
    nothing: int | None = None  # the exit status that says that there was nothing to do
    patience_s: float = 2400
    nice: int = 0
    is_case: bool = True  # without a report; else it is one only when it fails
    says: bool = False  # its output is to be seen, also when all is well


@dataclass
class Outcome:
    step: Step
    cases: count.Cases
    seconds: float
    log: Path | None = None
    cpu_s: float = 0
    note: str = ""
    incomplete: bool = False  # it failed, and none of its cases says so


class Pipeline:
    def __init__(self, folder, shown=False, strict=False):
        """Logs go to the folder; or, `shown`, all output goes where ours does, as it comes.
        `strict`: no case gets a second run."""
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.shown = shown
        self.strict = strict
        self.outcomes = []
        self.running = set()
        self.done = {}
        self.ended_by = None

    # ---- running ----

    def run(self, lanes, last=()):
        """Returns the exit status."""
        started = time.monotonic()
        asyncio.run(self.run_all(lanes, last))
        return self.summary(time.monotonic() - started)

    async def run_all(self, lanes, last):
        self.done = {step.name: asyncio.get_running_loop().create_future()
                     for lane in (*lanes, *last) for step in lane}
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self.end, number)
        for group in (lanes, last):
            await asyncio.gather(*(self.run_lane(lane) for lane in group))
        if not self.strict:
            await self.run_again()

    async def run_again(self):
        """What has failed beside others, and may have done so for that reason alone."""
        chances = [(outcome, again.excusable_in(outcome.step.report)) for outcome in self.outcomes
                   if outcome.step.again and outcome.cases.failed and not outcome.note]
        total = sum(len(cases) for _, cases in chances)
        if total > again.MOST:
            say(f"==> {total} cases failed, more than {again.MOST}: none of them is run again")
            return
        for outcome, cases in chances:
            if not cases or self.ended_by:
                continue
            step = outcome.step.again([case.name for case in cases])
            second = await self.run_step(step)
            passed = set() if second.note or second.incomplete else again.passed_in(step.report)
            for case in cases:
                if case.name in passed:
                    again.excuse(outcome.cases, case, outcome.step.name)
                    self.keep(case, outcome.step.name)

    def keep(self, case, step):
        """What an unstable case said when it failed, in a file of its own, and to be seen."""
        name = "".join(c if c.isalnum() else "-" for c in f"{step} {case.name.rpartition('/')[2]}")
        path = self.folder / f"unstable-{name[:150]}.log"
        path.write_text(case.text)
        say(f"\n---- {case.name} is unstable: it failed beside others ({path}):")
        say("\n".join(case.text.splitlines()[-SHOWN_LINES:]))
        say("----\n")

    async def run_lane(self, lane):
        for step in lane:
            failed = [name for name in step.needs if not await self.done[name]]
            if self.ended_by:
                outcome = Outcome(step, count.Cases(), 0, note="not run")
            elif failed:
                outcome = Outcome(step, count.Cases(), 0, note=f"not run, for {failed[0]} failed")
            else:
                outcome = await self.run_step(step)
            self.outcomes.append(outcome)
            self.done[step.name].set_result(not outcome.note and outcome.cases.failed == 0)

    async def run_step(self, step):
        command = step.command() if callable(step.command) else step.command
        if command is None:
            return Outcome(step, count.Cases(), 0)
        say(f"==> {step.name}")
        log = self.folder / f"{step.name.replace(', ', '-').replace(' ', '-')}.log"
        if step.report:
            step.report.parent.mkdir(parents=True, exist_ok=True)
            step.report.unlink(missing_ok=True)
        began = time.monotonic()
        status, note = await self.run_command(step, command, log)
        cases, incomplete = cases_of(step, status)
        if self.ended_by:
            cases, note = count.Cases(), "ended"
        outcome = Outcome(step, cases, time.monotonic() - began, log, cpu_seconds(log), note,
                          incomplete)
        tell(outcome)
        return outcome

    async def run_command(self, step, command, log):
        """The exit status, and a note when the step did not end by itself."""
        command = [*(["nice", "-n", str(step.nice)] if step.nice else []),
                   "bash", "-c", TIMED, times_of(log), *map(str, command)]
        times_of(log).unlink(missing_ok=True)
        with open(log, "wb") as file:
            output = None if self.shown else file
            process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output,
                env={**os.environ, **step.env}, start_new_session=True)
        self.running.add(process.pid)
        note = ""
        try:
            return await asyncio.wait_for(process.wait(), step.patience_s), note
        except asyncio.TimeoutError:
            note = f"ended after {step.patience_s:.0f} s"
            kill_session(process.pid, signal.SIGTERM)
            self.kill_later(process.pid)
            return await process.wait(), note
        finally:
            self.running.discard(process.pid)
            # Whatever it left behind.
            kill_session(process.pid, signal.SIGKILL)

    # ---- ending early ----

    def end(self, number):
        self.ended_by = number
        for pid in self.running:
            kill_session(pid, signal.SIGTERM)
            self.kill_later(pid)

    def kill_later(self, pid):
        asyncio.get_running_loop().call_later(GRACE_S, self.kill_if_running, pid)

    def kill_if_running(self, pid):
        if pid in self.running:
            kill_session(pid, signal.SIGKILL)

    # ---- saying ----

    def summary(self, seconds):
        """Prints it; returns the exit status. The last line is for programs."""
        total = count.Cases()
        say(f"\n==> Summary, after {seconds:.0f} seconds")
        for outcome in self.outcomes:
            say(f"  {row(outcome)}")
            total += outcome.cases
        for reason, times in sorted(total.reasons.items()):
            say(f"  skipped: {times} × {reason}")
        if total.unstable:
            say(f"  UNSTABLE: {len(total.unstable)} failed beside others and passed alone. Each is "
                "a bug, to be mended this week:")
        for name in total.unstable:
            say(f"    unstable: {name}")
        used_s = sum(outcome.cpu_s for outcome in self.outcomes)
        had_s = seconds * len(os.sched_getaffinity(0))
        say(f"  CPU: {used_s:.0f} s, of {had_s:.0f} s that there were")
        if self.ended_by:
            say(f"  ended by {signal.Signals(self.ended_by).name}")
        not_run = sum(1 for outcome in self.outcomes if outcome.note and not outcome.cases.failed)
        if not_run:
            say(f"  not run: {not_run} steps")
        self.say_faults()
        skipped = f", {total.skipped} skipped" if total.skipped else ""
        say(f"{total.passed} passed, {total.failed} failed{skipped}")
        if self.ended_by:
            return 128 + self.ended_by
        return 0 if total.passed and not total.failed and not not_run else 1


    def say_faults(self):
        """Says again, in few lines, why steps have failed."""
        failed = [one for one in self.outcomes if one.cases.failed and one.log]
        for outcome in failed if not self.shown else ():
            say(f"  why {outcome.step.name} failed:")
            for line in faults_in(outcome.log, REPEATED_LINES // len(failed)):
                say(f"    {line[:LINE_CHARS]}")


def faults_in(log, count):
    """The lines in which a fault is said, or the last ones; the first and the last of them when
    they are too many, for compilers say the cause first and pytest gives a list at the end."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    found = [line for line in lines if FAULT.search(line)] or lines[-count:]
    if len(found) <= count:
        return found
    first = count // 2
    return [*found[:first], *found[len(found) - (count - first):]]


def cases_of(step, status):
    """What a step found, and whether it failed without saying in which case."""
    if step.report is None:
        return count.Cases(passed=int(status == 0 and step.is_case), failed=int(status != 0)), False
    cases = count.cases_in(step.report)
    incomplete = status not in (0, step.nothing) and not cases.failed
    cases.failed += incomplete
    return cases, incomplete


def times_of(log):
    return log.with_suffix(".times")


def cpu_seconds(log):
    """Of a step that has ended by itself: of all its processes but the shell, whose line is the
    first."""
    if not times_of(log).exists():
        return 0
    lines = times_of(log).read_text(encoding="utf-8").splitlines()
    return sum(60 * int(minutes) + float(rest) for minutes, rest in TIME.findall(lines[-1]))


def kill_session(pid, number):
    """A step is the leader of its session and of a process group; both have its number."""
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        pass


def row(outcome):
    cases = outcome.cases
    text = f"{outcome.step.name:<32} {cases.passed:6d} passed {cases.failed:4d} failed"
    text += f" {cases.skipped:4d} skipped {outcome.seconds:6.0f} s {outcome.cpu_s:6.0f} s CPU"
    return f"{text}  {outcome.note}" if outcome.note else text


def tell(outcome):
    """One line of a step that has ended; of one that failed, what it wrote."""
    if not outcome.cases.failed:
        say(f"    {row(outcome)}")
        if outcome.step.says:
            say(outcome.log.read_text(errors="replace"))
        return
    lines = outcome.log.read_text(errors="replace").splitlines()
    say(f"\n---- {outcome.step.name} failed; {outcome.log} has {len(lines)} lines, the last:")
    say("\n".join(lines[-SHOWN_LINES:]))
    say(f"---- {row(outcome)}\n")


def say(text):
    print(text, flush=True)
