"""The report programs on the example runs: complete, self-contained, and plain about bad input."""

import copy
import csv
import html.parser
import io
import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
REPORT = ROOT / "bench" / "report"
EXAMPLES = sorted((HERE / "example").glob("*.json"))
NAMES = [path.stem for path in EXAMPLES]

sys.path.insert(0, str(REPORT))

import diff  # noqa: E402
import findings  # noqa: E402
import lines  # noqa: E402
import load  # noqa: E402
import schema  # noqa: E402
import series  # noqa: E402
import units  # noqa: E402


def program(name, *arguments):
    return subprocess.run([sys.executable, str(REPORT / f"{name}.py"), *map(str, arguments)],
                          text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def example(name):
    return json.loads((HERE / "example" / f"{name}.json").read_text(encoding="utf-8"))


class Page(html.parser.HTMLParser):
    """Tags with their attributes, the text, and whether every tag was closed."""

    VOID = {"meta", "link", "br", "img"}

    def __init__(self, source):
        super().__init__()
        self.tags, self.words, self.open, self.unbalanced = [], [], [], []
        self.feed(source)
        self.text = " ".join(self.words)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data):
        self.words.append(data)


# As report.py does it, and all in one process: matplotlib takes longer to load than to draw.
DRAW_ALL = """
import pathlib, sys
import load, page
folder, *paths = map(pathlib.Path, sys.argv[1:])
for path in paths:
    (folder / f"{path.stem}.html").write_text(page.of_run(load.load(path)), encoding="utf-8")
"""


def all_drawn(folder):
    made = subprocess.run([sys.executable, "-c", DRAW_ALL, folder, *EXAMPLES], text=True,
                          stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(REPORT)})
    assert made.returncode == 0, made.stderr
    return {name: (folder / f"{name}.html").read_text(encoding="utf-8") for name in NAMES}


@pytest.fixture(scope="session")
def sources(tmp_path_factory):
    return all_drawn(tmp_path_factory.mktemp("reports"))


@pytest.fixture(scope="session")
def drawn_again(tmp_path_factory):
    return all_drawn(tmp_path_factory.mktemp("again"))


@pytest.fixture(scope="session")
def pages(sources):
    return {name: Page(source) for name, source in sources.items()}


# ---- the page -------------------------------------------------------------------------------

@pytest.mark.parametrize("name", NAMES)
def test_page_is_well_formed(pages, name):
    assert pages[name].unbalanced == []
    assert pages[name].open == []


@pytest.mark.parametrize("name", NAMES)
def test_page_fetches_nothing_and_runs_nothing(sources, pages, name):
    loading = {"script", "link", "img", "iframe", "object", "embed", "base", "source", "video"}
    assert loading.isdisjoint(tag for tag, _ in pages[name].tags)
    for _, attributes in pages[name].tags:
        for attribute, value in attributes.items():
            assert not attribute.startswith("on")
            if attribute in ("src", "href", "xlink:href", "srcset", "action"):
                assert value.startswith("#"), value
    assert not re.search(r"@import|https?://|url\((?!#)", sources[name])


@pytest.mark.parametrize("name", NAMES)
def test_every_id_is_unique_and_every_reference_has_one(sources, pages, name):
    ids = [a["id"] for _, a in pages[name].tags if a.get("id")]
    assert len(ids) == len(set(ids))
    references = re.findall(r'(?:href="|url\()#([^")]+)', sources[name])
    references += [r for _, a in pages[name].tags for r in (a.get("aria-labelledby") or "").split()]
    assert set(references) <= set(ids)


@pytest.mark.parametrize("name", NAMES)
def test_every_plot_has_title_description_and_table(pages, name):
    tags = [tag for tag, _ in pages[name].tags]
    assert tags.count("figure") > 0
    assert tags.count("svg") == 2 * tags.count("figure") == tags.count("desc")
    assert tags.count("details") >= tags.count("figure")
    assert tags.count("table") > tags.count("figure")


