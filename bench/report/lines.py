"""Lines: latency by percentile, and what was seen over time."""

import math
from dataclasses import dataclass, field, replace

import svg
import units
from svg import COLOUR

HEAD, FOOT, GAP = 34, 40, 26
LABEL_SHARE = 0.35
PERCENT_FIRST = 10
PERCENT_TICKS = (50, 90, 99, 99.9, 99.99, 99.999)


@dataclass
class Curve:
    label: str
    colour: str
    percentiles: list
    count: int
    dash: object = "-"
    faint: bool = False


@dataclass
class Track:
    """One panel of the timeline."""
    title: str
    axis_format: object
    curves: list = field(default_factory=list)  # [(times, values, colour token)]
    dots: list = field(default_factory=list)    # the same, where neighbours are not one series
    log: bool = False


@dataclass
class Knee:
    """p99 against what was offered; values and latencies both rise over decades."""
    title: str
    colour: str
    steps: list    # as in the run
    medians: list  # [(value, p99, uncorrected p99 or None)]
    bound: int
    value: float | None
    axis: str


def draw_knees(panels, width, key, title, text):
    """Two to a row where there is room, all on the same scales."""
    columns = min(len(panels), 1 if width < 500 else 2)
    rows = math.ceil(len(panels) / columns)
    height, left, right = 230, 54, 16
    cell = width / columns
    fig = svg.figure(width, rows * (HEAD + height + FOOT + 6))
    steps = [s for p in panels for s in p.steps]
    latencies = [max(s["p99_ns"], 1) for s in steps] + [p.bound for p in panels]
    offered = [s["value"] for s in steps]
    limits = (min(latencies) / 1.5, max(latencies) * 1.6)
    across = (min(offered) / 1.25, max(offered) * 1.25)
    for i, panel in enumerate(panels):
        x, y = i % columns * cell, i // columns * (HEAD + height + FOOT + 6)
        ax = svg.axes(fig, x + left, y + HEAD, cell - left - right, height)
        svg.title(fig, x, y + 12, svg.shorten(panel.title, cell))
        _draw_knee(ax, panel, across, limits)
    return svg.render(fig, key, title, text)


def _draw_knee(ax, panel, across, limits):
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlim(across)
    ax.set_ylim(limits)
    _time_ticks(ax, limits)
    decades = math.log10(across[1] / across[0])
    steps = (1, 2, 5) if decades < 1.6 else (1, 3) if decades < 2.6 else (1,)
    ticks = [s * 10.0**e for e in range(-2, 8) for s in steps
             if across[0] <= s * 10.0**e <= across[1]]
    ax.xaxis.set_major_locator(svg.drawing().ticker.FixedLocator(ticks))
    ax.xaxis.set_major_formatter(lambda v, _: units.short(v))
    ax.set_xlabel(panel.axis, size=svg.FONT_PX - 1)
    ax.grid(True)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.axhline(panel.bound, color=COLOUR["ink"], linewidth=1.2, dashes=(3, 2))
    ax.annotate("bound", (across[0], panel.bound), (4, 4), textcoords="offset points",
                va="bottom", size=svg.FONT_PX - 1, color=COLOUR["soft"])
    if panel.value:
        ax.axvline(panel.value, color=COLOUR[panel.colour], linewidth=1.4)
        ax.annotate("knee", (panel.value, limits[0]), (-5, 5), textcoords="offset points",
                    ha="right", va="bottom", size=svg.FONT_PX - 1, color=COLOUR[panel.colour])
    thin = [(v, u) for v, _, u in panel.medians if u]
    if thin:
        ax.plot(*zip(*thin), color=COLOUR[panel.colour], linewidth=1.2, alpha=0.75)
    ax.plot(*zip(*((v, max(p, 1)) for v, p, _ in panel.medians)), color=COLOUR[panel.colour],
            linewidth=2.2)
    for held, fill in ((True, panel.colour), (False, "paper")):
        points = [(s["value"], max(s["p99_ns"], 1)) for s in panel.steps if s["held"] == held]
        if points:
            ax.plot(*zip(*points), linestyle="none", marker="o", markersize=5.5,
                    markerfacecolor=COLOUR[fill], markeredgecolor=COLOUR[panel.colour],
                    markeredgewidth=1.4, clip_on=False, zorder=5)


