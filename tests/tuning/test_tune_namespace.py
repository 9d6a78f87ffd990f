"""apply, revert and lab for real, on the kernel: in network namespaces of our own.

One test raises values of the whole host, because that is what it proves; it puts them back itself
whatever happens. Namespaces are made as root, or with a user namespace where that is allowed.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from tune_machine import TUNE, TUNING, run_tune

ROOT = os.geteuid() == 0
# What the values below were worked out for, whatever machine this is.
ONE_EPOLL = ("--shards", "1", "--engine", "epoll")
UNSHARE = ["unshare", "-n"] if ROOT else ["unshare", "-U", "-r", "-n"]
SYS = Path("/proc/sys")
HOST_WIDE = ["fs/nr_open", "fs/file-max", "vm/max_map_count", "net/ipv4/tcp_mem",
             "net/ipv4/tcp_max_orphans", "net/core/netdev_max_backlog", "net/core/rmem_max",
             "net/core/wmem_max",
             "net/ipv4/tcp_child_ehash_entries"]


def can_unshare():
    if not shutil.which("unshare"):
        return False
    return subprocess.run([*UNSHARE, "true"], check=False).returncode == 0


pytestmark = pytest.mark.skipif(not can_unshare(), reason="may not make a network namespace")


def host_values():
    return {key: (SYS / key).read_text() for key in HOST_WIDE if (SYS / key).exists()}


@pytest.fixture
def host():
    """The host's values before the test; what a failed test left behind is put back."""
    before = host_values()
    yield before
    for key, value in host_values().items():
        if value != before[key]:
            (SYS / key).write_text(before[key])


class Namespace:
    """A process that keeps a namespace open, and commands run in it."""

    def __init__(self):
        self.keeper = subprocess.Popen([*UNSHARE, "sh", "-c", "echo; exec sleep 300"],
                                       stdout=subprocess.PIPE)
        self.keeper.stdout.readline()
        enter = ["-n"] if ROOT else ["-U", "-n", "--preserve-credentials"]
        self.enter = ["nsenter", "-t", str(self.keeper.pid), *enter]

    def run(self, *words):
        return subprocess.run([*self.enter, *words], text=True, capture_output=True,
                              check=True).stdout

    def tune(self, *words):
        return run_tune(*words, prefix=self.enter)

    def get(self, key):
        return " ".join(self.run("sysctl", "-n", key).split())

    def set(self, key, value):
        self.run("sysctl", "-q", "-w", f"{key}={value}")

    def values(self):
        """Everything that belongs to the namespace."""
        return self.run("sysctl", "-a", "--pattern", "^net")

    def close(self):
        self.keeper.kill()
        self.keeper.wait()
        self.keeper.stdout.close()


@pytest.fixture
def namespace():
    space = Namespace()
    yield space
    space.close()


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


# --- apply and revert ----------------------------------------------------------------------------

def test_apply_check_revert_in_a_namespace(namespace, state, host):
    before = namespace.values()
    words = ("1M", "--role", "both", *ONE_EPOLL)
    answer = namespace.tune("apply", *words, "--state", state)
    assert answer.err == "" and "needs root" not in answer.out
    assert namespace.get("net.core.somaxconn") == "65536"
    assert namespace.get("net.ipv4.ip_local_port_range") == "10240 65535"

    rows = {line.split()[0]: line for line in namespace.tune("check", *words).out.splitlines()
            if line.startswith("net.")}
    assert rows["net.core.somaxconn"].endswith(" ok")
    assert rows["net.ipv4.ip_local_port_range"].endswith(" ok")
    assert rows["net.ipv4.tcp_mem"].endswith(" host")

    answer = namespace.tune("revert", "--state", state)
    assert answer.status == 0 and "values are as they were" in answer.out
    assert namespace.values() == before
    assert host_values() == host


LISTEN = """
import socket, subprocess
listener = socket.create_server(("127.0.0.1", 0), backlog=1000000)
listing = subprocess.run(["ss", "-ltnH"], capture_output=True, text=True).stdout
print(listing.split()[2])
"""