@pytest.mark.parametrize("name", NAMES)
def test_plots_have_only_the_colours_of_the_page(sources, name):
    drawn = "".join(re.findall(r"<svg.*?</svg>", sources[name], re.S))
    assert not re.search(r"#[0-9a-f]{6}\b", drawn)
    defined = set(re.findall(r"(--[a-z0-9]+):", sources[name]))
    assert set(re.findall(r"var\((--[a-z0-9]+)\)", drawn)) <= defined


@pytest.mark.parametrize("name", NAMES)
def test_every_contestant_and_its_figures_are_there(pages, name):
    run = example(name)
    text = pages[name].text
    for c in run["contestants"]:
        assert series.label(c["name"]) in text
        wanted = []
        if c.get("deliveries_per_s"):
            wanted.append(units.rate(c["deliveries_per_s"]["median"]))
            wanted.append(units.time_ns(c["server_cpu_ns_per_delivery"]["median"]))
        if c.get("ratio"):
            wanted.append(units.times(c["ratio"]["deliveries_per_s"]["median"]))
        if c.get("memory"):
            wanted.append(units.size_bytes(c["memory"]["user_bytes_per_connection"]))
            wanted.append(units.size_bytes(c["memory"]["kernel_bytes_per_connection"]))
        if c.get("latency"):
            wanted += [units.time_ns(series.percentile(series.histogram(c), p))
                       for p in schema.REQUIRED_PERCENTS]
        if c.get("ledger"):
            wanted += [units.count(c["ledger"][k]) for k in ("expected", "lost")]
        for figure in wanted:
            assert figure in text, (c["name"], figure)


@pytest.mark.parametrize("name", NAMES)
def test_machine_commit_and_command_are_there(pages, name):
    run = example(name)
    text = re.sub(r"\s+", " ", pages[name].text)
    for wanted in (run["machine"]["cpu_model"], run["machine"]["kernel"], run["build"]["commit"]):
        assert wanted in text
    assert text.count(run["command"].split()[0]) > 1


@pytest.mark.parametrize("name", NAMES)
def test_same_run_same_bytes(sources, drawn_again, name):
    assert drawn_again[name] == sources[name]


def test_what_weakens_a_figure_is_said(pages):
    assert "was interrupted" in pages["ceiling"].text
    assert "uncommitted changes" in pages["ceiling"].text
    assert "client was the bottleneck for Short polling" in pages["compare"].text
    assert "≥" in pages["compare"].text
    assert "The ledger is not clean: nchan" in pages["fanout"].text


def test_names_from_a_run_cannot_break_the_page(tmp_path):
    run = example("ceiling")
    for c in run["contestants"]:
        c["kind"], c["name"] = "peer", f"<script>alert(1)</script>&\"'{c['name']}"
        c.pop("ratio", None)
    (tmp_path / "run.json").write_text(json.dumps(run), encoding="utf-8")
    assert program("report", tmp_path).returncode == 0
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "script" not in [tag for tag, _ in page.tags]
    assert page.unbalanced == []


def test_the_least_run_that_is_valid_has_a_report(tmp_path):
    run = example("hold")
    run["contestants"] = [{"name": "sse", "kind": "transport", "connections": 3, "turns": []}]
    del run["timeline"]
    (tmp_path / "run.json").write_text(json.dumps(run), encoding="utf-8")
    made = program("report", tmp_path)
    assert made.returncode == 0, made.stderr


def test_a_handshake_shows_its_cpu_and_what_the_other_needs(pages):
    text = pages["handshakes"].text
    for c in example("handshakes")["contestants"]:
        figures = c["handshakes"]
        assert units.time_ns(figures["server_cpu_ns"]["median"]) in text
        if figures.get("versus_server_cpu"):
            assert units.times(figures["versus_server_cpu"]["median"]) in text
    assert "TCP, request, answer" in text
    assert "Ringside (plain), nginx with OpenSSL (plain, full P-256" in text


def test_memory_of_peers_that_vanished_is_there_at_every_moment(pages):
    [moments] = [c["course"] for c in example("half_open")["contestants"] if "course" in c]
    text = pages["half_open"].text
    for moment in moments:
        assert moment["when"] in text
        assert units.size_bytes(moment["rss_bytes"]) in text
        assert units.size_bytes(moment["kernel_bytes"]) in text


