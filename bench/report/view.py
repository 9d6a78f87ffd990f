"""What is shown of a run while it goes on, as lines: a state in, text out.

    fanout  turns, websocket, depth 8, round 3                   1:12, 48 s left
    ━━━━━━━━━━━━━━━━━━━━━━━━━━━━──────────────────────────────  24 of 40 turns

    connected  9,000 of 9,000
    delivered  104k/s                ▁▂▅▇▇▆▇▇▇▇▇▇▇▆▇▇
    …

No clock and no terminal: viewer.py has both. A state is a dict; what is unknown is None, 0 or left
out.
"""

from typing import NamedTuple

import units

CURVE_AT, CURVE_MIN = 36, 8
PANES_FROM, PANE = 130, 76  # from this width on contestants stand beside the gauges
NAME_MIN, NAME_MOST, CELL = 16, 48, 9
WIDEST = 240
HEAD_LINES = 3
FULL = 0.95  # from this share of a CPU on a side is at its limit
PLAIN, STRONG, QUIET, GOOD, BAD, MARK = "", "\033[1m", "\033[2m", "\033[32m", "\033[31m", "\033[36m"


class Style(NamedTuple):
    columns: int
    lines: int
    colour: bool = False
    unicode: bool = False


class Line:
    """Pieces of text, none of which goes beyond the width."""

    def __init__(self, style):
        self.style = style
        self.width = max(1, min(style.columns, WIDEST) - 1)
        self.at, self.pieces = 0, []

    def put(self, text, tone=PLAIN):
        text = text.replace("\u00a0", " ")
        if not self.style.unicode:
            text = text.replace("µ", "u")
        text = text[:max(0, self.width - self.at)]
        self.at += len(text)
        toned = tone and text and self.style.colour
        self.pieces.append(f"{tone}{text}\033[0m" if toned else text)

    def pad(self, column):
        self.put(" " * (column - self.at))

    def right(self, end, text, tone=PLAIN):
        """Ends at a column; one that is too long moves what follows."""
        self.pad(end - len(text))
        self.put(text, tone)

    def room_for(self, text):
        return self.at + len(text) <= self.width

    def __str__(self):
        return "".join(self.pieces)


# ---- words ----

def duration(seconds):
    """48 s, 1:12, 1:02:03"""
    s = int(max(0, seconds))
    if s < 60:
        return f"{s} s"
    if s < 3600:
        return f"{s // 60}:{s % 60:02}"
    return f"{s // 3600}:{s // 60 % 60:02}:{s % 60:02}"


def where(state):
    """turns, websocket, depth 8"""
    return ", ".join(filter(None, (state["phase"], state.get("contestant"), state.get("detail"))))


def errors(state):
    """12 refused, 3 timeout"""
    told = [f"{n:,} {name}" for name, n in state.get("failures", {}).items() if n]
    if state.get("faults"):
        told.insert(0, f"{state['faults']:,} lost, doubled, out of order or corrupt")
    return ", ".join(told)


def per_second(value):
    return units.short(float(f"{value:.3g}")) if value and value > 0 else "0"


# ---- the head ----

def _title(line, state):
    clock = duration(state["elapsed_s"])
    if state.get("left_s") is not None:
        clock += f", {duration(state['left_s'])} left"
    whole = line.width
    line.width = whole - len(clock) - 2 if whole > len(clock) + 2 else whole
    line.put(state["experiment"], STRONG)
    line.put(f"  {where(state)}")
    line.width = whole
    line.right(whole, clock, QUIET)


def _bar(line, state):
    progress = state.get("progress") or ""
    room = max(0, line.width - (len(progress) + 2 if progress else 0))
    full = round(min(1, max(0, state.get("share") or 0)) * room)
    done, ahead = "━─" if line.style.unicode else "#."
    line.put(done * full, MARK)
    line.put(ahead * (room - full), QUIET)
    line.right(line.width, progress)


# ---- gauges ----

def _curve(line, values, least_top):
    if not values or line.width < CURVE_AT + CURVE_MIN or line.at >= CURVE_AT:
        return
    line.pad(CURVE_AT)
    values = values[-(line.width - CURVE_AT):]
    top = max(least_top, *values)
    levels = " ▁▂▃▄▅▆▇█" if line.style.unicode else " ..:-=+*#"
    line.put("".join(levels[1 + int(v / top * 7.49) if v > 0 else 0] for v in values), MARK)


def _list(line, pairs):
    """Names and values, as many as there is room for."""
    for name, value in pairs:
        between = "  " if line.at > 11 else ""
        if line.at <= 11 or line.room_for(between + name + value):
            line.put(between + name, QUIET)
            line.put(value, STRONG)


def _connected(line, state):
    line.put(f"{state.get('connections', 0):,}", STRONG)
    if state.get("clients"):
        line.put(f" of {state['clients']:,}")
    if state.get("connects_per_s", 0) >= 1:
        line.put(f", +{per_second(state['connects_per_s'])}/s")


def _delivered(line, state):
    line.put(f"{per_second(state.get('deliveries_per_s'))}/s", STRONG)
    _curve(line, state["history"]["deliveries_per_s"], 0)


