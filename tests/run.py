#!/usr/bin/env python3
"""What `./build.sh test` and `./build.sh lint` run: the steps, and which of them go side by side.

    run.py                       everything
    run.py --quick               unit tests and integration tests of the release build
    run.py --coverage            the same of a build that counts, and which lines they reached
    run.py --kernel VERSION [F]  the release build on other kernels
    run.py --lint                style guide, layout, shell, static analysis
    run.py FILTER                the tests whose name contains FILTER, of the release build
    --strict, before any of it   no case that failed gets a second run by itself (again.py)

build.sh has installed the packages and set the PATH. $RINGSIDE_BUILD is the folder of builds. Two
cores are enough: builds, unit tests and linters need them whole and go one after the other, with a
lower priority; the tests that talk to a server mostly wait, so they go beside those, and several
beside each other. At the end comes, with the machine to itself, what is held against a clock.
"""

import os
import subprocess
import sys
from pathlib import Path

from pipeline import Pipeline, Step

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / os.environ.get("RINGSIDE_BUILD", "build")
# Every clone on a machine knows what clang-tidy has found clean, as it does what ccache compiled.
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ringside"
TESTS = ROOT / "tests"
PYTHON = sys.executable
CORES = len(os.sched_getaffinity(0))
# A worker waits four fifths of its time, and those who run builds and linters are the nicer ones.
WORKERS = max(3, min(3 * CORES, 24))
ALONE_FILES = 3
NICE = 5  # of what takes all the time that it is given: whoever waits for an answer goes first
FLAVOURS = ("release", "asan", "tsan")
KERNELS = ("6.1", "6.12", "host")
FUZZ_SECONDS = 1  # for each parser
NO_TESTS = 5  # pytest's exit status when it has found none
OTHERS = [TESTS / name for name in ("browser", "report", "runner", "tuning")]

# Clients and programs of others: what they make of the server. No sanitizer looks at it, for what
# they make it do, a client by hand does in the file that is named.
OF_OTHERS = {
    "test_cent.py": "Centrifugo's own library for its server API: test_server_api.py",
    "test_centrifuge_go.py": "Go: test_centrifuge.py",
    "test_centrifuge_http.py": "JavaScript: test_centrifuge_streams.py",
    "test_centrifuge_sdk.py": "JavaScript and Python: test_centrifuge.py",
    "test_cluster_proxies.py": "proxies in between: test_cluster_api.py",
    "test_delta_sdk.py": "JavaScript, Go and Python: test_delta.py",
    "test_foreign_proxies.py": "proxies in between: test_proxied.py",
    "test_install.py": "where files lie",
    "test_monitoring.py": "what Prometheus makes of /metrics: test_metrics.py",
    "test_node.py": "JavaScript: test_sse.py, test_websocket.py",
    "test_turn.py": "coturn: test_rtc.py asks for /turn",
}
# TSan looks for races, so it runs what several threads take part in. In these only one does, or the
# same threads do the same as in the file that is named; release and ASan run all of it.
NOT_IN_TSAN = {
    **OF_OTHERS,
    "test_cluster_chaos.py": "crowds and silence: test_cluster_api.py has the threads",
    "test_rtc_trouble.py": "a peer is of one thread, as in test_rtc.py",
    "test_rtc.py": "a peer is of one thread; calls between threads: test_centrifuge_streams.py",
    "test_cluster_several.py": "the broker's thread alone: test_cluster.py has the others",
    "test_cluster_failover.py": "likewise",
    "test_cluster_tls.py": "the broker's thread alone: test_cluster.py has the others",
    "test_mercure.py": "threads meet in the hub: test_cross_shard.py has them",
    "test_kafka.py": "TSan sees no atomics of librdkafka; tests/unit/hub/test_publishing.c ours",
    "test_kafka_broker.py": "likewise",
    "test_hooks.py": "threads meet in the hub and in the keys: test_tokens.py has them",
    "test_mercure_subscriptions.py": "threads meet in a survey: test_server_api.py has one",
    "test_deflate_cases.py": "one client at a time: test_deflate.py has several",
    "test_proxy_trouble.py": "the courier's thread: tests/unit/courier has it",
    "test_proxy_hooks.py": "the courier's thread: tests/unit/courier has it",
    "test_webtransport.py": "streams of QUIC, as those of test_http3.py, which has two shards",
    "test_webtransport_raw.py": "likewise",
    "test_quic_errors.py": "likewise",
    "test_bad_input.py": "requests that one shard refuses by itself",
    "test_http2_bounds.py": "what one connection may do to its shard: test_http2.py has several",
    "test_bench_abuse.py": "threads of the bench: test_bench_half_open.py has them",
    "test_bench_chaos.py": "the bench's load is one thread",
    "test_bench_churn.py": "the bench's load is one thread",
    "test_bench_claims.py": "programs in Python",
    "test_bench_cluster.py": "the bench's load is one thread; the nodes': test_cluster.py",
    "test_bench_h2.py": "the bench's load is one thread",
    "test_bench_h3.py": "the bench's load is one thread",
    "test_bench_handshakes.py": "the bench's load is one thread; the server's: test_tls.py",
    "test_bench_knee.py": "the bench's load is one thread",
    "test_bench_lies.py": "threads of the bench: test_bench_storm.py has them",
    "test_bench_mix.py": "the bench's load is one thread",
    "test_bench_packed.py": "the bench's load is one thread",
    "test_bench_peer.py": "the bench's load is one thread, and the server is another",
    "test_bench_programs.py": "programs in Python",
    "test_bench_push.py": "the client is one thread",
    "test_bench_saturation.py": "the bench's load is one thread",
    "test_bench_small.py": "threads of the bench: test_bench_storm.py has them",
    "test_bench_rtc.py": "the bench's load is one thread; the server's: test_rtc.py",
    "test_bench_slow_readers.py": "threads of the bench: test_bench_half_open.py has them",
    "test_bench_socketless.py": "the bench's load is one thread, its clients without sockets too",
    "test_bench_tls.py": "the bench's load is one thread",
    "test_bench_webhooks.py": "the bench's loop is one thread",
    "test_bench_trace.py": "the bench's load is one thread",
    "test_bench_view.py": "what draws is another process",
    "test_gzip_sse.py": "a server with one shard",
    "test_ipv6.py": "the same server at another address",
    "test_pause.py": "a server with one shard",
    "test_proxied.py": "requests that one shard reads by itself",
    "test_relay.py": "the relay is one thread",
    "test_tls.py": "one connection at a time: test_tls_bounds.py and test_tls_keys.py have more",
    "test_webhooks_trouble.py": "the same threads as in test_webhooks.py",
}
# Nor does ASan run what is Python, around C that other files run.
NOT_IN_ASAN = {
    **OF_OTHERS,
    "test_bench_claims.py": "programs in Python, around experiments of other files",
    "test_bench_programs.py": "programs in Python",
    "test_kafka_broker.py": "a machine in Java, around C that test_kafka.py runs",
}

