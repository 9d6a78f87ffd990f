"""`bench abuse`, small and short: each attack is a regression test with a fixed bound.

No latency is judged here, as no test asserts a speed: a server must live, keep its memory within
the row's bound, close and lose nobody, and let newcomers in. The pool of TLS handshakes is smaller
than the crowd that comes for it.

`tls-held` is about who comes behind that crowd: behind all 1,200 a newcomer waits for as many
signatures, which a small machine does not make in its patience. Here the crowd is half as large
again as the pool, and stays for longer than two newcomers would wait in vain.
"""

import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from bench import bench, bench_binary
from ringside import sanitizer

# Attackers and newcomers have a second, and must have been there.
pytestmark = pytest.mark.alone

HELD = "tls-held"
SIDE_BY_SIDE = 3
# A sanitizer's allocator keeps what it was given back: that memory is what it was is waited for in
# vain, and not asserted.
GIVE_UP_S = 1 if sanitizer() else 8


def listed():
    made = subprocess.run([bench_binary(), "abuse", "--list"], capture_output=True, text=True,
                          check=True)
    return [line.split()[0] for line in made.stdout.splitlines() if line.startswith("  ")
            and not line.startswith("   ")]


ATTACKS = listed()


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What each attack did."""
    tmp_path_factory.getbasetemp()  # made once, before several threads ask for it
    def run(names, attackers=1200, handshakes=256, seconds=1):
        return bench(
            tmp_path_factory.mktemp("abuse"), "abuse", "--attack", ",".join(names),
            "--subscribers", "20", "--rate", "20", "--seconds", seconds, "--turn-ms", "100",
            "--attackers", attackers, "--give-up", GIVE_UP_S,
            "--set", f"tls_handshakes_max={handshakes}",
        ).run["contestants"]
    others = [name for name in ATTACKS if name != HELD]
    with ThreadPoolExecutor(SIDE_BY_SIDE + 1) as pool:
        runs = [pool.submit(run, others[i::SIDE_BY_SIDE]) for i in range(SIDE_BY_SIDE)]
        runs.append(pool.submit(run, [HELD], attackers=48, handshakes=32, seconds=8))
        return {c["workload"]: c["abuse"] for made in runs for c in made.result()}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_stays_within_its_bounds(found, name):
    # A sanitizer's memory is not the server's.
    ignored = {"p99", "recovery"} | ({"memory"} if sanitizer() else set())
    assert set(found[name]["broken"]) - ignored == set(), found[name]
    assert found[name]["visits"] > 0


def test_who_comes_behind_held_handshakes_is_served(found):
    """Who stands still for a second makes place; the crowd comes again, behind the newcomer."""
    held = found[HELD]
    assert held["newcomers"] - held["newcomers_served"] <= 1, held
    assert held["reasons"].get("closed_tls_evicted", 0) > 0, held


def test_a_foreign_address_is_not_attacked(tmp_path):
    refused = bench(tmp_path, "abuse", "--address", "192.0.2.1:80", expect=1)
    assert "attacks no address but loopback's" in refused.complaints


def test_an_unknown_attack_is_named(tmp_path):
    refused = bench(tmp_path, "abuse", "--attack", "half-heads,nonsense", expect=1)
    assert "there is no attack 'nonsense'" in refused.complaints
