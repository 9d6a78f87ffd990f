#!/usr/bin/env python3
"""The style guide as a test: prints `file:line: reason` for each breach; exits 1 if there is one.

Reads every file that git knows or would add, so it is right before the commit as well as after.
Each rule is a function that yields (line, reason); RULES at the end says which files it reads.
"""

import ast
import re
import subprocess
import sys
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parent.parent

FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70
LINE_COLUMNS_MAX = 100

# Function -> what to call instead.
BANNED = {
    "strcpy": "memcpy with a known length",
    "strncpy": "memcpy with a known length",
    "strcat": "snprintf, or a cursor",
    "strncat": "snprintf, or a cursor",
    "stpcpy": "memcpy with a known length",
    "sprintf": "snprintf",
    "vsprintf": "vsnprintf",
    "gets": "fgets",
    "strtok": "strtok_r, or strcspn",
    "atoi": "strtol with its errors checked",
    "atol": "strtol with its errors checked",
    "atoll": "strtoll with its errors checked",
    "atof": "strtod with its errors checked",
    "alloca": "a bounded buffer",
    "rand": "a seeded generator of our own, or getrandom",
    "srand": "a seeded generator of our own, or getrandom",
    "random": "a seeded generator of our own, or getrandom",
    "tmpnam": "mkstemp",
    "mktemp": "mkstemp",
    "system": "posix_spawn",
    "popen": "posix_spawn",
    "asctime": "strftime",
    "ctime": "strftime",
    "gmtime": "gmtime_r",
    "localtime": "localtime_r",
    "setjmp": "return codes",
    "longjmp": "return codes",
    "_Static_assert": "static_assert, of assert.h",
}
BANNED_CALL = re.compile(r"(?<![\w.>])(" + "|".join(BANNED) + r")\s*\(")

# Spelled in halves so that this file passes its own test.
LEFT_OVER = re.compile(r"\b(TO" + "DO|FIX" + "ME|XX" + "X|HA" + r"CK)\b")

# The folders of server/, lowest first. A folder includes itself and what stands before it; core/,
# wire/ and tls/ include nothing but themselves. Files in server/ itself include anything.
PATH_ORDER = [
    "core", "wire", "conf", "hub", "broker", "kafka", "courier", "tls", "conn", "http", "carrier",
    "auth", "transport", "session", "api",
]
STANDS_ALONE = {"core", "wire", "tls"}
SHARED_WITH_BENCH = {"core", "wire", "tls"}

LIBURING_FILES = re.compile(r"^(server/core/ring_(uring\w*|compat)\.[ch]|bench/relay/relay\.c)$")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]')
GUARD = re.compile(r"^#pragma once$", re.MULTILINE)
C_NOISE = re.compile(
    r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL
)


def git_files():
    """Tracked files and new ones that git does not ignore; paths from the root, sorted."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
    found = {name for name in names.decode().split("\0") if name}
    return sorted(name for name in found if (ROOT / name).is_file())


def blank_noise(text):
    """C text without comments and literals, every line where it was."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group())
    return C_NOISE.sub(blank, text)


def rule_file_length(_path, text):
    count = text.count("\n")
    if count > FILE_LINES_MAX:
        yield count, f"{count} lines in a file, {FILE_LINES_MAX} allowed: one idea per file"


def rule_lines(_path, text):
    for number, line in enumerate(text.split("\n"), 1):
        if "\t" in line:
            yield number, "tab"
        if line != line.rstrip():
            yield number, "blank at the end of the line"
        if len(line) > LINE_COLUMNS_MAX:
            yield number, f"{len(line)} columns, {LINE_COLUMNS_MAX} allowed"


def rule_left_over(_path, text):
    for number, line in enumerate(text.split("\n"), 1):
        match = LEFT_OVER.search(line)
        if match:
            yield number, f"{match.group()}: do it, or open an issue"


def rule_end_of_file(_path, text):
    if text and not text.endswith("\n"):
        yield text.count("\n") + 1, "no newline at the end of the file"


def too_long(first, last, what):
    lines = last - first + 1
    if lines > FUNCTION_LINES_MAX:
        yield first, f"{what} of {lines} lines, {FUNCTION_LINES_MAX} allowed"


def rule_c_functions(_path, text):
    """With the brace style of .clang-format, only a function has its braces in column 0."""
    first = None
    for number, line in enumerate(blank_noise(text).split("\n"), 1):
        if line.rstrip() == "{":
            first = number - 1
        elif line.startswith("}") and first is not None:
            yield from too_long(first, number, "a function")
            first = None