ENVIRONMENT = {
    "CI": "true",  # warnings are errors
    # Compiled once, not by each process anew: pytest rewrites every file that it collects.
    "PYTHONPYCACHEPREFIX": str(BUILD / "pycache"),
    "PYTHONDONTWRITEBYTECODE": "",  # whoever has set it means the folders of the sources
    "ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": "second_deadlock_stack=1",
}


def environment(**more):
    """What somebody has set himself stays."""
    return {**ENVIRONMENT, **{name: os.environ[name] for name in ENVIRONMENT if name in os.environ
                              and name.endswith("_OPTIONS")}, **more}


def without_aslr():
    """TSan cannot place its shadow memory under the widest address randomisation."""
    works = subprocess.run(["setarch", "-R", "true"], check=False, capture_output=True)
    return ["setarch", "-R"] if works.returncode == 0 else []


# ---- steps ----

def build(flavour):
    return Step(f"build, {flavour}", [ROOT / "build.sh", "build", flavour], env=environment(),
                nice=NICE, is_case=False)


def unit(flavour, wanted=None):
    """Unit tests, corpus and simulation: those that tests/meson.build has for the flavour."""
    folder = BUILD / flavour
    command = [*without_aslr(), "meson", "test", "-C", folder, "--no-rebuild",
               "--print-errorlogs", "-t", "5"]

    def named():
        listed = subprocess.run(["meson", "test", "-C", folder, "--list"], check=True,
                                capture_output=True, text=True).stdout
        names = [line.rpartition(" / ")[2] for line in listed.splitlines()]
        names = [name for name in names if wanted in name]
        return [*command, *names] if names else None

    return Step(f"unit tests, {flavour}", named if wanted else command,
                needs=(f"build, {flavour}",), env=environment(), nice=NICE,
                report=folder / "meson-logs" / "testlog.json")


def pytest(name, flavour, *arguments):
    report = BUILD / flavour / "pytest" / f"{name.replace(', ', '-')}.xml"
    server = BUILD / flavour / "server" / "ringside-server"
    return Step(f"{name}, {flavour}",
                [*without_aslr(), PYTHON, "-m", "pytest", "-p", "no:cacheprovider", "-q",
                 f"--rootdir={ROOT}", "--durations=10", f"--junitxml={report}", *arguments],
                needs=(f"build, {flavour}",), env=environment(RINGSIDE_SERVER=str(server)),
                report=report, nothing=NO_TESTS,
                again=lambda names: pytest(f"{name}, again", flavour, "-p", "no:xdist", *names))