def draw_percentiles(panels, width, key, title, text):
    """panels: [(title, [Curve])]. Two to a row where there is room."""
    columns = min(len(panels), 1 if width < 500 else 2)
    rows = math.ceil(len(panels) / columns)
    height = 250
    cell = width / columns
    fig = svg.figure(width, rows * (HEAD + height + FOOT))
    left = 54
    panels = [(svg.shorten(name, cell), [
        replace(c, label=svg.shorten(c.label, cell * LABEL_SHARE)) for c in curves])
        for name, curves in panels]
    right = max(svg.text_width(c.label, bold=True) for _, curves in panels for c in curves) + 10
    values = [v for _, curves in panels for c in curves for v in (_first(c), _points(c)[1][-1])]
    limits = (max(min(values), 1) / 1.3, max(values) * 1.3)
    for i, (name, curves) in enumerate(panels):
        x, y = i % columns * cell, i // columns * (HEAD + height + FOOT)
        ax = svg.axes(fig, x + left, y + HEAD, cell - left - right, height)
        svg.title(fig, x, y + 12, name)
        _draw_curves(ax, curves, limits, cell - left - right, height)
    return svg.render(fig, key, title, text)


def _points(curve):
    """x is 1 / (1 - p): each nine is as wide as the one before. What is finer than the count can
    tell is not drawn, nor is the lowest tenth, which would be a cliff at the left edge."""
    points = [(100 / (100 - p), v) for p, v in curve.percentiles
              if PERCENT_FIRST <= p < 100 and 100 / (100 - p) <= max(curve.count, 2)]
    return [x for x, _ in points], [max(v, 1) for _, v in points]


def _first(curve):
    return _points(curve)[1][0]


def _percent_ticks(finest, width):
    """Those of PERCENT_TICKS that there is room to label, on an axis `width` pixels long."""
    kept, free_from = [], 0
    for percent in PERCENT_TICKS:
        x = 100 / (100 - percent)
        at = math.log(x) / math.log(finest) * width
        half = svg.text_width(f"{percent}") / 2
        if x <= finest * 1.001 and at - half >= free_from:
            kept.append(x)
            free_from = at + half + 4
    return kept


def _draw_curves(ax, curves, limits, width, height):
    finest = max(_points(c)[0][-1] for c in curves)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlim(100 / (100 - PERCENT_FIRST), finest)
    ax.set_ylim(limits)
    ax.xaxis.set_major_locator(
        svg.drawing().ticker.FixedLocator(_percent_ticks(finest, width)))
    ax.xaxis.set_major_formatter(lambda x, _: f"{100 - 100 / x:.6g}")
    ax.set_xlabel("percent of deliveries", size=svg.FONT_PX - 1)
    _time_ticks(ax, limits)
    ax.grid(True)
    ax.spines[["top", "right", "left"]].set_visible(False)
    for curve in curves:
        ax.plot(*_points(curve), color=COLOUR[curve.colour], linestyle=curve.dash,
                linewidth=1.3 if curve.faint else 2.2, alpha=0.75 if curve.faint else 1,
                clip_on=False)
    _label_ends(ax, curves, limits, height)


def _time_ticks(ax, limits):
    decades = math.log10(limits[1] / limits[0])
    steps = (1, 2, 5) if decades < 2.5 else (1, 3) if decades < 4 else (1,)
    ticks = [s * 10**e for e in range(0, 14) for s in steps if limits[0] <= s * 10**e <= limits[1]]
    ax.yaxis.set_major_locator(svg.drawing().ticker.FixedLocator(ticks))
    ax.yaxis.set_minor_locator(svg.drawing().ticker.NullLocator())
    ax.xaxis.set_minor_locator(svg.drawing().ticker.NullLocator())
    ax.yaxis.set_major_formatter(lambda v, _: units.axis_time(v))


