"""Which figures a run has, each with its drawing at two widths and its numbers as a table."""

from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle

import abuse
import bars
import budget as quoted
import lines
import series
import svg
import units
from series import get, label

WIDE, NARROW = 840, 340


@dataclass
class Figure:
    key: str
    title: str
    caption: str
    draw: object             # width, key -> SVG
    header: list
    rows: list
    legend: list = ()        # [(colour token, text)]


def of_run(run):
    makers = (budget, knee, storm, stall, partial(abuse.figure, make=_bars), course, handshakes,
              throughput, latency, cpu, wire, memory, slab, connects, timeline)
    if run["experiment"] == "hold":
        makers = (memory, slab, timeline, connects, throughput, latency, cpu, wire)
    return [figure for figure in (make(run) for make in makers) if figure]


def _row(contestant, bars_):
    return bars.Row(label(contestant["name"]), bars_, contestant["kind"] == "ceiling")


def _rows(found, cells):
    """One line of a figure's table per contestant and workload."""
    return [[series.full_name(c), *cells(c)] for _, members in found for c in members]


def _in_one(panels):
    """One contestant under several workloads is compared with itself: on one axis."""
    names = {row.label for panel in panels for row in panel.rows}
    if len(panels) < 2 or len(names) > 1 or any(len(panel.rows) != 1 for panel in panels):
        return panels
    rows = [replace(panel.rows[0], label=svg.heading(panel.title)) for panel in panels]
    return [replace(panels[0], title=names.pop(), rows=rows)]


def _bars(key, title, caption, panels, header, rows, legend=()):
    panels = _in_one(panels)
    if any(map(bars.is_cut, panels)):
        caption += " A bar with a gap near its end is longer than the axis."
    return Figure(key, title, caption,
                  lambda width, id_: bars.draw(panels, width, id_, title, caption),
                  header, rows, legend)


def _spread_text(spread, form):
    return f"{form(spread['min'])} – {form(spread['max'])}"


def _middle_text(spread, form):
    return f"{form(spread['p25'])} – {form(spread['p75'])}"


SPREAD_NOTE = ("The bar is the median over the turns; the thick part of the whisker spans the "
               "quartiles, the thin part all turns.")


def throughput(run):
    found = series.having(run, "ratio")
    if not found:
        return _rates(run)
    colours = series.colours(run)
    panels = [bars.Panel(workload, [
        _row(c, [bars.Bar([(c["ratio"]["deliveries_per_s"]["median"], colours[c["name"]])],
                          _bound(c) + units.times(c["ratio"]["deliveries_per_s"]["median"]),
                          c["ratio"]["deliveries_per_s"])]) for c in members],
        reference=1, reference_text=f"{label(members[0]['ratio']['ceiling'])} = 1",
        axis_format=lambda v: f"{v:g}×") for workload, members in found]

    def cells(c):
        ratio = c["ratio"]["deliveries_per_s"]
        return [units.times(ratio["median"]), _middle_text(ratio, units.times),
                _spread_text(ratio, units.times), str(ratio["n"])]
    return _bars("throughput", "Deliveries, as a share of the ceiling",
                 "The ceiling is a loop that does nothing but send, on the same number of sockets "
                 "and with the same client, in the same rounds. " + SPREAD_NOTE,
                 panels, ["Contestant", "Median", "Quartiles", "All turns", "Turns"],
                 _rows(found, cells))


def _bound(contestant):
    return "≥\u00a0" if series.client_bound(contestant) else ""


def _rates(run):
    found = series.having(run, "deliveries_per_s")
    if not found:
        return None
    colours = series.colours(run)
    panels = [bars.Panel(workload, [
        _row(c, [bars.Bar([(c["deliveries_per_s"]["median"], colours[c["name"]])],
                          _bound(c) + units.rate(c["deliveries_per_s"]["median"]),
                          c["deliveries_per_s"])]) for c in members],
        axis_format=lambda v: units.short(v)) for workload, members in found]

    def cells(c):
        spread = c["deliveries_per_s"]
        return [units.rate(spread["median"]), _middle_text(spread, units.rate),
                _spread_text(spread, units.rate), str(spread["n"])]
    return _bars("throughput", "Deliveries per second", SPREAD_NOTE, panels,
                 ["Contestant", "Median", "Quartiles", "All turns", "Turns"], _rows(found, cells))


