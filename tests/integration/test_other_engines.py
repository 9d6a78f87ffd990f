"""A choice of the other tests again, on the engines that a newer kernel does not choose: all that
sends, receives, stalls, ends or crosses.

A test that is imported here asks for `start_server` or `server`, and gets those of this file.
"""

import signal

import pytest

from test_bad_input import (  # noqa: F401
    test_flood_of_requests_behind_one_that_is_held,
    test_others_do_not_notice,
)
from test_cross_shard import (  # noqa: F401
    test_publishers_on_all_shards_agree_on_one_order,
    test_steady_readers_while_others_come_and_go,
    test_transports_hear_the_same,
)
from test_drain import (  # noqa: F401
    test_half_a_request_does_not_hold_it_up,
    test_held_polls_are_answered,
    test_streams_end_well,
    test_websockets_get_1001,
    test_what_was_accepted_is_delivered_first,
)
from test_longpoll import (  # noqa: F401
    test_is_held_until_there_is_a_message,
    test_many_waiters_all_hear_it,
    test_nothing_is_lost_between_answers,
)
from test_publish_poll import (  # noqa: F401
    test_sixteen_mebibytes_when_set as test_poll_of_mebibytes,
    test_connection_is_kept,
    test_poll_since_gives_what_was_missed_once,
    test_request_one_byte_at_a_time,
)
from test_sse import (  # noqa: F401
    test_large_message,
    test_replay_from_last_event_id,
    test_subscriber_that_leaves_is_forgotten,
)
from test_trouble import (  # noqa: F401
    test_full_table,
    test_peers_that_vanish,
    test_reader_that_stops_reading,
    test_too_many_connections_come_and_go,
)
from test_websocket import (  # noqa: F401
    test_sixteen_mebibytes_when_set as test_websocket_of_mebibytes,
    test_echo_of_many_in_flight,
    test_frame_one_byte_at_a_time,
    test_long_replay_is_given_whole,
    test_peer_that_never_answers_a_ping_is_dropped,
)


@pytest.fixture(params=["epoll", "io_uring_fd"])
def start_server(request, start_server):
    def start(**options):
        options["config"] = {"engine": request.param, **options.get("config", {})}
        return start_server(**options)

    return start


@pytest.fixture
def number():
    """How a server is told to stop."""
    return signal.SIGTERM
