"""What runs the tests, on small ones: what it counts, and which case gets a second run."""

import sys
from dataclasses import replace

import pytest

import again
from pipeline import Pipeline, Step

# A case that fails until it has been run `RUNS` times; each run leaves a line.
CASES = '''
from pathlib import Path
import pytest

COUNTS = Path(__file__).with_name("counts")

def runs(name):
    with open(COUNTS, "a") as file:
        file.write(f"{name}\\n")
    return COUNTS.read_text().split().count(name)

@pytest.fixture
def taken_down():
    yield
    assert runs("down") > 1, "it was not taken down"

@pytest.mark.parametrize("name", ["always", "never", "second", "down"])
def test_case(name, request):
    if name == "down":
        request.getfixturevalue("taken_down")
    assert name != "never", "it never passes"
    assert name == "always" or runs(name) > 1, "it was the first time"

@pytest.mark.parametrize("number", range(5))
def test_five(number):
    assert runs(f"five{number}") > 1

@pytest.mark.parametrize("number", range(6))
def test_six(number):
    assert runs(f"six{number}") > 1

class ServerFault(AssertionError):
    pass

def test_server_fault():
    if runs("fault") == 1:
        raise ServerFault("exit code 1")

def test_skips_later():
    if runs("skips") > 1:
        pytest.skip("not now")
    assert False
'''
FAILED = 1


@pytest.fixture
def step(tmp_path):
    """step(*selected) -> one that runs cases of CASES as run.py would."""
    (tmp_path / "cases").mkdir()
    (tmp_path / "cases" / "test_small.py").write_text(CASES)

    def make(*arguments, name="small"):
        report = tmp_path / f"{name}.xml"
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "-q",
                   f"--rootdir={tmp_path}", f"--junitxml={report}", *arguments]
        return Step(name, ["env", "-C", tmp_path, *command], report=report,
                    again=lambda names: make(*names, name=f"{name}, again"))

    return lambda selected: make("cases", "-k", selected)


@pytest.fixture
def run(tmp_path, capfd):
    """run(step, strict=) -> the exit status, and the lines of the summary."""

    def once(step, strict=False):
        pipeline = Pipeline(tmp_path / "logs", strict=strict)
        status = pipeline.run([[step]])
        _before, mark, summary = capfd.readouterr().out.rpartition("==> Summary")
        assert mark
        return status, summary.splitlines()

    return once


def times_run(tmp_path, name):
    return (tmp_path / "cases" / "counts").read_text().split().count(name)


def test_what_passes_is_counted(run, step):
    status, lines = run(step("always"))
    assert (status, lines[-1]) == (0, "1 passed, 0 failed")
    assert not any("nstable" in line for line in lines)


def test_what_passes_by_itself_counts_as_passed_and_is_named(run, step, tmp_path):
    status, lines = run(step("always or second"))
    assert (status, lines[-1]) == (0, "2 passed, 0 failed")
    assert "    unstable: cases/test_small.py::test_case[second] (small)" in lines
    assert any("UNSTABLE: 1 " in line for line in lines)
    (kept,) = (tmp_path / "logs").glob("unstable-*.log")
    assert "it was the first time" in kept.read_text()
    assert times_run(tmp_path, "second") == 2


def test_what_fails_when_it_is_taken_down(run, step):
    """A case that has failed twice in one run is one case."""
    status, lines = run(step("down"))
    assert (status, lines[-1]) == (0, "1 passed, 0 failed")


def test_strict_gives_no_second_run(run, step, tmp_path):
    status, lines = run(step("second"), strict=True)
    assert (status, lines[-1]) == (FAILED, "0 passed, 1 failed")
    assert times_run(tmp_path, "second") == 1


def test_what_fails_again_has_failed(run, step):
    status, lines = run(step("never or second"))
    assert (status, lines[-1]) == (FAILED, "1 passed, 1 failed")
    assert [line for line in lines if "unstable:" in line] == [
        "    unstable: cases/test_small.py::test_case[second] (small)"]


def test_what_a_busy_machine_cannot_cause_gets_no_second_run(run, step, tmp_path):
    status, lines = run(step("server_fault"))
    assert (status, lines[-1]) == (FAILED, "0 passed, 1 failed")
    assert times_run(tmp_path, "fault") == 1


@pytest.mark.parametrize("said", [
    "SUMMARY: AddressSanitizer: heap-use-after-free", "WARNING: ThreadSanitizer: data race",
    "LeakSanitizer: detected memory leaks", "wire.c:3:5: runtime error: load of misaligned",
    "server: a.c:1: f: Assertion `x' failed.", "E   ringside.ServerFault: exit code 1",
    "ringside-server died of signal 6 (Aborted)", "ringside-server ended with status 1",
    "worker 'gw0' crashed while running 'test_x.py::test_y'", "assert {'died'} == set()"])
