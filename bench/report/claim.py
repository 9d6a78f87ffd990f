"""A claim: what is said, the figure that it is about, and whether the figure bears it out.

`value`, `holds` and `depends` are Python expressions, and `measured` is a text with expressions in
braces; `it` is the value. They see the run (docs/RESULTS.md) and the functions of this file, and of
Python the few of BUILTINS. A scenario is a program none the less: run those that you trust."""

import ast
import math
from dataclasses import dataclass

import series

NAMES = ("claim", "source", "value", "measured", "holds", "depends", "derived")
BUILTINS = {f.__name__: f for f in (abs, all, any, len, list, max, min, round, sum, zip)}


class BadClaim(Exception):
    """It is no claim: said before anything runs."""


class Unmeasured(Exception):
    """Nothing can be said of it, and why."""


class Node:
    """An object of a run, whose members are attributes; one that is absent cannot be measured."""

    def __init__(self, members):
        self._members = members

    def __getattr__(self, name):
        if self._members.get(name) is None:
            raise Unmeasured(f"the run has no such figure: {name}")
        return node(self._members[name])

    def get(self, name, default=None):
        return node(self._members.get(name, default))


def node(value):
    if isinstance(value, dict):
        return Node(value)
    return [node(item) for item in value] if isinstance(value, list) else value


def these(**members):
    """Several figures as one value."""
    return Node(members)


# ---- what the expressions may use -----------------------------------------------------------

def fail(why):
    raise Unmeasured(why)


def servers(contestant):
    """One whose rate or CPU time is to be called the server's."""
    if series.client_bound(contestant._members):
        fail(f"the clients were the bottleneck of {contestant.name}: the figure would not be the "
             "server's")
    return contestant


def latency(contestant, percent):
    """Nanoseconds, from the time at which a message was due."""
    found = series.percentile(series.histogram(contestant._members), percent)
    return found if found is not None else fail(f"{contestant.name} has no p{percent}")


def digits(value):
    """Three that count: 0.0123, 1.23, 123, 12300."""
    if value == 0:
        return "0"
    places = 2 - math.floor(math.log10(abs(value)))
    rounded = round(value, max(places, 0))
    return f"{rounded:.{max(places, 0)}f}".rstrip("0").rstrip(".") if places > 0 else f"{value:.0f}"


def grouped(value):
    return f"{value:,.0f}"


def _scaled(value, steps):
    size, unit = next((s for s in steps if value < s[0] * 1e3), steps[-1])
    return f"{digits(value / size)} {unit}"


def time(ns):
    return _scaled(ns, ((1, "ns"), (1e3, "µs"), (1e6, "ms"), (1e9, "s")))


def size(count):
    """Thousands, as the claims count."""
    return _scaled(count, ((1, "bytes"), (1e3, "KB"), (1e6, "MB"), (1e9, "GB")))


def bits(per_s):
    return _scaled(per_s, ((1e3, "kbit/s"), (1e6, "Mbit/s"), (1e9, "Gbit/s")))


def percent(share):
    return f"{digits(round(share * 100, 1))} %"


def between(value, low, high):
    return low <= value <= high


HELPERS = {f.__name__: f for f in (these, fail, servers, latency, digits, grouped, time, size, bits,
                                   percent, between)} | {"ceil": math.ceil}


def _of_run(run):
    whole = node(run)

    def of(name, workload=None):
        """The contestant of that name: under a workload, or the first."""
        under = f' under "{workload}"' if workload is not None else ""
        return next((c for c in whole.contestants if c.name == name and
                     workload in (None, c.get("workload", ""))), None) or fail(
                         f"the run has no {name}{under}")

    def having(figure):
        found = [c for c in whole.contestants if c.get(figure) is not None]
        return found or fail(f"nobody in the run has {figure}")
    return {"run": whole, "of": of, "having": having}


# ---- a claim --------------------------------------------------------------------------------

@dataclass
class Claim:
    name: str
    claim: str
    value: str
    holds: str
    source: str = ""
    measured: str = "{it}"
    depends: str = "False"
    derived: str = ""    # by which construction of the scenario it is decided: it is no finding

    @classmethod
    def of(cls, name, texts):
        for key in texts:
            if key not in NAMES:
                raise BadClaim(f"there is no '{key}' in [claim {name}]: there are "
                               f"{', '.join(NAMES)}")
        for key in ("claim", "value", "holds"):
            if not texts.get(key):
                raise BadClaim(f"there is no {key} in [claim {name}]")
        made = cls(name, **texts)
        for key, text in made.programs().items():
            try:
                ast.parse(text, mode="eval")
            except SyntaxError as error:
                raise BadClaim(f"{key} of [claim {name}] is no expression: {error.msg}") from None
        return made

    def programs(self):
        return {"value": self.value, "measured": f"f'''{self.measured}'''",
                "holds": self.holds, "depends": self.depends}

    def judge(self, run):
        """(verdict, what was measured in words)"""
        seen = {"__builtins__": BUILTINS, **HELPERS, **_of_run(run)}
        code = self.programs()
        try:
            seen["it"] = eval(code["value"], seen)
            words = eval(code["measured"], seen)
            if eval(code["holds"], seen):
                return ("derived", f"{words}; {self.derived}") if self.derived else (
                    "holds", words)
            return ("depends" if eval(code["depends"], seen) else "fails"), words
        except Unmeasured as why:
            return "not measured", str(why)
        except (ArithmeticError, AttributeError, LookupError, NameError, TypeError,
                ValueError) as error:
            return "not measured", f"{type(error).__name__}: {error}"
