"""ringside-bench diff, report, export and index are the programs of bench/report under its name."""

import csv
import io
import json
import os
import re
import shutil
import subprocess

import pytest

from bench import ROOT, bench_binary
from ringside import server_binary

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


def kept(tmp_path, **build):
    """A run of the given build in runs/, and what `record` says of it."""
    name = "2026-01-01-hold-1234567"
    run = json.loads((EXAMPLES / "hold.json").read_text(encoding="utf-8"))
    run["build"] |= build
    (tmp_path / "runs" / name).mkdir(parents=True)
    (tmp_path / "runs" / name / "run.json").write_text(json.dumps(run), encoding="utf-8")
    refused = bool(build.get("dirty") or build.get("server") or build["commit"] == "unknown")
    done = program("record", f"runs/{name}", folder=tmp_path, expect=int(refused))
    assert (tmp_path / "results" / name / "run.json").exists() == (not refused)
    return done


def test_a_run_is_recorded_once(tmp_path):
    kept(tmp_path, commit="a" * 40, dirty=False)
    index = (tmp_path / "results" / "index.html").read_text(encoding="utf-8")
    assert "2026-01-01-hold-1234567" in index
    again = program("record", "runs/2026-01-01-hold-1234567", folder=tmp_path, expect=1)
    assert "is there already" in again.stderr


@pytest.mark.parametrize("build, why", [
    ({"commit": "a" * 40, "dirty": True}, "uncommitted changes"),
    ({"commit": "unknown", "dirty": False}, "does not know what was built"),
    ({"commit": "a" * 40, "dirty": False, "server": "b" * 40}, "the server was built from bbb"),
])
def test_a_run_of_an_unknown_source_is_not_recorded(tmp_path, build, why):
    assert why in kept(tmp_path, **build).stderr


def test_a_run_names_what_was_built(tmp_path, server):
    version = subprocess.run([str(server_binary()), "--version"], capture_output=True,
                             text=True, check=True).stdout
    metrics = server.get("/metrics").body.decode()
    source = re.search(r'^ringside_build_info{.*commit="([^"]*)"', metrics, re.MULTILINE)[1]
    assert f"({source})" in version
    out = tmp_path / "run.json"
    program("hold", "--connections", 10, "--seconds", 1, "--transport", "sse", "--results", "none",
            "--json", out)
    build = json.loads(out.read_text(encoding="utf-8"))["build"]
    assert build["server"] == source
    assert source.startswith(build["commit"]) and build["dirty"] == source.endswith("-dirty")
