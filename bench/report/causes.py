"""What broke in a climb of `capacity`, which setting moves it, and the command.

    evidence of a step ─► the first row of the table that it fits ─► a sentence

The table is in the order of certainty: what the server or the kernel says by name comes first, what
only fits (a CPU that had no time left) later, "nothing explains it" last. A bound that was reached
has counted itself somewhere: `counters` of the contestant has all that grew in the step. A counter
that could not be read is absent, and never 0."""

import pathlib
from dataclasses import dataclass
from typing import Callable

import units

SHARE_FULL = 0.95  # a CPU that had no more than this to spare set the pace
TUNE_BOTH = ("`tuning/tune apply {n} --role both` raises it; `tuning/tune lab --for {n} -- "
             "./build.sh bench capacity --from {n} --to {n}` tries it and puts everything back.")


@dataclass
class Step:
    """Of a contestant of `capacity`."""
    contestant: dict

    def __post_init__(self):
        self.seen = self.contestant["evidence"]
        self.counters = self.contestant.get("counters", {})
        self.failures = self.contestant.get("errors", {})

    def grew(self, *names):
        return any(self.counters.get(name, 0) > 0 for name in names)

    def kept_down(self, *names):
        """Whether an errno stands for what kept connections down: some attempts fail and are
        repeated in every large ramp."""
        down = 1 if self.seen["publisher_down"] else self.seen["wanted"] - self.seen["up"]
        counts = [self.counters.get(f"connect:{name}", 0) for name in names]
        return self.seen["stage"] == "ramp" and any(n > 0 and 2 * n >= down for n in counts)

    def in_ramp(self):
        """A step that held had a ramp as well."""
        return self.seen["stage"] in ("ramp", "whole")


@dataclass
class Cause:
    name: str
    fits: Callable
    says: str            # what broke
    remedy: str          # "{n}" is the number of connections that was wanted
    setting: str = ""    # "net.…" and "fs.…" are sysctls, anything else is told as it is
    slows: bool = False  # worth saying of a step that held, too

    def moved_by(self):
        """The setting with its present value where that is a sysctl."""
        if not self.setting:
            return ""
        path = pathlib.Path("/proc/sys") / self.setting.replace(".", "/")
        value = ""
        if self.setting.startswith(("net.", "fs.")) and path.exists():
            value = " " + path.read_text(encoding="ascii").strip().replace("\t", " ")
        return f" ({self.setting}{value})"

    def remedy_for(self, connections):
        return filled(self.remedy, connections)


def filled(template, n):
    return template.replace("{n}", str(n))


CAUSES = (
    Cause("memory", lambda s: s.seen["memory_low"],
          "less memory was left than is kept free, and the step was ended before anything was "
          "swapped", "`tuning/tune plan {n} --role both` says how much {n} need."),
    Cause("server", lambda s: s.seen["server_ended"], "the server has ended",
          "What it said is above; `dmesg | grep -i oom` shows whether the kernel ended it."),
    Cause("max_connections",
          lambda s: s.grew("server:refused_table_full", "server:closed_table_full"),
          "the server's own table was full",
          "Start it with `--max-connections {n}`; the bench sets it when no --set does.",
          "the server's max_connections"),
    Cause("hub", lambda s: s.grew("server:refused_overloaded", "server:closed_overloaded"),
          "a bound of the server's hub was reached",
          "`ringside-server --help-config` explains them; `--set NAME=VALUE` moves one.",
          "the server's channels_max or subscriptions_per_connection"),
    # While its own counters are out of reach: also for /metrics there was no place.
    Cause("shed", lambda s: s.failures.get("shed", 0) > 0, "the server answered 503",
          "/metrics on a running server names the reason; `--max-connections {n}` is the first to "
          "try.", "the server's max_connections"),
    Cause("nofile", lambda s: s.kept_down("EMFILE"), "a process had no descriptor left",
          "`ulimit -n {n}` in the shell that starts both; `tuning/tune plan {n} --systemd` for a "
          "service.", "RLIMIT_NOFILE"),
    Cause("file-max", lambda s: s.kept_down("ENFILE"), "the machine had no open file left",
          TUNE_BOTH, "fs.file-max"),
    Cause("accept", lambda s: s.grew("server:accept_refused"),
          "the server lost connections before they had a slot",
          "`tuning/tune check {n} --role both` says which of the two is short.",
          "RLIMIT_NOFILE or fs.file-max"),
    Cause("ports", lambda s: s.kept_down("EADDRNOTAVAIL", "EADDRINUSE"),
          "no source address and port was to be had",
          "The load generator takes 127.1.0.1 and up: `ip route get 127.1.0.1` shows whether they "
          "are local, `ss -tan | grep -c TIME-WAIT` whether old connections hold them."),
    Cause("tcp_mem", lambda s: s.grew("TCPMemoryPressures"), "TCP memory ran short", TUNE_BOTH,
          "net.ipv4.tcp_mem", slows=True),
    # Sockets are also ended "on memory" when too many are orphans.
    Cause("orphans", lambda s: s.grew("TCPAbortOnMemory"),
          "too many closed sockets were still sending", TUNE_BOTH, "net.ipv4.tcp_max_orphans"),
    Cause("kernel memory", lambda s: s.kept_down("ENOMEM", "ENOBUFS"),
          "the kernel had no memory for a socket",
          "`tuning/tune plan {n} --role both` says what {n} need; a cgroup's memory.max also "
          "bounds it."),
    Cause("backlog", lambda s: s.in_ramp() and s.grew("ListenOverflows", "ListenDrops"),
          "the accept backlog overflowed",
          "The smaller one of it and the server's listen_backlog counts. `tuning/tune apply {n}` "
          "raises the first, `--set listen_backlog=N` the second.", "net.core.somaxconn",
          slows=True),
    Cause("half open", lambda s: s.in_ramp() and s.grew("TCPReqQFullDrop"),
          "half-open connections were dropped", TUNE_BOTH, "net.ipv4.tcp_max_syn_backlog",
          slows=True),
    Cause("slow readers", lambda s: s.grew("server:closed_slow_reader", "server:closed_queue_total",
                                           "server:closed_stalled"),
          "the server ended clients that did not read in time",
          "Here the reader is the load generator: give it more with --client-cpus first.",
          "the server's queue_bytes_max, queue_total_bytes_max or stall_timeout_ms"),
    Cause("heartbeat", lambda s: s.grew("server:closed_heartbeat"),
          "the server heard nothing of clients for two heartbeats",
          "Here the silent one is the load generator: give it more with --client-cpus, or "
          "`--set heartbeat_ms=60000`.", "the server's heartbeat_ms"),
    Cause("packets", lambda s: s.grew("softnet_dropped"),
          "packets were dropped between loopback and TCP", TUNE_BOTH,
          "net.core.netdev_max_backlog", slows=True),
    Cause("receive buffers", lambda s: s.grew("PruneCalled", "TCPRcvQDrop"),
          "receive buffers were too small for what came", TUNE_BOTH, "net.ipv4.tcp_rmem",
          slows=True),
    Cause("refused", lambda s: s.kept_down("ECONNREFUSED"), "nobody was listening",
          "Is it the right --address? A server of the bench's own has written why above."),
    Cause("server CPU", lambda s: s.seen.get("server_cpu_share", 0) >= SHARE_FULL,
          "the server had no CPU time left",
          "Give it more: `--server-cpus 0-3 --shards 4`; or allow more time with "
          "--broadcast-seconds.", "--server-cpus and --shards"),
    Cause("client CPU", lambda s: s.seen["client_cpu_share"] >= SHARE_FULL,
          "the load generator had no CPU time left",
          "It is one thread: the server may hold more than this bench can ask of it. Allow more "
          "time with --broadcast-seconds.", "--client-cpus"),
    Cause("unexplained", lambda s: s.seen["stage"] != "whole",
          "no counter of the kernel or the server explains it",
          "`tuning/tune check {n} --role both` compares every setting with what {n} need."),
)


