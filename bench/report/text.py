"""A run as tables of text: what the terminal shows when it is over. Needs no matplotlib."""

import os
import shutil
import sys
import textwrap

import claims as scenarios
import figures
import findings
import overview
import series
import units
from series import label

GAP = "  "
HEAD_WIDTH = 10
WINDOW = 160  # where there is no terminal
# Figures whose rows are not those of the overview.
SHOWN = ("budget", "knee", "storm", "stall", "abuse", "course", "slab")


_PLAIN = str.maketrans({"×": "x", "≥": ">=", "–": "-", "µ": "u", "÷": "/", "→": "->"})


def ascii_of(text):
    return text.translate(_PLAIN).encode("ascii", "replace").decode("ascii")


def speaks_utf8():
    """Of the terminal; Python itself would write UTF-8 there in any case."""
    named = [os.environ.get(name) for name in ("LC_ALL", "LC_CTYPE", "LANG")]
    return "utf" in next(filter(None, named), "").lower()


def show(told):
    text = "\n".join(told)
    print(text if not sys.stdout.isatty() or speaks_utf8() else ascii_of(text))


def window():
    return shutil.get_terminal_size((WINDOW, 0)).columns


def verdicts(run):
    """And notes."""
    for v in run["verdicts"]:
        source = f" ({v['source']})" if v.get("source") else ""
        yield f"  {v['verdict']:12} {v['claim']}{source}: {v['measured']}"
    yield from (f"  note: {note}" for note in run["notes"])


def lines(run, width):
    """Lines without their ends. A table wider than `width` goes on below itself."""
    made = [findings.title(run), *_settings(run, width), ""] + _overview(run, width)
    for figure in figures.of_run(run) if run["contestants"] else []:
        if figure.key in SHOWN:
            made += ["", f"{figure.title}:", "", *table(figure.header, figure.rows)]
    told = findings.asides(run) + _versions(run) + findings.warnings(run)
    return [line.replace("\u00a0", " ").rstrip() for line in made + ([""] if told else []) + told]


def _settings(run, width):
    told = ", ".join(f"{units.setting_name(k)} {units.setting(k, v)}".replace("\u00a0", " ")
                     for k, v in run["settings"].items() if v != "")
    return textwrap.wrap(told, width - len(GAP), initial_indent=GAP, subsequent_indent=GAP)


def table(header, rows):
    """The first column to the left, the others to the right; heads of several words wrap. A row of
    one cell is a heading of those below it."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [_width(name, [row[i] for row in rows if len(row) > 1])
              for i, name in enumerate(header)]
    heads = [textwrap.wrap(name, w) or [""] for name, w in zip(header, widths)]
    above = [[head[i] if i < len(head) else "" for head in heads]
             for i in range(max(map(len, heads)))]
    rule = "-" * (sum(widths) + len(GAP) * (len(widths) - 1))
    return [GAP + _line(row, widths) for row in [*above, [rule], *rows]]


def _width(name, cells):
    """Of a column: its name may take several lines, but no word of it."""
    return max(map(len, [*cells, *name.split(), name[:HEAD_WIDTH]]))


def _line(row, widths):
    if len(row) == 1:
        return row[0]
    return GAP.join(cell.rjust(w) if i else cell.ljust(w)
                    for i, (cell, w) in enumerate(zip(row, widths)))


def _overview(run, width):
    """All contestants in one table, under the names of their workloads."""
    if run["experiment"] == "abuse":
        return []  # its figure has them all
    made, columns = [], overview.used(run, [c for c in overview.COLUMNS if c.on_terminal])
    alike = _alike(run, columns)
    for block in _blocks(run, [c for c in columns if c.name not in alike], width):
        made += ([""] if made else []) + table(["", *(c.name for c in block)], _rows(run, block))
    if alike:
        said = ", ".join(f"{name.lower()} {text}" for name, text in alike.items())
        made += ["", f"{GAP}The same for all: {said}."]
    return made


def _alike(run, columns):
    """What several contestants have in common needs no column."""
    found = {}
    for column in columns:
        cells = [column.cell(run, c) for c in run["contestants"]]
        texts = {str(cell) for cell in cells if cell is not None}
        if len(texts) == 1 < len(cells) and None not in cells:
            found[column.name] = texts.pop()
    return found


def _blocks(run, columns, width):
    """The columns, as many to a table as there is room for."""
    names = max((len(label(c["name"])) for c in run["contestants"]), default=0)
    blocks, left = [], 0
    for column in columns:
        wide = len(GAP) + _width(column.name, [
            str(cell) for c in run["contestants"] for cell in overview.cells(run, c, [column])])
        if left < wide:
            blocks.append([])
            left = width - len(GAP) - names
        blocks[-1].append(column)
        left -= wide
    return blocks


def _rows(run, columns):
    """Of those who have a figure for one of the columns."""
    rows, groups = [], series.groups(run)
    for workload, members in groups:
        told = [[label(c["name"]), *overview.cells(run, c, columns)] for c in members
                if any(column.cell(run, c) is not None for column in columns)]
        if workload and len(groups) > 1 and told:
            rows.append([workload])
        rows += told
    return rows


def _versions(run):
    return list(dict.fromkeys(f"{label(c['name'])}: {c['version']}" for c in run["contestants"]
                              if c.get("version")))


def claims(run, width):
    """Of runs that consist of others, whose verdicts are what matters: which could not be run; and
    of `scenario` each run."""
    made = [findings.title(run), ""]
    for scenario in run["scenarios"]:
        if scenario.get("failed"):
            made.append(f"{GAP}{scenario['title']}: not measured: {scenario['failed']}")
        elif run["experiment"] == "scenario":
            made += [f"{scenario['title']}:", "", *lines(scenarios.run_of(run, scenario), width)]
    return [*made, "", findings.headline(run)]
