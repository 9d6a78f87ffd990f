"""plan, apply and revert on a made-up machine: nothing here touches the real one."""

import re
import shutil
import subprocess

import pytest

from tune_machine import TUNING, run_tune

RAISED_AT_1M = {
    "net.core.netdev_max_backlog": "20000",
    "net.core.rmem_max": "4194304",
    "net.core.somaxconn": "32768",
    "net.core.wmem_max": "4194304",
    "net.ipv4.tcp_max_orphans": "250000",
    "net.ipv4.tcp_max_syn_backlog": "32768",
    "net.ipv4.tcp_mem": "1000000 1333333 2000000",
}


def needs(answer):
    """The rows of a profile: {key: need}."""
    return dict(re.findall(r"^([a-z][\w.:-]+) >= (.+)$", answer.out, re.M))


# --- the command itself --------------------------------------------------------------------------

@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_shellcheck_is_content():
    files = [TUNING / "tune", *sorted((TUNING / "lib").glob("*.sh"))]
    done = subprocess.run(["shellcheck", "-s", "bash", *files], cwd=TUNING, text=True,
                          capture_output=True, check=False)
    assert done.stdout == "" and done.returncode == 0


@pytest.mark.parametrize("words", [
    ["plan"], ["plan", "0"], ["plan", "many"], ["plan", "1k", "2k"], ["plan", "999M"],
    ["plan", "1k", "--transport", "carrier-pigeon"], ["plan", "1k", "--role"], ["frobnicate"],
    ["plan", "1k", "--unknown"], ["nic"], ["nic", "../etc"], ["lab", "--set", "vm.swappiness=1"],
    ["lab", "--set", "net.ipv4.tcp_mem=1 2 3"], ["revert", "1k"],
])
def test_a_wrong_command_line_is_told_and_ends_with_2(machine, words):
    answer = machine.tune(*words)
    assert answer.status == 2
    assert answer.err.startswith("tune: ")


# --- plan ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", ["10k", "100k", "1M", "2M"])
def test_a_profile_is_what_plan_prints(machine, name):
    assert machine.tune("plan", name, "--profile").out == \
        (TUNING / "profiles" / f"{name}.conf").read_text()


def test_a_profile_does_not_depend_on_the_machine(machine):
    before = machine.tune("plan", "1M", "--profile").out
    machine.set("net.core.somaxconn", "9999999")
    machine.write("proc/meminfo", "MemTotal: 1000000 kB\n")
    assert machine.tune("plan", "1M", "--profile").out == before


def test_plan_gives_a_reason_for_every_row(machine):
    answer = machine.tune("plan", "1M")
    states = "ok|low|rings|tight|told|measure|unused|absent|host"
    rows = re.findall(rf"^[a-z][\w.:-]+ +\S+.* (?:{states})$", answer.out, re.M)
    assert len(rows) > 15
    assert answer.out.count("    why: ") == len(rows)


def test_rings_add_up_where_the_limit_is_low(machine):
    assert "62 rings of 16384 direct descriptors" in machine.tune("plan", "1M").words


def test_clients_need_an_address_for_every_55296_connections(machine):
    assert needs(machine.tune("plan", "1M", "--profile"))["clients:addresses"] == "19"
    assert needs(machine.tune("plan", "55296", "--profile"))["clients:addresses"] == "1"
    assert needs(machine.tune("plan", "55297", "--profile"))["clients:addresses"] == "2"


def test_both_ends_cost_more_than_one_and_open_ports(machine):
    one = needs(machine.tune("plan", "1M", "--profile"))
    both = needs(machine.tune("plan", "1M", "--profile", "--role", "both"))
    assert int(both["fs.file-max"]) > int(one["fs.file-max"])
    assert int(both["net.ipv4.tcp_ehash_entries"]) == 2 * int(one["net.ipv4.tcp_ehash_entries"])
    assert both["net.ipv4.ip_local_port_range"] == "10240 65535"
    assert "net.ipv4.ip_local_port_range" not in one


def test_short_lived_connections_need_room_in_time_wait(machine):
    key = "net.ipv4.tcp_max_tw_buckets"
    waiting = [int(needs(machine.tune("plan", "1M", "--profile", "--transport", t))[key])
               for t in ("ws", "longpoll", "poll")]
    assert waiting == [100000, 340000, 1300000]


