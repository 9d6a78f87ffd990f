"""Counts the cases in a test report.

Reads what Meson leaves (meson-logs/testlog.json, one JSON object a line), what pytest leaves
(--junitxml), and files with nothing but "PASSED FAILED". A cmocka program is one test for Meson;
here each of its cases counts.
"""

import json
import re
import xml.etree.ElementTree as ElementTree
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

CMOCKA_PASSED = re.compile(r"^\[  PASSED  \] (\d+) test", re.MULTILINE)
CMOCKA_FAILED = re.compile(r"^\[  FAILED  \] (\d+) test", re.MULTILINE)
CMOCKA_SKIPPED = re.compile(r"^\[  SKIPPED \] (\d+) test", re.MULTILINE)
MESON_GOOD = {"OK", "EXPECTEDFAIL"}


@dataclass
class Cases:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    reasons: Counter = field(default_factory=Counter)  # why they were skipped
    unstable: list = field(default_factory=list)  # names of those that passed by themselves only

    def __iadd__(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.reasons += other.reasons
        self.unstable += other.unstable
        return self


def cases_in(path):
    """A report that is not there, or is no report, holds no case."""
    read = {".xml": count_junit, ".json": count_meson}.get(Path(path).suffix, count_plain)
    try:
        return read(path)
    except (OSError, ValueError, ElementTree.ParseError):
        return Cases()


def count_program(entry):
    """The cases of one program that Meson ran."""
    output = entry.get("stdout", "") + entry.get("stderr", "")
    passed, failed, skipped = (sum(int(n) for n in pattern.findall(output)) for pattern in
                               (CMOCKA_PASSED, CMOCKA_FAILED, CMOCKA_SKIPPED))
    reasons = Counter({f"by {entry['name']}": skipped} if skipped else {})
    if entry["result"] in MESON_GOOD:
        return Cases(max(passed, 1), 0, skipped, reasons)
    # It may have died half-way: that is a failure even when no case says so.
    return Cases(passed, max(failed, 1), skipped, reasons)


def count_meson(path):
    cases = Cases()
    with open(path, encoding="utf-8") as log:
        for line in log:
            cases += count_program(json.loads(line))
    return cases


def count_junit(path):
    cases = Cases()
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            cases.failed += 1
        elif skipped is None:
            cases.passed += 1
        elif skipped.get("type") == "pytest.xfail":
            cases.passed += 1  # it failed as was expected: that it does is what was tested
        else:
            cases.skipped += 1
            cases.reasons[skipped.get("message", "")] += 1
    return cases


def count_plain(path):
    passed, failed = map(int, Path(path).read_text(encoding="utf-8").split())
    return Cases(passed, failed)