def test_no_such_word_is_excused(said):
    assert not again.Case("", f"def test_x():\n{said}\n").excusable


@pytest.mark.parametrize("said", [
    "E   AssertionError: waited 30 s for: one closed as stalled", "E   TimeoutError: timed out",
    "E   assert 19 == 20", "E   ConnectionResetError: [Errno 104]"])
def test_other_words_are(said):
    assert again.Case("", f"def test_x():\n{said}\n").excusable


def test_five_get_a_second_run_and_six_do_not(run, step, tmp_path):
    status, lines = run(step("five"))
    assert (status, lines[-1]) == (0, "5 passed, 0 failed")
    status, lines = run(step("six"))
    assert (status, lines[-1]) == (FAILED, "0 passed, 6 failed")
    assert times_run(tmp_path, "six0") == 1


def test_what_is_skipped_the_second_time_has_not_passed(run, step):
    status, lines = run(step("skips"))
    assert (status, lines[-1]) == (FAILED, "0 passed, 1 failed")


def test_a_second_run_that_ends_badly_excuses_nothing(run, step):
    first = step("second")
    again = first.again

    def and_fail(names):
        second = again(names)
        return replace(second, command=["sh", "-c", '"$@"; exit 3', "sh", *second.command])

    status, lines = run(replace(first, again=and_fail))
    assert (status, lines[-1]) == (FAILED, "0 passed, 1 failed")


def test_other_steps_get_no_second_run(run, step, tmp_path):
    status, lines = run(replace(step("second"), again=None))
    assert (status, lines[-1]) == (FAILED, "0 passed, 1 failed")
    assert times_run(tmp_path, "second") == 1


def test_skipped_ones_are_counted_with_their_reason(run, step, tmp_path):
    (tmp_path / "cases" / "test_more.py").write_text(
        "import pytest\ndef test_skipped_always(): pytest.skip('no such thing')\n")
    status, lines = run(step("always"))
    assert (status, lines[-1]) == (0, "1 passed, 0 failed, 1 skipped")
    assert "  skipped: 1 × no such thing" in lines


def test_a_command_is_a_case(run):
    status, lines = run(Step("a command", ["false"]))
    assert (status, lines[-1]) == (FAILED, "0 passed, 1 failed")


def test_what_needs_a_step_that_failed_is_not_run(tmp_path, capfd):
    left = tmp_path / "left"
    status = Pipeline(tmp_path / "logs").run(
        [[Step("first", ["false"]), Step("second", ["touch", left], needs=("first",))]])
    assert status == FAILED and not left.exists()
    assert "not run: 1 steps" in capfd.readouterr().out


def test_why_a_step_failed_is_said_in_the_last_lines(tmp_path, capfd):
    said = "\n".join(["wire.c:7:3: error: 'x' undeclared", *["compiling"] * 1000, "ninja: stopped"])
    steps = [Step("build", ["sh", "-c", 'echo "$0"; exit 1', said]),
             Step("other", ["sh", "-c", "seq 1000; exit 1"])]
    assert Pipeline(tmp_path / "logs").run([steps]) == FAILED
    last = capfd.readouterr().out.splitlines()[-60:]
    assert "  why build failed:" in last and "    wire.c:7:3: error: 'x' undeclared" in last
    assert last[-2:] == ["    1000", "0 passed, 2 failed"] and last[-22] == "  why other failed:"


def test_the_last_lanes_wait_for_all_others(tmp_path, capfd):
    made = [tmp_path / name for name in "ab"]
    lanes = [[Step(f"make {path.name}", ["sh", "-c", f"sleep 0.3; touch {path}"])] for path in made]
    last = [[Step(f"find {path.name}", ["test", "-e", path])] for path in made]
    assert Pipeline(tmp_path / "logs").run(lanes, last) == 0
    assert capfd.readouterr().out.endswith("4 passed, 0 failed\n")


def test_the_cpu_of_a_step_and_of_its_children_is_told(tmp_path, capfd):
    burn = "import time\nwhile time.process_time() < 0.6: pass"
    steps = [Step("burn", ["sh", "-c", '"$@" & "$@"; wait', "sh", sys.executable, "-c", burn]),
             Step("sleep", ["sleep", "0.7"]), Step("fail", ["sh", "-c", "exit 3"])]
    pipeline = Pipeline(tmp_path / "logs")
    assert pipeline.run([steps]) == FAILED
    burnt, slept, failed = (outcome.cpu_s for outcome in pipeline.outcomes)
    assert 1.1 < burnt and slept < 0.5 and failed < 0.5
    assert capfd.readouterr().out.endswith("2 passed, 1 failed\n")