def test_attacks_are_told_with_what_they_broke(pages):
    text = pages["abuse"].text
    for c in example("abuse")["contestants"]:
        assert c["workload"] in text
    assert "memory, p99" in text and "died" in text
    assert "closed_head_timeout" in text and "not in time" in text


def test_a_knee_shows_every_step_and_whose_it_was(pages):
    text = pages["knee"].text
    assert "The most that keeps p99 under 500\u00a0ms, to 1,000 subscribers: WebSocket 3,560/s, " \
           "SSE ≥\u00a02,960/s." in text
    for c in example("knee")["contestants"]:
        for step in c["knee"]["steps"]:
            assert f"{step['value']:,.6g}" in text
    assert "p99, uncorrected" in text


def claims_run():
    """The example of a fan-out as a scenario of `claims`, beside one that could not be run."""
    run = example("fanout")
    for c in run["contestants"]:
        c.update(scenario="budget", workload="budget: " + c["workload"],
                 quoted_latency_ns=20_000_000)
    run.update(
        experiment="claims", title="Claims, tested", headline="1 claims hold",
        scenarios=[
            {"name": "gone", "title": "What went wrong", "experiment": "hold", "elapsed_s": 2.0,
             "command": "./build.sh bench hold", "failed": "it took longer than 2 s"},
            {"name": "budget", "title": "What it costs", "experiment": "latency",
             "about": "About it.", "elapsed_s": 40.0, "command": "./build.sh bench latency",
             "settings": {"subscribers": 20}, "notes": ["A note of the run."]}],
        verdicts=[{"claim": f"Claim of {name}", "scenario": name, "measured": f"{name} figure",
                   "verdict": verdict, "source": "an article"}
                  for name, verdict in (("gone", "not measured"), ("budget", "holds"))])
    return run


def test_claims_come_first_and_lead_to_their_scenario(tmp_path):
    run = claims_run()
    assert load.faults(run, strict=True) == []
    (tmp_path / "run.json").write_text(json.dumps(run), encoding="utf-8")
    made = program("report", tmp_path)
    assert made.returncode == 0, made.stderr
    source = (tmp_path / "report.html").read_text(encoding="utf-8")
    page = Page(source)
    assert page.unbalanced == []
    links = [a["href"] for tag, a in page.tags if tag == "a"]
    assert links == ["#budget", "#gone"]  # latency is what comes first
    assert {"budget", "gone", "budget-budget"} <= {a.get("id") for _, a in page.tags}
    order = [page.text.index(text) for text in (
        "Measured here", "budget figure", "gone figure", "What it costs", "About it.",
        "usually quoted", "What went wrong", "Not measured: it took longer than 2 s")]
    assert order == sorted(order)
    assert "A note of the run." in page.text and "an article" in page.text


# ---- bad input ------------------------------------------------------------------------------

def one_line(result, *wanted):
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1, result.stderr
    for text in wanted:
        assert text in result.stderr


@pytest.mark.parametrize("name", ("report", "export", "diff"))
def test_bad_file_is_one_line(tmp_path, name):
    bad = tmp_path / "run.json"
    more = {"report": [], "export": ["--csv"], "diff": [bad]}[name]
    one_line(program(name, bad, *more), "No such file")
    bad.write_text("{", encoding="utf-8")
    one_line(program(name, bad, *more), "is not JSON", "line 1")
    bad.write_bytes(b"\xff\xfe")
    one_line(program(name, bad, *more), "is not UTF-8")
    bad.write_text("[]", encoding="utf-8")
    one_line(program(name, bad, *more), "schema is None")
    bad.write_text('{"schema": "ringside-run/9"}', encoding="utf-8")
    one_line(program(name, bad, *more), "ringside-run/9", schema.SCHEMA)


def broken(change):
    run = example("compare")
    change(run)
    return load.faults(run, strict=True)


