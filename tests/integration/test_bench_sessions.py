"""What a client with the Centrifuge protocol costs the server, by `bench hold`."""

import pytest

from bench import bench

EACH_MAX = 256  # bytes: signed on, with one channel; and what does not grow with their number
CLIENTS = 15000


@pytest.mark.not_in("asan", "tsan", why="a sanitizer's memory is not the server's")
def test_a_session_with_a_channel_takes_256_bytes(tmp_path):
    found = bench(tmp_path, "hold", "--connections", CLIENTS, "--transport", "centrifuge",
                  "--tokens", "--seconds", "1", "--against", "none")
    (held,) = found.run["contestants"]
    assert held["connections"] == CLIENTS
    assert held["ledger"]["delivered"] == held["ledger"]["expected"] > 0
    assert 150 < held["memory"]["user_bytes_per_connection"] <= EACH_MAX
