"""A run as one HTML page with nothing outside it: no script, no font, no picture to fetch."""

import pathlib

import figures
import findings
import overview
import series
import svg
import units
from markup import Raw, command, el, table
from series import label

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
    pairs += [(name.replace("_", " "), machine[name]) for name in (
        "governor", "clocksource", "transparent_hugepage", "hypervisor", "lab")
        if machine.get(name)]
    if machine.get("namespace") is not None:
        pairs.append(("network namespace", "its own" if machine["namespace"] else "the host's"))
    pairs += [(f"mitigation: {name}", text) for name, text in
              sorted((machine.get("mitigations") or {}).items())]
    if uring.get("features"):
        pairs.append(("io_uring", ", ".join(uring["features"])))
    if uring.get("liburing"):
        pairs.append(("liburing", uring["liburing"]))
    return el("details", el("summary", "Kernel settings and io_uring features"),
              _definitions(pairs)) if pairs else None


# ---- tables ---------------------------------------------------------------------------------

def _with_side(value, side):
    return [value, el("span", side, class_="side")]


def _shown(cell):
    """A cell of overview.py."""
    if not isinstance(cell, overview.Cell):
        return cell
    if cell.tone:
        return el("span", cell.text, class_=cell.tone)
    return _with_side(cell.text, cell.side) if cell.side else cell.text


def _head(cell):
    """A package's version can be as long as a sentence: it may wrap under the name."""
    if not isinstance(cell, overview.Cell) or not cell.side:
        return str(cell)
    return [cell.text, el("span", cell.side, class_="version")]


def overview_tables(run):
    return [table(made.caption, made.header,
                  [[_head(first), *map(_shown, rest)] for first, *rest in made.rows])
            for made in overview.tables(run)]


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
