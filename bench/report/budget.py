"""Latency of each transport beside the budget that is usually quoted for it."""

import bars
import series
import units
from series import get, label

TITLE = "Latency, beside the budget that is usually quoted"
CAPTION = ("Coloured: the median from the time at which a message was due to its last byte at the "
           "client. Grey: what articles quote for this transport and round-trip time.")
HEADER = ["Contestant", "All connected", "Usually quoted", "p50", "p90", "p99", "Max"]
LEGEND = [("ink", "measured"), ("g2", "usually quoted")]


def panels(run):
    """One for each round-trip time, in a run in which a budget is quoted; else none."""
    colours = series.colours(run)
    return [bars.Panel(workload, [bars.Row(label(c["name"]), _bars(c, colours[c["name"]]))
                                  for c in members], axis_format=units.axis_time)
            for workload, members in _measured(run)]


def _bars(contestant, colour):
    median, quoted = series.latency_ns(contestant, 50), contestant.get("quoted_latency_ns")
    made = [bars.Bar([(median, colour)], units.time_ns(median))]
    return made + ([bars.Bar([(quoted, "g2")], units.time_ns(quoted))] if quoted else [])


def rows(run):
    return [[series.full_name(c), units.duration(get(c, "connect", "elapsed_s")),
             units.time_ns(c.get("quoted_latency_ns")),
             *(units.time_ns(series.latency_ns(c, p)) for p in (50, 90, 99)),
             units.time_ns(series.slowest_ns(c))]
            for _, members in _measured(run) for c in members]


def _measured(run):
    if not series.having(run, "quoted_latency_ns"):
        return []
    return [(workload, [c for c in members if series.latency_ns(c, 50) is not None])
            for workload, members in series.having(run, "latency")]