def of(step):
    """Of a step that broke: the cause, and the others that fit as well but for the last."""
    fit = [cause for cause in CAUSES if cause.fits(step)]
    return fit[0], [cause for cause in fit[1:] if cause is not CAUSES[-1]]


def slowed(step):
    """The first row that slowed a step that held; None without one."""
    return next((cause for cause in CAUSES if cause.slows and cause.fits(step)), None)


# ---- in words -------------------------------------------------------------------------------

def what(step):
    """At 320,000, the broadcast stalled: 1,204 had not got it after 60 s"""
    return f"At {step.seen['wanted']:,}, {_broken(step)}"


def _broken(step):
    seen, up = step.seen, step.seen["up"]
    stage = {"ramp": "the ramp", "hold": "the hold"}.get(seen["stage"], "the broadcast")
    if seen["server_ended"]:
        return "the server was lost"
    if seen["memory_low"]:
        return f"{stage} was ended"
    if seen["publisher_down"]:
        return "the publisher had no connection"
    if seen["stage"] == "ramp":
        early = seen["elapsed_s"] < seen["allowed_s"]
        how = "before the others gave up, after" if early else "within"
        return f"only {up:,} came up {how} {seen['elapsed_s']:.{int(seen['elapsed_s'] < 10)}f} s"
    if seen["stage"] == "hold":
        return f"{seen['wanted'] - up:,} connections were lost while nothing was sent"
    if seen["closes"] > 0:
        return f"{seen['closes']:,} connections were lost during the broadcast"
    if seen["stalled"]:
        return f"the first broadcast had not reached everybody after {seen['allowed_s']:.0f} s"
    if seen["missing"] > 0:
        return (f"the broadcast stalled: {seen['missing']:,} had not got it after "
                f"{seen['allowed_s']:.0f} s")
    return (f"the ledger was not clean: {seen['faults']:,} messages lost, doubled, out of order or "
            "corrupt")


def evidence(step):
    """What is not 0: TCPMemoryPressures +312, …"""
    told = []
    if step.seen["memory_low"]:
        told.append(f"MemAvailable {units.size_bytes(step.seen['memory_available_bytes'])}")
    if step.grew("TCPMemoryPressures"):
        told.append(f"TCP held up to {step.counters['sockstat:tcp_mem_most']} pages")
    for name, count in step.counters.items():
        if count == 0 or name in ("server:accepted", "sockstat:tcp_mem_most"):
            continue
        kind, _, errno = name.partition(":")
        told.append(f"connect: {errno} {count} times" if kind == "connect" else f"{name} +{count}")
    told += [f"clients: {name} {count} times" for name, count in step.failures.items() if count]
    return ", ".join(told) or "no counter moved"