def test_a_sysctl_file_never_lowers_this_machine(machine):
    machine.set("net.core.somaxconn", "100000")
    machine.set("net.ipv4.tcp_mem", "1 9999999 2")
    lines = dict(re.findall(r"^(\S+) = (.+)$", machine.tune("plan", "1M", "--sysctl-d").out, re.M))
    assert lines["net.core.somaxconn"] == "100000"
    assert lines["net.ipv4.tcp_mem"] == "1000000 9999999 2000000"
    assert lines["fs.file-max"] == "2466177"


def test_a_drop_in_asks_for_no_more_files_than_nr_open_gets(machine):
    engine = ("--engine", "epoll")
    drop_in = machine.tune("plan", "1M", "--systemd", *engine).out
    limit = re.search(r"^LimitNOFILE=(\d+)$", drop_in, re.M)[1]
    assert limit == needs(machine.tune("plan", "1M", "--profile", *engine))["fs.nr_open"]
    assert int(limit) > 1_000_000
    assert "[Service]" in drop_in and "TasksMax=" in drop_in


def test_direct_descriptors_need_no_more_files_than_a_table_has(machine):
    assert "LimitNOFILE=65536\n" in machine.tune("plan", "1M", "--systemd").out
    assert "fs.nr_open" not in machine.tune("plan", "1M").out
    machine.set("kernel.osrelease", "6.1.0-30-amd64")  # each connection is a descriptor there
    assert "LimitNOFILE=65536\n" not in machine.tune("plan", "1M", "--systemd").out
    assert "each connection is a descriptor" in machine.tune("plan", "1M").words


def test_nothing_is_advised_that_the_server_does_not_use(machine):
    for words in ([], ["--systemd"], ["--profile"], ["--sysctl-d"], ["--tuned"], ["--docker"]):
        out = machine.tune("plan", "1M", *words).out
        for unused in ("MEMLOCK", "max_map_count", "tcp_rmem", "tcp_wmem", "busy_poll"):
            assert unused not in out


@pytest.mark.parametrize("gib, fits", [
    (24, "1000000 1333333 2000000"), (8, "524288 699050 1048576"), (4, "262144 349525 524288")])
def test_tcp_mem_fits_the_memory(machine, gib, fits):
    """What does not fit is said, and `check` finds nothing harmful in what was applied."""
    machine.write("proc/meminfo", f"MemTotal: {gib << 20} kB\n")
    machine.set("net.ipv4.tcp_mem", "1 1 1")
    plan = machine.tune("plan", "1M").words
    assert ("at most, which is 50 % of this machine's memory" in plan) == (gib < 24)
    machine.tune("apply", "1M")
    assert machine.get("net.ipv4.tcp_mem") == fits
    assert "0 harmful" in machine.tune("check", "1M").out


def test_a_larger_message_takes_more_pages(machine):
    small, large = (needs(machine.tune("plan", "100k", "--profile", "--message", size))
                    ["net.ipv4.tcp_mem"] for size in ("64", "8192"))
    assert int(large.split()[0]) == 3 * int(small.split()[0])


def test_the_servers_own_settings_are_part_of_the_plan(machine):
    assert machine.tune("plan", "1M", "--server").out == (
        "; 1000000 connections, transport ws, role server\n[server]\n"
        "max_connections = 1050000\nlisten_backlog = 32768\n")
    out = machine.tune("plan", "1M", "--server", "--shards", "1").out
    assert "listen_backlog = 65535\n" in out  # the most that the server takes
    assert "server:max_connections" not in machine.tune("plan", "1M", "--role", "client").out


def test_a_profile_of_tuned_has_floors(machine):
    out = machine.tune("plan", "1M", "--tuned").out
    assert "[sysctl]\n" in out and "net.core.somaxconn=>32768\n" in out
    assert 'net.ipv4.tcp_mem="1000000 1333333 2000000"\n' in out


def test_a_container_is_given_what_is_its_own(machine):
    out = machine.tune("plan", "1M", "--docker").out
    assert '--sysctl net.core.somaxconn="32768"\n' in out
    assert "--ulimit nofile=65536:65536\n" in out
    assert "tcp_mem" not in out and "file-max" not in out