def latency(run):
    found = [(w, m) for w, m in series.having(run, "latency")
             if any(series.histogram(c) for c in m)]
    if not found:
        return None
    colours = series.colours(run)
    both = any(get(c, "latency", "corrected") and get(c, "latency", "uncorrected")
               for _, members in found for c in members)
    panels = _curves_in_one([(workload, [curve for c in members for curve in _curves(c, colours)])
                             for workload, members in found])
    title = "Latency by percentile"
    caption = ("How long a delivery took, from publish to the subscriber's whole frame. Each step "
               "to the right is ten times rarer; both axes are logarithmic.")
    if both:
        caption += (" Bold: from the time at which the message was due. Thin: from the time at "
                    "which it was really published, which hides the wait of the publisher.")
    percents = (50, 90, 99, 99.9, 99.99)
    rows = [[series.full_name(c) + suffix, *(
                units.time_ns(series.percentile(h, p)) for p in percents),
             units.time_ns(h["max_ns"]), units.count(h["count"])]
            for _, members in found for c in members for suffix, h in _histograms(c)]
    return Figure("latency", title, caption,
                  lambda width, id_: lines.draw_percentiles(panels, width, id_, title, caption),
                  ["Contestant", *(units.percent_name(p) for p in percents), "Max", "Deliveries"],
                  rows)


def budget(run):
    panels = quoted.panels(run)
    if not panels:
        return None
    return _bars("budget", quoted.TITLE, quoted.CAPTION, panels, quoted.HEADER, quoted.rows(run),
                 quoted.LEGEND)


def knee(run):
    found = [c for c in run["contestants"] if get(c, "knee", "steps")]
    if not found:
        return None
    colours = series.colours(run)
    first = found[0]["knee"]
    bound = units.time_ns(first["bound_ns"])
    offered = "messages per second" if first["of"] == "rate" else "subscribers"
    panels = [lines.Knee(f"{label(c['name'])}: {series.knee_value(c)}", colours[c["name"]],
                         c["knee"]["steps"],
                         [(v, m["p99_ns"], m["p99_uncorrected_ns"])
                          for v, m, _, _ in series.knee_points(c["knee"])],
                         c["knee"]["bound_ns"], c["knee"].get("value"), offered) for c in found]
    title = f"Latency against {'rate' if first['of'] == 'rate' else 'subscribers'}"
    caption = (f"Each mark is one turn of an open loop: full where 99 % arrived within {bound}, "
               "hollow where they did not, or where something was missing. The bold line is the "
               "p99 from the time at which a message was due, the thin one from when it was "
               "really published; where they part, the publisher was late. The vertical line is "
               "the knee, confirmed by repeats.")
    rows = [[label(c["name"]), f"{value:,.6g}", units.rate(m["deliveries_per_s"]),
             units.time_ns(m["p50_ns"]), units.time_ns(m["p99_ns"]),
             units.time_ns(m["p99_uncorrected_ns"]), units.share(m["server_cpu_share"]),
             units.share(m["client_cpu_share"]), f"{held} of {turns}"]
            for c in found for value, m, held, turns in series.knee_points(c["knee"])]
    return Figure("knee", title, caption,
                  lambda width, id_: lines.draw_knees(panels, width, id_, title, caption),
                  ["Contestant", svg.heading(offered), "Deliveries", "p50", "p99",
                   "p99, uncorrected", "Server CPU", "Client CPU", "Turns held"], rows)


def _histograms(contestant):
    found = contestant.get("latency") or {}
    corrected, uncorrected = found.get("corrected"), found.get("uncorrected")
    if corrected and uncorrected:
        return [("", corrected), (" (uncorrected)", uncorrected)]
    return [("", h) for h in (corrected, uncorrected) if h]