@pytest.mark.parametrize("change, fault", [
    (lambda r: r.pop("command"), "run: 'command' is missing"),
    (lambda r: r.update(duration_s="7"), "duration_s: must be a number, is text"),
    (lambda r: r.update(started_at="yesterday"), "started_at: is 'yesterday', must be UTC"),
    (lambda r: r.update(timeine=[]), "run: 'timeine' is not in the schema"),
    (lambda r: r["machine"].update(cores=1.5), "machine.cores: is 1.5, must be a whole number"),
    (lambda r: r["contestants"][2].update(kind="guest"), "contestants[2].kind: is 'guest'"),
    (lambda r: r["contestants"][2]["turns"][1].update(deliveries=-1),
     "contestants[2].turns[1].deliveries: is -1"),
    (lambda r: r["contestants"][0]["deliveries_per_s"].update(p25=1e9),
     "contestants[0].deliveries_per_s: must have min <= p25"),
    (lambda r: r["contestants"][0]["ledger"].update(lost=1),
     "contestants[0].ledger: delivered + lost is not expected"),
    (lambda r: r["contestants"][2]["latency"]["uncorrected"]["percentiles"].pop(),
     None),
    (lambda r: r["contestants"][2]["latency"]["uncorrected"]["percentiles"].pop(5),
     "percentiles: has no 50"),
    (lambda r: r["contestants"][2]["latency"]["uncorrected"]["percentiles"].reverse(),
     "percentiles: must rise"),
    (lambda r: r["contestants"][2]["ratio"].update(ceiling="sky"),
     "contestants[2].ratio: there is no ceiling 'sky'"),
    (lambda r: r["contestants"].append(r["contestants"][0]), "is there twice"),
    (lambda r: r["contestants"][0].update(turns=7),
     "contestants[0].turns: must be a list, is a number"),
    (lambda r: r.update(duration_s=float("nan")), "duration_s: is nan"),
])
def test_faults_are_named_with_their_place(change, fault):
    found = broken(change)
    if fault is None:
        assert found == []
    else:
        assert len(found) == 1 and fault in found[0], found


def test_unknown_fields_are_ignored_unless_strict():
    run = example("hold") | {"later": 1}
    assert load.faults(run) == []
    assert load.faults(run, strict=True) == ["run: 'later' is not in the schema"]


@pytest.mark.parametrize("name", NAMES)
def test_examples_are_valid(name):
    assert load.faults(example(name), strict=True) == []


def test_the_tables_of_the_page_are_those_of_the_schema():
    text = (ROOT / "docs" / "RESULTS.md").read_text(encoding="utf-8")
    tables = [name for _, name in schema.TABLE.findall(text)]
    assert {"run", "contestant", "machine", "turn", "memory", "verdict"} <= set(tables)
    assert schema.page(text) == text, "python3 bench/report/schema.py"
    with_words = [field for name in tables for field, part in (
        schema.whole() if name == "run" else schema.whole()["$defs"][name])["properties"].items()
        if not part.get("description")]
    assert len(with_words) < 25, with_words


# ---- index, diff, export --------------------------------------------------------------------

def test_index_has_every_run_and_names_the_broken_one(tmp_path):
    for name in NAMES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(json.dumps(example(name)), encoding="utf-8")
    (tmp_path / "compare" / "report.html").touch()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("{}", encoding="utf-8")

    result = program("index", tmp_path)
    assert result.returncode == 0
    assert "broken" in result.stderr
    page = Page((tmp_path / "index.html").read_text(encoding="utf-8"))
    links = {a["href"] for tag, a in page.tags if tag == "a"}
    assert links == {"compare/report.html"} | {f"{n}/run.json" for n in NAMES if n != "compare"}
    for name in NAMES:
        assert findings.headline(example(name)) in page.text
    assert page.unbalanced == []


def test_index_without_runs(tmp_path):
    assert program("index", tmp_path).returncode == 0
    assert "No run has been recorded" in (tmp_path / "index.html").read_text(encoding="utf-8")
    one_line(program("index", tmp_path / "nowhere"), "is not a folder")


