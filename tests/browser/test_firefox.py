"""A page of Firefox: over HTTP/2 seven EventSources and three WebSockets on one connection, over
HTTP/1.1 six of the seven; and a push that it has not asked for."""

import pytest

from firefox import Firefox

EVENT_SOURCES = 7  # one more than a browser opens to a server by HTTP/1.1
WEB_SOCKETS = 3

OPEN = """
    (() => {
        window.heard = {};
        for (let i = 0; i < %d; i++) {
            const source = new EventSource("/sse?channel=c&since=start");
            source.onmessage = e => (heard["source " + i] ??= []).push(e.data);
        }
        for (let i = 0; i < %d; i++) {
            const socket = new WebSocket(`wss://${location.host}/ws?channel=c&since=start`);
            socket.onmessage = e => (heard["socket " + i] ??= []).push(e.data);
        }
    })()
"""


@pytest.fixture(scope="module")
def firefox(tmp_path_factory):
    browser = Firefox(tmp_path_factory.mktemp("firefox"))
    yield browser
    browser.quit()


def heard_by(firefox, count, text, eventually):
    def all_of_them():
        return sum(text in texts for texts in firefox.run("window.heard").values()) == count
    eventually(all_of_them, f"{text!r} heard by {count}")


def test_seven_event_sources_and_three_web_sockets_on_one_connection(firefox, start_server,
                                                                     eventually):
    server = start_server(secure=True, shards=1)
    firefox.get(server.url("/metrics"))
    firefox.run(OPEN % (EVENT_SOURCES, WEB_SOCKETS))
    server.plain().publish("c", "to all")
    heard_by(firefox, EVENT_SOURCES + WEB_SOCKETS, "to all", eventually)
    assert server.metric("ringside_http2_connections") == 1
    assert server.metric("ringside_streams_sse") == EVENT_SOURCES
    assert server.metric("ringside_streams_websocket") == WEB_SOCKETS
    firefox.get("about:blank")


def test_http_1_stops_at_six(firefox, start_server, eventually):
    """The seventh waits for one of the others to end."""
    server = start_server(secure=True, shards=1, config={"http2": "off"})
    firefox.get(server.url("/metrics"))
    firefox.run(OPEN % (EVENT_SOURCES, 0))
    eventually(lambda: server.metric("ringside_streams_sse") == EVENT_SOURCES - 1, "six")
    server.publish("c", "to six")
    heard_by(firefox, EVENT_SOURCES - 1, "to six", eventually)
    assert server.metric("ringside_streams_sse") == EVENT_SOURCES - 1
    firefox.get("about:blank")


def test_it_takes_no_push(firefox, start_server, eventually):
    server = start_server(secure=True, shards=1, config={"http2_push": "/healthz"})
    firefox.get(server.url("/"))
    eventually(lambda: server.metric("ringside_http2_pushes_unwanted_total") > 0, "its SETTINGS")
    assert server.metric("ringside_http2_pushes_total") == 0
    firefox.get("about:blank")
