"""The machine of a run: what decides how many connections fit and how fast bytes move. The bench
says what had to be read before (the load) or by it (limits, io_uring); the rest is here."""

import os
import pathlib
import platform

SYSCTLS = """
    fs.file-max fs.nr_open kernel.io_uring_disabled net.core.busy_poll net.core.busy_read
    net.core.netdev_max_backlog net.core.rps_sock_flow_entries net.core.somaxconn
    net.ipv4.ip_local_port_range net.ipv4.ip_local_reserved_ports net.ipv4.tcp_autocorking
    net.ipv4.tcp_congestion_control net.ipv4.tcp_ehash_entries net.ipv4.tcp_fin_timeout
    net.ipv4.tcp_keepalive_time net.ipv4.tcp_max_orphans net.ipv4.tcp_max_syn_backlog
    net.ipv4.tcp_max_tw_buckets net.ipv4.tcp_mem net.ipv4.tcp_moderate_rcvbuf net.ipv4.tcp_rmem
    net.ipv4.tcp_sack net.ipv4.tcp_syncookies net.ipv4.tcp_timestamps net.ipv4.tcp_tw_reuse
    net.ipv4.tcp_window_scaling net.ipv4.tcp_wmem net.netfilter.nf_conntrack_max vm.max_map_count
    vm.overcommit_memory vm.swappiness""".split()
SPARED = "Not affected"
CPUS = "/sys/devices/system/cpu"
# What only some machines have.
KNOWN = {"governor": f"{CPUS}/cpu0/cpufreq/scaling_governor",
         "transparent_hugepage": "/sys/kernel/mm/transparent_hugepage/enabled",
         "hypervisor": "/sys/class/dmi/id/sys_vendor",
         "clocksource": "/sys/devices/system/clocksource/clocksource0/current_clocksource"}


def first_line(path):
    """With single spaces; None when there is none."""
    try:
        lines = pathlib.Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    return lines[0].replace("\t", " ") if lines else None


def first_lines(paths):
    found = {name: first_line(path) for name, path in paths.items()}
    return {name: line for name, line in found.items() if line is not None}


def value_of(path, name):
    """Behind `name` in a file of lines "name : value" or "name=value"."""
    try:
        lines = pathlib.Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "unknown"
    found = (line[len(name):].lstrip(" \t:=").strip('"') for line in lines if line.startswith(name))
    return next(found, "unknown")


def mitigations():
    """What the kernel does against the holes of this CPU, by name: it is part of what a system call
    costs."""
    found = {path.name: first_line(path)
             for path in pathlib.Path(f"{CPUS}/vulnerabilities").glob("*")}
    return {name: line for name, line in found.items() if line not in (None, SPARED)}


def in_namespace():
    """A network namespace of its own, and not that of the first process."""
    try:
        return os.readlink("/proc/self/ns/net") != os.readlink("/proc/1/ns/net")
    except OSError:
        return False


def complete(seen):
    """`seen` by the bench, and the rest."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    lab = os.environ.get("RINGSIDE_LAB")
    return {
        "kernel": platform.release(), "os": value_of("/etc/os-release", "PRETTY_NAME"),
        "cpu_model": value_of("/proc/cpuinfo", "model name"), "cores": os.sysconf(
            "SC_NPROCESSORS_ONLN"), "memory_bytes": memory, **seen,
        "sysctls": first_lines({name: f"/proc/sys/{name.replace('.', '/')}" for name in SYSCTLS}),
        **first_lines(KNOWN), **({"lab": lab} if lab else {}), "mitigations": mitigations(),
        "namespace": in_namespace()}