def spread(median, half):
    return {"min": median - 2 * half, "p25": median - half, "median": median,
            "p75": median + half, "max": median + 2 * half, "n": 9}


@pytest.mark.parametrize("old, new, more_is_better, wanted", [
    (spread(100, 2), spread(102, 2), True, "same"),
    (spread(100, 5), spread(108, 5), True, "within the noise"),
    (spread(100, 1), spread(108, 1), True, "better"),
    (spread(100, 1), spread(108, 1), False, "worse"),
    (spread(100, 1), spread(92, 1), True, "worse"),
    (spread(100, 20), spread(200, 2), True, "too noisy to tell"),
    (spread(100, 2), spread(200, 60), True, "too noisy to tell"),
])
def test_diff_verdict(old, new, more_is_better, wanted):
    assert diff.verdict(old, new, more_is_better) == wanted


def test_diff_of_a_run_with_itself_says_same(tmp_path):
    result = program("diff", *2 * [HERE / "example" / "compare.json"])
    assert result.returncode == 0
    assert "The runs agree: all ratios are within 0.0 % of each other" in result.stdout
    assert not re.search("better|worse|note:", result.stdout)


def rate_line(quotient, verdict):
    return diff.Line("WebSocket", "deliveries, × ceiling", "", "", quotient, verdict)


@pytest.mark.parametrize("lines_, wanted", [
    ([(1.02, "same"), (0.95, "within the noise")],
     "The runs agree: all ratios are within 5.0 % of each other, and none moved by more than the "
     "noise."),
    ([(1.08, "better"), (0.99, "same")],
     "The runs agree: all ratios are within 8.0 % of each other. 1 of 2 moved by more than the "
     "noise."),
    ([(0.8, "worse"), (1.02, "same")],
     "The runs do not agree: ratios are up to 20.0 % apart. 1 of 2 moved by more than the noise."),
    ([(0.8, "within the noise"), (1.02, "same")],
     "The machine was too noisy to tell for 1 of 2. The runs agree otherwise: all ratios are "
     "within 2.0 % of each other, and none moved by more than the noise."),
    ([(0.6, "too noisy to tell"), (1.02, "same")],
     "The machine was too noisy to tell for 1 of 2. The runs agree otherwise: all ratios are "
     "within 2.0 % of each other, and none moved by more than the noise."),
    ([(0.6, "too noisy to tell")], "The machine was too noisy to tell."),
    ([(0.6, "client-bound")], "No rates to compare."),
])
def test_diff_summary(lines_, wanted):
    assert diff.summary([rate_line(*line) for line in lines_]) == wanted


def test_diff_compares_what_a_clock_paces_without_the_ceiling():
    def paced(rate, ratio):
        def spread(value):
            return dict.fromkeys(("median", "min", "p25", "p75", "max"), value) | {"n": 3}
        return {"name": "poll", "workload": "depth 1", "deliveries_per_s": spread(rate),
                "ratio": {"ceiling": "bare-send", "deliveries_per_s": spread(ratio)}}

    def figures(*contestants):
        return [(line.figure, line.verdict) for line in diff.compare(*contestants)]

    assert figures(paced(20000, 0.15), paced(20010, 0.19)) == [("deliveries", "same")]
    assert figures(paced(90000, 0.95), paced(99000, 0.95)) == [("deliveries, × ceiling", "same")]


def test_diff_has_no_verdict_on_what_the_client_limited(tmp_path):
    run = example("fanout")
    changed = copy.deepcopy(run)
    contestant = changed["contestants"][0]
    contestant["client_bound"] = True
    (tmp_path / "run.json").write_text(json.dumps(changed), encoding="utf-8")
    result = program("diff", HERE / "example" / "fanout.json", tmp_path)
    assert re.search(r"deliveries.* client-bound\n", result.stdout)