@pytest.mark.skipif(not shutil.which("ss"), reason="ss shows a listener's backlog")
def test_a_raised_backlog_is_what_a_new_listener_gets(namespace, state):
    listen = ["/usr/bin/python3", "-c", LISTEN]
    namespace.run("ip", "link", "set", "lo", "up")
    before = int(namespace.run(*listen))
    namespace.tune("apply", "1M", *ONE_EPOLL, "--state", state)
    assert before < int(namespace.run(*listen)) == 65536


def test_a_namespace_keeps_its_hands_off_the_host(namespace, state, host):
    answer = namespace.tune("apply", "2M", *ONE_EPOLL, "--state", state)
    assert "left out  net.ipv4.tcp_mem" in answer.out
    assert "left out  fs.nr_open" in answer.out or int(host["fs/nr_open"]) >= 2102000
    assert host_values() == host


def test_a_second_apply_keeps_the_first_originals(namespace, state):
    before = namespace.values()
    namespace.tune("apply", "10k", "--role", "both", "--state", state)
    namespace.tune("apply", "2M", "--role", "both", *ONE_EPOLL, "--state", state)
    assert namespace.get("net.core.somaxconn") == "131072"
    assert namespace.tune("revert", "--state", state).status == 0
    assert namespace.values() == before


def test_apply_never_lowers(namespace, state):
    namespace.set("net.core.somaxconn", "200000")
    namespace.set("net.ipv4.tcp_max_tw_buckets", "3000000")
    namespace.tune("apply", "1M", "--state", state)
    assert namespace.get("net.core.somaxconn") == "200000"
    assert namespace.get("net.ipv4.tcp_max_tw_buckets") == "3000000"


def test_a_dry_run_changes_nothing(namespace, state, host):
    before = namespace.values()
    assert "would set net.core.somaxconn" in namespace.tune("apply", "1M", "--dry-run").out
    assert namespace.values() == before
    assert host_values() == host
    assert not state.exists()


def test_values_are_put_back_only_where_they_came_from(namespace, state):
    namespace.tune("apply", "1M", "--state", state)
    other = Namespace()
    try:
        before = other.values()
        answer = other.tune("revert", "--state", state)
        assert answer.status == 1 and "holds values of namespace" in answer.err
        assert other.values() == before
    finally:
        other.close()
    assert namespace.tune("revert", "--state", state).status == 0


@pytest.mark.skipif(not ROOT, reason="host values need root")
def test_apply_and_revert_on_the_host(host, state):
    try:
        answer = run_tune("apply", "2M", *ONE_EPOLL, "--state", state)
        assert answer.err == ""
        assert int((SYS / "fs/nr_open").read_text()) >= 2102000
        pages = os.sysconf("SC_PHYS_PAGES")  # tcp_mem counts in them, and fits into the memory
        most = int((SYS / "net/ipv4/tcp_mem").read_text().split()[2])
        assert int(host["net/ipv4/tcp_mem"].split()[2]) < most < pages
        assert [int((SYS / k).read_text().split()[0]) >= int(v.split()[0]) for k, v in host.items()]
    finally:
        answer = run_tune("revert", "--state", state)
    assert answer.status == 0
    assert host_values() == host


def test_without_root_it_says_what_it_left_out(tmp_path):
    if ROOT and not shutil.which("setpriv"):
        pytest.skip("no setpriv to become nobody with")
    with tempfile.TemporaryDirectory() as folder:
        # Nobody may not look into the checkout, perhaps.
        shutil.copytree(TUNING, f"{folder}/tuning")
        os.chmod(folder, 0o755)
        nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if ROOT else []

        def tune(*words):
            return run_tune(*words, tune=f"{folder}/tuning/tune", prefix=nobody)

        assert tune("plan", "1M").status == 0
        assert "advice to undo" in tune("check", "1M").out
        answer = tune("apply", "90M", "--state", tmp_path / "state")
        assert answer.status == 1 and answer.err == ""
        assert "needs root on the host" in answer.out and "set   " not in answer.out


# --- lab -----------------------------------------------------------------------------------------