def test_too_little_memory_is_said(machine):
    machine.write("proc/meminfo", "MemTotal: 2000000 kB\n")
    answer = machine.tune("check", "1M")
    assert answer.status == 1
    assert "they do not fit even idle" in answer.words


def test_a_broadcast_that_may_not_fit_is_tight_not_refused(machine):
    answer = machine.tune("plan", "2M", "--role", "both")
    state = {line.split()[0]: line.split()[-1] for line in answer.out.splitlines()
             if line.startswith("memory:")}
    assert state == {"memory:idle": "ok", "memory:broadcast": "tight"}
    assert machine.tune("apply", "2M", "--role", "both").status == 0


# --- apply and revert ----------------------------------------------------------------------------

def test_apply_raises_what_is_low_and_nothing_else(machine):
    before = machine.values()
    answer = machine.tune("apply", "1M")
    assert (answer.status, answer.err) == (0, "")
    changed = {k: v for k, v in machine.values().items() if v != before[k]}
    assert changed == RAISED_AT_1M


def test_apply_never_lowers(machine):
    for key in RAISED_AT_1M:
        if key != "net.ipv4.tcp_mem":
            machine.set(key, "123456789")
    machine.set("net.ipv4.tcp_mem", "1500000 1 9000000")
    machine.set("net.ipv4.ip_local_port_range", "2000 50000")
    machine.tune("apply", "1M", "--role", "both")
    assert machine.get("net.core.somaxconn") == "123456789"
    assert machine.get("net.ipv4.tcp_mem") == "1500000 1333333 9000000"
    assert machine.get("net.ipv4.ip_local_port_range") == "2000 65535"


def test_revert_restores_every_value_and_says_so(machine):
    before = machine.values()
    machine.tune("apply", "1M", "--role", "both")
    answer = machine.tune("revert")
    assert answer.status == 0
    assert "all 8 values are as they were" in answer.out
    assert machine.values() == before
    assert "nothing to put back" in machine.tune("revert").out


def test_a_second_apply_keeps_the_first_originals(machine):
    before = machine.values()
    machine.tune("apply", "100k")
    machine.tune("apply", "1M", "--role", "both")
    machine.tune("apply", "10k")
    assert machine.get("net.core.somaxconn") == "32768"
    assert machine.tune("revert").status == 0
    assert machine.values() == before


def test_apply_twice_has_nothing_left_to_raise(machine):
    machine.tune("apply", "1M")
    saved = (machine.state / "saved").read_text()
    assert "nothing to raise" in machine.tune("apply", "1M").out
    assert (machine.state / "saved").read_text() == saved


def test_a_dry_run_changes_nothing(machine):
    before = machine.values()
    assert "7 would be set" in machine.tune("apply", "1M", "--dry-run").out
    assert machine.values() == before
    assert not machine.state.exists()


def test_a_lab_counts_the_ends_that_the_kernel_has(machine):
    """Clients without sockets hold nothing in it."""
    def asked(*words):
        answer = machine.tune("lab", "--for", "1M", "--dry-run", "--", "bench", "hold", *words)
        return int(re.search(r"with (\d+) TCP hash buckets", answer.out)[1])

    both = asked("--clients", "kernel")
    assert both == asked("-n", "1000000")
    for words in (["--clients", "socketless"], ["--clients=socketless", "-n", "1000000"]):
        assert asked(*words) == both // 2


def test_a_dry_revert_changes_nothing(machine):
    machine.tune("apply", "1M")
    applied = machine.values()
    answer = machine.tune("revert", "--dry-run")
    assert answer.out.count("would set") == len(RAISED_AT_1M)
    assert machine.values() == applied
    assert (machine.state / "saved").exists()


# Sourced by bash before tune: kills it at the write whose number is KILL_AT.
KILL_AT = """
set -T
count=0
trap 'case ${FUNCNAME[0]:-}:$BASH_COMMAND in
      machine_write:*) ;; # the trap runs again inside the call
      *:"machine_write "*) count=$((count + 1)); [ $count = "$KILL_AT" ] && kill -KILL $$ ;;
      esac' DEBUG
"""


