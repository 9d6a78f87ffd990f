"""EventSource, WebSocket and fetch in a real browser, with nothing of ours on the client's side."""

import pytest

# The page's scripts note what happens in window.seen; `seen` reads it.
EVENT_SOURCE = """
    window.seen = [];
    window.source = new EventSource(arguments[0]);
    const note = e => seen.push([e.type, e.data, e.lastEventId]);
    for (const type of ["message", "recovered", "unrecoverable", "binary"])
        source.addEventListener(type, note);
    source.onopen = () => seen.push(["open"]);
"""

# An event stream is open before its subscription stands: from a position on it hears all the same.
LIVE = "/sse?channel=c&since=start"

WEB_SOCKET = """
    window.seen = [];
    window.socket = new WebSocket(arguments[0]);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => seen.push(["open"]);
    socket.onmessage = e => seen.push(typeof e.data === "string"
        ? ["text", e.data] : ["binary", Array.from(new Uint8Array(e.data))]);
    socket.onclose = e => seen.push(["close", e.code, e.wasClean]);
"""

FETCH = """
    const done = arguments[arguments.length - 1];
    fetch(arguments[0], arguments[1]).then(async answer =>
        done({status: answer.status, text: await answer.text()}), e => done({error: `${e}`}));
"""

LONG_POLLS = """
    window.seen = [];
    (async (url, position) => {
        for (;;) {
            const answer = await (await fetch(`${url}&timeout=20&since=${position}`)).json();
            position = answer.position;
            seen.push(...answer.messages.map(message => message.data));
        }
    })(arguments[0], arguments[1]);
    seen.push("started");
"""


@pytest.fixture
def seen(page, eventually):
    """seen(count): what window.seen holds once it has at least `count` entries."""

    def read(count):
        def enough():
            found = page.execute_script("return window.seen")
            return found if len(found) >= count else None

        return eventually(enough, f"{count} events in the page")

    return read


def fetch(page, url, **options):
    return page.execute_async_script(FETCH, url, options)


def test_event_source(server, page, seen):
    page.execute_script(EVENT_SOURCE, LIVE)
    seen(1)
    published = [server.publish("c", text) for text in ("one", "zwei\nZeilen", "三")]
    ids = [f"{answer['epoch']}.{answer['offset']}" for answer in published]
    assert seen(4) == [
        ["open"],
        ["message", "one", ids[0]],
        ["message", "zwei\nZeilen", ids[1]],
        ["message", "三", ids[2]],
    ]


def test_event_source_recovers(server, page, seen):
    position = server.position("c")
    server.publish("c", "missed")
    page.execute_script(EVENT_SOURCE, f"/sse?channel=c&since={position}")
    opened, recovered, missed = seen(3)
    assert opened == ["open"]
    assert recovered[0] == "recovered"
    assert missed[:2] == ["message", "missed"]


def test_event_source_of_bytes(server, page, seen):
    page.execute_script(EVENT_SOURCE, LIVE)
    seen(1)
    server.publish("c", b"\xff\x00\xfe")
    assert seen(2)[1][:2] == ["binary", "/wD+"]


def test_event_source_comes_back_by_itself(server, page, seen, eventually):
    page.execute_script(EVENT_SOURCE, LIVE)
    seen(1)
    server.publish("c", "before")
    seen(2)
    server.stop()
    server.start()
    kinds = [event[0] for event in seen(4)]
    assert kinds[:4] == ["open", "message", "open", "unrecoverable"]
    server.publish("c", "after")
    eventually(lambda: seen(5)[-1][:2] == ["message", "after"], "the message of the new life")


def test_event_source_that_is_not_let_in_comes_back_by_itself(start_server, chromium, eventually):
    server = start_server(shards=1, config={"admits_per_s": 1, "admit_burst_ms": 0})
    chromium.get(server.url("/healthz"))
    for _ in range(50):
        if server.get("/poll?channel=c").status == 503:
            break
    chromium.execute_script(EVENT_SOURCE, LIVE)
    eventually(lambda: server.metric("ringside_streams_sse") == 1, "an open stream")
    server.publish("c", "in")

    def last_seen():
        return chromium.execute_script("return window.seen")[-1][:2]

    eventually(lambda: last_seen() == ["message", "in"], "the message of who was let in later")


def test_event_source_that_is_refused_stays_closed(page, eventually):
    page.execute_script(EVENT_SOURCE, "/sse")
    eventually(lambda: page.execute_script("return source.readyState") == 2, "a closed source")


def test_web_socket(server, page, seen):
    page.execute_script(WEB_SOCKET, server.ws_url(channel="c"))
    seen(1)
    server.publish("c", "三")
    server.publish("c", b"\xff\x00\xfe")
    assert seen(3) == [["open"], ["text", "三"], ["binary", [255, 0, 254]]]


def test_web_socket_publishes_and_is_closed_with_1001(start_server, chromium, eventually):
    server = start_server(args=["--echo"])
    chromium.get(server.url("/healthz"))
    chromium.execute_script(WEB_SOCKET, server.ws_url("/echo"))

    def noted(count):
        found = chromium.execute_script("return window.seen")
        return found if len(found) >= count else None

    eventually(lambda: noted(1), "an open socket")
    chromium.execute_script("socket.send('hello'); socket.send(new Uint8Array([1, 255]))")
    echoes = eventually(lambda: noted(3), "two echoes")[1:]
    assert echoes == [["text", "hello"], ["binary", [1, 255]]]
    server.signal()
    assert eventually(lambda: noted(4), "the close")[3] == ["close", 1001, True]


