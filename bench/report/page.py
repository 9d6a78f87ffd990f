"""A run as one HTML page with nothing outside it: no script, no font, no picture to fetch."""

import pathlib

import figures
import findings
import series
import svg
import units
from markup import Raw, command, el, table
from series import get, label

STYLE = pathlib.Path(__file__).with_name("style.css")


def document(title, body):
    head = [Raw('<meta charset="utf-8">'),
            Raw('<meta name="viewport" content="width=device-width, initial-scale=1">'),
            Raw('<meta name="color-scheme" content="light dark">'),
            el("title", title), el("style", Raw(STYLE.read_text(encoding="utf-8")))]
    return "<!doctype html>\n" + el("html", el("head", head), el("body", body), lang="en") + "\n"


def of_run(run):
    title = findings.title(run)
    drawn = figures.of_run(run)
    plots = [figure_of(i + 1, figure, run) for i, figure in enumerate(drawn)]
    body = el("main", top(run, title), _findings(run), box(run), _overview(run), _verdicts(run),
              el("section", el("h2", "Figures"), plots) if plots else None,
              ledger(run), _notes(run))
    return document(f"{title} · Ringside", [body, footer(run)])


# ---- the top --------------------------------------------------------------------------------

def commit_name(build):
    return build["commit"][:10] + (" + changes" if build["dirty"] else "")


def date_name(run):
    return run["started_at"].replace("T", " ")[:16] + " UTC"


def top(run, title):
    warnings = findings.warnings(run)
    return el("header", el("p", f"Ringside · {run['experiment']}", class_="over"), el("h1", title),
              el("p", f"{date_name(run)} · {units.duration(run['duration_s'])} · commit ",
                 el("code", commit_name(run["build"])), class_="meta"),
              el("div", [el("p", w) for w in warnings], class_="warn", role="note")
              if warnings else None)


def _findings(run):
    return el("ul", [el("li", s) for s in findings.sentences(run)], class_="findings")


def _definitions(pairs):
    return el("dl", [[el("dt", name), el("dd", value)] for name, value in pairs if value])


def box(run):
    machine, build = run["machine"], run["build"]
    pinned = [f"{side} on CPU {machine[key]}" for side, key in
              (("server", "server_cpus"), ("clients", "client_cpus")) if machine.get(key)]
    files = [units.count(machine[k]) for k in ("nofile_soft", "nofile_hard") if machine.get(k)]
    about = _definitions([
        ("CPU", f"{machine['cpu_model']}, {machine['cores']} cores"),
        ("Memory", units.memory_gib(machine["memory_bytes"])),
        ("Kernel", machine["kernel"]), ("System", machine.get("os")),
        ("Pinned", ", ".join(pinned)), ("Open files", " / ".join(files)),
        ("Load before", units.digits(machine["load_average"])
         if machine.get("load_average") is not None else None),
        ("Ringside", f"{build['version']}, {build.get('type') or 'build'}"
         + (f", {build['compiler']}" if build.get("compiler") else ""))])
    settings = _definitions([(svg.heading(units.setting_name(k)), units.setting(k, v))
                             for k, v in run["settings"].items()])
    return el("section", el("div", el("h2", "Machine"), about),
              el("div", el("h2", "Settings"), settings),
              el("div", _definitions([("Run it again", command(run["command"]))]),
                 _kernel_details(machine), class_="wide"),
              class_="box", aria_label="Machine and settings")


def _kernel_details(machine):
    uring = machine.get("io_uring") or {}
    pairs = [(el("code", k), el("code", v)) for k, v in (machine.get("sysctls") or {}).items()]
    if uring.get("features"):
        pairs.append(("io_uring", ", ".join(uring["features"])))
    if uring.get("liburing"):
        pairs.append(("liburing", uring["liburing"]))
    return el("details", el("summary", "Kernel settings and io_uring features"),
              _definitions(pairs)) if pairs else None


# ---- tables ---------------------------------------------------------------------------------

def _bound(contestant, value):
    return f"≥\u00a0{value}" if series.client_bound(contestant) else value


def _with_side(value, side):
    return [value, el("span", side, class_="side")]