def test_a_lab_has_its_own_hash_and_leaves_no_trace(host, state):
    answer = run_tune(
        "lab", "--for", "500k", *ONE_EPOLL, "--state", state,
        "--set", "net.ipv4.tcp_congestion_control=reno",
        "--", "sh", "-c", "ip -br link; cd /proc/sys/net; cat ipv4/tcp_ehash_entries"
        " core/somaxconn ipv4/ip_local_port_range ipv4/tcp_congestion_control; exit 7")
    assert answer.status == 7
    link, *values = answer.out.splitlines()
    assert link.startswith("lo ") and "LOOPBACK,UP" in link
    assert values == ["1048576", "32768", "10240\t65535", "reno"]
    assert host_values() == host


def test_a_plain_lab_is_an_untuned_namespace(host, state):
    read = ("--", "sh", "-c", "cd /proc/sys/net; cat ipv4/tcp_ehash_entries core/somaxconn")
    hash_shared, backlog = run_tune("lab", "--plain", "--state", state, *read).out.split()
    assert int(hash_shared) < 0 and int(backlog) == 4096
    hash_own, backlog = run_tune("lab", "--plain", "--hash", "65536", "--state", state,
                                 *read).out.split()
    assert int(hash_own) == 65536 and int(backlog) == 4096
    assert host_values() == host and not state.exists()


@pytest.mark.skipif(not ROOT, reason="host values need root")
def test_a_lab_raises_what_only_the_host_has_and_reverts_it(host, state):
    answer = run_tune("lab", "--for", "2M", *ONE_EPOLL, "--state", state, "--", "cat",
                      "/proc/sys/fs/nr_open")
    assert int(answer.out) >= 2102000
    assert host_values() == host


def start_lab(state, *command):
    lab = subprocess.Popen([str(TUNE), "lab", "--for", "2M", "--state", str(state), "--", *command],
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                           start_new_session=True)
    assert lab.stdout.readline() == "ready\n"
    return lab


def end_of(lab):
    lab.stdout.close()
    return lab.wait(timeout=30)


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_a_lab_that_is_interrupted_cleans_up(host, state, sig):
    lab = start_lab(state, "sh", "-c", "echo ready; exec sleep 300")
    if sig == signal.SIGINT:
        os.killpg(lab.pid, sig)  # as Ctrl-C does: to everybody in the terminal
    else:
        lab.send_signal(sig)
    assert end_of(lab) == 128 + sig
    assert host_values() == host


@pytest.mark.skipif(not ROOT, reason="host values need root")
def test_a_lab_that_is_killed_is_cleaned_up_by_revert(host, state):
    lab = start_lab(state, "sh", "-c", "echo ready; exec sleep 300")
    os.killpg(lab.pid, signal.SIGKILL)
    end_of(lab)
    assert host_values() != host
    assert "cut off" in run_tune("revert", "--state", state).out
    assert host_values() == host


@pytest.mark.skipif(not ROOT, reason="host values need root")
def test_what_a_lab_raised_never_becomes_an_original(host, state):
    lab = start_lab(state, "sh", "-c", "echo ready; exec sleep 300")
    for words in (["apply", "1M"], ["revert"]):
        answer = run_tune(*words, "--state", state)
        assert answer.status == 1 and "a lab is running" in answer.err
    os.killpg(lab.pid, signal.SIGKILL)
    end_of(lab)
    run_tune("apply", "1M", "--state", state)
    assert run_tune("revert", "--state", state).status == 0
    assert host_values() == host


@pytest.mark.skipif(not ROOT, reason="host values need root")
def test_of_two_labs_the_last_one_reverts(host, state):
    first = start_lab(state, "sh", "-c", "echo ready; read line")
    second = start_lab(state, "sh", "-c", "echo ready; exec sleep 300")
    os.killpg(first.pid, signal.SIGTERM)
    end_of(first)
    assert host_values() != host
    os.killpg(second.pid, signal.SIGTERM)
    end_of(second)
    assert host_values() == host


def test_a_namespace_is_gone_when_its_command_is(state):
    def namespaces():
        links = Path("/proc").glob("[0-9]*/ns/net")
        return {os.readlink(link) for link in links if os.access(link, os.R_OK)}

    done = run_tune("lab", "--for", "1k", "--state", state, "--", "readlink", "/proc/self/ns/net")
    its_own = next(line for line in done.out.splitlines() if line.startswith("net:["))
    assert its_own != os.readlink("/proc/self/ns/net")
    deadline = time.monotonic() + 5
    while its_own in namespaces() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert its_own not in namespaces()