def rule_python_functions(_path, text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from too_long(node.lineno, node.end_lineno, node.name)


def rule_shell_functions(_path, text):
    first = None
    for number, line in enumerate(text.split("\n"), 1):
        if re.match(r"^\w+\(\) \{$", line):
            first = number
        elif line == "}" and first is not None:
            yield from too_long(first, number, "a function")
            first = None


def rule_banned(_path, text):
    for number, line in enumerate(blank_noise(text).split("\n"), 1):
        for match in BANNED_CALL.finditer(line):
            name = match.group(1)
            yield number, f"{name}() is banned: use {BANNED[name]}"


def may_include(folder, target):
    """Whether a file of server/<folder> may include server/<target>/..."""
    if folder == target:
        return True
    if folder in STANDS_ALONE or folder not in PATH_ORDER or target not in PATH_ORDER:
        return False
    return PATH_ORDER.index(target) < PATH_ORDER.index(folder)


def rule_includes(path, text):
    parts = PurePosixPath(path).parts
    for number, line in enumerate(text.split("\n"), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        bracket, name = match.groups()
        if name.startswith("liburing") and not LIBURING_FILES.match(path):
            yield number, "only core/ring_uring*.[ch], ring_compat.h and the relay know liburing"
        target = PurePosixPath(name).parts[0]
        if bracket != '"' or "/" not in name:
            continue
        if ".." in name:
            yield number, "include paths start at server/ or bench/"
        elif parts[0] == "server" and len(parts) > 2 and not may_include(parts[1], target):
            yield number, f"{parts[1]}/ may not include {target}/"
        elif parts[0] == "bench" and target not in SHARED_WITH_BENCH:
            if (ROOT / "server" / target).is_dir() and not (ROOT / "bench" / target).is_dir():
                shared = ", ".join(sorted(SHARED_WITH_BENCH))
                yield number, f"bench/ shares only {shared} with the server, not {target}/"


def rule_header(_path, text):
    if not text.startswith("/*"):
        yield 1, "a header opens with a comment: idea, threads, memory, bounds"
    if not GUARD.search(text):
        yield 1, "no #pragma once, which is the one header guard here"


def table_names(path, row):
    """(line, name) of the rows of an X-macro table."""
    if (ROOT / path).is_file():
        for number, line in enumerate((ROOT / path).read_text().split("\n"), 1):
            match = re.match(row, line)
            if match:
                yield number, match.group(1)


def undocumented():
    """What an operator can set or will see must have its line in docs/."""
    docs = "".join(page.read_text() for page in sorted((ROOT / "docs").glob("**/*.md")))
    for path, row, what in DOCUMENTED:
        for number, name in table_names(path, row):
            if f"`{name}`" not in docs:
                yield f"{path}:{number}: {what} `{name}` is not in docs/"


def unbudgeted():
    """A budget has one line in OPERATING.md, with its setting, its gauge and its close reason."""
    table = "server/conn/budgets.h"
    row = re.compile(r"    X\([A-Z]+, (\w+), (\w+), (\w+),")
    lines = (ROOT / "docs/OPERATING.md").read_text().split("\n")
    for number, line in enumerate((ROOT / table).read_text().split("\n"), 1):
        if match := row.match(line):
            setting, gauge, reason = match.groups()
            wanted = (f"| `{setting}` of a shard |", f"`ringside_{gauge}`", f"`{reason.lower()}`")
            if not any(all(word in line for word in wanted) for line in lines):
                yield f"{table}:{number}: no line of OPERATING.md has {', '.join(wanted)}"


def of(*suffixes):
    return lambda path: path.endswith(suffixes)


def is_text(path):
    if path.startswith(("results/", "tests/fuzz/corpus/")) or path in ("LICENSE", ".gitattributes"):
        return False
    return of(".c", ".h", ".py", ".js", ".sh", ".md", ".html", ".ini", "meson.build", "run")(path)


def is_shell(path):
    return path.endswith(".sh") or path == ".ci/run"


def is_code(path):
    return is_text(path) and not path.endswith(".md")


DOCUMENTED = [
    ("server/conf/settings.h", r"    X\([A-Z]+, (\w+),", "the setting"),
    ("server/conf/namespaces.h", r"    X\([A-Z_]+, (\w+),", "of a namespace,"),
    ("server/conf/hooks.h", r"    X\([A-Z_]+, (\w+),", "of a webhook,"),
    ("server/conn/close_reason.h", r"    X\([A-Z_0-9]+, (\w+),", "the close reason"),
]

RULES = [
    (is_code, rule_file_length),
    (is_code, rule_lines),
    (is_text, rule_left_over),
    (is_text, rule_end_of_file),
    (of(".c", ".h"), rule_c_functions),
    (of(".c", ".h"), rule_banned),
    (of(".c", ".h"), rule_includes),
    (of(".h"), rule_header),
    (of(".py"), rule_python_functions),
    (is_shell, rule_shell_functions),
]


def breaches(path):
    rules = [rule for applies, rule in RULES if applies(path)]
    if not rules:
        return
    text = (ROOT / path).read_text(encoding="utf-8")
    for rule in rules:
        for line, reason in rule(path, text):
            yield f"{path}:{line}: {reason}"


def main():
    files = git_files()
    found = [breach for path in files for breach in breaches(path)]
    found += [*undocumented(), *unbudgeted()]
    for breach in found:
        print(breach)
    print(f"tidy: {len(files)} files, {len(found)} breaches of the style guide")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