def _latency(line, state):
    if not state.get("p50_ns"):
        line.put("-", QUIET)
        return
    _list(line, [(f"{name} ", units.time_ns(state[key])) for name, key in
                 (("p50", "p50_ns"), ("p99", "p99_ns"), ("p99.9", "p999_ns")) if state.get(key)])


def _cpu(side):
    def draw(line, state):
        used = state.get(f"{side}_cpu", 0)
        line.put(f"{100 * used:.0f} %", BAD if used >= FULL else STRONG)
        if state.get(f"{side}_cpus"):
            line.put(f" of CPU {state[f'{side}_cpus'][:12]}")
        _curve(line, state["history"][f"{side}_cpu"], 1)
    return draw


def _memory(line, state):
    _list(line, [(f"{name} ", units.size_bytes(state[key])) for name, key in
                 (("server", "rss_bytes"), ("kernel slab", "slab_bytes"),
                  ("free", "available_bytes")) if state.get(key)])


def _errors(line, state):
    told = errors(state)
    line.put(told or "none", BAD if told else GOOD)


GAUGES = (("connected", _connected), ("delivered", _delivered), ("latency", _latency),
          ("server CPU", _cpu("server")), ("client CPU", _cpu("client")), ("memory", _memory),
          ("errors", _errors))


def _gauge(line, state, label, draw):
    line.put(label, QUIET)
    line.pad(11)
    draw(line, state)


# ---- contestants ----

def _time(key):
    return lambda row: units.time_ns(row[key]) if row.get(key) else ""


# From left to right; where there is no room for all, those of the greatest rank are left out.
CELLS = (
    (0, "per s", lambda r: (">=" if r["client_bound"] else "") + per_second(r["deliveries_per_s"])),
    (3, "x bare", lambda r: f"{r['ratio']:.2f}" if r.get("ratio") else ""),
    (2, "p50", _time("p50_ns")),
    (1, "p99", _time("p99_ns")),
    (4, "CPU", lambda r: f"{100 * r['server_cpu']:.0f} %"),
)


def _row(line, row, is_last=False):
    """From the present column on; `row` None: the head."""
    columns = line.width - line.at
    fit = max(0, min((columns - NAME_MIN) // CELL, len(CELLS)))
    end = line.at + min(columns - fit * CELL, NAME_MOST)
    whole, line.width = line.width, end
    name = ", ".join(filter(None, (row["name"], row["workload"]))) if row else "last turn"
    line.put(name, STRONG if is_last else PLAIN if row else QUIET)
    line.width = whole
    for rank, head, text in CELLS:
        if rank < fit:
            end += CELL
            line.right(end, text(row) if row else head, PLAIN if row else QUIET)


def _shown(state, room):
    """Where there is no room for all, those of the workload whose turn it was."""
    rows, last = state.get("rows", ()), state.get("last")
    if len(rows) > room:
        rows = [row for row in rows if row["workload"] == last["workload"]][:max(0, room)]
    return rows, last


def _below(state, style):
    used = HEAD_LINES + len(GAUGES) + 2
    rows, last = _shown(state, style.lines - used - 1)
    for label, draw in GAUGES:
        line = Line(style)
        _gauge(line, state, label, draw)
        yield line
    if rows:
        yield ""
        for row in (None, *rows):
            line = Line(style)
            _row(line, row, row is last)
            yield line


def _beside(state, style):
    rows, last = _shown(state, style.lines - HEAD_LINES - 2)
    table = (None, *rows) if rows else ()
    for i in range(max(len(GAUGES), len(table))):
        line = Line(style)
        whole, line.width = line.width, PANE
        if i < len(GAUGES):
            _gauge(line, state, *GAUGES[i])
        line.width = whole
        if i < len(table):
            line.pad(PANE + 4)
            _row(line, table[i], bool(table[i]) and table[i] is last)
        yield line


# ---- the whole ----

def draw(state, style):
    """Fewer lines than the terminal has, each narrower than it is."""
    if style.lines < HEAD_LINES:
        return []
    title, bar = Line(style), Line(style)
    _title(title, state)
    _bar(bar, state)
    rest = _beside if style.columns >= PANES_FROM else _below
    return [str(line) for line in (title, bar, "", *rest(state, style))][:style.lines - 1]


def sentence(state, figures):
    """The same as one line; without figures, what is being done and how far it is."""
    far = [state["progress"]] if state.get("progress") else []
    if state.get("left_s") is not None:
        far.append(f"{duration(state['left_s'])} left")
    told = f"[{state['elapsed_s']:6.1f} s] {where(state)}" + (f" ({', '.join(far)})" if far else "")
    if not figures:
        return told
    told += (f": {state.get('connections', 0):,} connected, "
             f"{per_second(state.get('deliveries_per_s'))} deliveries/s")
    if state.get("p50_ns"):
        told += f", p50 {units.time_ns(state['p50_ns'])}, p99 {units.time_ns(state['p99_ns'])}"
    told += f"; CPU server {state.get('server_cpu', 0):.2f}"
    told += f", client {state.get('client_cpu', 0):.2f}"
    if state.get("rss_bytes"):
        told += f"; server {units.size_bytes(state['rss_bytes'])}"
    if state.get("slab_bytes"):
        told += f", kernel slab {units.size_bytes(state['slab_bytes'])}"
    wrong = errors(state)
    told += f"; errors: {wrong}" if wrong else ""
    return told.replace("\u00a0", " ").replace("µ", "u")
