"""gather_us: what trickles in from several connections may wait a moment; nothing is lost."""

import pytest

from wire import TEXT, RawWebSocket

READERS = 4
MESSAGES = 60


@pytest.mark.parametrize("gather_us", [0, 100, 10000])
def test_a_trickle_reaches_everybody_in_order(start_server, gather_us):
    server = start_server(shards=2, config={"gather_us": gather_us})
    readers = [RawWebSocket(server) for _ in range(READERS)]
    for n in range(MESSAGES):
        server.publish("c", f"{n}")
    for reader in readers:
        for n in range(MESSAGES):
            assert reader.read() == (TEXT, f"{n}".encode())
        reader.close()
