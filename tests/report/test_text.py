"""The tables of the terminal: those of the report, without matplotlib, whatever the window."""

import json
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent
REPORT = HERE.parent.parent / "bench" / "report"
NAMES = [path.stem for path in sorted((HERE / "example").glob("*.json"))]

sys.path.insert(0, str(REPORT))

import series  # noqa: E402
import units  # noqa: E402


def program(name, *arguments):
    return subprocess.run([sys.executable, str(REPORT / f"{name}.py"), *map(str, arguments)],
                          text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def example(name):
    return json.loads((HERE / "example" / f"{name}.json").read_text(encoding="utf-8"))


def blind(name, *arguments):
    """The program where there is no matplotlib."""
    start = f"import sys; sys.modules['matplotlib'] = None; sys.argv = {[name, *arguments]!r}; "
    return subprocess.run([sys.executable, "-c", start + f"import {name}; sys.exit({name}.main())"],
                          text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=REPORT)


@pytest.mark.parametrize("name", NAMES)
def test_the_terminal_has_every_contestant_and_its_figures(name):
    made = blind("report", str(HERE / "example" / f"{name}.json"), "--text", "--width", "100")
    assert made.returncode == 0, made.stderr
    text = made.stdout.replace("\u00a0", " ")
    for c in example(name)["contestants"]:
        wanted = [series.label(c["name"])]
        if "deliveries_per_s" in c:
            wanted.append(units.rate(c["deliveries_per_s"]["median"]))
        if "ratio" in c:
            wanted.append(units.times(c["ratio"]["deliveries_per_s"]["median"]))
        if "memory" in c:
            wanted.append(units.size_bytes(c["memory"]["user_bytes_per_connection"]))
        if "latency" in c and "knee" not in c:
            wanted.append(units.time_ns(series.percentile(series.histogram(c), 99)))
        for figure in wanted:
            assert figure.replace("\u00a0", " ") in text, (c["name"], figure)


def test_a_table_goes_on_below_itself_where_the_window_is_narrow():
    path = HERE / "example" / "compare.json"
    wide, narrow = (program("report", path, "--text", "--width", width).stdout.splitlines()
                    for width in (400, 80))
    assert len(narrow) > 2 * len(wide)
    assert max(len(line) for line in narrow if line.startswith("  ")) <= 80
    words = [set(" ".join(lines_).replace("(", " ").split()) - {"Contestant"} for lines_ in
             (wide, narrow)]
    assert {word for word in words[0] - words[1] if not word.startswith("-")} == set()


def test_a_run_too_small_for_its_memory_to_be_seen_has_tables(tmp_path):
    run = example("hold")
    for c in run["contestants"]:
        c["memory"].update(user_bytes_per_connection=0.0, kernel_bytes_per_connection=0.0)
    (tmp_path / "run.json").write_text(json.dumps(run), encoding="utf-8")
    made = program("report", "--text", tmp_path)
    assert made.returncode == 0 and "Kernel memory each" not in made.stderr, made.stderr


def test_what_is_alike_is_said_once_and_reads_from_standard_input():
    text = (HERE / "example" / "compare.json").read_text(encoding="utf-8")
    made = subprocess.run([sys.executable, str(REPORT / "report.py"), "--text", "-"], input=text,
                          text=True, stdout=subprocess.PIPE, check=True)
    assert "The same for all: connections 10,000" in made.stdout
    assert "such a rate is a lower bound" in made.stdout