def _curves(contestant, colours):
    """An uncorrected curve beside a corrected one is thin, and has no label of its own."""
    return [lines.Curve("" if suffix else label(contestant["name"]), colours[contestant["name"]],
                        h["percentiles"], h["count"], series.dash(contestant), faint=bool(suffix))
            for suffix, h in _histograms(contestant)]


_CURVE_COLOURS = ("c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8")


def _curves_in_one(panels):
    """Likewise, if there are colours enough to tell the workloads apart."""
    names = {curve.label for _, curves in panels for curve in curves}
    if (not 1 < len(panels) <= len(_CURVE_COLOURS) or len(names) > 1
            or any(len(curves) != 1 for _, curves in panels)):
        return panels
    return [(names.pop(), [replace(curves[0], label=svg.heading(workload), colour=colour)
                           for (workload, curves), colour in zip(panels, _CURVE_COLOURS)])]


def cpu(run):
    found = series.having(run, "server_cpu_ns_per_delivery")
    if not found:
        return None
    panels = [bars.Panel(workload, [_row(c, [
        bars.Bar([(spread["median"], token)], units.time_ns(spread["median"]), spread)
        for token, spread in (("server", c["server_cpu_ns_per_delivery"]),
                              ("client", c.get("client_cpu_ns_per_delivery"))) if spread])
        for c in members], axis_format=units.axis_time) for workload, members in found]

    def cells(c):
        server, client = c["server_cpu_ns_per_delivery"], c.get("client_cpu_ns_per_delivery")
        return [units.time_ns(server["median"]), units.time_ns(server["min"]),
                units.time_ns(client["median"]) if client else units.UNKNOWN,
                units.share(c.get("server_cpu_share")),
                units.share(series.kept_waiting(c, "server")),
                units.share(c.get("client_cpu_share")),
                units.share(series.kept_waiting(c, "client")),
                "client-bound" if series.client_bound(c) else c.get("saturated")
                or units.UNKNOWN]
    return _bars("cpu", "CPU time per delivery",
                 "User and system time of the whole process, divided by what it delivered. The "
                 "least over many turns is the steadiest figure on a shared machine.",
                 panels, ["Contestant", "Server", "Server, least", "Client", "Server CPU used",
                          "Server kept from CPU", "Client CPU used", "Client kept from CPU",
                          "Saturated"],
                 _rows(found, cells), [("server", "server"), ("client", "client")])


def handshakes(run):
    found = series.having(run, "handshakes", "server_cpu_ns")
    if not found:
        return None

    def bar(h):
        each = h["server_cpu_ns"]["median"]
        tls = min(h.get("tls_cpu_ns") or 0, each)
        return bars.Bar([(each - tls, "head"), (tls, "server")], units.time_ns(each),
                        h["server_cpu_ns"])
    panels = [bars.Panel(workload, [_row(c, [bar(c["handshakes"])]) for c in members],
                         axis_format=units.axis_time) for workload, members in found]

    def cells(c):
        h = c["handshakes"]
        each = h["server_cpu_ns"]
        versus = h.get("versus_server_cpu")
        return [units.time_ns(each["median"]), _middle_text(each, units.time_ns),
                units.time_ns(h.get("tls_cpu_ns")), units.rate(series.handshakes_per_core(c)),
                _bound(c) + units.rate(h["per_s"]["median"]),
                units.times(versus["median"]) if versus else units.UNKNOWN,
                units.share(c.get("server_cpu_share")), units.share(c.get("client_cpu_share"))]
    return _bars("handshakes", "Server CPU per handshake",
                 "A connection with its handshake, a small request and its answer. What that costs "
                 "without TLS is the first part of each bar. Handshakes per second and core follow "
                 "from it; what was seen is a lower bound where the clients were at their limit.",
                 panels, ["Contestant", "CPU each", "Quartiles", "Of it TLS",
                          "Per second and core", "Seen", "CPU, × Ringside", "Server CPU used",
                          "Client CPU used"],
                 _rows(found, cells), [("head", "TCP, request, answer"), ("server", "TLS")])


