"""Which failed cases are run once more, by themselves, and what became of them.

A test that talks to a server over loopback shares two cores with eight others. When the machine
stands still for a second it may fail for nothing, and a red run that means nothing teaches people
to look away. Such a case gets one more run, with nothing beside it. One that passes then counts as
passed, and is told as unstable, by name: it is a bug of the test, or of the server.

Nothing excuses what a busy machine cannot cause: see FINAL.
"""

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass

MOST = 5  # cases; where more fail, something is broken

# In what a failed case left behind: a sanitizer's report, an assertion of the server, a program
# that died or would not leave (ServerFault in ringside.py, servers.c of the bench), a worker of
# pytest that is gone.
FINAL = re.compile(
    r"Sanitizer|runtime error:|Assertion [`']|ServerFault|\bdied\b|ended with status|crashed while")


@dataclass
class Case:
    name: str  # as pytest takes it: tests/integration/test_x.py::test_y[z]
    text: str = ""
    faults: int = 0  # in the report: what failed may fail again when it is taken down

    @property
    def excusable(self):
        return not FINAL.search(self.text)


def name_of(element):
    """Of a report that was made with the root of the repository as pytest's root."""
    return f"{element.get('classname').replace('.', '/')}.py::{element.get('name')}"


def cases_in(report):
    """{name: Case} of all cases in a report of pytest."""
    found = {}
    try:
        elements = list(ElementTree.parse(report).getroot().iter("testcase"))
    except (OSError, ElementTree.ParseError):
        return found
    for element in elements:
        case = found.setdefault(name_of(element), Case(name_of(element)))
        faults = [*element.findall("failure"), *element.findall("error")]
        case.faults += bool(faults)
        case.text += "".join(f"{one.get('message')}\n{one.text or ''}\n" for one in faults)
        if element.find("skipped") is not None:
            case.text += "skipped\n"
    return found


def excusable_in(report):
    """Those that failed, and may have done so for nothing."""
    return [case for case in cases_in(report).values() if case.faults and case.excusable]


def passed_in(report):
    """Names of those that ran and have passed."""
    return {case.name for case in cases_in(report).values() if not case.faults and not case.text}


def excuse(cases, case, label):
    """A case that has failed has passed after all."""
    cases.failed -= case.faults
    cases.passed += 1
    cases.unstable.append(f"{case.name} ({label})")
