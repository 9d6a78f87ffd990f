"""Histograms in run.json: what report/hdr.py encodes is what it reads, and what the decoder of
HdrHistogram reads where Python finds it (pip install hdrhistogram)."""

import collections
import importlib.util
import pathlib
import random
import sys

import pytest

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "bench" / "report"))

import hdr  # noqa: E402

SAMPLES = {
    "none": [],
    "one": [1],
    "exact": list(range(2048)) * 3,
    "edges": [0, 2047, 2048, 2049, 4095, 4096, 2 ** 20 - 1, 2 ** 20, 2 ** 40 - 1],
    "many of one": [12345] * 70000,
    "every magnitude": [random.Random(7).getrandbits(i % 40 + 1) for i in range(20000)],
}


def bucket_of(value):
    """By the table at the head of core/histogram.h."""
    octave = max(value.bit_length() - 11, 0)
    low = value >> octave << octave
    return low, low + (1 << octave) - 1


def encode(samples):
    counts = collections.Counter(bucket_of(value)[0] for value in samples)
    return hdr.text_of(sorted(counts.items()))


@pytest.mark.parametrize("name", SAMPLES)
def test_every_count_comes_back(name):
    wanted = collections.Counter(map(bucket_of, SAMPLES[name]))
    assert hdr.buckets(encode(SAMPLES[name])) == [(*at, wanted[at]) for at in sorted(wanted)]


@pytest.mark.parametrize("text", ["", "AAAA", "not base64!", "HISTFAAAAA=="])
def test_what_is_no_histogram_is_said(text):
    with pytest.raises(ValueError, match="not a histogram"):
        hdr.buckets(text)


# Debian has no other implementation: a case only where somebody has installed one of PyPI.
if importlib.util.find_spec("hdrh"):
    @pytest.mark.parametrize("name", [name for name in SAMPLES if SAMPLES[name]])
    def test_a_foreign_decoder_reads_it(name):
        from hdrh.histogram import HdrHistogram
        theirs = HdrHistogram.decode(encode(SAMPLES[name]))
        assert theirs.get_total_count() == len(SAMPLES[name])
        wanted = collections.Counter(map(bucket_of, SAMPLES[name]))
        assert {at: theirs.get_count_at_value(at[0]) for at in wanted} == wanted
