"""Claims over a run: what the expressions see, what each verdict is, and what is no claim."""

import json
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "bench" / "report"))

import claim  # noqa: E402
import claims  # noqa: E402
import scenario  # noqa: E402

SHIPPED = sorted((ROOT / "bench" / "scenarios").glob("*.ini"))
RUN = json.loads((ROOT / "tests" / "report" / "example" / "compare.json").read_text("utf-8"))


def judged(value, holds="it", **more):
    texts = {"claim": "something", "value": value, "holds": holds} | more
    return claim.Claim.of("one", texts).judge(RUN)


@pytest.mark.parametrize("value, more, wanted", [
    ('of("websocket").connections', {"holds": "it == 10000"}, ("holds", "10000")),
    ("7", {"holds": "it < 3", "depends": "it < 8"}, ("depends", "7")),
    ("7", {"holds": "it < 3", "depends": "it < 7", "measured": "{grouped(it * 1000)} of them"},
     ("fails", "7,000 of them")),
    ("7", {"holds": "it == 7", "derived": "seven is given"}, ("derived", "7; seven is given")),
    ("7", {"holds": "it == 8", "derived": "seven is given"}, ("fails", "7")),
    ('of("nobody")', {}, ("not measured", "the run has no nobody")),
    ('of("websocket", "depth 3")', {},
     ("not measured", 'the run has no websocket under "depth 3"')),
    ('of("websocket").knee', {}, ("not measured", "the run has no such figure: knee")),
    ('fail("too small")', {}, ("not measured", "too small")),
    ('servers(of("poll", "depth 1"))', {}, (
        "not measured", "the clients were the bottleneck of poll: the figure would not be the "
        "server's")),
    ('latency(of("sse", "depth 1"), 50)', {"holds": "True", "measured": "{time(it)}"},
     ("holds", "48 ms")),
    ("1 / 0", {}, ("not measured", "ZeroDivisionError: division by zero")),
    ('open("/etc/passwd")', {}, ("not measured", "NameError: name 'open' is not defined")),
])
def test_a_claim(value, more, wanted):
    assert judged(value, **more) == wanted


@pytest.mark.parametrize("texts, complaint", [
    ({"claim": "a", "value": "1"}, "there is no holds in [claim one]"),
    ({"claim": "a", "value": "1 +", "holds": "it"}, "value of [claim one] is no expression"),
    ({"claim": "a", "value": "1", "holds": "it", "measured": "{it"},
     "measured of [claim one] is no expression"),
    ({"claim": "a", "value": "1", "holds": "it", "sauce": "b"}, "there is no 'sauce'"),
])
def test_what_is_no_claim(texts, complaint):
    with pytest.raises(claim.BadClaim, match=complaint.replace("[", r"\[").replace("]", r"\]")):
        claim.Claim.of("one", texts)


@pytest.mark.parametrize("form, value, wanted", [
    (claim.digits, 0, "0"), (claim.digits, 0.01234, "0.0123"), (claim.digits, 1.5, "1.5"),
    (claim.digits, 123.4, "123"), (claim.digits, 12300, "12300"), (claim.time, 850, "850 ns"),
    (claim.time, 12340, "12.3 µs"), (claim.time, 1.2e9, "1.2 s"), (claim.size, 93.4, "93.4 bytes"),
    (claim.size, 4380, "4.38 KB"), (claim.bits, 2e9, "2 Gbit/s"), (claim.percent, 0.982, "98.2 %"),
    (claim.grouped, 41848, "41,848"),
])
def test_numbers_as_people_read_them(form, value, wanted):
    assert form(value) == wanted


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_those_that_are_shipped(path):
    """On the figures of the recorded run each comes to the verdict that it has there."""
    recorded = json.loads((ROOT / "results" / "claims" / "run.json").read_text("utf-8"))
    verdicts = {(v["scenario"], v["claim"]): v["verdict"] for v in recorded["verdicts"]}
    read = scenario.read(path, 1_000_000)
    assert read.claims and read.seconds > 0
    for mine in recorded["scenarios"]:
        if mine["name"] == read.name:
            own = claims.run_of(recorded, mine)
            for claim_made in read.claims:
                told = verdicts[read.name, claim_made.claim]
                assert claim_made.judge(own)[0] == told, claim_made.claim


def written(folder, options):
    path = folder / "one.ini"
    path.write_text("; first\n[scenario]\ntitle = A\n  title\nexperiment = hold\nseconds = 9\n"
                    f"[options]\n{options}\n[claim a]\nclaim = b\nvalue = 1\nholds = it\n",
                    encoding="utf-8")
    return scenario.read(path, 12345)


def test_options_are_those_of_a_command_line(tmp_path):
    read = written(tmp_path, "tls =\nset = a=1\n   b=2\nsubscribers = 10 % of fits\n"
                             "vanished = 50 % of fits, at most 300\n[stream x]\nsize = 5")
    assert read.options == ["--tls", "--set=a=1", "--set=b=2", "--subscribers=1200",
                            "--vanished=300", "--stream=name=x size=5"]
    assert read.title == "A title"


@pytest.mark.parametrize("options, complaint", [
    ("subscribers = most of fits", "'most of fits' is not of the form"),
    ("subscribers = 120 % of fits", "is not of the form"),
    ("[stream]\na = 1", "there is no section"),
    ("a = 1\na = 2", "already exists"),
])
def test_what_is_no_scenario(tmp_path, options, complaint):
    with pytest.raises(scenario.BadScenario, match=complaint):
        written(tmp_path, options)