def beside(*arguments, workers=WORKERS):
    """Tests that run beside others: those of a file one after the other, several files at once."""
    return ["-m", "not alone", "-n", workers, "--dist", "loadfile", *arguments]


def alone(*arguments):
    """Tests that need the machine for themselves, without compilers and analysers beside them: they
    wait a lot, so three files at a time, in each flavour."""
    return ["-m", "alone", "-n", ALONE_FILES, "--dist", "loadfile", *arguments]


def left_out(flavour):
    names = {"tsan": NOT_IN_TSAN, "asan": NOT_IN_ASAN}.get(flavour, ())
    return [f"--ignore={TESTS / 'integration' / name}" for name in names]


def integration(flavour, workers=WORKERS):
    return pytest("integration", flavour,
                  *beside(*left_out(flavour), TESTS / "integration", workers=workers))


def integration_alone(flavour):
    return pytest("integration alone", flavour, *alone(*left_out(flavour), TESTS / "integration"))


def fuzz():
    report = BUILD / "fuzz" / "found" / "counts"
    return Step("fuzzing", [ROOT / "build.sh", "fuzz", FUZZ_SECONDS, "--report", report],
                env=environment(), report=report, nice=NICE)


def kernel(version, *names):
    report = BUILD / "kernel" / f"{version}.xml"
    return Step(f"kernel {version}", [PYTHON, TESTS / "kernel" / "boot.py", version, BUILD, report,
                                      *(names or [""])],
                needs=("build, release",), env=environment(), report=report, nice=NICE)


def coverage():
    return Step("coverage", [PYTHON, TESTS / "coverage.py", BUILD / "coverage"],
                needs=("build, coverage",), says=True)


def forget_counts():
    """Of earlier runs."""
    for counts in (BUILD / "coverage").rglob("*.gcda"):
        counts.unlink()


def files(*patterns):
    """That are in the repository, or about to be."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard",
                             "--", *patterns], cwd=ROOT, check=True, capture_output=True).stdout
    return sorted(name for name in listed.decode().split("\0") if name and (ROOT / name).exists())


def style():
    return Step("style guide", [PYTHON, TESTS / "tidy.py"])


def lint():
    """Without a compiler."""
    return [
        Step("clang-format", ["clang-format", "--dry-run", "-Werror", *files("*.[ch]")], nice=NICE),
        Step("shellcheck", ["shellcheck", "-x", *files("build.sh", ".ci/run", "*.sh")], nice=NICE),
    ]


def clang_tidy(*how):
    return Step("clang-tidy",
                [PYTHON, TESTS / "clang_tidy.py", BUILD / "release", CACHE / "tidy", *how],
                needs=("build, release",), nice=NICE)


# ---- what is asked for ----

def everything():
    """Returns the lanes, and those that come after them."""
    compiled = [style(), build("release"), build("asan"), unit("release"), build("tsan"),
                unit("asan"), unit("tsan"), fuzz(), *lint(), clang_tidy()]
    waiting = [integration("release"), integration("asan")]
    half = WORKERS // 2  # beside all others that wait
    few = [kernel("6.1", "--short"),
           pytest("browser, report, tuning", "release", *beside(*OTHERS, workers=half)),
           integration("tsan", workers=half)]
    return ([compiled, waiting, few],
            [[integration_alone(flavour)] for flavour in FLAVOURS])


def quick():
    return ([[style(), build("release"), unit("release")], [integration("release")]],
            [[integration_alone("release")]])


def reached():
    forget_counts()
    return ([[build("coverage"), unit("coverage")], [integration("coverage")]],
            [[integration_alone("coverage"), coverage()]])


def kernels(version, *names):
    """One, or all and what clients saw on each."""
    if version != "all":
        return [[build("release"), kernel(version, *names)]], []
    steps = [kernel(one, *names) for one in KERNELS]
    table = Step("kernels compared", [PYTHON, TESTS / "kernel" / "table.py",
                                      *(step.report for step in steps)], says=True)
    return [[build("release"), *steps, table]], []


def linters():
    return [[style(), *lint(), build("release"), clang_tidy("--deep")]], []


def filtered(wanted):
    """One after the other; what they say is to be seen."""
    return [[build("release"), unit("release", wanted),
             pytest("integration", "release", "-k", wanted, "-p", "no:xdist",
                    TESTS / "integration", *OTHERS)]], []


def main(arguments):
    os.chdir(ROOT)
    strict = arguments[:1] == ["--strict"]
    mode, *rest = arguments[strict:] or [""]
    told = {"": everything, "--quick": quick, "--coverage": reached, "--lint": linters}
    if mode in told:
        return Pipeline(BUILD / "logs", strict=strict).run(*told[mode]())
    # Somebody looks on: what fails is seen to fail.
    shown = Pipeline(BUILD / "logs", shown=True, strict=True)
    return shown.run(*(kernels(*rest) if mode == "--kernel" else filtered(mode)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