def wire(run):
    found = series.having(run, "wire")
    if not found:
        return None

    def bar(w):
        head = max(0, w["down_bytes_per_delivery"] - w["payload_bytes"])
        total = w["down_bytes_per_delivery"] + w["up_bytes_per_delivery"]
        return bars.Bar([(w["payload_bytes"], "payload"), (head, "head"),
                         (w["up_bytes_per_delivery"], "up")], units.size_bytes(total))
    panels = [bars.Panel(workload, [_row(c, [bar(c["wire"])]) for c in members],
                         axis_format=units.axis_bytes) for workload, members in found]

    def cells(c):
        w = c["wire"]
        return [units.size_bytes(w["payload_bytes"]),
                units.size_bytes(max(0, w["down_bytes_per_delivery"] - w["payload_bytes"])),
                units.size_bytes(w["up_bytes_per_delivery"]), units.share(series.empty_share(c))]
    return _bars("wire", "Bytes on the wire per delivery",
                 "Counted where the socket is read and written: HTTP heads and frame headers are "
                 "in it, TCP and IP headers are not. Requests and empty answers are spread over "
                 "what was delivered.",
                 panels, ["Contestant", "Payload, down", "Heads and frames, down", "Up",
                          "Empty answers"], _rows(found, cells),
                 [("payload", "payload, down"), ("head", "heads and frames, down"), ("up", "up")])


def _distinct(found):
    """A figure that is the same under every workload is shown once: connections are shared."""
    seen, kept = set(), []
    for workload, members in found:
        fresh = [c for c in members if (c["name"], repr(c["memory"])) not in seen]
        seen.update((c["name"], repr(c["memory"])) for c in members)
        if fresh:
            kept.append((workload, fresh))
    return [("", kept[0][1])] if len(kept) == 1 else kept


def memory(run):
    found = _distinct(series.having(run, "memory"))
    if not found:
        return None

    def bar(m):
        parts = [(m["user_bytes_per_connection"], "user")]
        if m.get("kernel_bytes_per_connection") is not None:
            parts.append((m["kernel_bytes_per_connection"], "kernel"))
        return bars.Bar(parts, " + ".join(units.size_bytes(v) for v, _ in parts))
    panels = [bars.Panel(workload, [_row(c, [bar(c["memory"])]) for c in members],
                         axis_format=units.axis_bytes) for workload, members in found]
    ends = any(get(c, "memory", "kernel_ends") == 2 for _, members in found for c in members)

    def cells(c):
        m = c["memory"]
        return [units.count(c["connections"]), units.size_bytes(m["user_bytes_per_connection"]),
                units.size_bytes(m.get("peak_user_bytes_per_connection")),
                units.size_bytes(m.get("kernel_bytes_per_connection")),
                units.size_bytes(m.get("user_bytes")), units.size_bytes(m.get("kernel_bytes")),
                units.count(series.per_gib(c))]
    return _bars("memory", "Memory per connection",
                 "Growth from before the connections to after, divided by their number. User "
                 "memory is the server's RSS; kernel memory is slab"
                 + (", with both ends of each connection, since the client is on this machine too."
                    if ends else "."),
                 panels, ["Contestant", "Connections", "User, each", "At the peak", "Kernel, each",
                          "User", "Kernel", "Server ends per GiB"], _rows(found, cells),
                 [("user", "user (RSS of the server)"), ("kernel", "kernel (slab)")])


SLAB_SHARE_LEAST = 0.003


def _with_others(caches):
    """The small ones, of which there are many, as one."""
    least = SLAB_SHARE_LEAST * sum(s["bytes"] for s in caches)
    small = [s for s in caches if s["bytes"] < least]
    if len(small) < 2:
        return caches
    return [s for s in caches if s["bytes"] >= least] + [
        {"cache": f"{len(small)} others", "objects": sum(s["objects"] for s in small),
         "bytes": sum(s["bytes"] for s in small)}]