@pytest.fixture
def killer(tmp_path):
    file = tmp_path / "kill_at.sh"
    file.write_text(KILL_AT)
    return str(file)


@pytest.mark.parametrize("write", range(1, len(RAISED_AT_1M) + 1))
def test_an_apply_cut_off_at_any_write_can_be_reverted(machine, killer, write):
    before = machine.values()
    answer = machine.tune("apply", "1M", BASH_ENV=killer, KILL_AT=str(write))
    assert answer.status == -9
    changed = [k for k, v in machine.values().items() if v != before[k]]
    assert len(changed) == write - 1
    assert machine.tune("revert").status == 0
    assert machine.values() == before


@pytest.mark.parametrize("write", (1, 3))
def test_a_revert_that_is_cut_off_can_be_repeated(machine, killer, write):
    before = machine.values()
    machine.tune("apply", "1M")
    assert machine.tune("revert", BASH_ENV=killer, KILL_AT=str(write)).status == -9
    assert machine.tune("revert").status == 0
    assert machine.values() == before


def test_a_half_written_state_is_ignored(machine):
    machine.state.mkdir()
    (machine.state / "saved.new").write_text("set\tnet.core.somaxconn\t1")
    before = machine.values()
    machine.tune("apply", "1M")
    assert machine.tune("revert").status == 0
    assert machine.values() == before


def test_values_of_an_earlier_boot_are_not_put_back(machine):
    machine.tune("apply", "1M")
    machine.set("kernel.random.boot_id", "99999999-2222-3333-4444-555555555555")
    machine.set("net.core.somaxconn", "5000")
    answer = machine.tune("revert")
    assert answer.status == 0 and "booted since" in answer.out
    assert machine.get("net.core.somaxconn") == "5000"


def test_an_apply_after_a_boot_saves_anew(machine):
    machine.tune("apply", "1M")
    machine.set("kernel.random.boot_id", "99999999-2222-3333-4444-555555555555")
    machine.set("net.core.somaxconn", "5000")
    machine.tune("apply", "1M")
    machine.tune("revert")
    assert machine.get("net.core.somaxconn") == "5000"


def test_a_change_by_somebody_else_is_told_at_revert(machine):
    machine.tune("apply", "1M")
    machine.set("net.core.somaxconn", "77777")
    answer = machine.tune("revert")
    assert "somebody changed it since" in answer.out
    assert machine.get("net.core.somaxconn") == "4096"


def test_a_revert_that_does_not_work_keeps_the_saved_values(machine):
    machine.tune("apply", "1M")
    machine.file("net.core.somaxconn").unlink()
    machine.file("net.core.somaxconn").mkdir()
    answer = machine.tune("revert")
    assert answer.status == 1
    assert "1 of 7 values are not back" in answer.out
    assert (machine.state / "saved").exists()


def test_apply_changes_nothing_when_it_cannot_save(machine, tmp_path):
    before = machine.values()
    (tmp_path / "file").write_text("")
    answer = machine.tune("apply", "1M", "--state", tmp_path / "file" / "state")
    assert answer.status == 1 and "cannot keep old values" in answer.err
    assert machine.values() == before


def test_conntrack_is_raised_only_where_it_is_in_use(machine):
    machine.tune("apply", "1M")
    assert machine.get("net.netfilter.nf_conntrack_max") == "262144"
    machine.set("net.netfilter.nf_conntrack_count", "12")
    machine.tune("apply", "1M")
    assert machine.get("net.netfilter.nf_conntrack_max") == "1115536"


def test_what_guards_security_is_told_and_left(machine):
    machine.set("kernel.io_uring_disabled", "2")
    answer = machine.tune("apply", "1M")
    assert answer.status == 1 and "left out  kernel.io_uring_disabled" in answer.out
    assert machine.get("kernel.io_uring_disabled") == "2"


# --- without a machine of one's own --------------------------------------------------------------

def test_plan_and_check_work_on_this_machine_without_writing():
    for words in (["plan", "10k"], ["check", "10k"], ["apply", "10k", "--dry-run"]):
        answer = run_tune(*words)
        assert answer.status in (0, 1) and answer.err == ""
        assert "net.ipv4.tcp_mem" in answer.out or words[0] == "apply"
