#!/usr/bin/env python3
"""Shows what a run is doing, in place on a terminal, or as lines. Started by the bench, which sends
on standard input, a socket that keeps messages apart:

    {t, phase, contestant, detail, phase_at, phase_s, turns_done, turns_ahead, turns_at, rest_at,
     rest_s}            where it is, in seconds of the run; _s of 0: unknown
    + reading {…}       four times a second: what rates are taken of
    + sample {…}        once a second: what curves are made of
    + turn {…}          a turn of the clock is over
    {}                  take away what is drawn, and answer when it is

    viewer.py view|lines EXPERIMENT SERVER_CPUS CLIENT_CPUS

The block stands where the cursor was, and its lines are overwritten; nothing above is touched. The
cursor is hidden, and comes back whatever becomes of the bench, for then the socket has an end.
Colours are left out where NO_COLOR says so, and other characters than ASCII where the locale has
none. A new width is seen at the next drawing.
"""

import json
import locale
import os
import re
import socket
import sys
import time
from collections import deque
from contextlib import suppress

import view

DRAW_EVERY_S = 0.25
SAY_EVERY_S = 5
ESTIMATE_FROM_S = 1  # less than that is no estimate
READINGS = 5  # a second of them
HISTORY = 60  # values of a curve
ROWS = 32
LINES_MOST = 64
CURVES = ("deliveries_per_s", "server_cpu", "client_cpu")
MESSAGE_MAX = 65536
TONE = re.compile(r"\033\[\d*m")


class Run:
    """What is known of it, as view.py draws it."""

    def __init__(self, experiment, server_cpus, client_cpus):
        self.state = {"experiment": experiment, "server_cpus": server_cpus, "phase": "start",
                      "client_cpus": client_cpus, "elapsed_s": 0, "rows": [],
                      "history": {curve: deque(maxlen=HISTORY) for curve in CURVES}}
        self.readings = deque(maxlen=READINGS)
        self.at = {}  # the last message
        self.heard = time.monotonic()

    def take(self, message):
        self.heard = time.monotonic()
        self.at = message
        for name in ("reading", "sample", "turn"):
            if name in message:
                getattr(self, name)(message[name])
        self.state |= {name: message[name] for name in ("phase", "contestant", "detail")}

    def now(self):
        """The state at this moment."""
        now = self.at.get("t", 0) + time.monotonic() - self.heard
        history = {curve: list(values) for curve, values in self.state["history"].items()}
        share, left_s, progress = self.estimate(now)
        return {**self.state, "elapsed_s": now, "share": share, "left_s": left_s,
                "progress": progress, "history": history}

    # ---- what is told ----

    def reading(self, new):
        """Rates since the oldest that is kept. A load that was made anew counts from zero."""
        new["t"] = self.at["t"]
        self.readings.append(new)
        old = self.readings[0]

        def rate(name):
            return max(0, new[name] - old[name]) / (new["t"] - old["t"]) if new is not old else 0

        self.state |= {"connections": new["connections"], "clients": new["clients"],
                       "failures": new["failures"], "connects_per_s": rate("connections"),
                       "deliveries_per_s": rate("deliveries"), "server_cpu": rate("server_cpu_s"),
                       "client_cpu": rate("client_cpu_s")}

    def sample(self, new):
        for curve in CURVES:
            self.state["history"][curve].append(new[curve])
        self.state |= {name: new[name] for name in ("rss_bytes", "slab_bytes", "available_bytes")}
        if new["p50_ns"]:  # else those of the last turn stand
            self.state |= {"p50_ns": new["p50_ns"], "p99_ns": new["p99_ns"], "p999_ns": 0}

    def turn(self, new):
        rows = self.state["rows"]
        self.state |= {name: new[name] for name in ("p50_ns", "p99_ns", "p999_ns", "faults")}
        if "name" not in new:
            return
        who = (new["name"], new["workload"])
        at = next((i for i, row in enumerate(rows) if (row["name"], row["workload"]) == who), None)
        if at is None:
            rows.append(new)
            del rows[:-ROWS]
        else:
            rows[at] = new
        self.state["last"] = new

    # ---- how far it is ----

    def estimate(self, now):
        """A ramp by its connections, else the run by its time or its turns, else the phase by its
        time: the share that is done, what is left in seconds, and a word."""
        at, state = self.at, self.state
        done, ahead = at.get("turns_done", 0), at.get("turns_ahead", 0)
        if state["phase"] == "ramp" and state.get("clients"):
            to_come, rate = state["clients"] - state["connections"], state["connects_per_s"]
            return (state["connections"] / state["clients"], to_come / rate if rate else None,
                    "connecting")
        if at.get("rest_s"):
            return self.by_time(now - at["rest_at"], at["rest_s"])
        if done < ahead or (ahead and not at["phase_s"]):
            return self.by_turns(now, done, ahead)
        if at.get("phase_s"):
            return self.by_time(now - at["phase_at"], at["phase_s"])
        return None, None, ""

    def by_time(self, done_s, all_s):
        return done_s / all_s, max(0, all_s - done_s), self.state["phase"]

    def by_turns(self, now, done, ahead):
        """One that goes on counts as far as it is."""
        at = self.at
        part = (now - at["phase_at"]) / at["phase_s"] if at["phase_s"] and done < ahead else 0
        turns, took_s = done + min(1, part), now - at["turns_at"]
        known = turns > 0 and took_s > ESTIMATE_FROM_S
        return (turns / ahead, took_s / turns * (ahead - turns) if known else None,
                f"{done:,} of {ahead:,} turns")


