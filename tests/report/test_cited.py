"""Each number of the documents that stands beside a recorded run is in that run.

A row of a table that links to results/NAME, and each table below a paragraph that does, is held to
its run: every number in it must be one of the run's figures, as they are rounded there. What is not
from a run is said in the document, where no reader sees it, in the lines above the table:

    <!-- from: results/NAME, results/OTHER -->   where the paragraph's links are not the table's
    <!-- not from the run: 25; 4.2 -->           a setting, or arithmetic that the text explains

Numbers of the text itself are not looked up.
"""

import json
import pathlib
import re
import sys
from functools import cache

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "bench" / "report"))

import abuse  # noqa: E402
import series  # noqa: E402

DOCUMENTS = ("README.md", "docs/FIGURES.md", "docs/CAPACITY.md", "docs/TLS.md", "docs/CLAIMS.md",
             "docs/METHOD.md")
LINK = re.compile(r"\]\((?:\.\./)?results/([\w.-]+)[^)]*\)")
FROM = re.compile(r"<!-- from:([^>]*)-->")
OTHER = re.compile(r"<!-- not from the run:([^>]*)-->")
NUMBER = re.compile(r"(?<![\w.])(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?(?![\w]*\d)\s*"
                    r"(µs|ms|ns|s\b|min\b|%|KB|KiB|MiB|MB|GB|GiB|M\b|k\b)?")
SCALES = {"µs": 1e3, "ms": 1e6, "ns": 1, "%": 0.01, "KB": 1e3, "KiB": 1024, "MiB": 2**20,
          "MB": 1e6, "GB": 1e9, "GiB": 2**30, "M": 1e6, "k": 1e3, "min": 60}


def tables(path):
    """[(line number, row, names of its runs, numbers that are from elsewhere)]"""
    found, runs, others, paragraph = [], [], set(), ""
    lines = path.read_text(encoding="utf-8").split("\n")
    for at, line in enumerate(lines):
        if line.startswith("|"):
            if set(line) <= set("|-: "):
                continue
            own = LINK.findall(line) or runs
            if own and not (at + 1 < len(lines) and set(lines[at + 1]) <= set("|-: ")
                            and lines[at + 1]):
                found.append((at + 1, LINK.sub("", line), own, others))
            continue
        if line.startswith("#") or (line and lines[at - 1].startswith("|")):
            runs, others, paragraph = [], set(), ""
        if not line.strip() and paragraph:
            paragraph = ""
            continue
        paragraph += line + "\n"
        linked = LINK.findall(paragraph)
        runs = linked or runs
        for said in FROM.findall(line):
            runs = [name.strip().removeprefix("results/") for name in said.split(",")]
        for said in OTHER.findall(line):
            others = others | {number.strip() for number in said.split(";")}
    return found


def numbers(value):
    if isinstance(value, bool):
        return
    if isinstance(value, (int, float)):
        yield value
    elif isinstance(value, dict):
        for name, item in value.items():
            if name not in ("hdr", "percentiles", "slab", "sysctls"):
                yield from numbers(item)
    elif isinstance(value, list):
        for item in value:
            yield from numbers(item)
    elif isinstance(value, str):
        for whole, part, _ in NUMBER.findall(value):
            yield float(whole.replace(",", "") + part)


def derived(run, c):
    """What the report makes of several fields."""
    yield from filter(None, (series.per_gib(c), series.handshakes_per_core(c), series.idle_cpu(c),
                             series.connects_per_s(c), series.empty_share(c)))
    for percent in (50, 90, 99, 99.9):
        value = series.latency_ns(c, percent)
        if value:
            yield value
    for other in run["contestants"]:
        if other is not c and other.get("workload") == c.get("workload"):
            for figure in (series.turn_rate, series.turn_server_cpu):
                spread = series.quotients(c, other, figure)
                yield from (spread or {}).values()
    inverse = series.get(c, "handshakes", "versus_server_cpu") or {}
    yield from (1 / value for value in inverse.values() if value)
    attack = c.get("abuse")
    if attack:
        yield abuse.grown(attack)
        calm = abuse.calm_p99(attack)
        if calm and attack.get("p99_ns"):
            yield attack["p99_ns"] / calm
    for turn in c["turns"]:
        yield from (turn["elapsed_s"] * 1e9, turn["elapsed_s"])
    memory = c.get("memory") or {}
    if memory.get("kernel_bytes_per_connection"):
        yield memory["kernel_bytes_per_connection"] / (memory.get("kernel_ends") or 1)


@cache
def figures(name):
    path = ROOT / "results" / name / "run.json"
    run = json.loads(path.read_text(encoding="utf-8"))
    bare = {k: v for k, v in run.items() if k not in ("timeline", "scenarios")}
    found = set(numbers({**bare, "contestants": [
        {k: v for k, v in c.items() if k != "turns"} for c in run["contestants"]]}))
    for c in run["contestants"]:
        found.update(derived(run, c))
    for _, members in series.groups(run):  # those who came back, of all transports
        back = [c["reconnect"] for c in members if c.get("reconnect")]
        found.update(sum(r.get(name) or 0 for r in back) for name in
                     ("dropped", "recovered", "retries", "shed", "missed"))
    return sorted(found)


def is_there(whole, part, unit, known):
    """Whether a figure rounds to it, in its unit or, where it stands in the head, in any."""
    value = float(whole.replace(",", "") + part)
    digits = len(part) - 1 if part else 0
    # 189,000 is 188,943, told to three digits.
    plain = whole.replace(",", "")
    zeros = min(len(plain) - len(plain.rstrip("0")), max(len(plain) - 2, 0))
    half = 0.5 * 10 ** (-digits if part else zeros)
    scales = {SCALES.get(unit, 1), 1} if unit else {1, 1e3, 1e6, 1e9, 0.01, 1024, 2**20, 60}
    if unit == "KB":
        scales.add(1024)
    return any(abs(figure / scale - value) <= half * 1.001 for figure in known for scale in scales)


def missing(path):
    for at, row, names, others in tables(path):
        known = [figure for name in names for figure in figures(name)]
        for whole, part, unit in NUMBER.findall(re.sub(r"`[^`]*`|\[[^\]]*\]|<!--.*?-->", "", row)):
            if whole + part not in others and not is_there(whole, part, unit, known):
                yield f"{path.name}:{at}: {whole}{part}{unit and ' ' + unit} is not in {names}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_numbers_are_in_their_runs(document):
    assert list(missing(ROOT / document)) == []


@pytest.mark.parametrize("number, known, wanted", [
    (("11,724", "", ""), 11724.86, False), (("11,725", "", ""), 11724.86, True),
    (("189,000", "", "/s"), 188943.2, True), (("188,000", "", "/s"), 188943.2, False),
    (("7", ".2", "µs"), 7214.0, True), (("7", ".3", "µs"), 7214.0, False),
    (("98", "", "%"), 0.98, True), (("1", ".04", ""), 1.0449, True),
    (("1", ".05", ""), 1.0449, False),
    (("86", "", "KB"), 88000, True), (("88", "", "KB"), 88000, True),
    (("87", "", "KB"), 88000, False),
])
def test_a_number_is_a_figure_as_it_is_rounded(number, known, wanted):
    assert is_there(*number, [known]) == wanted
