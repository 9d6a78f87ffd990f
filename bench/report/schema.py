#!/usr/bin/env python3
"""The schema of run.json, run.schema.json, as a check that names each fault with its place, and as
the tables of docs/RESULTS.md.

What a JSON Schema cannot say is here: sums that must add up, and what must rise."""

import functools
import json
import math
import pathlib
import re
import sys

SCHEMA = "ringside-run/2"  # written now
SCHEMAS = ("ringside-run/1", SCHEMA)  # read; what differs is in docs/RESULTS.md
REQUIRED_PERCENTS = (50, 90, 99, 99.9, 99.99)

FILE = pathlib.Path(__file__).with_name("run.schema.json")
PAGE = FILE.parent.parent.parent / "docs" / "RESULTS.md"
TABLE = re.compile(r"(<!-- fields of (\w+) -->\n).*?(?=<!-- end -->)", re.S)
KINDS = {"string": "text", "number": "a number", "integer": "a number", "object": "an object",
         "array": "a list", "boolean": "true or false"}


@functools.cache
def whole():
    return json.loads(FILE.read_text(encoding="utf-8"))


def resolved(part):
    """Of a reference what it stands for, with what stands beside it."""
    if "$ref" not in part:
        return part
    return whole()["$defs"][part["$ref"].rpartition("/")[2]] | {
        k: v for k, v in part.items() if k != "$ref"}


# ---- what only code can say -----------------------------------------------------------------

def _rises(value):
    if any(a[0] >= b[0] or a[1] > b[1] for a, b in zip(value, value[1:])):
        yield "must rise"
    missing = [p for p in REQUIRED_PERCENTS if p not in (pair[0] for pair in value)]
    if missing:
        yield f"has no {', '.join(map(str, missing))}"


def _in_order(value):
    order = [value[k] for k in ("min", "p25", "median", "p75", "max")]
    if order != sorted(order):
        yield "must have min <= p25 <= median <= p75 <= max"


def _adds_up(value):
    if value["delivered"] + value["lost"] != value["expected"]:
        yield "delivered + lost is not expected"


def _no_more_than_answered(value):
    if value["empty"] > value["answered"]:
        yield "more answers are empty than there are answers"


SUMS = {"percentiles": _rises, "spread": _in_order, "ledger": _adds_up,
        "requests": _no_more_than_answered}


def _contestants(run):
    """Each is there once, and its ceiling beside it."""
    seen = set()
    for i, item in enumerate(run["contestants"]):
        key = (item["name"], item.get("workload"))
        if key in seen:
            yield f"contestants[{i}]: {key[0]!r} under {key[1]!r} is there twice"
        seen.add(key)
        ceiling = item.get("ratio", {}).get("ceiling")
        if ceiling and not any(
                c["name"] == ceiling and c["kind"] == "ceiling"
                and c.get("workload") == item.get("workload") for c in run["contestants"]):
            yield f"contestants[{i}].ratio: there is no ceiling {ceiling!r} beside it"


def _sums(value, part, place):
    check = SUMS.get(part.get("$ref", "").rpartition("/")[2])
    if check:
        yield from (f"{place}: {text}" for text in check(value))
    part = resolved(part)
    if isinstance(value, dict):
        for name, item in value.items():
            inner = part.get("properties", {}).get(name)
            if inner:
                yield from _sums(item, inner, f"{place}.{name}".lstrip("."))
    elif isinstance(value, list) and "items" in part:
        for i, item in enumerate(value):
            yield from _sums(item, part["items"], f"{place}[{i}]")


# Subscribers come and go, or hear parts.
NOT_TO_ALL = ("chaos", "churn", "cluster", "mix", "knee", "claims", "scenario", "webhooks")


def _deliveries(run):
    """Each message of a turn reaches each subscriber once, or it is in the ledger or the errors."""
    if run["experiment"] in NOT_TO_ALL:
        return
    silent = sum(c["vanished"]["clients"] for c in run["contestants"] if "vanished" in c)
    for i, c in enumerate(run["contestants"]):
        ledger, subscribers = c.get("ledger"), c.get("subscribers") or c["connections"]
        faults = ledger and (ledger["lost"] + ledger["duplicate"] + ledger.get("superseded", 0))
        if not ledger or faults or c.get("errors") or c.get("closes"):
            continue
        for n, turn in enumerate(c["turns"]):
            wanted = turn.get("publishes", 0) * subscribers
            least = wanted - turn.get("publishes", 0) * silent
            if not least <= turn["deliveries"] <= wanted:
                yield (f"contestants[{i}].turns[{n}]: {turn['deliveries']} deliveries, and "
                       f"{turn.get('publishes', 0)} publishes to {subscribers} are {wanted}")