def slab(run):
    """What the kernel's share is made of: of the first contestant that knows."""
    holder = next((c for c in run["contestants"] if get(c, "memory", "slab")), None)
    if not holder or run["experiment"] not in ("hold", "capacity"):
        return None
    n = holder["connections"]
    caches = _with_others(holder["memory"]["slab"])
    panels = [bars.Panel("", [bars.Row(s["cache"], [bars.Bar(
        [(s["bytes"] / n, "kernel")], units.size_bytes(s["bytes"] / n))]) for s in caches],
        axis_format=units.axis_bytes)]
    return _bars("slab", f"Kernel memory of each {label(holder['name'])} connection, by slab cache",
                 "Growth of each cache divided by the connections.", panels,
                 ["Cache", "Each", "Objects", "Bytes"],
                 [[s["cache"], units.size_bytes(s["bytes"] / n), units.count(s["objects"]),
                   units.size_bytes(s["bytes"])] for s in caches])


def connects(run):
    found = [(w, [c for c in m if series.connects_per_s(c)])
             for w, m in series.having(run, "connect")]
    shown, rows = set(), []
    for _, members in found:
        rows += [c for c in members if c["name"] not in shown]
        shown.update(c["name"] for c in members)
    if len(rows) < 2:
        return None
    colours = series.colours(run)
    panels = [bars.Panel("", [_row(c, [bars.Bar(
        [(series.connects_per_s(c), colours[c["name"]])], units.rate(series.connects_per_s(c)))])
        for c in rows], axis_format=units.short)]
    return _bars("connects", "Connections opened per second",
                 "From the first connect to the end of the last handshake.", panels,
                 ["Contestant", "Opened", "Failed", "Time", "Rate"],
                 [[label(c["name"]), units.count(c["connect"]["opened"]),
                   units.count(c["connect"]["failed"]), units.duration(c["connect"]["elapsed_s"]),
                   units.rate(series.connects_per_s(c))] for c in rows])


# ---- after an event -----

_VARIANT_COLOURS = ("c1", "c2", "c4", "c3", "c5", "c6", "c7", "c8")


def storm(run):
    """Those who come back, and what those who stayed notice: one line for each variant."""
    samples = [s for s in run.get("timeline") or [] if s.get("phase") == "storm"]
    variants = list(dict.fromkeys(s["contestant"] for s in samples if s.get("contestant")))
    if not variants:
        return None
    since = {v: [{**s, "t_s": s["t_s"] - start} for s in samples if s.get("contestant") == v]
             for v in variants for start in
             [min(s["t_s"] for s in samples if s.get("contestant") == v)]}
    colours = dict(zip(variants, cycle(_VARIANT_COLOURS)))
    tracks = [track for track in (
        _variants_track("Clients connected", units.short, "connections", since, colours),
        _variants_track("p99 of those who stayed connected", units.axis_time, "p99_ns", since,
                        colours, log=True),
        _variants_track("Server CPU", lambda v: f"{v:g}", "server_cpu", since, colours)) if track]
    end = max(s["t_s"] for members in since.values() for s in members)
    title = "After everybody was cut off"
    caption = ("All are dropped at 0 and come back with a position, while messages are published. "
               "Each variant has a server of its own.")
    return Figure("storm", title, caption,
                  lambda width, id_: lines.draw_timeline(tracks, [(0, end, "")], width, id_, title,
                                                         caption),
                  ["Contestant", "Dropped", "Back", "After", "Attempts that failed",
                   "Told to wait", "Messages by replay", "Positions gone", "Server CPU",
                   "Client CPU"],
                  [_reconnect_row(c) for c in run["contestants"] if c.get("reconnect")],
                  [(colours[v], v) for v in variants])


