#!/usr/bin/env python3
"""clang-tidy on every C file that a build compiles, but not twice on the same.

    clang_tidy.py BUILD STAMPS [--deep]

The static analyzer follows the paths of a function until it has seen NODES states, a twentieth of
what it would by itself. That is several times as fast, for few functions have more. `--deep`, which
`./build.sh lint` says, lets it go all the way.

What a verdict depends on is hashed: clang-tidy itself, the .clang-tidy files that are in force, the
compiler's command, the file, and whatever it includes, of the repository and of the system. A file
that was found clean leaves a stamp with that hash as its name in STAMPS, and is not looked at again
while its hash is there.
"""

import functools
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OPTIONS = ["--quiet", "--warnings-as-errors=*"]
NODES = 10000
SHALLOW = [f"--extra-arg={word}"
           for word in ("-Xclang", "-analyzer-config", "-Xclang", f"max-nodes={NODES}")]
NOISE = re.compile(r"^\d+ warnings? generated|^Suppressed \d+ warnings|^Use -header-filter=")
KEPT_DAYS = 30


@functools.cache
def digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def included(build):
    """{object: files that it was made from}, as ninja has it from the compiler."""
    listed = subprocess.run(["ninja", "-C", build, "-t", "deps"], check=True, capture_output=True,
                            text=True).stdout
    found, current = {}, []
    for line in listed.splitlines():
        if line.startswith(" "):
            current.append((build / line.strip()).resolve())
        elif ": #deps" in line:
            current = found.setdefault(line.partition(":")[0], [])
    return found


def configurations(path):
    """The .clang-tidy files from the file's folder up to the root."""
    folders = [folder for folder in path.parents if folder == ROOT or ROOT in folder.parents]
    return [folder / ".clang-tidy" for folder in folders if (folder / ".clang-tidy").exists()]


def sources(build, options):
    """{C file: its hash, or None when it is not known what it includes}."""
    version = subprocess.run(["clang-tidy", "--version"], check=True, capture_output=True).stdout
    headers = included(build)
    texts = {}
    for entry in json.loads((build / "compile_commands.json").read_text(encoding="utf-8")):
        path = (Path(entry["directory"]) / entry["file"]).resolve()
        words = shlex.split(entry["command"])
        files = headers.get(words[words.index("-o") + 1])
        if path.exists():
            text = texts.setdefault(path, [version.decode(), " ".join(options)])
            text.append(entry["command"])
            text += [digest(one) for one in configurations(path)]
            text += [digest(one) for one in sorted(files)] if files else [None]
    return {path: None if None in text else hashlib.sha256("\0".join(text).encode()).hexdigest()
            for path, text in texts.items()}


def look(build, options, path):
    """Returns whether it is clean, and what was said."""
    done = subprocess.run(["clang-tidy", "-p", build, *options, os.path.relpath(path)], check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said = [line for line in done.stdout.splitlines() if line and not NOISE.match(line)]
    return done.returncode == 0, "\n".join(said)


def forget_old(stamps):
    for stamp in stamps.iterdir():
        if time.time() - stamp.stat().st_mtime > KEPT_DAYS * 86400:
            stamp.unlink()


def main(build, stamps, deep=False):
    os.chdir(ROOT)
    build, stamps = build.resolve(), stamps.resolve()
    stamps.mkdir(parents=True, exist_ok=True)
    wanted = []
    options = OPTIONS if deep else OPTIONS + SHALLOW
    known = sources(build, options)
    for path, whole in known.items():
        if whole and (stamps / whole).exists():
            (stamps / whole).touch()
        else:
            wanted.append(path)
    bad = 0
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        verdicts = pool.map(functools.partial(look, build, options), wanted)
        for path, (clean, said) in zip(wanted, verdicts):
            print(f"  clang-tidy {os.path.relpath(path)}", flush=True)
            if clean and known[path]:
                (stamps / known[path]).touch()
            if said:
                print(said, flush=True)
            bad += not clean
    forget_old(stamps)
    print(f"clang-tidy: {len(known)} files, {len(known) - len(wanted)} of them as when they were "
          f"found clean, {bad} with complaints")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), deep=sys.argv[3:] == ["--deep"]))
