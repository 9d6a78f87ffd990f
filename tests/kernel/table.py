#!/usr/bin/env python3
"""What clients saw on each kernel, as a table for the docs: `table.py REPORT ...`.

A REPORT is what boot.py wrote. A column is a kernel with one engine; a row is a case of the
clients, with its figure. Outcomes of bad input are one row: they have to be the same everywhere.
"""

import sys
import xml.etree.ElementTree as ElementTree

CLIENTS = "clients-"
INPUT, END, BESIDE = "bad input: ", "end: ", ", beside older ones"


def read(path):
    """Columns of a report: (kernel, engine that served) -> case -> (right, figure)."""
    suite = ElementTree.parse(path).getroot()
    told = {item.get("name"): item.get("value") for item in suite.iter("property")}
    columns = {}
    for case in suite.iter("testcase"):
        program = case.get("classname")
        if not program.startswith(CLIENTS):
            continue
        announced = told.get("engine " + program[len(CLIENTS):], "engine ?")
        engine = announced.split()[1].rstrip(",:")
        column = columns.setdefault((told.get("machine", "?"), engine), {})
        right = case.find("failure") is None
        column[case.get("name")] = (right, case.findtext("system-out") or "")
    return columns


def cell(column, name):
    right, figure = column.get(name, (False, "not run"))
    return figure if right else f"**{figure}**"


def inputs(column):
    """How many inputs were answered as they have to be."""
    answered = [right for name, (right, _) in column.items() if name.startswith(INPUT)]
    return f"{sum(answered)} of {len(answered)} right"


def rows(columns):
    """Title and one cell for each column."""
    names = list(dict.fromkeys(name for column in columns for name in column))
    yield "answers to bad input", [inputs(column) for column in columns]
    for name in names:
        if name.startswith(INPUT) or name.endswith(BESIDE):
            continue
        cells = [cell(column, name) for column in columns]
        if name.startswith(END):
            cells = [f"{left}, {cell(column, name + BESIDE)}"
                     for left, column in zip(cells, columns)]
            name = name[len(END):]
        yield name, cells


def main():
    columns = {}
    for path in sys.argv[1:]:
        columns.update(read(path))
    print("| | " + " | ".join(f"{kernel}, {engine}" for kernel, engine in columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for title, cells in rows(list(columns.values())):
        print("| " + " | ".join([title, *cells]) + " |")


if __name__ == "__main__":
    main()
