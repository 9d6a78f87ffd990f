#!/usr/bin/env python3
"""Counts the cases in a test report: prints "<passed> <failed>".

Reads what Meson leaves (meson-logs/testlog.json, one JSON object a line) and what pytest leaves
(--junitxml). A cmocka program is one test for Meson; here each of its cases counts.
"""

import json
import re
import sys
import xml.etree.ElementTree as ElementTree

CMOCKA_PASSED = re.compile(r"^\[  PASSED  \] (\d+) test", re.MULTILINE)
CMOCKA_FAILED = re.compile(r"^\[  FAILED  \] (\d+) test", re.MULTILINE)
MESON_GOOD = {"OK", "EXPECTEDFAIL"}


def count_program(entry):
    """The cases of one program that Meson ran."""
    output = entry.get("stdout", "") + entry.get("stderr", "")
    passed = sum(int(n) for n in CMOCKA_PASSED.findall(output))
    failed = sum(int(n) for n in CMOCKA_FAILED.findall(output))
    if entry["result"] in MESON_GOOD:
        return max(passed, 1), 0
    # It may have died half-way: that is a failure even when no case says so.
    return passed, max(failed, 1)


def count_meson(path):
    passed = failed = 0
    with open(path, encoding="utf-8") as log:
        for line in log:
            good, bad = count_program(json.loads(line))
            passed += good
            failed += bad
    return passed, failed


def count_junit(path):
    passed = failed = 0
    for suite in ElementTree.parse(path).getroot().iter("testsuite"):
        bad = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        failed += bad
        passed += int(suite.get("tests", 0)) - bad - int(suite.get("skipped", 0))
    return passed, failed


def main():
    path = sys.argv[1]
    passed, failed = count_junit(path) if path.endswith(".xml") else count_meson(path)
    print(passed, failed)


if __name__ == "__main__":
    main()
