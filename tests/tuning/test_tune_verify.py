"""verify and nic: against a load generator and a card that are made up."""

from pathlib import Path

import pytest

HELD = """{"contestants": [{"connect": {"opened": %d, "failed": 0}, "ledger": {"lost": %d}}]}"""


@pytest.fixture
def bench(machine, tmp_path):
    """bench(script): a load generator that runs it; $JSON is the result file to write."""
    def make(script):
        last_word = "for JSON; do :; done"
        stub = machine.stub("bench", f"echo \"$@\" >{tmp_path}/words\n{last_word}\n{script}")
        return {"RINGSIDE_BENCH": str(stub)}
    return make


def result(held, lost=0):
    return f"cat >\"$JSON\" <<'END'\n{HELD % (held, lost)}\nEND\n"


def test_a_promise_kept(machine, bench, tmp_path):
    answer = machine.tune("verify", "10k", "--transport", "sse", "--seconds", "5",
                          "--json", tmp_path / "out.json", **bench(result(10000)))
    assert (answer.status, answer.err) == (0, "")
    assert answer.out.startswith("kept ")
    words = (tmp_path / "words").read_text().split()
    folder = words.pop(words.index("--results") + 1)
    assert words == [
        "hold", "--connections", "10000", "--transport", "sse", "--against", "none",
        "--seconds", "5", "--results", "--json", str(tmp_path / "out.json")]
    assert not Path(folder).exists()


def test_the_bench_calls_a_websocket_by_its_name(machine, bench, tmp_path):
    assert machine.tune("verify", "10k", **bench(result(10000))).status == 0
    assert "--transport websocket " in (tmp_path / "words").read_text()


@pytest.mark.parametrize("script", [
    result(9999), result(10000, lost=1), result(10000) + "exit 1", "exit 0"])
def test_a_promise_broken(machine, bench, script):
    answer = machine.tune("verify", "10k", **bench(script))
    assert answer.status == 1 and answer.out.startswith("broken ")


def test_an_interrupted_run_says_so(machine, bench):
    answer = machine.tune("verify", "10k", **bench(result(10000) + "kill -INT $$; sleep 5"))
    assert answer.status == 1 and answer.out.startswith("interrupted ")


def test_the_counter_that_moved_is_shown_with_its_setting(machine, bench):
    netstat = machine.root / "proc/net/netstat"
    script = f"sed -i 's/^TcpExt: 0 0/TcpExt: 0 42/' {netstat}\nexit 1"
    words = machine.tune("verify", "10k", **bench(script)).words
    assert "ListenOverflows +42" in words and "-> net.core.somaxconn" in words


def test_a_missing_load_generator_is_said_with_the_command(machine, tmp_path):
    answer = machine.tune("verify", "10k", RINGSIDE_BENCH=str(tmp_path / "none"))
    assert answer.status == 1
    assert "build it with ./build.sh" in answer.err


def test_too_little_memory_is_said_before_the_run(machine, bench, tmp_path):
    machine.write("proc/meminfo", "MemTotal: 24684082 kB\nMemAvailable: 50000 kB\n")
    answer = machine.tune("verify", "10k", **bench(result(10000)))
    assert answer.status == 1 and "verify fewer" in answer.err
    assert not (tmp_path / "words").exists()


def test_a_dry_run_starts_nothing(machine, bench, tmp_path):
    answer = machine.tune("verify", "10k", "--dry-run", **bench(result(10000)))
    assert answer.status == 0 and "would hold 10000" in answer.out
    assert not (tmp_path / "words").exists()


# --- nic -----------------------------------------------------------------------------------------

CARD = "sys/class/net/test0"


@pytest.fixture
def card(machine):
    """One queue, two processors."""
    for name, value in {"mtu": "1500", "speed": "10000", "queues/rx-0/rps_cpus": "0",
                        "queues/rx-0/rps_flow_cnt": "0", "queues/tx-0/xps_cpus": "0",
                        "statistics/rx_dropped": "3"}.items():
        machine.write(f"{CARD}/{name}", value + "\n")
    machine.stub("ethtool", "exit 1")
    return machine


