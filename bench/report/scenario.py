"""A scenario file: which experiment is run with which options, and what is claimed of its figures.

INI: `name = value`, comments behind `;` at the beginning of a line; a line that begins with blanks
continues the one before it. bench/scenarios/README.md has what there is."""

import configparser
import math
import pathlib
import re
from dataclasses import dataclass, field

import claim

SECONDS_MAX = 3600
ROUND_TO = 100  # shares of a machine are no exact figures
HEAD = ("title", "about", "experiment", "seconds")
SHARE = re.compile(r"([\d.]+) % of fits(?:, at most (\d+))?")


class BadScenario(Exception):
    """One line that a person can act on."""


@dataclass
class Scenario:
    path: str
    name: str
    title: str
    about: str
    experiment: str
    seconds: int
    options: list               # as on the command line
    claims: list = field(default_factory=list)


def read(path, fits):
    """Of a machine that holds so many connections, both ends."""
    file = configparser.RawConfigParser(comment_prefixes=(";",), delimiters=("=",), strict=True,
                                        empty_lines_in_values=False)
    file.optionxform = str
    try:
        with open(path, encoding="utf-8") as lines:
            file.read_file(lines)
    except OSError as error:
        raise BadScenario(f"cannot read {path}: {error.strerror}") from None
    except (configparser.Error, UnicodeDecodeError) as error:
        raise BadScenario(f"{path}: {' '.join(str(error).split())}") from None
    try:
        return _made(str(path), file, fits)
    except (BadScenario, claim.BadClaim) as fault:
        raise BadScenario(f"{path}: {fault}") from None


def _made(path, file, fits):
    head = dict(file["scenario"]) if file.has_section("scenario") else {}
    for name in head:
        if name not in HEAD:
            raise BadScenario(f"there is no '{name}' in [scenario]: there are {', '.join(HEAD)}")
    for name in ("title", "experiment", "seconds"):
        if not head.get(name):
            raise BadScenario(f"there is no {name} in [scenario]")
    seconds = head["seconds"]
    if not seconds.isdecimal() or not 0 < int(seconds) <= SECONDS_MAX:
        raise BadScenario(f"seconds: needs a whole number from 1 to {SECONDS_MAX}, not '{seconds}'")
    made = Scenario(path, pathlib.Path(path).stem, _joined(head["title"]),
                    _joined(head.get("about", "")), head["experiment"], int(seconds), [])
    for section in file.sections():
        kind, _, name = section.partition(" ")
        values = {key: value for key, value in file[section].items()}
        if kind == "options" and not name:
            made.options += _options(values, fits)
        elif kind == "stream" and name:
            parts = (f"{key}={_settled(key, value, fits)}" for key, value in values.items())
            made.options.append(" ".join((f"--stream=name={name}", *parts)))
        elif kind == "claim" and name:
            made.claims.append(claim.Claim.of(name, {k: _joined(v) for k, v in values.items()}))
        elif section != "scenario":
            raise BadScenario(f"there is no section [{section}]: there are [scenario], [options], "
                              "[stream NAME] and [claim NAME]")
    if not made.claims:
        raise BadScenario("there is no [claim NAME]")
    return made


def _joined(value):
    return " ".join(value.split())


def _options(values, fits):
    """Each line of a value is an option of its own: `set` may be repeated so."""
    return [f"--{name}" + (f"={_settled(name, line, fits)}" if line else "")
            for name, value in values.items() for line in value.split("\n")]


def _settled(name, value, fits):
    """The number that "25 % of fits, at most 100000" stands for, or the value as it is."""
    if "of fits" not in value:
        return value
    share = SHARE.fullmatch(value)
    if not share or not 0 < float(share[1]) <= 100:
        raise BadScenario(f"{name}: '{value}' is not of the form '25 % of fits, at most 100000'")
    many = math.floor(fits * float(share[1]) / 100 / ROUND_TO) * ROUND_TO
    return max(min(many, int(share[2] or many)), 1)