def test_web_socket_inflates(start_server, chromium, eventually):
    server = start_server(config={"websocket_deflate": "on", "websocket_publish": "on"})
    chromium.get(server.url("/healthz"))
    chromium.execute_script(WEB_SOCKET, server.ws_url(channel="c"))
    heard = lambda count: eventually(
        lambda: len(chromium.execute_script("return window.seen")) >= count
        and chromium.execute_script("return window.seen"), f"{count} events in the page")
    heard(1)
    assert chromium.execute_script("return socket.extensions").startswith("permessage-deflate")
    long = "世界 " * 500
    server.publish("c", long)
    server.publish("c", b"\xff" * 1000)
    assert heard(3)[1:] == [["text", long], ["binary", [255] * 1000]]
    chromium.execute_script("socket.send(arguments[0])", long)
    assert heard(4)[3] == ["text", long]
    assert server.metric("ringside_inflates_total") == 1
    chromium.get("about:blank")


def test_web_socket_closes_with_a_reason(server, page, seen):
    page.execute_script(WEB_SOCKET, server.ws_url(channel="c"))
    seen(1)
    page.execute_script("socket.close(3001, 'enough')")
    assert seen(2)[1] == ["close", 3001, True]


def test_fetch_publishes_and_polls(page):
    body = "aus dem Browser"
    assert fetch(page, "/publish?channel=c", method="POST", body=body)["status"] == 200
    polled = fetch(page, "/poll?channel=c")
    assert polled["status"] == 200 and body in polled["text"]


def test_fetch_long_polls(server, page, seen):
    page.execute_script(LONG_POLLS, "/longpoll?channel=c", server.position("c"))
    for n in range(5):
        server.publish("c", f"{n}")
    assert seen(6) == ["started", "0", "1", "2", "3", "4"]


def test_other_origin_that_is_allowed(start_server, chromium):
    page_server = start_server()
    origin = f"http://{page_server.address}"
    server = start_server(config={"allowed_origins": origin})
    chromium.get(page_server.url("/healthz"))
    options = {"method": "POST", "body": "x", "headers": {"Content-Type": "application/json"}}
    assert fetch(chromium, server.url("/publish", channel="c"), **options)["status"] == 200


def test_other_origin_that_is_not_allowed(start_server, chromium, eventually):
    page_server = start_server()
    server = start_server(config={"allowed_origins": "https://app.example"})
    server.publish("c", "secret")
    chromium.get(page_server.url("/healthz"))
    assert "error" in fetch(chromium, server.url("/poll", channel="c"))
    chromium.execute_script(WEB_SOCKET, server.ws_url(channel="c"))
    eventually(lambda: chromium.execute_script("return seen.length"), "the refusal")
    assert chromium.execute_script("return seen[0][0]") == "close"


def test_page_hears_every_transport(server, chromium, eventually):
    """The page at / subscribes by every transport at once: each of them shows the message."""
    chromium.get_log("browser")  # what earlier tests provoked
    chromium.get(server.url("/", channel="browser-test"))
    said = []

    def heard_by_all():
        """The page does not say when all its subscriptions stand, so it is told again."""
        said.append(f"message {len(said)} to everyone")
        server.publish("browser-test", said[-1])
        text = chromium.execute_script("return document.body.innerText")
        return any(text.count(one) >= 4 for one in said)

    eventually(lambda: server.metric("ringside_subscriptions") >= 3, "the page's subscriptions")
    eventually(heard_by_all, "a message in four places")
    errors = [e for e in chromium.get_log("browser") if e["level"] == "SEVERE"]
    assert [e for e in errors if "favicon" not in e["message"]] == []


def test_event_source_as_gzip(chromium, start_server, eventually):
    """What comes is there at once, also what is short; and the end of a channel, which ends the
    stream in the middle of its gzip, is no error before it."""
    server = start_server(config={"sse_gzip": "on"})
    chromium.get(server.url("/healthz"))
    chromium.execute_script(EVENT_SOURCE + "source.addEventListener('end', e => {"
                            " note(e); source.close(); });", LIVE)
    texts = ["short", "long " * 200, "世界" * 300]
    for count, text in enumerate(texts, 1):
        server.publish("c", text)
        eventually(lambda count=count: len([
            event for event in chromium.execute_script("return window.seen")
            if event[0] == "message"]) == count, text[:10])
    server.request("POST", "/publish?channel=c&end=1", b"over")
    eventually(lambda: chromium.execute_script("return window.seen")[-1][0] == "end", "the end")
    seen = [event[1] for event in chromium.execute_script("return window.seen")
            if event[0] == "message"]
    assert seen == [*texts, "over"]
    assert server.metric("ringside_streams_gzip_total") == 1
    assert server.metric("ringside_deflates_total") == 2
    # fetch reads to the end of such a stream, and finds no fault with it.
    answer = chromium.execute_async_script(FETCH, "/sse?channel=c&since=start", {})
    assert answer["status"] == 200 and "data: over" in answer["text"], answer
    chromium.get("about:blank")
