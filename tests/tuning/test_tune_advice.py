"""check recognises folklore: every rule fires, and fires on nothing else."""

import pytest

from tune_machine import NETSTAT

# key, value, kind, a word of the explanation
FOLKLORE = [
    ("net.ipv4.tcp_tw_recycle", "1", "obsolete", "NAT"),
    ("net.ipv4.tcp_tw_reuse", "1", "no-effect", "never those it accepts"),
    ("net.ipv4.tcp_fin_timeout", "15", "no-effect", "not TIME_WAIT"),
    ("net.ipv4.tcp_max_tw_buckets", "5000", "harmful", "TIME_WAIT ends early"),
    ("net.ipv4.tcp_sack", "0", "harmful", "lost packet"),
    ("net.ipv4.tcp_timestamps", "0", "harmful", "sequence numbers"),
    ("net.ipv4.tcp_window_scaling", "0", "harmful", "64 KiB"),
    ("net.ipv4.tcp_moderate_rcvbuf", "0", "harmful", "tcp_rmem"),
    ("net.ipv4.tcp_syncookies", "0", "harmful", "dropped"),
    ("net.ipv4.tcp_syncookies", "2", "harmful", "test setting"),
    ("net.ipv4.tcp_abort_on_overflow", "1", "harmful", "storm"),
    ("net.ipv4.tcp_keepalive_time", "60", "no-effect", "SO_KEEPALIVE"),
    ("net.ipv4.tcp_low_latency", "1", "obsolete", "does nothing"),
    ("net.ipv4.ip_conntrack_max", "1000000", "obsolete", "nf_conntrack_max"),
    ("net.ipv4.tcp_mem", "786432 1048576 26777216", "harmful", "counts pages"),
    ("net.ipv4.tcp_rmem", "8388608 8388608 16777216", "harmful", "memory pressure"),
    ("net.ipv4.tcp_wmem", "8388608 8388608 16777216", "harmful", "memory pressure"),
    ("net.ipv4.ip_local_port_range", "1 65535", "harmful", "outgoing connections"),
    ("fs.file-max", "100000", "harmful", "lower than the kernel chose"),
    ("fs.nr_open", "1073741816", "harmful", "infinity"),
    ("vm.max_map_count", "1000", "harmful", "mmap fails"),
    ("net.ipv4.tcp_rmem", "1024 8192 16384", "harmful", "below a page"),
    ("vm.swappiness", "0", "no-effect", "swapped"),
    ("vm.overcommit_memory", "2", "harmful", "fails to start"),
    ("net.netfilter.nf_conntrack_max", "9000000", "harmful", "nf_conntrack_buckets"),
    ("net.netfilter.nf_conntrack_tcp_timeout_established", "30", "harmful", "heartbeats"),
]
# Gone from kernels, while files still carry it; and what systemd itself raises where it can.
NOT_RUNNING = ("net.ipv4.ip_conntrack_max", "fs.nr_open")


def advice(machine):
    """The part of check that is about advice, as one line of words."""
    answer = machine.tune("check", "10k")
    assert answer.err == ""
    return " ".join(answer.out.split("advice to undo")[1].split("since boot")[0].split())


def test_a_default_machine_gets_no_advice(machine):
    assert advice(machine) == "0 harmful"


@pytest.mark.parametrize("key,value,kind,word", FOLKLORE)
def test_a_running_value_is_recognised(machine, key, value, kind, word):
    if key in NOT_RUNNING:
        pytest.skip("only what a file says is looked at")
    machine.set(key, value)
    found = advice(machine)
    assert f"{kind} {key} = {value} (now)" in found and word in found
    assert found.count("because:") == 1


@pytest.mark.parametrize("key,value,kind,word", FOLKLORE)
def test_a_line_in_a_file_is_recognised(machine, key, value, kind, word):
    machine.write("etc/sysctl.d/90-fast.conf", f"# tuning\n{key}={value}   # from an article\n")
    found = advice(machine)
    assert f"{kind} {key} = {value} (/etc/sysctl.d/90-fast.conf)" in found and word in found
    assert found.count("because:") == 1


@pytest.mark.parametrize("line", [
    "net/ipv4/tcp_sack = 0", "-net.ipv4.tcp_sack=0", "net.ipv4.tcp_sack= 0"])
def test_every_spelling_of_sysctl_is_read(machine, line):
    machine.write("etc/sysctl.conf", line)
    assert "net.ipv4.tcp_sack = 0 (/etc/sysctl.conf)" in advice(machine)


def test_a_comment_is_not_a_setting(machine):
    machine.write("etc/sysctl.conf", "# net.ipv4.tcp_sack = 0\n; net.ipv4.tcp_timestamps = 0\n")
    assert advice(machine) == "0 harmful"


def test_two_pieces_of_advice_that_cancel_each_other(machine):
    machine.set("net.ipv4.tcp_tw_reuse", "1")
    machine.set("net.ipv4.tcp_timestamps", "0")
    assert "cancel each other" in advice(machine)


def test_a_limit_for_logins_does_not_reach_services(machine):
    machine.write("etc/security/limits.conf", "# *  soft nofile 1\n*  hard  nofile  1000000\n")
    found = advice(machine)
    assert "* hard nofile 1000000 (/etc/security/limits.conf)" in found
    assert "a systemd service never does" in found
    assert "0 harmful" in found


@pytest.mark.parametrize("value", ["2000000", "unlimited"])
def test_a_limit_above_nr_open_locks_out(machine, value):
    machine.write("etc/security/limits.d/many.conf", f"root - nofile {value}")
    assert "locks people out" in advice(machine)


def test_somaxconn_without_a_backlog(machine):
    machine.stub("ss", "echo 'LISTEN 0 128 0.0.0.0:8080 0.0.0.0:*'")
    assert "net.core.somaxconn = 4096 with backlog 128 on 0.0.0.0:8080" in advice(machine)
    machine.stub("ss", "echo 'LISTEN 0 4096 0.0.0.0:8080 0.0.0.0:*'")
    assert advice(machine) == "0 harmful"


def test_a_listener_in_the_port_range(machine):
    machine.stub("ss", "echo 'LISTEN 0 4096 [::]:40000 [::]:*'")
    assert "listener [::]:40000 inside net.ipv4.ip_local_port_range" in advice(machine)
    machine.set("net.ipv4.ip_local_reserved_ports", "80,39990-40010")
    assert advice(machine) == "0 harmful"


def test_harmful_advice_makes_check_fail(machine):
    machine.tune("apply", "1k")
    assert machine.tune("check", "1k").status == 0
    machine.set("net.ipv4.tcp_sack", "0")
    assert machine.tune("check", "1k").status == 1


def test_the_kernels_counters_point_to_the_setting(machine):
    machine.write("proc/net/netstat", NETSTAT.format(overflows=17))
    machine.write("proc/net/softnet_stat", "0000000c 0000000a 00000000\n0000000c 00000001 0\n")
    words = machine.tune("check", "1k").words
    assert "ListenOverflows +17" in words and "-> net.core.somaxconn" in words
    assert "SoftnetDropped +11" in words and "-> net.core.netdev_max_backlog" in words