# ---- the check ------------------------------------------------------------------------------

def _known(value):
    """Without what is null: unknown is absent."""
    if isinstance(value, dict):
        return {k: _known(v) for k, v in value.items() if v is not None}
    return [_known(item) for item in value] if isinstance(value, list) else value


def _infinite(value, place=""):
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{place or 'run'}: is {value}, must be 0 or more and finite"
    items = value.items() if isinstance(value, dict) else (
        enumerate(value) if isinstance(value, list) else ())
    for key, item in items:
        yield from _infinite(item, f"{place}[{key}]" if isinstance(value, list)
                             else f"{place}.{key}".lstrip("."))


def _place(path):
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).lstrip(".") or "run"


def _words(error):
    found, wanted = error.instance, error.validator_value
    if error.validator == "type" and wanted == "integer" and isinstance(found, float):
        return f"is {found}, must be a whole number"
    if error.validator == "type":
        kinds = [wanted] if isinstance(wanted, str) else wanted
        is_ = next((word for kind, word in KINDS.items() if error.schema and
                    _is(found, kind)), "null")
        return f"must be {' or '.join(KINDS[k] for k in kinds)}, is {is_}"
    if error.validator == "enum":
        return f"is {found!r}, must be one of {', '.join(wanted)}"
    if error.validator == "pattern":
        return f"is {found!r}, must be {error.schema['title']}"
    if error.validator == "minimum":
        return f"is {found}, must be 0 or more and finite"
    if error.validator == "required":
        return f"{re.match(r'.*?.(?= is a required)', error.message)[0]} is missing"
    return error.message


def _is(value, kind):
    types = {"string": str, "object": dict, "array": list, "boolean": bool,
             "number": (int, float), "integer": int}
    return isinstance(value, types[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _unknown(value, part, place):
    """Fields that the schema does not have."""
    part = resolved(part)
    if isinstance(value, dict) and "properties" in part:
        for name, item in value.items():
            if name not in part["properties"]:
                yield f"{place or 'run'}: {name!r} is not in the schema"
            else:
                yield from _unknown(item, part["properties"][name], f"{place}.{name}".lstrip("."))
    elif isinstance(value, list) and "items" in part:
        for i, item in enumerate(value):
            yield from _unknown(item, part["items"], f"{place}[{i}]")


def faults(run, strict=False):
    """Each with its place; `strict`: unknown fields too, and deliveries that do not add up."""
    try:
        import jsonschema
    except ModuleNotFoundError:
        raise SystemExit("checking a run needs jsonschema; on Debian: "
                         "apt install python3-jsonschema") from None
    known = _known(run)
    found = list(_infinite(known)) or [
        f"{_place(e.absolute_path)}: {_words(e)}"
        for e in jsonschema.Draft202012Validator(whole()).iter_errors(known)]
    if not found:
        found = [*_sums(known, whole(), ""), *_contestants(known)]
    if strict:
        found += [*_unknown(known, whole(), ""), *([] if found else _deliveries(known))]
    return found


# ---- docs/RESULTS.md ------------------------------------------------------------------------

def _type(part):
    name = part.get("$ref", "").rpartition("/")[2]
    if name in ("number", "count", "spread"):
        return name
    full = resolved(part)
    if "enum" in full:
        return "text"
    if full["type"] == "array":
        return "list of text" if full["items"] == {"type": "string"} else "list"
    if full["type"] == "object":
        return "object" if "properties" in full else "map"
    return {"string": "text", "boolean": "bool"}.get(full["type"], "")


def table(name):
    """Fields that follow each other and are alike are one row."""
    part = whole() if name == "run" else whole()["$defs"][name]
    rows = []
    for field, value in part["properties"].items():
        said = f"`{field}`" + (" **R**" if field in part.get("required", ()) else "")
        alike = (_type(value), value.get("description", ""))
        if rows and rows[-1][1] == alike:
            rows[-1][0].append(said)
        else:
            rows.append(([said], alike))
    return "| field | type | |\n|---|---|---|\n" + "".join(
        f"| {', '.join(names)} | {kind} | {text} |\n".replace("|  |\n", "| |\n")
        for names, (kind, text) in rows)


def page(text):
    """The page with the tables as the schema has them now."""
    return TABLE.sub(lambda found: found[1] + table(found[2]), text)


def main():
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
