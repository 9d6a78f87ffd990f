"""The report of `claims`: the table of claims first, then each scenario with its own figures."""

from dataclasses import replace

import figures
import findings
import page
import units
from markup import command, el, table

# The figures that show what a scenario is about; of other experiments the first two.
SHOWN = {
    "latency": ("budget",), "compare": ("wire",), "hold": ("memory", "slab"), "storm": ("storm",),
    "knee": ("knee",), "mix": ("wire", "latency"), "slow-readers": ("stall",),
    "abuse": ("abuse",),
}
TONE = {"holds": "good", "fails": "bad"}


def document(run):
    title = findings.title(run)
    numbers = iter(range(1, 1000))
    # What most people ask for comes first.
    scenarios = sorted(run["scenarios"], key=lambda s: s["experiment"] != "latency")
    body = el("main", page.top(run, title), _table(run, [s["name"] for s in scenarios]),
              [_section(run, scenario, numbers) for scenario in scenarios],
              page.box(run), page.ledger(run))
    return page.document(f"{title} · Ringside", [body, page.footer(run)])


def _table(run, order):
    verdicts = sorted(run["verdicts"], key=lambda v: order.index(v["scenario"])
                      if v.get("scenario") in order else len(order))
    rows = [[_claim(verdict), verdict.get("source") or "", verdict["measured"],
             el("span", verdict["verdict"], class_=TONE.get(verdict["verdict"]))]
            for verdict in verdicts]
    return el("section", el("h2", "Claims"),
              el("div", table("", ["Claim", "Source", "Measured here", "Verdict"], rows),
                 class_="words claims"))


def _claim(verdict):
    """Leads to the section that has its figures."""
    scenario = verdict.get("scenario")
    return el("a", verdict["claim"], href=f"#{scenario}") if scenario else verdict["claim"]


def run_of(run, scenario):
    """A scenario as the run that it was: its contestants under their own workloads."""
    prefix = scenario["name"] + ": "
    mine = [dict(contestant) for contestant in run["contestants"]
            if contestant.get("scenario") == scenario["name"]]
    for contestant in mine:
        workload = contestant.pop("workload", "")
        if workload.startswith(prefix):
            contestant["workload"] = workload[len(prefix):]
    return {**run, "experiment": scenario["experiment"], "command": scenario["command"],
            "settings": scenario.get("settings") or {}, "contestants": mine,
            "timeline": scenario.get("timeline") or [], "notes": scenario.get("notes") or []}


def _section(run, scenario, numbers):
    own = run_of(run, scenario)
    head = [el("h2", scenario["title"]),
            el("p", scenario["about"]) if scenario.get("about") else None]
    if scenario.get("failed"):
        return el("section", head, el("p", "Not measured: " + scenario["failed"], class_="meta"),
                  _details(scenario, own), id=scenario["name"])
    drawn = figures.of_run(own)
    wanted = SHOWN.get(scenario["experiment"])
    shown = [f for f in drawn if f.key in wanted] if wanted else drawn[:2]
    plots = [page.figure_of(next(numbers), replace(f, key=f"{scenario['name']}-{f.key}"), own)
             for f in shown]
    return el("section", head, page.overview_tables(own), plots, _details(scenario, own),
              id=scenario["name"])


def _details(scenario, own):
    settings = [(units.setting_name(k).capitalize(), units.setting(k, v))
                for k, v in own["settings"].items()]
    notes = own["notes"] + list(dict.fromkeys(
        note for contestant in own["contestants"] for note in contestant.get("notes") or []))
    return el("details", el("summary", "Settings, notes and command"),
              el("p", command(scenario["command"])),
              el("p", f"Took {units.duration(scenario['elapsed_s'])}."),
              table("", ["Setting", "Value"], settings) if settings else None,
              [el("p", note) for note in notes])
