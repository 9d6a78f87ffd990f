"""Runs that documents cite are made again by name: what is kept, what is not, and what is said."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "bench" / "report"))

import recorded  # noqa: E402

EXAMPLE = ROOT / "tests" / "report" / "example" / "compare.json"


def test_the_table_has_a_command_and_its_minutes_in_each_row():
    rows = recorded.rows(recorded.TABLE.read_text(encoding="utf-8"))
    assert len(rows) > 20
    for row in rows:
        assert 0 < row.minutes < 60
        assert row.written().endswith(row.command)
    told = subprocess.run([sys.executable, ROOT / "bench/report/recorded.py", "--list", "compare",
                           "hold-1m-http"], text=True, stdout=subprocess.PIPE, check=True)
    assert "2 runs, about 8 min 48 s in all" in told.stdout
    assert "tuning/tune lab --for 1M -- ./build.sh bench hold" in told.stdout


def test_all_of_them_fit_an_afternoon():
    """But for those of clients without sockets: five million take as long again."""
    rows = recorded.rows(recorded.TABLE.read_text(encoding="utf-8"))
    socketless = [row for row in rows if "--clients socketless" in row.command]
    assert sum(row.minutes for row in rows if row not in socketless) <= 95
    assert sum(row.minutes for row in socketless) <= 70


def test_peers_that_are_missing_are_named_with_what_installs_them(tmp_path):
    """Their products are in the build folder: in an empty one there are none."""
    told = subprocess.run(
        [sys.executable, str(ROOT / "bench/report/recorded.py"), "--list", "compare", "peers-bun"],
        text=True, capture_output=True, check=True,
        env=os.environ | {"RINGSIDE_BUILD": str(tmp_path), "PATH": "/usr/bin:/bin"})
    assert told.stderr == "".join(
        f"warning: {name} is not installed, so there will be no peers-bun: `./build.sh peers "
        f"{name}`\n" for name in ("bun", "tungstenite"))


@pytest.mark.parametrize("text, complaint", [
    ("a | 2 | -", "line 1: needs"), ("# x\n\na | 2 | - |", "line 3: needs"),
    ("a | two | - | b", "could not convert"), ("a | 2 | - | b\na | 2 | - | c", "there twice"),
])
def test_a_row_that_is_none(text, complaint):
    with pytest.raises(ValueError, match=complaint):
        recorded.rows(text)


@pytest.fixture
def made(monkeypatch, tmp_path):
    """Records one row, whose command is this: it writes the example, changed so; or only ends."""
    def record(change=None, status=0):
        run = json.loads(EXAMPLE.read_text(encoding="utf-8"))
        run["build"].update(commit="1" * 40, dirty=False, server="1" * 40)
        run.update(interrupted=False)
        if change:
            change(run)
        source = tmp_path / "source.json"
        source.write_text(json.dumps(run), encoding="utf-8")
        script = ("import pathlib, shutil, sys; made = pathlib.Path(sys.argv[1]) / 'x'; "
                  f"made.mkdir(); shutil.copy({str(source)!r}, made / 'run.json'); "
                  f"sys.exit({status})")
        monkeypatch.setattr(recorded.Row, "words",
                            lambda self, results: [sys.executable, "-c", script, results])
        return recorded.make(recorded.Row("one", 1, "-", "compare"), tmp_path / "results")
    return record


def test_what_is_kept_and_what_is_not(made, tmp_path):
    kept = tmp_path / "results" / "one" / "run.json"
    assert "uncommitted" in made(lambda run: run["build"].update(dirty=True))
    assert "the server was built from" in made(lambda run: run["build"].update(server="2" * 40))
    assert "interrupted" in made(lambda run: run.update(interrupted=True))
    assert made(status=2) == "it ended with status 2"
    assert not kept.exists()
    assert made() is None
    assert json.loads(kept.read_text(encoding="utf-8"))["build"]["commit"] == "1" * 40
    assert made(lambda run: run.update(title="again")) is None
    assert json.loads(kept.read_text(encoding="utf-8"))["title"] == "again"


def test_a_tree_with_changes_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(recorded, "changes", lambda: [" M a"])
    monkeypatch.setattr(sys, "argv", ["recorded", "compare"])
    with pytest.raises(recorded.load.BadRun, match="commit them first"):
        recorded.main()
    assert "1 runs" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["recorded", "nothing"])
    with pytest.raises(recorded.load.BadRun, match="there is no run 'nothing'"):
        recorded.main()
