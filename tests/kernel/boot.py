#!/usr/bin/env python3
"""Runs tests under another kernel: `boot.py VERSION BUILD REPORT [--short | FILTER]`.

VERSION is 6.1 (Debian 12), 6.12 (Debian 13), or `host`: this machine's own, without emulation, to
compare with. BUILD is the folder of builds; the release build is what runs. REPORT is a JUnit file.
Of the programs only those run whose name contains FILTER; `--short`: those that ask the kernel for
something. The others run the same on every kernel, and everywhere else.

A kernel comes from Debian's own package by apt, with lists of its own, and is not installed. The
machine is emulated (no KVM is needed): its root is an initrd of busybox, the programs and the
libraries that they need. What they print comes by the serial console.
"""

import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

HERE = Path(__file__).resolve().parent
CERTIFICATES = HERE.parent / "certificates"  # where the simulation looks for them
SUITES = {"6.1": "bookworm", "6.12": "trixie"}
MIRROR = "http://deb.debian.org/debian"
KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
PATIENCE_S = 900  # for the whole machine; a loaded host emulates slowly
MEMORY = "1536M"
ENGINES = ["io_uring", "epoll"]
ENGINES_HERE = ["io_uring", "io_uring_fd", "epoll"]  # elsewhere the first two are one
SIMULATIONS = 3
# They have a fake kernel, or need none.
WITHOUT_KERNEL = ("simulation", "test_hub", "test_core_ring_fake", "test_core_lane",
                  "test_core_block", "test_core_budget", "test_core_histogram", "test_core_timers")

SKIPPED = 77  # a program's own word for "not on this kernel", as to Meson

CASE = re.compile(r"case (\S+) \| (.+) \| (ok|failed) \| (.*)")
ENGINE = re.compile(r"engine (\S+) \| (.*)")
CMOCKA = re.compile(r"\[  (     OK|FAILED) +\] (\S.*)")
MACHINE = re.compile(r"=== machine (\S+)")
BEGIN = re.compile(r"=== begin (\S+)")
END = re.compile(r"=== end (\S+) (\d+) (\d+) (\d+)")


def run(*command, **options):
    return subprocess.run([str(word) for word in command], check=True, **options)


# ---- the kernel ----

def fetch_kernel(suite, folder):
    """Debian's package for the suite, unpacked: returns vmlinuz. Asks the mirror only once."""
    ready = folder / "vmlinuz"
    if ready.exists():
        return ready
    apt = folder / "apt"
    for name in ["lists/partial", "cache/archives/partial"]:
        (apt / name).mkdir(parents=True, exist_ok=True)
    (apt / "sources.list").write_text(f"deb [signed-by={KEYS}] {MIRROR} {suite} main\n")
    options = [
        "-o", f"Dir::Etc::SourceList={apt}/sources.list",
        "-o", "Dir::Etc::SourceParts=/dev/null",
        "-o", f"Dir::State::Lists={apt}/lists",
        "-o", "Dir::State::Status=/dev/null",
        "-o", f"Dir::Cache={apt}/cache",
        "-o", "Acquire::Languages=none",
        "-o", "APT::Sandbox::User=",
    ]
    run("apt-get", *options, "--quiet", "update")
    depends = run("apt-cache", *options, "depends", "linux-image-amd64", capture_output=True)
    package = re.search(r"Depends: (linux-image-\S+)", depends.stdout.decode()).group(1)
    run("apt-get", *options, "--quiet", "download", package, cwd=folder)
    run("dpkg-deb", "-x", next(folder.glob("linux-image-*.deb")), folder / "package")
    shutil.copy(next((folder / "package/boot").glob("vmlinuz-*")), folder / "vmlinuz.part")
    (folder / "vmlinuz.part").rename(ready)
    shutil.rmtree(folder / "package")
    shutil.rmtree(apt)
    return ready


# ---- what runs ----

def programs(release, engines):
    """Name -> program and its arguments. A program outside of the unit tests prints cases."""
    found = {}
    for module in ["core", "hub", "engine"]:
        for path in sorted((release / "tests/unit" / module).glob("test_*")):
            if path.is_file():
                found[path.name] = [path]
    simulation = release / "tests/sim/ringside-sim"
    found["simulation"] = [simulation, "--seed", "1", "--count", str(SIMULATIONS)]
    server = release / "server/ringside-server"
    for engine in engines:
        found[f"clients-{engine}"] = [release / "tests/kernel/kernel-guest", server, engine]
    return found


def libraries(path):
    """The shared libraries of a program, and the one that loads them."""
    listing = run("ldd", path, capture_output=True).stdout.decode()
    return set(re.findall(r"(/\S+) \(0x", listing))


