"""ringside-bench diff, report, export and index are the programs of bench/report under its name."""

import csv
import io
import os
import shutil
import subprocess

import pytest

from bench import ROOT, bench_binary

EXAMPLES = ROOT / "tests" / "report" / "example"


def program(*arguments, expect=0, folder=None):
    done = subprocess.run([str(bench_binary()), *map(str, arguments)], capture_output=True,
                          text=True, timeout=60, env=os.environ, cwd=folder, check=False)
    assert done.returncode == expect, done.stdout + done.stderr
    return done


def test_diff_of_a_run_with_itself():
    run = EXAMPLES / "fanout.json"
    text = program("diff", run, run).stdout
    assert "within 0.0 % of each other" in text


def test_export_writes_nothing_but_the_figures():
    rows = list(csv.reader(io.StringIO(program("export", EXAMPLES / "hold.json", "--csv").stdout)))
    assert rows[0][0] == "experiment"
    assert {row[0] for row in rows[1:]} == {"hold"}
    assert program("export", EXAMPLES / "hold.json", "--openmetrics").stdout.endswith("# EOF\n")


def test_report_and_index(tmp_path):
    pytest.importorskip("matplotlib")
    folder = tmp_path / "results" / "2026-01-01-hold-1234567"
    folder.mkdir(parents=True)
    shutil.copy(EXAMPLES / "hold.json", folder / "run.json")
    program("report", "results/2026-01-01-hold-1234567", folder=tmp_path)
    assert (folder / "report.html").exists()
    program("index", folder=tmp_path)
    assert "report.html" in (tmp_path / "results" / "index.html").read_text(encoding="utf-8")


def test_what_is_wrong_is_said(tmp_path):
    done = program("diff", tmp_path / "nothing", tmp_path / "nothing", expect=1)
    assert "No such file" in done.stderr
    assert "there is no experiment 'dif'" in program("dif", expect=1).stderr
    assert "diff" in program("--help").stdout
