"""`bench churn`, small: all come back, and nobody who was there missed anything."""

import pytest

from bench import bench


@pytest.mark.parametrize("drop", ["rst", "fin"])
def test_who_comes_and_goes_costs_nobody_a_message(tmp_path, drop):
    run = bench(tmp_path, "churn", "--subscribers", "40", "--churn", "100", "--rate", "20",
                "--turns", "2", "--turn-ms", "400", "--drop", drop,
                "--transport", "websocket,sse,longpoll").run
    for contestant in run["contestants"]:
        back = contestant["reconnect"]
        assert back["dropped"] == back["recovered"] > 0
        ledger = contestant["ledger"]
        assert ledger["delivered"] == ledger["expected"] > 0
        assert ledger["lost"] == ledger["duplicate"] == ledger["out_of_order"] == 0
        assert contestant["saturated"] in ("server", "client", "both", "neither")
    (verdict,) = run["verdicts"]
    assert verdict["verdict"] == "holds"
