"""Horizontal bars: one panel per workload, one row per contestant, whiskers for the spread."""

from dataclasses import dataclass, field, replace

import svg
from svg import COLOUR

BAR, BAR_GAP, ROW_GAP, HEAD, HEAD_MARKED, FOOT = 15, 3, 11, 30, 46, 26
TEXT_GAP = 8
LABEL_SHARE = 0.4
CUT_FROM = 6  # a bar this many times as long as the next would leave nothing to see of the others


@dataclass
class Bar:
    segments: list  # [(value, colour token)], drawn end to end
    text: str
    spread: dict | None = None

    def end(self):
        total = sum(value for value, _ in self.segments)
        return max(total, self.spread["max"]) if self.spread else total


@dataclass
class Row:
    label: str
    bars: list
    quiet: bool = False  # a ceiling: there to compare with


@dataclass
class Panel:
    title: str
    rows: list
    reference: float | None = None  # a line across all rows
    reference_text: str = ""
    axis_format: object = field(default=str)


def _head(panel):
    return HEAD_MARKED if panel.reference_text else HEAD if panel.title else 6


def _plot_width(panels, room):
    """The widest at which every bar still has its text beside it."""
    fits = [(room - TEXT_GAP - svg.text_width(bar.text, bold=True))
            / max(min(bar.end() / _axis_end(panel), 1), 0.01)
            for panel in panels for row in panel.rows for bar in row.bars]
    return min([room - 16, *fits])  # the last tick's label reaches a little beyond


def _axis_end(panel):
    """Where the axis ends: at the longest bar, or soon after the next if that one dwarfs it."""
    ends = sorted((bar.end() for row in panel.rows for bar in row.bars), reverse=True)
    longest = max(ends[0], panel.reference or 0)
    if len(ends) > 2 and ends[1] > 0 and longest > CUT_FROM * ends[1]:
        return ends[1] * 1.6
    return longest or 1


def is_cut(panel):
    return any(bar.end() > _axis_end(panel) for row in panel.rows for bar in row.bars)


def _row_height(row):
    return len(row.bars) * (BAR + BAR_GAP) - BAR_GAP + ROW_GAP


def draw(panels, width, key, title, text):
    """The SVG, `width` pixels wide; as high as its rows need."""
    narrow = width < 500
    panels = [replace(panel, rows=[
        replace(row, label=svg.shorten(row.label, width * LABEL_SHARE)) for row in panel.rows])
        for panel in panels]
    left = max(svg.text_width(row.label) for panel in panels for row in panel.rows) + 12
    across = _plot_width(panels, width - left)
    heights = [sum(map(_row_height, panel.rows)) for panel in panels]
    fig = svg.figure(width, sum(heights) + sum(map(_head, panels)) + len(panels) * FOOT)
    top = 0
    for panel, height in zip(panels, heights):
        ax = svg.axes(fig, left, top + _head(panel), across, height)
        _draw_panel(ax, panel, height, 3 if narrow else 5)
        svg.title(fig, 0, top + 14, svg.shorten(panel.title, width))
        top += _head(panel) + height + FOOT
    return svg.render(fig, key, title, text)


def _draw_panel(ax, panel, height, ticks):
    end = _axis_end(panel)
    ax.set_xlim(0, end)
    ax.set_ylim(height, 0)
    ax.spines[["top", "right", "bottom", "left"]].set_visible(False)
    ax.set_yticks([])
    ticker = svg.drawing().ticker
    ax.xaxis.set_major_locator(ticker.MaxNLocator(ticks, steps=[1, 2, 2.5, 5, 10]))
    ax.xaxis.set_major_formatter(lambda value, _: panel.axis_format(value))
    ax.grid(True, axis="x")
    y = ROW_GAP / 2
    for row in panel.rows:
        _draw_row(ax, row, y, end)
        y += _row_height(row)
    if panel.reference is not None:
        ax.axvline(panel.reference, color=COLOUR["ink"], linewidth=1.2, dashes=(3, 2), zorder=4)
        ax.annotate(panel.reference_text, (panel.reference, 0), (0, 5), textcoords="offset points",
                    ha="center", va="bottom", size=svg.FONT_PX - 1, color=COLOUR["soft"])


def _draw_row(ax, row, y, end):
    tall = _row_height(row) - ROW_GAP
    ax.annotate(row.label, (0, y + tall / 2), (-10, 0), textcoords="offset points", ha="right",
                va="center", color=COLOUR["soft" if row.quiet else "ink"], annotation_clip=False)
    for bar in row.bars:
        start = 0
        for value, token in bar.segments:
            edge = 0.8 if value / end * ax.bbox.width > 4 else 0  # an edge would hide a sliver
            ax.add_patch(svg.drawing().patches.Rectangle(
                (start, y), max(0, min(value, end - start)), BAR, linewidth=edge,
                facecolor=COLOUR[token], edgecolor=COLOUR["paper"]))
            start += value
        if bar.end() > end:
            _draw_cut(ax, end, y)
        elif bar.spread:
            _draw_whisker(ax, bar.spread, y + BAR / 2)
        ax.annotate(bar.text, (min(bar.end(), end), y + BAR / 2), (TEXT_GAP, 0),
                    textcoords="offset points", va="center", weight="semibold", zorder=7,
                    annotation_clip=False,
                    bbox={"facecolor": COLOUR["paper"], "pad": 1, "linewidth": 0},
                    color=COLOUR["soft" if row.quiet else "ink"])
        y += BAR + BAR_GAP


def _draw_cut(ax, end, y):
    """Two slanted gaps: this bar goes on."""
    for at in (0.93, 0.945):
        ax.plot((end * at, end * (at + 0.012)), (y + BAR + 2, y - 2), color=COLOUR["paper"],
                linewidth=3, zorder=5)


def _draw_whisker(ax, spread, y):
    """Thin from least to greatest, thick between the quartiles; edged, to show on any bar."""
    for low, high, width in ((spread["min"], spread["max"], 1.2),
                             (spread["p25"], spread["p75"], 4)):
        ax.plot((low, high), (y, y), color=COLOUR["paper"], linewidth=width + 1.6, zorder=5,
                solid_capstyle="butt", clip_on=False)
        ax.plot((low, high), (y, y), color=COLOUR["ink"], linewidth=width, zorder=6,
                solid_capstyle="butt", clip_on=False)
