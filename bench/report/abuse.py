"""Attacks: memory against its bound, the others' p99 against calm turns, and all figures."""

import bars
import series
import units
from series import label

HEADER = ["Attack", "Server", "Sent", "Connections", "Memory", "Allowed", "Per byte", "Server CPU",
          "Others' p99, calm", "beside it", "Closed", "Lost", "Newcomers", "Back after",
          "Ended by", "Broke"]
P99_BOUND = 1.5


def found(run):
    return [c for c in run["contestants"] if c.get("abuse")]


def grown(abuse):
    before, peak = abuse.get("rss_before_bytes"), abuse.get("rss_peak_bytes")
    return max(peak - before, 0) if before is not None and peak is not None else None


def calm_p99(abuse):
    """Of the turn after, or of the one before where that was calmer."""
    known = [abuse[k] for k in ("p99_before_ns", "p99_after_ns") if abuse.get(k)]
    return min(known, default=None)


def _memory(c):
    grew = grown(c["abuse"])
    return None if grew is None else (grew / c["abuse"]["bound_bytes"], units.size_bytes(grew))


def _latency(c):
    calm, p99 = calm_p99(c["abuse"]), c["abuse"].get("p99_ns")
    return (p99 / calm, units.time_ns(p99)) if calm and p99 else None


def panels(run):
    """A row for each attack, with a bar for each server."""
    colours, made = series.colours(run), []
    for title, figure, reference, text in (
            ("Memory, of what is allowed", _memory, 1, "the bound = 1"),
            ("The others' p99, of the calmer turn's", _latency, P99_BOUND, "the bound = 1.5")):
        rows = {}
        for c in found(run):
            value = figure(c)
            if value:
                rows.setdefault(c["workload"], []).append(
                    bars.Bar([(value[0], colours[c["name"]])], value[1]))
        if rows:
            made.append(bars.Panel(title, [bars.Row(name, drawn) for name, drawn in rows.items()],
                                   reference=reference, reference_text=text,
                                   axis_format=lambda v: f"{v:g}×"))
    return made


def row(c):
    a = c["abuse"]
    grew, reasons = grown(a), sorted(a["reasons"].items(), key=lambda item: -item[1])
    per_byte = grew / a["sent_bytes"] if grew is not None and a["sent_bytes"] else None
    return [c["workload"], label(c["name"]), units.size_bytes(a["sent_bytes"]),
            units.count(a["visits"]), "+" + units.size_bytes(grew),
            units.size_bytes(a["bound_bytes"]),
            units.times(per_byte) if per_byte is not None else units.UNKNOWN,
            f"{units.share(a['cpu_calm'])} → {units.share(a['cpu_during'])}",
            units.time_ns(calm_p99(a)), units.time_ns(a.get("p99_ns")), units.count(a["closed"]),
            units.count(a["lost"]), f"{a['newcomers_served']} of {a['newcomers']}",
            units.duration(a["recovered_s"]) if a.get("recovered_s") is not None else "not in time",
            ", ".join(name for name, _ in reasons[:2]) or units.UNKNOWN,
            "died" if not a["alive"] else ", ".join(a["broken"]) or "nothing"]


def legend(run):
    colours = series.colours(run)
    names = list(dict.fromkeys(c["name"] for c in found(run)))
    return [(colours[name], label(name)) for name in names] if len(names) > 1 else []


def figure(run, make):
    drawn = panels(run)
    return make("abuse", "What attacks did",
                "Each attack has a server of its own, with well-behaved subscribers beside it.",
                drawn, HEADER, [row(c) for c in found(run)], legend(run)) if drawn else None