def _variants_track(title, form, name, since, colours, log=False):
    track = lines.Track(title, form, log=log)
    for variant, members in since.items():
        points = [(t, v) for t, v in _known(members, name) if v > 0 or not log]
        if len(points) > 1:
            track.curves.append((*zip(*points), colours[variant]))
    return track if track.curves else None


def _reconnect_row(contestant):
    r = contestant["reconnect"]

    def used(cpu_s):
        return units.share(cpu_s / r["elapsed_s"]) if cpu_s and r["elapsed_s"] else units.UNKNOWN
    return [series.full_name(contestant), units.count(r["dropped"]), units.count(r["recovered"]),
            units.duration(r["elapsed_s"]), units.count(r["retries"]),
            units.count(r.get("shed")), units.count(r.get("missed")),
            units.count(r.get("unrecovered")), used(r.get("server_cpu_s")),
            used(r.get("client_cpu_s"))]


def stall(run):
    """What the others notice of readers that stop: one bar for each policy."""
    found = [c for c in run["contestants"] if get(c, "stall", "p99_ratio")]
    if not found:
        return None
    panels = [bars.Panel("", [bars.Row(c["stall"]["policy"], [bars.Bar(
        [(c["stall"]["p99_ratio"]["median"], "c1")],
        units.times(c["stall"]["p99_ratio"]["median"]), c["stall"]["p99_ratio"])])
        for c in found], reference=1, reference_text="without them = 1",
        axis_format=lambda v: f"{v:g}×")]
    return _bars("stall", "p99 of the others while some readers are slow",
                 "For each policy of the server: the others' p99 with readers that read nothing or "
                 "a little, divided by that of the same round without them. " + SPREAD_NOTE,
                 panels, ["Policy", "p99, with ÷ without", "All turns", "Slow", "Closed",
                          "Dropped", "Lost", "Have the latest", "Waiting at most", "Allowed",
                          "Server memory", "Sockets"], [_stall_row(c["stall"]) for c in found])


def _stall_row(s):
    return [s["policy"], units.times(s["p99_ratio"]["median"]),
            _spread_text(s["p99_ratio"], units.times),
            f"{units.count(s['readers'])} in {s['turns']} turns", units.count(s["closed"]),
            units.count(s["dropped"]), units.count(s["lost"]), units.count(s["latest"]),
            *("+" * grew + units.size_bytes(s[name]) for grew, name in (
                (0, "queue_bytes"), (0, "bound_bytes"), (1, "rss_bytes"), (1, "tcp_bytes")))]


def course(run):
    """What a server and the kernel held before, with and after peers that came and went."""
    moments = next((c["course"] for c in run["contestants"] if c.get("course")), None)
    if not moments:
        return None
    sides = [(title, name, token) for title, name, token in (
        ("Server", "rss_bytes", "server"), ("Kernel, more than before", "kernel_bytes", "user"))
        if all(m.get(name) is not None for m in moments)]
    panels = [bars.Panel(title, [bars.Row(m["when"], [bars.Bar(
        [(m[name], token)], units.size_bytes(m[name]))]) for m in moments],
        axis_format=units.axis_bytes) for title, name, token in sides]
    return _bars("course", "Memory before, with and after peers that vanished",
                 "The server's resident set, and the kernel's caches of which these peers have "
                 "objects, with all ends on this machine.", panels,
                 ["Moment", *(title for title, *_ in sides)],
                 [[m["when"], *(units.size_bytes(m[name]) for _, name, _ in sides)]
                  for m in moments]) if panels else None


# ---- over time ------------------------------------------------------------------------------