def make_initrd(folder, listed):
    """busybox, init, and the programs without their symbols."""
    root = folder / "root"
    shutil.rmtree(root, ignore_errors=True)
    for name in ["bin", "proc", "sys", "dev", "tmp", "run"]:
        (root / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    shutil.copy(HERE / "init", root / "init")
    needed, lines = set(), []
    for name, command in listed.items():
        words = []
        for word in command:
            if isinstance(word, Path):
                run("strip", "-o", root / "run" / word.name, word)
                needed |= libraries(word)
                word = f"/run/{word.name}"
            words.append(word)
        lines.append(" ".join([name, *words]))
    for library in sorted(needed | {str(path) for path in CERTIFICATES.glob("*")}):
        copy = root / str(library).lstrip("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, copy)
    (root / "programs").write_text("\n".join(lines) + "\n")
    names = b"\0".join(str(path.relative_to(root)).encode() for path in sorted(root.rglob("*")))
    initrd = folder / "initrd"
    with initrd.open("wb") as archive:
        run("cpio", "-0", "--quiet", "-o", "-H", "newc", input=names, stdout=archive, cwd=root)
    shutil.rmtree(root)
    return initrd


# ---- running it ----

def lines_of(command):
    """What a command prints, line by line as it comes, until it ends or PATIENCE_S are over."""
    deadline = time.monotonic() + PATIENCE_S
    bounded = ["timeout", "--foreground", "--kill-after=5", str(PATIENCE_S), *map(str, command)]
    with subprocess.Popen(
        bounded, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as child:
        for line in child.stdout:
            yield line.decode(errors="replace").rstrip()
    if time.monotonic() >= deadline:
        yield f"(stopped after {PATIENCE_S} seconds)"


def emulate(version, folder, listed):
    kernel = fetch_kernel(SUITES[version], folder)
    initrd = make_initrd(folder, listed)
    # A processor of 2008: what later ones add, such as AVX, is dear to emulate. "max" takes
    # half as much time again.
    yield from lines_of([
        "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-M", "pc", "-cpu", "Nehalem",
        "-smp", "2", "-m", MEMORY, "-nodefaults", "-display", "none", "-serial", "stdio",
        "-no-reboot",
        "-kernel", kernel, "-initrd", initrd,
        "-append", "console=ttyS0 panic=-1 quiet mitigations=off nokaslr no_timer_check",
    ])


def run_here(listed):
    """The same lines without an emulated machine."""
    yield "=== machine " + run("uname", "-r", capture_output=True).stdout.decode().strip()
    for name, command in listed.items():
        begin = int(time.monotonic())
        yield f"=== begin {name}"
        status = 1
        for line in lines_of(["sh", "-c", '"$@"; echo "=== status $?"', "sh", *command]):
            if line.startswith("=== status "):
                status = int(line.split()[2])
            else:
                yield line
        yield f"=== end {name} {status} {begin} {int(time.monotonic())}"
    yield "=== done"


# ---- reporting ----

class Report:
    """Cases as they come: one for each line of a client or of cmocka, one for any other program."""

    def __init__(self, version):
        self.suite = ElementTree.Element("testsuite", name=f"kernel {version}")
        self.counts = {"tests": 0, "failures": 0}
        self.program, self.cases, self.bad, self.listing = None, 0, 0, False

    def add(self, name, good, figure=""):
        case = ElementTree.SubElement(
            self.suite, "testcase", classname=self.program or "machine", name=name
        )
        ElementTree.SubElement(case, "system-out").text = figure
        self.counts["tests"] += 1
        self.cases += 1
        if not good:
            ElementTree.SubElement(case, "failure", message=figure)
            self.counts["failures"] += 1
            self.bad += 1

    def tell(self, name, value):
        ElementTree.SubElement(self.suite, "property", name=name, value=value)

    def cmocka(self, name, good):
        """A group ends with a list of what failed in it, which has been told by then."""
        if name.endswith("test(s), listed below:"):
            self.listing = True
        elif good or not self.listing:
            self.add(name, good)
            return not good
        return False

    def status(self, status):
        """What a program that told no cases is worth, or one that ended in the middle of them."""
        if status != SKIPPED and (self.cases == 0 or (status != 0 and self.bad == 0)):
            self.add("exit status", status == 0, str(status))

    def line(self, line):
        """Takes one line. Returns whether it is worth a reader's time."""
        if match := BEGIN.search(line):
            self.program, self.cases, self.bad = match.group(1), 0, 0
        elif match := END.search(line):
            self.status(int(match.group(2)))
            self.program = None
        elif match := CASE.search(line):
            self.add(match.group(2), match.group(3) == "ok", match.group(4).strip())
            return match.group(3) != "ok"
        elif match := MACHINE.search(line):
            self.tell("machine", match.group(1))
        elif match := ENGINE.match(line):
            self.tell(f"engine {match.group(1)}", match.group(2))
        elif match := CMOCKA.search(line):
            return self.cmocka(match.group(2), match.group(1) != "FAILED")
        elif line.startswith("[======"):
            self.listing = False
        return not line.startswith(("[ RUN", "[=====", "[  PASSED"))

    def end(self, path, complete):
        if not complete:
            self.add("the machine ran to its end", False, "it did not: a crash, or no time left")
        for name, count in self.counts.items():
            self.suite.set(name, str(count))
        path.parent.mkdir(parents=True, exist_ok=True)
        ElementTree.ElementTree(self.suite).write(path, encoding="unicode")


def main():
    version, build, report_path = sys.argv[1], Path(sys.argv[2]).resolve(), Path(sys.argv[3])
    folder = build / "kernel" / version
    folder.mkdir(parents=True, exist_ok=True)
    wanted = sys.argv[4] if len(sys.argv) > 4 else ""
    engines = ENGINES_HERE if version == "host" else ENGINES
    listed = programs(build / "release", engines)
    if wanted == "--short":
        listed = {k: v for k, v in listed.items() if not k.startswith(WITHOUT_KERNEL)}
    else:
        listed = {k: v for k, v in listed.items() if wanted in k}
    output = run_here(listed) if version == "host" else emulate(version, folder, listed)
    report, complete, start = Report(version), False, time.monotonic()
    with (folder / "console.log").open("w", buffering=1) as log:
        for line in output:
            log.write(f"{time.monotonic() - start:7.1f} {line}\n")
            complete = complete or line.strip() == "=== done"
            if report.line(line):
                print(f"  {version}: {line}", flush=True)
    report.end(report_path, complete)
    return 0 if complete and report.counts["failures"] == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