def _ratio_cell(c):
    ratio = get(c, "ratio", "deliveries_per_s")
    if not ratio:
        return "1 = ceiling" if c["kind"] == "ceiling" else units.UNKNOWN
    return _with_side(_bound(c, units.times(ratio["median"])),
                      f"{units.digits(ratio['p25'])} – {units.digits(ratio['p75'])}")


def _ledger_cell(c):
    faults = series.ledger_faults(c)
    if faults is None:
        return units.UNKNOWN
    if faults == 0:
        return el("span", "clean", class_="good")
    return el("span", f"{units.count(faults)} faults", class_="bad")


def _wire_total(c):
    w = c.get("wire")
    return w and w["down_bytes_per_delivery"] + w["up_bytes_per_delivery"]


COLUMNS = (
    ("Knee", series.knee_value),
    ("Deliveries", lambda c: get(c, "deliveries_per_s", "median") and _bound(
        c, units.rate(c["deliveries_per_s"]["median"]))),
    ("Handshakes", lambda c: get(c, "handshakes", "per_s") and _bound(
        c, units.rate(c["handshakes"]["per_s"]["median"]))),
    ("Server CPU per handshake", lambda c: _time(get(c, "handshakes", "server_cpu_ns", "median"))),
    ("Of it TLS", lambda c: _time(get(c, "handshakes", "tls_cpu_ns"))),
    ("Per second and core", lambda c: series.handshakes_per_core(c) and units.rate(
        series.handshakes_per_core(c))),
    ("CPU, × Ringside", lambda c: get(c, "handshakes", "versus_server_cpu") and units.times(
        c["handshakes"]["versus_server_cpu"]["median"])),
    ("× ceiling", lambda c: _ratio_cell(c) if c.get("ratio") or c["kind"] == "ceiling" and
     c.get("deliveries_per_s") else None),
    ("Server CPU per delivery", lambda c: _time(get(c, "server_cpu_ns_per_delivery", "median"))),
    ("Bytes on the wire", lambda c: _size(_wire_total(c))),
    ("p50", lambda c: _time(series.latency_ns(c, 50))),
    ("p99", lambda c: _time(series.latency_ns(c, 99))),
    ("User memory each", lambda c: _size(get(c, "memory", "user_bytes_per_connection"))),
    ("Kernel memory each", lambda c: _size(get(c, "memory", "kernel_bytes_per_connection"))),
    ("Connects", lambda c: series.connects_per_s(c) and units.rate(series.connects_per_s(c))),
    ("Idle server CPU", lambda c: None if series.idle_cpu(c) is None
     else units.share(series.idle_cpu(c))),
    ("Empty answers", lambda c: None if series.empty_share(c) is None
     else units.share(series.empty_share(c))),
    ("Ledger", lambda c: None if series.ledger_faults(c) is None else _ledger_cell(c)),
)
COLUMNS_MAX = 8


def _time(value):
    return None if value is None else units.time_ns(value)


def _size(value):
    return None if value is None else units.size_bytes(value)


def overview_tables(run):
    """The first columns that anybody has a figure for; the ledger always keeps its place."""
    used = [(name, cell) for name, cell in COLUMNS
            if any(cell(c) is not None for c in run["contestants"])]
    while len(used) > COLUMNS_MAX:
        del used[-2]
    made = [_by_workload(run, used)] if _one_each(run) else []
    for workload, members in series.groups(run) if not made else []:
        rows = [[_with_version(c), *(cell(c) or units.UNKNOWN for _, cell in used)]
                for c in members]
        made.append(table(svg.heading(workload),
                          ["Contestant", *(name for name, _ in used)], rows))
    return made


def _with_version(c):
    """A package's version can be as long as a sentence: it may wrap under the name."""
    if not c.get("version"):
        return label(c["name"])
    return [label(c["name"]), el("span", c["version"], class_="version")]


