#!/usr/bin/env python3
"""What a peer's manifest says, for the bench: one JSON object in, one out.

    {"name": "nchan", "root": "build/peers"}          read and checked; "missing": not installed
    {"url": "ws://…", "publish_url": …, …}             a server that runs already, likewise
    … "places": {"address": "127.0.0.1:9000", …}       filled in too: what to start, what to say

What is wrong is {"error": "a sentence"}. README.md beside this says what a manifest has."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
CHANNEL = "bench"
TEXT_MAX, LINE_MAX, NAME_MAX = 1023, 199, 40
MESSAGES_MAX = 4  # each way
VERSION_PATIENCE_S = 10
RUN_KEPT_S = 3600

# How often a key may come, and what becomes of it.
ONCE, WORDS, MANY, INSTALLER = "once", "words", "many", "installer"
KEYS = {
    ("peer", "title"): ONCE, ("peer", "version"): WORDS, ("install", "needs"): WORDS,
    **{("install", way): INSTALLER for way in ("apt", "npm", "link", "pip", "go", "cargo",
                                               "by_hand")},
    ("server", "config"): ONCE, ("server", "command"): WORDS, ("server", "ready"): ONCE,
    ("server", "address"): ONCE, ("handshake", "path"): ONCE, ("cache", "of"): ONCE,
    ("subscribe", "transport"): ONCE,
    ("publish", "by"): ONCE, ("publish", "address"): ONCE,
    ("publish", "send"): ONCE, ("publish", "send_binary"): ONCE,
    **{(side, key): kind for side in ("subscribe", "publish") for key, kind in (
        ("path", ONCE), ("protocol", MANY), ("field", MANY), ("message", MANY), ("binary", MANY))},
}
ONE_OF = {("subscribe", "transport"): ("websocket", "sse", "longpoll"),
          ("cache", "of"): ("poll",),
          ("publish", "by"): ("websocket", "post")}
LETTERS = {"\\": "\\", "n": "\n", "r": "\r", "t": "\t"}
PLACE = re.compile(r"@(@|[A-Za-z0-9_+]+@)?")
ESCAPE = re.compile(r"\\([\\nrt]|x[0-9a-fA-F]{2})?")


class Fault(Exception):
    """A sentence without a full stop."""


# ---- reading --------------------------------------------------------------------------------

def lines(text, where):
    """(line number, section, name, value): indented lines belong to the name above them."""
    section = name = ""
    for at, line in enumerate(text.split("\n"), 1):
        told = re.sub(r"(^|\s);.*", "", line).rstrip()
        if not told:
            continue
        if told.startswith("["):
            section, name = told.strip("[]"), ""
        elif line[0].isspace() and name:
            yield at, section, name, told.strip()
        else:
            name, equals, value = (part.strip() for part in told.partition("="))
            if not equals or len(line) > LINE_MAX:
                raise Fault(f"{where}:{at}: not a line of the form name = value, of at most "
                            f"{LINE_MAX} characters")
            yield at, section, name, value


def take(found, section, name, value):
    kind = KEYS.get((section, name))
    if not kind:
        raise Fault(f"there is no {name} in [{section}] of a manifest; bench/peers/README.md lists "
                    "what there is")
    known = found.setdefault(section, {}).setdefault(name, [])
    why = None
    if kind == ONCE and known:
        why = "it is given twice"
    elif value not in ONE_OF.get((section, name), (value,)):
        *others, last = ONE_OF[section, name]
        why = f"there are {', '.join(others)} and {last}" if others else f"there is {last}"
    elif name.startswith("send") and "@payload@" not in value:
        why = "it needs a place for @payload@"
    elif len(value) > TEXT_MAX:
        why = f"it is longer than {TEXT_MAX} bytes"
    if why:
        raise Fault(f"{name} of [{section}]: {why}")
    known.append(value)
    # Messages keep their order, whatever they are made of.
    if name in ("message", "binary"):
        found[section].setdefault("said", []).append((value, name == "binary"))


class Peer:
    def __init__(self, name, folder, found, where):
        self.name, self.folder, self.found = name[:NAME_MAX], folder, found
        why = self._lacks()
        if why:
            raise Fault(f"{where}: there is {why}")

    def get(self, section, name, default=""):
        return " ".join(self.found.get(section, {}).get(name, [])) or default

    def said(self, section):
        return self.found.get(section, {}).get("said", [])

    def _lacks(self):
        command, address = self.get("server", "command"), self.get("server", "address")
        path, by = self.get("subscribe", "path"), self.get("publish", "by")
        if bool(command) == bool(address):
            return ("a command and an address in [server], where one of them is wanted" if command
                    else "neither a command nor an address in [server]")
        if self.get("handshake", "path"):
            return ("a [handshake], which goes with a command and without [subscribe]"
                    if address or path else None)
        if self.get("cache", "of"):
            return ("a [cache], which goes with a command and without [subscribe]"
                    if address or path else None)
        if not path:
            return "no path in [subscribe]"
        if not by:
            return "no by in [publish]: websocket or post"
        transport = self.get("subscribe", "transport", "websocket")
        if transport != "websocket" and self.said("subscribe"):
            return "messages in [subscribe], which only a WebSocket can send"
        if by == "post" and self.said("publish"):
            return "messages in [publish], which only a WebSocket can send"
        for section in ("subscribe", "publish"):
            if len(self.said(section)) > MESSAGES_MAX:
                return f"more than {MESSAGES_MAX} messages in [{section}]"
        return None


def of_manifest(name):
    """bench/peers/NAME, or the file that was named; the contestant has the name of the folder."""
    path = pathlib.Path(name) if "/" in name else HERE / name / "peer.ini"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise Fault(f"cannot read {path}: {error.strerror}" if "/" in name else
                    f"there is no peer '{name}' in bench/peers/; `ls bench/peers` lists them, and "
                    "a path names a manifest elsewhere") from None
    found = {}
    for at, section, key, value in lines(text, path):
        try:
            take(found, section, key, value)
        except Fault as fault:
            raise Fault(f"{path}:{at}: {fault}") from None
    return Peer(path.resolve().parent.name, path.resolve().parent, found, path)


def of_urls(asked):
    def split(url, *schemes):
        found = re.fullmatch(r"(\w+)://([^/]+)(/.*)?", url)
        if not found or found[1] not in schemes:
            raise Fault(f"{url}: needs " + " or ".join(f"{s}://HOST:PORT/PATH" for s in schemes))
        return found[1], found[2], found[3] or "/"
    found = {}
    _, address, path = split(asked["url"], "ws")
    scheme, to, publish = split(asked.get("publish_url") or asked["url"], "ws", "http")
    by = "post" if scheme == "http" else "websocket"
    for section, name, value in (
            ("server", "address", address), ("subscribe", "path", path),
            ("publish", "path", publish), ("publish", "address", to), ("publish", "by", by),
            *(("subscribe", "message", text) for text in asked.get("subscribe", [])),
            *([("publish", "send", asked["publish"])] if asked.get("publish") else [])):
        take(found, section, name, value)
    return Peer(address, HERE, found, asked["url"])


# ---- filling in -----------------------------------------------------------------------------

def varint(value):
    """Seven bits to a byte, lowest first: as MQTT and Protocol Buffers write a length."""
    out = []
    while value > 127:
        out.append(chr(value & 127 | 128))
        value >>= 7
    return "".join([*out, chr(value)])


class Places:
    """What there is to fill in."""

    def __init__(self, peer, root, more=None):
        self.peer, self.values = peer, dict(more or {})
        self.products = pathlib.Path(root).resolve() / peer.name  # it may not be there yet
        # One for each port, as two benches may run at once.
        self.run = self.products / "run" / str(self.values.get("port", ""))
        self.values |= {"here": peer.folder, "products": self.products}
        if more:
            config = pathlib.Path(peer.get("server", "config")).name
            self.values |= {"run": self.run, "config": self.run / config, "channel": CHANNEL}

    def _one(self, found):
        name = (found[1] or "").rstrip("@")
        if found[1] == "@":
            return "@"
        if name.startswith("varint+") and "payload_bytes" in self.values:
            return varint(self.values["payload_bytes"] + int(name.removeprefix("varint+")))
        if name not in self.values or name == "payload_bytes":
            raise Fault(f"there is nothing to fill in for {found[0]} here; @@ is the sign itself")
        return str(self.values[name])

    def fill(self, text):
        try:
            return PLACE.sub(self._one, text)
        except Fault as fault:
            raise Fault(f"the manifest of {self.peer.name}: {text[:80]}: {fault}") from None

    def fill_bytes(self, text):
        """A message, as text of one character for each byte."""
        def one(found):
            if not found[1]:
                raise Fault(f"the manifest of {self.peer.name}: {text[:80]}: there are the escapes "
                            "\\\\ \\n \\r \\t and \\xNN")
            return LETTERS.get(found[1]) or chr(int(found[1][1:], 16))
        # Bytes of UTF-8 stay what they are; a place has no backslash to be an escape.
        raw = text.encode("utf-8").decode("latin-1")
        parts = re.split(r"(\\(?:[\\nrt]|x[0-9a-fA-F]{2})?)", raw)
        return "".join(ESCAPE.sub(one, part) if part.startswith("\\") else self.fill(part)
                       for part in parts)

    def find(self, command):
        """Among the peer's products, on the PATH, or where Debian keeps its servers."""
        path = f"{self.products}:{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/sbin:/sbin"
        return command if "/" in command else shutil.which(command, path=path)

    def words(self, command):
        argv = self.fill(command).split()
        program = self.find(argv[0])
        if not program:
            raise Fault(f"{self.peer.name}: there is no {argv[0]} on the PATH")
        return [program, *argv[1:]]

    def missing(self):
        """The first thing that it needs and that is not there."""
        return next((need for need in self.fill(self.peer.get("install", "needs")).split()
                     if not (self.find(need) and os.path.exists(self.find(need)))), None)