def card_value(machine, name):
    return (machine.root / CARD / name).read_text().strip()


def test_a_report_changes_nothing(card):
    answer = card.tune("nic", "test0")
    assert (answer.status, answer.err) == (0, "")
    assert "queues/rx-0/rps_cpus: 0 -> 3" in answer.out
    assert card_value(card, "queues/rx-0/rps_cpus") == "0"
    assert not card.state.exists()


def test_a_card_is_changed_on_request_and_put_back(card):
    answer = card.tune("nic", "test0", "--apply")
    assert (answer.status, answer.err) == (0, "")
    assert card_value(card, "queues/rx-0/rps_cpus") == "3"
    assert card_value(card, "queues/rx-0/rps_flow_cnt") == "32768"
    assert card.get("net.core.rps_sock_flow_entries") == "32768"
    assert card_value(card, "queues/tx-0/xps_cpus") == "0"
    assert card.tune("revert").status == 0
    assert card_value(card, "queues/rx-0/rps_cpus") == "0"
    assert card.get("net.core.rps_sock_flow_entries") == "0"


def test_a_card_with_a_queue_per_core_gets_a_core_per_queue(card):
    card.write("sys/devices/system/cpu/possible", "0-39\n")
    for queue in range(40):
        card.write(f"{CARD}/queues/rx-{queue}/rps_cpus", "00,00000000\n")
        card.write(f"{CARD}/queues/rx-{queue}/rps_flow_cnt", "0\n")
        card.write(f"{CARD}/queues/tx-{queue}/xps_cpus", "00,00000000\n")
    card.tune("nic", "test0", "--apply")
    assert card_value(card, "queues/rx-0/rps_cpus") == "ff,ffffffff"  # RFS needs it
    assert card_value(card, "queues/rx-0/rps_flow_cnt") == "819"
    assert card_value(card, "queues/tx-0/xps_cpus") == "00,00000001"
    assert card_value(card, "queues/tx-31/xps_cpus") == "00,80000000"
    assert card_value(card, "queues/tx-39/xps_cpus") == "80,00000000"


ETHTOOL = """
case $1 in
-l) printf 'Channel parameters:\\nPre-set maximums:\\nCombined:\\t8\\n'
    printf 'Current hardware settings:\\nCombined:\\t%s\\n' "$(cat FOLDER/combined)" ;;
-L) echo "$4" >FOLDER/combined ;;
*) exit 1 ;;
esac
"""


def test_queues_are_raised_to_the_cores_and_put_back(card, tmp_path):
    (tmp_path / "combined").write_text("1\n")
    card.stub("ethtool", ETHTOOL.replace("FOLDER", str(tmp_path)))
    card.stub("id", "echo 0")
    card.tune("nic", "test0", "--apply")
    assert (tmp_path / "combined").read_text() == "2\n"
    card.tune("revert")
    assert (tmp_path / "combined").read_text() == "1\n"


def test_a_report_says_where_interrupts_and_sleep_are(card):
    card.write("proc/interrupts", "      CPU0 CPU1\n 41:  7  0  IR-PCI-MSI  test0-rx-0\n")
    card.write("proc/irq/41/smp_affinity_list", "1\n")
    card.write("proc/77/comm", "irqbalance\n")
    card.write("proc/net/softnet_stat", "0000000c 00000000 0000000a\n00000000 00000000 00000002\n")
    card.write("sys/devices/system/cpu/cpu0/cpuidle/state2/latency", "133\n")
    words = card.tune("nic", "test0").words
    for said in ("IRQ 41 on 1", "irqbalance runs", "softnet out of budget 12",
                 "deepest idle state, us 133", "busy_poll (epoll only)"):
        assert said in words


def test_a_missing_card_is_said(machine):
    answer = machine.tune("nic", "none0")
    assert answer.status == 1 and "no interface none0" in answer.err