def _overview(run):
    if run["experiment"] == "abuse":
        return None  # the figure's table is the overview
    connections = sorted({c["connections"] for c in run["contestants"]})
    held = " or ".join(filter(None, [", ".join(units.count(n) for n in connections[:-1]),
                                     units.count(connections[-1])])) if connections else "No"
    about = f"{held} connections{' each' if len(run['contestants']) > 1 else ''}."
    if series.having(run, "deliveries_per_s"):
        about += (" Rates and ratios are medians over the turns; the small figures are the "
                  "quartiles." + _warm_up(run["settings"].get("warmup_rounds")))
    return el("section", el("h2", "Overview"), el("p", about), overview_tables(run))


def _one_each(run):
    """One contestant under several workloads: they are the lines of one table."""
    found = series.groups(run)
    return (len(found) > 1 and all(len(members) == 1 for _, members in found)
            and len({c["name"] for c in run["contestants"]}) == 1)


def _by_workload(run, used):
    rows = [[svg.heading(workload), *(cell(c) or units.UNKNOWN for _, cell in used)]
            for workload, (c,) in series.groups(run)]
    return table(label(run["contestants"][0]["name"]), ["", *(name for name, _ in used)], rows)


def _warm_up(rounds):
    if not isinstance(rounds, int) or rounds == 0:
        return ""
    return (" A first round for warming up is in no figure." if rounds == 1
            else f" The first {rounds} rounds, for warming up, are in no figure.")


def _verdicts(run):
    if not run.get("verdicts"):
        return None
    tone = {"holds": "good", "fails": "bad"}
    rows = [[_with_side(v["claim"], v["source"]) if v.get("source") else v["claim"], v["measured"],
             el("span", v["verdict"], class_=tone.get(v["verdict"]))] for v in run["verdicts"]]
    return el("section", el("h2", "Claims"),
              el("div", table("", ["Claim", "Measured here", "Verdict"], rows), class_="words"))


def figure_of(number, figure, run):
    pictures = [el("div", Raw(figure.draw(width, f"{figure.key}-{name}")), class_=name)
                for name, width in (("wide", figures.WIDE), ("narrow", figures.NARROW))]
    key = el("ul", [el("li", el("i", style=f"background:var(--{token})"), text)
                    for token, text in figure.legend], class_="key") if figure.legend else None
    return el("figure", el("h3", el("span", f"{number}. "), figure.title),
              el("figcaption", figure.caption), key, pictures,
              el("details", el("summary", "Numbers and command"),
                 table("", figure.header, figure.rows), el("p", command(run["command"]))),
              id=figure.key)


def ledger(run):
    found = [c for c in run["contestants"] if c.get("ledger")]
    errors = [(c, reason, n) for c in run["contestants"]
              for reason, n in (c.get("errors") or {}).items()]
    if not found and not errors:
        return None

    def fault(n):
        if n is None:
            return units.UNKNOWN
        return el("span", units.count(n), class_="bad") if n else "0"
    rows = [[series.full_name(c), units.count(c["ledger"]["expected"]),
             units.count(c["ledger"]["delivered"]),
             *(fault(c["ledger"].get(k)) for k in series.LEDGER_FAULTS)]
            for c in found]
    failed = [[series.full_name(c), el("code", reason), units.count(n)] for c, reason, n in errors]
    return el("section", el("h2", "Ledger"),
              el("p", "Every subscriber checks the number and the bytes of every message."),
              table("", ["Contestant", "Expected", "Delivered", "Lost", "Duplicate",
                         "Out of order", "Corrupt"], rows) if rows else None,
              table("Errors", ["Contestant", "Reason", "Count"], failed) if failed else None)


def _notes(run):
    notes = [(None, n) for n in run.get("notes") or []]
    notes += dict.fromkeys((label(c["name"]), n) for c in run["contestants"]
                           for n in c.get("notes") or [])
    if not notes:
        return None
    return el("section", el("h2", "Notes"),
              el("ul", [el("li", el("b", f"{who}: ") if who else None, n) for who, n in notes],
                 class_="findings"))


def footer(run):
    return el("footer", el("p", "Made from run.json by ", el("code", "bench/report/report.py"),
                           ". The schema is in docs/RESULTS.md; ",
                           el("code", "./build.sh bench export RUN --csv"),
                           " gives the figures as a table."),
              el("p", f"Commit {run['build']['commit']}"))