def timeline(run):
    samples = run.get("timeline") or []
    if len(samples) < 2:
        return None
    colours = series.colours(run)
    tracks = [track for track in (
        _track(samples, "Connections", units.short, ("connections", "ink")),
        _deliveries_track(samples, colours),
        _track(samples, "CPUs in use", lambda v: f"{v:g}",
               ("server_cpu", "server"), ("client_cpu", "client")),
        _track(samples, "Server RSS", units.axis_bytes, ("rss_bytes", "user")),
        _track(samples, "Kernel slab", units.axis_bytes, ("slab_bytes", "user")),
        _track(samples, "Latency, p50 and p99", units.axis_time, ("p50_ns", "soft"),
               ("p99_ns", "ink"), log=True),
        _turns_track(run, colours)) if track]
    phases = _phases(samples, [t for track in tracks for times, *_ in track.dots for t in times])
    title = "Over time"
    caption = "One sample about every second. Shaded: every other phase."
    named = {s["contestant"] for s in samples if s.get("contestant")}
    legend = [("server", "server CPU"), ("client", "client CPU")]
    legend += [(colours[n], label(n)) for n in colours if n in named]
    return Figure("timeline", title, caption,
                  lambda width, id_: lines.draw_timeline(tracks, phases, width, id_, title,
                                                         caption),
                  ["Phase", "From", "Length", "Connections", "Deliveries", "Server CPU",
                   "Client CPU", "Server RSS", "Kernel slab"],
                  [_phase_row(samples, *phase) for phase in phases], legend)


def _known(samples, name):
    return [(s["t_s"], s[name]) for s in samples if s.get(name) is not None]


def _track(samples, title, form, *curves, log=False):
    track = lines.Track(title, form, log=log)
    for name, colour in curves:
        points = [(t, v) for t, v in _known(samples, name) if v > 0 or not log]
        if points:
            track.curves.append((*zip(*points), colour))
    return track if track.curves else None


def _deliveries_track(samples, colours):
    """Neighbouring samples of contestants that take turns are not one line."""
    track = lines.Track("Deliveries per second", units.short)
    loose = [s for s in samples if not s.get("contestant")]
    turns = [s for s in samples if s.get("contestant")]
    points = _known(loose, "deliveries_per_s")
    if points and not turns:
        track.curves.append((*zip(*points), "c1"))
    for name in dict.fromkeys(s["contestant"] for s in turns):
        points = _known([s for s in turns if s["contestant"] == name], "deliveries_per_s")
        if points:
            track.dots.append((*zip(*points), colours.get(name, "ink")))
    some = any(v > 0 for _, values, _ in track.curves + track.dots for v in values)
    return track if some else None


def _turns_track(run, colours):
    """A dot where a turn was; of all workloads alike, since they are told apart by their time."""
    track = lines.Track("Latency of each turn, p99", units.axis_time, log=True)
    points = {}
    for c in run["contestants"]:
        points.setdefault(c["name"], []).extend(
            (turn["start_s"] + turn["elapsed_s"] / 2, turn["p99_ns"])
            for turn in c["turns"] if turn.get("p99_ns") and turn.get("start_s") is not None)
    for name, found in points.items():
        if found:
            track.dots.append((*zip(*found), colours[name]))
    return track if track.dots else None


def _phases(samples, others):
    """[(start, end, name)]; each ends where the next begins, the last with all that is drawn."""
    found = []
    for sample in samples:
        name = sample.get("phase") or ""
        if not found or found[-1][2] != name:
            if found:
                found[-1][1] = sample["t_s"]
            found.append([sample["t_s"], sample["t_s"], name])
    found[-1][1] = max([samples[-1]["t_s"], *others])
    return [tuple(phase) for phase in found]


def _phase_row(samples, start, end, name):
    inside = [s for s in samples if start <= s["t_s"] < end] or samples[-1:]

    def mean(field):
        values = [v for _, v in _known(inside, field)]
        return sum(values) / len(values) if values else None

    def last(field):
        values = [v for _, v in _known(inside, field)]
        return values[-1] if values else None
    busy = mean("server_cpu"), mean("client_cpu")
    return [name or "all", units.duration(start), units.duration(end - start),
            units.count(last("connections")), units.rate(mean("deliveries_per_s")),
            *(units.share(b) for b in busy),
            units.size_bytes(last("rss_bytes")), units.size_bytes(last("slab_bytes"))]