class Screen:
    """The block on the terminal."""

    def __init__(self):
        self.widths, self.columns, self.hidden = [], 0, False
        locale.setlocale(locale.LC_CTYPE, "")
        self.unicode = locale.nl_langinfo(locale.CODESET) == "UTF-8"
        self.colour = not os.environ.get("NO_COLOR")

    def write(self, text):
        data = text.encode("utf-8" if self.unicode else "ascii", "replace")
        while data:
            data = data[os.write(sys.stdout.fileno(), data):]

    def size(self):
        try:
            columns, lines = os.get_terminal_size(sys.stdout.fileno())
        except OSError:
            columns, lines = 0, 0
        return columns or 80, min(lines or 24, LINES_MOST)

    def up(self, columns):
        """To the start of the block: most terminals break lines anew when they become narrower."""
        rows = sum(max(1, -(-width // columns)) for width in self.widths)
        return "\r" + (f"\033[{rows}A" if rows else "")

    def show(self, state):
        columns, lines = self.size()
        drawn = view.draw(state, view.Style(columns, lines, self.colour, self.unicode))
        text = "" if self.hidden else "\033[?25l"
        text += self.up(columns) + ("" if columns == self.columns else "\033[J")
        text += "".join(f"{line}\033[K\r\n" for line in drawn) + "\033[J"
        self.widths = [len(TONE.sub("", line)) for line in drawn]
        self.columns, self.hidden = columns, True
        self.write(text)

    def clear(self):
        if self.hidden:
            self.write(f"{self.up(self.size()[0])}\033[J\033[?25h")
        self.widths, self.hidden = [], False


class Lines:
    """A line for each phase and one now and then."""

    def __init__(self):
        self.phase, self.said = "start", time.monotonic()

    def show(self, state):
        begins = state["phase"] != self.phase
        if begins or time.monotonic() - self.said >= SAY_EVERY_S:
            self.phase, self.said = state["phase"], time.monotonic()
            print(view.sentence(state, not begins), flush=True)

    def clear(self):
        pass


def serve(bench, run, shown):
    """Until the bench closes its end. A drawing is due at a quarter of a second, a line at once."""
    drawn, is_there = 0, False
    in_place = isinstance(shown, Screen)
    bench.settimeout(DRAW_EVERY_S)
    while True:
        try:
            text = bench.recv(MESSAGE_MAX)
            if not text:
                return
        except TimeoutError:
            text = None
        if text == b"{}":
            shown.clear()
            is_there = False
            bench.send(b".")
            continue
        if text:
            run.take(json.loads(text))
            is_there = True
        if is_there and (not in_place or time.monotonic() - drawn >= DRAW_EVERY_S):
            drawn = time.monotonic()
            shown.show(run.now())


def main(how, *known):
    shown = Screen() if how == "view" else Lines()
    with suppress(OSError):  # the terminal is gone
        with suppress(ConnectionError):  # the bench is, without a word
            serve(socket.socket(fileno=0), Run(*known), shown)
        shown.clear()


if __name__ == "__main__":
    main(*sys.argv[1:])
