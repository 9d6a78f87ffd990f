"""core/histogram against percentiles of the sorted samples, and against those of numpy, which the
plots of a report need anyway."""

import fractions
import math
import pathlib
import random
import shutil
import subprocess

import numpy
import pytest

HERE = pathlib.Path(__file__).parent
SERVER = HERE.parent.parent / "server"
PERCENTS = ("0", "10", "25", "50", "75", "90", "95", "99", "99.9", "99.99", "99.999", "100")
BOUND = 1 / 1024  # as core/histogram.h states it
COUNT = 30000


def constant(dice):
    return 987654321


def uniform(dice):
    return dice.randrange(5_000_000)


def log_normal(dice):
    return int(math.exp(dice.gauss(math.log(2e6), 1.2)))


def stalls(dice):
    value = dice.randrange(40_000, 90_000)
    return value + 2_000_000_000 if dice.random() < 0.003 else value


def every_magnitude(dice):
    return dice.getrandbits(dice.randrange(1, 41))


DISTRIBUTIONS = (constant, uniform, log_normal, stalls, every_magnitude)


@pytest.fixture(scope="session")
def dump(tmp_path_factory):
    program = tmp_path_factory.mktemp("histogram") / "dump"
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    subprocess.run([compiler, "-std=gnu17", "-D_GNU_SOURCE", "-O1", f"-I{SERVER}",
                    str(HERE / "histogram_dump.c"), "-o", str(program)], check=True)

    def run(samples, interval_ns=0):
        out = subprocess.run([str(program), str(interval_ns)], check=True, text=True,
                             input="\n".join(map(str, samples)), stdout=subprocess.PIPE).stdout
        return dict(line.split() for line in out.splitlines())
    return run


def samples_of(draw):
    dice = random.Random(draw.__name__)
    return [draw(dice) for _ in range(COUNT)]


def exact(ordered, percent):
    """Nearest rank, without floating point."""
    rank = math.ceil(fractions.Fraction(percent) * len(ordered) / 100)
    return ordered[max(rank, 1) - 1]


def check_against(ordered, result):
    assert int(result["count"]) == len(ordered)
    assert int(result["min"]) == ordered[0]
    assert int(result["max"]) == ordered[-1]
    assert math.isclose(float(result["mean"]), sum(ordered) / len(ordered), rel_tol=1e-9)
    for percent in PERCENTS:
        truth, got = exact(ordered, percent), int(result[percent])
        assert truth <= got <= truth * (1 + BOUND), f"p{percent}"


@pytest.mark.parametrize("draw", DISTRIBUTIONS)
def test_percentiles_are_those_of_the_sorted_samples(dump, draw):
    samples = samples_of(draw)
    check_against(sorted(samples), dump(samples))


@pytest.mark.parametrize("count", (1, 2, 3, 10, 999, 1000, 1001))
def test_few_samples(dump, count):
    samples = [i * i * 1000 + 1 for i in range(count)]
    check_against(samples, dump(samples))


def test_corrected_is_the_loop_over_missing_values(dump):
    interval = 1_000_000
    samples = [s % 400_000_000 for s in samples_of(stalls)][:2000]
    filled = list(samples)
    for sample in samples:
        filled += range(sample - interval, interval - 1, -interval)
    check_against(sorted(filled), dump(samples, interval))


@pytest.mark.parametrize("draw", DISTRIBUTIONS)
def test_agrees_with_numpy(dump, draw):
    samples = samples_of(draw)
    ours = dump(samples)
    shares = [float(fractions.Fraction(percent) / 100) for percent in PERCENTS]
    theirs = numpy.quantile(samples, shares, method="inverted_cdf")
    for percent, value in zip(PERCENTS, theirs):
        assert value <= int(ours[percent]) <= value * (1 + BOUND), f"p{percent}"
    assert math.isclose(float(ours["mean"]), numpy.mean(samples), rel_tol=1e-9)
