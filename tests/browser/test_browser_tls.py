"""The same pages over https:// and wss://: every transport, in a real browser."""

import pytest

from test_browser import (  # noqa: F401
    seen,
    test_event_source,
    test_event_source_recovers,
    test_fetch_long_polls,
    test_fetch_publishes_and_polls,
    test_page_hears_every_transport,
    test_web_socket,
    test_web_socket_closes_with_a_reason,
    test_web_socket_publishes_and_is_closed_with_1001,
)


@pytest.fixture
def start_server(start_server):
    def start(**options):
        return start_server(secure=True, **options)

    return start


def test_it_is_tls(page, server):
    assert page.execute_script("return location.protocol") == "https:"
    assert page.execute_script("return isSecureContext")
    handshakes = server.metric("ringside_tls_handshakes_full_total")
    assert handshakes > 0
    assert server.all_tls_errors() == {}
