"""What HTTP/1.1 does not let a page do: seven EventSources and three WebSockets to one server, on
one connection of a real browser."""

import pytest

EVENT_SOURCES = 7  # one more than a browser opens to a server by HTTP/1.1
WEB_SOCKETS = 3

OPEN = """
    window.heard = {};
    const [sources, sockets] = arguments;
    for (let i = 0; i < sources; i++) {
        const source = new EventSource("/sse?channel=c&since=start");
        source.onmessage = e => (heard["source " + i] ??= []).push(e.data);
    }
    for (let i = 0; i < sockets; i++) {
        const socket = new WebSocket(`wss://${location.host}/ws?channel=c&since=start`);
        socket.onmessage = e => (heard["socket " + i] ??= []).push(e.data);
    }
"""


@pytest.fixture
def server(start_server):
    return start_server(secure=True, shards=1)


def heard_by(page, count, text, eventually):
    def all_of_them():
        heard = page.execute_script("return window.heard")
        return sum(1 for texts in heard.values() if text in texts) == count
    eventually(all_of_them, f"{text!r} heard by {count}")


def test_seven_event_sources_and_three_web_sockets_on_one_connection(page, server, eventually):
    page.execute_script(OPEN, EVENT_SOURCES, WEB_SOCKETS)
    server.plain().publish("c", "to all")
    heard_by(page, EVENT_SOURCES + WEB_SOCKETS, "to all", eventually)
    assert server.metric("ringside_http2_connections") == 1
    assert server.metric("ringside_streams_sse") == EVENT_SOURCES
    assert server.metric("ringside_streams_websocket") == WEB_SOCKETS
    assert server.metric("ringside_streams") >= EVENT_SOURCES + WEB_SOCKETS


def test_http_1_stops_at_six(page, start_server, eventually):
    """The seventh waits for one of the others to end."""
    other = start_server(secure=True, shards=1, config={"http2": "off"})
    page.get(other.url("/healthz"))
    page.execute_script(OPEN, EVENT_SOURCES, 0)
    eventually(lambda: other.metric("ringside_streams_sse") == EVENT_SOURCES - 1, "six")
    other.publish("c", "to six")
    heard_by(page, EVENT_SOURCES - 1, "to six", eventually)
    assert other.metric("ringside_streams_sse") == EVENT_SOURCES - 1
    page.get("about:blank")
