"""Data channels of a page in Chromium, with nothing of ours on the client's side."""

import pytest

from ringside import HOST

CONNECT = """
    const [labels, done] = arguments;
    window.peer?.close();
    window.peer = new RTCPeerConnection();
    window.seen = [];
    window.channels = labels.map(([label, options], number) => {
        const channel = peer.createDataChannel(label, options);
        channel.binaryType = "arraybuffer";
        channel.onopen = () => seen.push(["open", number]);
        channel.onclose = () => seen.push(["close", number]);
        channel.onmessage = ({ data }) => seen.push(
            ["message", number, typeof data === "string" ? data : [...new Uint8Array(data)]]);
        return channel;
    });
    (async () => {
        await peer.setLocalDescription();
        const answer = await fetch("/rtc", {
            method: "POST",
            headers: { "Content-Type": "application/sdp" },
            body: peer.localDescription.sdp,
        });
        window.place = answer.headers.get("location");
        await peer.setRemoteDescription({ type: "answer", sdp: await answer.text() });
        return answer.status;
    })().then(done, (error) => done(String(error)));
"""


@pytest.fixture
def server(start_server):
    return start_server(args=("--echo",), config={"rtc_address": HOST, "rtc_port": 0})


@pytest.fixture
def connect(page, eventually):
    """connect(*labels): a peer of the page, once its channels are open."""
    def begin(*labels):
        labels = [[label, {}] if isinstance(label, str) else label for label in labels]
        assert page.execute_async_script(CONNECT, labels) == 201
        for number in range(len(labels)):
            eventually(lambda n=number: ["open", n] in seen(page), f"channel {number} is open")

    yield begin
    page.execute_script("window.peer?.close()")


def seen(page):
    return page.execute_script("return window.seen")


def messages(page, number):
    return [event[2] for event in seen(page) if event[:2] == ["message", number]]


def test_both_kinds_of_channels(server, page, connect, eventually):
    connect("/ws?channel=news", ["/ws?channel=news", {"ordered": False, "maxRetransmits": 0}])
    eventually(lambda: server.metric("ringside_subscriptions") == 2, "both are subscribed")
    for text in ("one", "two"):
        server.publish("news", text)
    eventually(lambda: messages(page, 0) == ["one", "two"], "all on the reliable one")
    eventually(lambda: "two" in messages(page, 1), "the latest on the other")


def test_an_echo_of_60_kb_and_an_id_used_again(page, connect, eventually):
    connect("/echo", "/ws?channel=a")
    page.execute_script("channels[0].send('x'.repeat(60000)); channels[0].send('')")
    page.execute_script("channels[0].send(new Uint8Array([0, 255]))")
    eventually(lambda: messages(page, 0) == ["x" * 60000, "", [0, 255]], "the echoes")
    first = page.execute_script("const id = channels[1].id; channels[1].close(); return id")
    eventually(lambda: ["close", 1] in seen(page), "the other is closed")
    page.execute_script("""
        window.again = peer.createDataChannel("/echo", { negotiated: false });
        again.onopen = () => again.send("again");
        again.onmessage = ({ data }) => seen.push(["message", 9, data]);
    """)
    eventually(lambda: messages(page, 9) == ["again"], "an echo on the new one")
    assert page.execute_script("return again.id") == first


def test_what_is_no_websocket_is_said_and_closed(page, connect, eventually):
    connect("/nowhere")
    eventually(lambda: ["close", 0] in seen(page), "closed")
    assert '"not_found"' in messages(page, 0)[0]


def test_a_peer_that_closes_is_gone(server, page, connect, eventually):
    connect("/ws?channel=news")
    page.execute_script("peer.close()")
    eventually(lambda: server.metric("ringside_rtc_peers") == 0, "it is gone")


def test_a_peer_is_deleted_by_its_location(server, page, connect, eventually):
    connect("/ws?channel=news")
    page.execute_async_script(
        "fetch(place, { method: 'DELETE' }).then(arguments[0], arguments[0])")
    eventually(lambda: ["close", 0] in seen(page), "closed")
    eventually(lambda: server.metric("ringside_rtc_peers") == 0, "it is gone")