def message(text, binary):
    return {"hex": text.encode("latin-1").hex(), "binary": binary}


def side(peer, places, section):
    of = peer.found.get(section, {})
    fields = [f"Sec-WebSocket-Protocol: {name}" for name in of.get("protocol", [])]
    path = peer.get(section, "path") or peer.get("subscribe", "path")
    return {"path": places.fill(path),
            "fields": "".join(f"{places.fill(f)}\r\n" for f in fields + of.get("field", [])),
            "messages": [message(places.fill_bytes(text), binary)
                         for text, binary in peer.said(section)]}


def sent(peer, places):
    """What is published, before and after the payload."""
    binary = bool(peer.get("publish", "send_binary"))
    text = peer.get("publish", "send") or peer.get("publish", "send_binary") or "@payload@"
    before, _, after = text.partition("@payload@")
    return {"before": message(places.fill_bytes(before), binary),
            "after": message(places.fill_bytes(after), binary)}


def version(peer, places):
    """For the reader, so failing is no error."""
    command = peer.get("peer", "version")
    try:
        made = subprocess.run(places.words(command), text=True, timeout=VERSION_PATIENCE_S,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except (Fault, OSError, IndexError, subprocess.TimeoutExpired):
        return "unknown"
    return " ".join(made.stdout.split()) or "unknown" if made.returncode == 0 else "unknown"


def forget_old(folder):
    """What runs have left there."""
    for left in folder.glob("*"):
        if left.is_dir() and left.stat().st_mtime < time.time() - RUN_KEPT_S:
            shutil.rmtree(left, ignore_errors=True)


def started(peer, places):
    """The command, with its config written into the run's folder."""
    config = peer.get("server", "config")
    forget_old(places.run.parent)
    try:
        places.run.mkdir(parents=True, exist_ok=True)
        if config:
            text = (peer.folder / config).read_text(encoding="utf-8")
            pathlib.Path(places.values["config"]).write_text(places.fill(text), encoding="utf-8")
    except OSError as error:
        raise Fault(f"{error.filename}: {error.strerror}") from None
    return {"argv": places.words(peer.get("server", "command")), "version": version(peer, places)}


def answer(asked):
    peer = of_urls(asked) if "url" in asked else of_manifest(asked["name"])
    places = Places(peer, asked["root"], asked.get("places"))
    told = {"name": peer.name, "ready": peer.get("server", "ready"),
            "visit": peer.get("handshake", "path"), "cache": peer.get("cache", "of"),
            "address": peer.get("server", "address"),
            "publish_address": peer.get("publish", "address"),
            "transport": peer.get("subscribe", "transport", "websocket"),
            "publish_by": peer.get("publish", "by", "websocket")}
    missing = places.missing()
    if missing:
        return told | {"missing": missing}
    if "places" not in asked:
        return told
    if peer.get("server", "command"):
        told |= started(peer, places)
    if not told["visit"] and not told["cache"]:
        told |= {"subscribe": side(peer, places, "subscribe"),
                 "publish": side(peer, places, "publish")} | sent(peer, places)
    return told


def main():
    try:
        told = answer(json.loads(sys.argv[1]))
    except Fault as fault:
        told = {"error": str(fault)}
    print(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
