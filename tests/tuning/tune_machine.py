"""A made-up machine for tune to read and write: a folder that stands for /proc, /sys and /etc."""

import os
import subprocess
from pathlib import Path

TUNING = Path(__file__).resolve().parents[2] / "tuning"
TUNE = TUNING / "tune"

# The kernel's defaults on a machine with 24 GiB. `check` finds nothing to complain of in them.
SYSCTLS = {
    "fs.file-max": "2466177",
    "fs.nr_open": "1048576",
    "kernel.io_uring_disabled": "0",
    "kernel.osrelease": "6.18.0-1-amd64",
    "kernel.random.boot_id": "11111111-2222-3333-4444-555555555555",
    "net.core.netdev_max_backlog": "1000",
    "net.core.rmem_max": "212992",
    "net.core.rps_sock_flow_entries": "0",
    "net.core.somaxconn": "4096",
    "net.core.wmem_max": "212992",
    "net.ipv4.ip_local_port_range": "32768\t60999",
    "net.ipv4.ip_local_reserved_ports": "",
    "net.ipv4.tcp_abort_on_overflow": "0",
    "net.ipv4.tcp_autocorking": "1",
    "net.ipv4.tcp_congestion_control": "bbr",
    "net.ipv4.tcp_ehash_entries": "262144",
    "net.ipv4.tcp_fin_timeout": "60",
    "net.ipv4.tcp_keepalive_time": "7200",
    "net.ipv4.tcp_max_orphans": "131072",
    "net.ipv4.tcp_max_syn_backlog": "2048",
    "net.ipv4.tcp_max_tw_buckets": "131072",
    "net.ipv4.tcp_mem": "287901\t383868\t575802",
    "net.ipv4.tcp_moderate_rcvbuf": "1",
    "net.ipv4.tcp_rmem": "4096\t131072\t33554432",
    "net.ipv4.tcp_sack": "1",
    "net.ipv4.tcp_syncookies": "1",
    "net.ipv4.tcp_timestamps": "1",
    "net.ipv4.tcp_tw_reuse": "2",
    "net.ipv4.tcp_window_scaling": "1",
    "net.ipv4.tcp_wmem": "4096\t16384\t4194304",
    "net.netfilter.nf_conntrack_buckets": "262144",
    "net.netfilter.nf_conntrack_count": "0",
    "net.netfilter.nf_conntrack_max": "262144",
    "net.netfilter.nf_conntrack_tcp_timeout_established": "432000",
    "vm.max_map_count": "65530",
    "vm.overcommit_memory": "0",
    "vm.swappiness": "60",
}

LIMITS = """Limit                     Soft Limit           Hard Limit           Units
Max open files            1024                 20000                files
Max locked memory         8388608              8388608              bytes
"""

NETSTAT = """TcpExt: SyncookiesSent ListenOverflows ListenDrops TCPTimeWaitOverflow
TcpExt: 0 {overflows} 0 0
"""


class Machine:
    """The folder, and tune run against it."""

    def __init__(self, folder):
        self.root = folder / "root"
        self.state = folder / "state"
        self.bin = folder / "bin"
        self.bin.mkdir(parents=True)
        for key, value in SYSCTLS.items():
            self.set(key, value)
        self.write("proc/self/limits", LIMITS)
        self.write("proc/meminfo", "MemTotal: 24684082 kB\nMemAvailable: 24000000 kB\n")
        self.write("proc/net/netstat", NETSTAT.format(overflows=0))
        self.write("proc/net/softnet_stat", "0000000c 00000000 00000000\n")
        self.write("sys/devices/system/cpu/possible", "0-1\n")
        self.stub("ss", "")

    def write(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def file(self, key):
        return self.root / "proc/sys" / key.replace(".", "/")

    def set(self, key, value):
        self.write(self.file(key).relative_to(self.root), value + "\n")

    def get(self, key):
        return " ".join(self.file(key).read_text().split())

    def values(self):
        return {key: self.get(key) for key in SYSCTLS}

    def stub(self, name, script):
        """A command that tune finds before the machine's own."""
        file = self.bin / name
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
        return file

    def tune(self, *words, **env):
        return run_tune(
            *words, TUNE_ROOT=str(self.root), TUNE_STATE=str(self.state),
            PATH=f"{self.bin}:{os.environ['PATH']}", **env)


class Answer:
    def __init__(self, done):
        self.status, self.out, self.err = done.returncode, done.stdout, done.stderr

    @property
    def words(self):
        """The output with its line breaks folded away."""
        return " ".join(self.out.split())


def run_tune(*words, tune=TUNE, prefix=(), **env):
    done = subprocess.run(
        [*prefix, str(tune), *map(str, words)], env={**os.environ, **env}, text=True,
        stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    return Answer(done)
