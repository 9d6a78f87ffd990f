"""A ringside-server under test: start it, talk to it, stop it, and look at how it died.

The binary is $RINGSIDE_SERVER. Every server gets its own port and its own config file, and must
leave with exit code 0 and nothing from a sanitizer on its output. Ports are the kernel's choice, so
that any number of tests run side by side.
"""

import functools
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import time
from urllib.parse import urlencode

HOST = "127.0.0.1"
# Sanitizer builds on a busy machine are slow; nothing here is a measurement.
PATIENCE_S = 30

SANITIZER_WORDS = (
    "AddressSanitizer",
    "LeakSanitizer: detected",
    "ThreadSanitizer",
    "runtime error:",
    "Assertion",
)

# LeakSanitizer stops all threads before it looks, and cannot stop a kernel worker of io_uring that
# is still on its way out. Then it has looked at nothing, in this one run.
COULD_NOT_LOOK = "LeakSanitizer has encountered a fatal error"

SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")
ADMIN = re.compile(r" for the operator on http://([^ ]+):(\d+)/")
LABEL = re.compile(r'(\w+)="((?:\\.|[^"\\])*)"')


def server_binary():
    path = os.environ.get("RINGSIDE_SERVER", "build/release/server/ringside-server")
    found = shutil.which(path)
    assert found, f"no server at {path}: ./build.sh build, or set RINGSIDE_SERVER"
    return found


@functools.cache
def sanitizer():
    """That of the programs under test: "asan", "tsan" or None."""
    with open(server_binary(), "rb") as file:
        program = file.read()
    return next((name for name in ("asan", "tsan") if f"__{name}_init".encode() in program), None)


def hold_port(host=HOST):
    """A socket with a port of the kernel's choice, kept for a server: `port_of` it. As long as it
    is open nobody else is given that port, as server or as client. It is bound and does not listen,
    so a server that sets SO_REUSEADDR can still listen there, and again after its end."""
    held = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if ":" in host:
        held.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    try:
        held.bind((host, 0))
    except OSError:  # after a busy hour each port may be in TIME_WAIT on one address or another
        bind_below(held, host)
    return held


def bind_below(held, host):
    """Takes a port below those that the kernel gives to clients."""
    for port in random.sample(range(12000, 20000), 1000):
        try:
            return held.bind((host, port))
        except OSError:
            continue
    raise RuntimeError(f"no port is free on {host}")


def port_of(held):
    return held.getsockname()[1]


def at(host, port):
    """The two together, as in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def wait_until(condition, what, patience_s=PATIENCE_S):
    """Polls until the condition holds; returns its value, or fails with `what`."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited {patience_s} s for: {what}")


def lines_of(name, value):
    """A setting in a config file; a list has a line for each item."""
    return "".join(f"{name} = {item}\n" for item in (value if isinstance(value, list) else [value]))


class ServerFault(AssertionError):
    """A program under test has died, would not leave, or left with a complaint. No second run
    excuses it: again.py."""


def check_output(output):
    """What a program under test has written holds no complaint of a sanitizer or an assertion."""
    for word in SANITIZER_WORDS:
        if word in output:
            raise ServerFault(output)


class Answer:
    """An HTTP answer that has been read to its end."""

    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def json(self):
        return json.loads(self.body)


