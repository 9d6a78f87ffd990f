"""Messages that are packed once for all, as the bench measures them: what each byte stands for, and
how many there are. No speed is asserted."""

import pytest

from bench import bench
from test_bench_small import SMALL, check_clean, taking_part

SUBSCRIBERS = 20


def fanout(tmp_path, transports, size, setting, expect=0):
    return bench(tmp_path, "fanout", "-T", transports, "-n", SUBSCRIBERS, "--size", size, "-d", "1",
                 "--against", "none", *SMALL, "--set", setting, expect=expect)


def per_delivery(found, plain, packed):
    seen = {name: contestant for (name, _), contestant in taking_part(found.run).items()}
    assert seen.keys() == {plain, packed}
    for contestant in seen.values():
        check_clean(contestant, SUBSCRIBERS)
    return [seen[name]["wire"]["down_bytes_per_delivery"] for name in (plain, packed)]


def test_deflated(tmp_path):
    found = fanout(tmp_path, "websocket,websocket-deflate", 1024, "websocket_deflate=on")
    plain, packed = per_delivery(found, "websocket", "websocket-deflate")
    assert plain == 1028 and 100 < packed < plain / 3


@pytest.mark.parametrize("size", [1000, 25000])
def test_by_what_changed(tmp_path, size):
    """The first message of all is whole; in frames that come in pieces, too."""
    found = fanout(tmp_path, "websocket-envelope,websocket-delta", size, ":delta=all")
    plain, packed = per_delivery(found, "websocket-envelope", "websocket-delta")
    assert size < plain < size + 200
    assert 100 < packed < (plain / 20 if size == 25000 else plain / 2)


def test_a_server_that_does_not_deflate_is_no_such_contestant(tmp_path):
    found = fanout(tmp_path, "websocket-deflate", 1024, "websocket_deflate=off", expect=1)
    assert "websocket" in found.complaints