def spread_apart(wanted, gap):
    """Moves labels that are nearer than `gap` apart, each as little as keeps their order."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    placed = [0.0] * len(wanted)
    blocks = []  # [first index in order, count, mean position]
    for rank, i in enumerate(order):
        blocks.append([rank, 1, wanted[i]])
        while len(blocks) > 1 and (blocks[-1][2] - (blocks[-1][1] - 1) * gap / 2
                                   < blocks[-2][2] + (blocks[-2][1] + 1) * gap / 2):
            first, second = blocks[-2], blocks.pop()
            total = first[1] + second[1]
            first[2] = (first[2] * first[1] + second[2] * second[1]) / total
            first[1] = total
    for start, count, middle in blocks:
        half = (count - 1) * gap / 2
        for k in range(count):
            placed[order[start + k]] = middle - half + k * gap
    return placed


def _label_ends(ax, curves, limits, height):
    """Each label beside the end of its line, moved only where two would touch."""
    scale = height / math.log(limits[1] / limits[0])
    ends = [_points(c) for c in curves]
    wanted = [math.log(values[-1] / limits[0]) * scale for _, values in ends]
    for curve, (xs, values), want, y in zip(curves, ends, wanted,
                                            spread_apart(wanted, 16)):
        ax.annotate(curve.label, (ax.get_xlim()[1], values[-1]), (8, y - want),
                    textcoords="offset points", va="center", color=COLOUR[curve.colour],
                    weight="normal" if curve.faint else "semibold", annotation_clip=False)


def draw_timeline(tracks, phases, width, key, title, text):
    """phases: [(start_s, end_s, name)]."""
    height = 84
    top_pad = 22
    fig = svg.figure(width, top_pad + len(tracks) * (HEAD + height) + 20)
    left, right = 62, 12
    end = max(phase[1] for phase in phases)
    for i, track in enumerate(tracks):
        top = top_pad + i * (HEAD + height) + HEAD - 6
        ax = svg.axes(fig, left, top, width - left - right, height)
        svg.title(fig, 0, top - 14, track.title)
        _draw_track(ax, track, phases, end, last=i == len(tracks) - 1)
        if i == 0:
            _name_phases(ax, phases, end, width - left - right)
    return svg.render(fig, key, title, text)


def _draw_track(ax, track, phases, end, last):
    for times, values, colour in track.curves:
        ax.plot(times, values, color=COLOUR[colour], linewidth=1.8)
    for times, values, colour in track.dots:
        ax.plot(times, values, color=COLOUR[colour], linestyle="none", marker="o", markersize=4.2,
                markeredgecolor=COLOUR["paper"], markeredgewidth=0.7, clip_on=False)
    for i, (start, stop, _) in enumerate(phases):
        if i % 2 == 1:
            ax.axvspan(start, stop, color=COLOUR["band"], linewidth=0, zorder=0)
    ax.set_xlim(0, end)
    if track.log:
        ax.set_yscale("log")
        _time_ticks(ax, ax.get_ylim())
    else:
        ax.set_ylim(0, ax.get_ylim()[1] * 1.04)  # a level line is not the upper edge
        ax.yaxis.set_major_locator(svg.drawing().ticker.MaxNLocator(3, steps=[1, 2, 2.5, 5, 10]))
        ax.yaxis.set_major_formatter(lambda v, _: track.axis_format(v))
    ax.grid(True, axis="y")
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.xaxis.set_major_locator(svg.drawing().ticker.MaxNLocator(6, integer=True))
    ax.xaxis.set_major_formatter(lambda v, _: f"{v:.0f} s")
    ax.tick_params(axis="x", pad=7)
    if not last:
        ax.tick_params(labelbottom=False)


def _name_phases(ax, phases, end, pixels):
    """Above the first panel; a phase too short for its name has none."""
    for start, stop, name in phases:
        if (stop - start) / end * pixels > svg.text_width(name):
            ax.annotate(name, ((start + stop) / 2, 1), (0, 33), textcoords="offset points",
                        xycoords=("data", "axes fraction"), ha="center", va="center",
                        size=svg.FONT_PX - 1, color=COLOUR["soft"], annotation_clip=False)