class Server:
    """One server process. Use through the fixtures of conftest.py."""

    foreign = {}  # what Python's websockets must be told besides the URL

    def __init__(self, folder, shards=2, args=(), config=None, before=None, host=HOST, listen=None):
        """`before` runs in the new process, before the server does. Clients come to `host`; it
        listens there, or on the address `listen`."""
        self.host = host
        self.held = [hold_port(listen or host)]
        self.port = port_of(self.held[0])
        self.address = at(host, self.port)
        self.folder = folder
        self.log = folder / "server.log"
        listen = at(listen or host, self.port)
        self.command = [server_binary(), "--listen", listen, "--shards", str(shards), *args]
        # A slow farewell is for crowds; a test has seen what it came for.
        settings = {"drain_ms": 50, **(config or {})}
        self.has_operator = "admin_listen" in settings
        path = folder / "ringside.ini"
        path.write_text("".join(lines_of(name, value) for name, value in settings.items()))
        self.command += ["--config", str(path)]
        self.before = before
        self.process = None
        self.is_told_to_end = False

    # ---- life ----

    def start(self):
        env = dict(os.environ)
        env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
        self.is_told_to_end = False
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=env,
                preexec_fn=self.before,
            )
        wait_until(self.is_up, f"a healthy server: {' '.join(self.command)}")
        return self

    def is_up(self):
        if self.process.poll() is not None:
            raise ServerFault(f"exit code {self.process.returncode} at start:\n{self.output()}")
        try:
            asked = self.operator() if self.has_operator else self
            return asked.get("/healthz").status == 200
        except (OSError, http.client.HTTPException):
            return False

    def signal(self, number=signal.SIGTERM):
        self.is_told_to_end |= number in (signal.SIGTERM, signal.SIGINT)
        self.process.send_signal(number)

    def wait(self):
        """Waits for the end; returns the exit code."""
        try:
            return self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise ServerFault(f"still running {PATIENCE_S} s after the signal") from None

    def stop(self):
        # One that is still saying goodbye would end at once if it were told twice.
        if self.process.poll() is None and not self.is_told_to_end:
            self.signal()
        code = self.wait()
        output = self.output()
        check_output(output)
        if code != 0 and COULD_NOT_LOOK not in output:
            raise ServerFault(f"exit code {code}:\n{output}")

    def release(self):
        """Gives its ports back; it starts no more."""
        for held in self.held:
            held.close()

    def output(self):
        return self.log.read_text(errors="replace")

    # ---- the listener for the operator ----

    def operator(self):
        """The same server by its admin_listen; its port is read from what the server has said."""
        said = ADMIN.search(self.output())
        if not said:
            raise ConnectionRefusedError("it does not listen for the operator yet")
        other = Server.__new__(Server)
        other.host, other.port = said[1].strip("[]"), int(said[2])
        other.address = at(other.host, other.port)
        return other

    # ---- plain HTTP ----

    def plain(self):
        """The same server by its port without TLS."""
        return self

    def wrap(self, connection):
        """What a client puts around its socket."""
        return connection

    def connect(self):
        return http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE_S)

    def request(self, method, path, body=None, headers=None):
        connection = self.connect()
        try:
            connection.request(method, path, body=body, headers=headers or {})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, path, headers=None):
        return self.request("GET", path, headers=headers)

    def url(self, path, scheme="http", **query):
        return f"{scheme}://{self.address}{target(path, **query)}"

    def ws_url(self, path="/ws", **query):
        return self.url(path, "ws", **query)

    def publish(self, channel, data):
        body = data.encode() if isinstance(data, str) else data
        answer = self.request("POST", target("/publish", channel=channel), body)
        assert answer.status == 200, (answer.status, answer.body)
        return answer.json()

    def poll(self, channel, since=None):
        """`channel` may be a list. Returns the parsed answer of /poll."""
        query = {"channel": channel} if since is None else {"channel": channel, "since": since}
        answer = self.get(target("/poll", **query))
        assert answer.status == 200, (answer.status, answer.body)
        return answer.json()

    def position(self, channel):
        """The position after everything that was published so far."""
        return self.poll(channel)["position"]

    # ---- metrics ----

    def samples(self):
        """All samples of /metrics: [(name, {label: value}, number)]."""
        return list(parse_metrics(self.get("/metrics").body.decode()))

    def metric(self, name, **labels):
        """The sum of all samples of that name whose labels include these."""
        return sum(
            number
            for sample, found, number in self.samples()
            if sample == name and labels.items() <= found.items()
        )

    def refused(self, reason):
        """How many requests were refused for it."""
        return self.metric("ringside_requests_refused_total", reason=reason)

    def closed(self, reason):
        """How many connections ended for it."""
        return self.metric("ringside_connections_closed_total", reason=reason)

    def until_closed(self, reason, times=1):
        """Waits for so many to have ended for it, and no more. A connection is counted when it is
        over for the server, and a client may know before that."""
        wait_until(lambda: self.closed(reason) >= times, f"{times} closed as {reason}")
        assert self.closed(reason) == times


def target(path, **query):
    return f"{path}?{urlencode(query, doseq=True)}" if query else path


def parse_metrics(text):
    for line in text.splitlines():
        if line and not line.startswith("#"):
            match = SAMPLE.match(line)
            assert match, f"not a sample: {line!r}"
            name, labels, number = match.groups()
            yield name, dict(LABEL.findall(labels or "")), float(number)


def data_of(answer):
    """The payloads of a poll's answer."""
    return [message["data"] for message in answer["messages"]]


def refusal(answer):
    """The named reason in an error's JSON."""
    parsed = answer.json()
    assert parsed.keys() == {"error", "message"}, parsed
    assert isinstance(parsed["message"], str) and parsed["message"], parsed
    return parsed["error"]