def test_diff_finds_a_change_and_names_what_differs(tmp_path):
    run = example("compare")
    changed = copy.deepcopy(run)
    changed["settings"]["shards"] = 2
    ratio = changed["contestants"][2]["ratio"]["deliveries_per_s"]
    for key in ("min", "p25", "median", "p75", "max"):
        ratio[key] *= 0.8
    (tmp_path / "run.json").write_text(json.dumps(changed), encoding="utf-8")
    result = program("diff", HERE / "example" / "compare.json", tmp_path)
    assert "note: setting shards differs: 1 and 2" in result.stdout
    assert re.search(r"WebSocket, depth 1 +deliveries, × ceiling .* 0\.800  worse", result.stdout)


def test_csv_has_one_figure_per_line():
    result = program("export", HERE / "example" / "compare.json", "--csv")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    run = example("compare")
    found = {(r["contestant"], r["workload"], r["figure"], r["statistic"]): float(r["value"])
             for r in rows}
    assert len(found) == len(rows)
    for c in run["contestants"]:
        key = (c["name"], c["workload"])
        assert found[(*key, "deliveries_per_s", "median")] == c["deliveries_per_s"]["median"]
        assert found[(*key, "ledger_lost", "value")] == 0


def test_openmetrics_families_stand_together():
    result = program("export", HERE / "example" / "fanout.json", "--openmetrics")
    text = result.stdout.splitlines()
    assert text[-1] == "# EOF"
    families = [line.split()[2] for line in text if line.startswith("# TYPE")]
    assert len(families) == len(set(families)) > 5
    current = None
    for line in text[:-1]:
        if line.startswith("# TYPE"):
            current = line.split()[2]
        else:
            assert re.fullmatch(r'[a-z_]+\{(\w+="[^"]*",?)+\} [0-9.e+-]+ \d+', line), line
            assert line.startswith(current + "{")


@pytest.mark.parametrize("name", NAMES)
def test_openmetrics_is_read_by_a_stranger(name):
    parser = pytest.importorskip("prometheus_client.openmetrics.parser")
    text = program("export", HERE / "example" / f"{name}.json", "--openmetrics").stdout
    samples = [sample for family in parser.text_string_to_metric_families(text)
               for sample in family.samples]
    rows = program("export", HERE / "example" / f"{name}.json", "--csv").stdout.splitlines()
    assert len(samples) == len(rows) - 1 > 0
    assert {s.labels["experiment"] for s in samples} == {example(name)["experiment"]}


# ---- numbers and labels ---------------------------------------------------------------------

@pytest.mark.parametrize("form, value, wanted", [
    (units.time_ns, 0, "0 ns"), (units.time_ns, 9300, "9.30 µs"),
    (units.time_ns, 999_600, "1.00 ms"),
    (units.time_ns, 12_345_678, "12.3 ms"), (units.time_ns, 61e9, "61.0 s"),
    (units.size_bytes, 64, "64 B"), (units.size_bytes, 9150, "9.15 kB"),
    (units.size_bytes, 1.5, "1.50 B"), (units.size_bytes, 999.7, "1.00 kB"),
    (units.size_bytes, None, "–"), (units.rate, 105321, "105,000/s"), (units.rate, 4.5, "4.50/s"),
    (units.times, 5.5555, "5.56×"), (units.times, 0.0948, "0.0948×"),
    (units.times, 12345, "12,345×"),
    (units.share, 0.98, "98 %"), (units.share, 0.99999, "> 99.99 %"),
    (units.share, 0.00001, "< 0.01 %"),
    (units.share, 0, "0 %"), (units.share, 1, "100 %"), (units.duration, 138.4, "2 min 18 s"),
    (units.duration, 7260, "2 h 1 min"), (units.digits, 99.96, "100"),
    (units.digits, 0.09996, "0.100"),
])
def test_units(form, value, wanted):
    assert form(value).replace("\u00a0", " ") == wanted


def test_labels_are_moved_apart_and_no_further():
    assert lines.spread_apart([10, 50, 90], 16) == [10, 50, 90]
    assert lines.spread_apart([50, 50], 16) == [42, 58]
    placed = lines.spread_apart([3, 1, 2, 80], 16)
    assert placed == [18, -14, 2, 80]
