"""Data channels of a page in Chromium on a bad network, and with hellos of either length."""

import pytest

from ringside import HOST
from test_browser_rtc import CONNECT
from udp_relay import UdpRelay

OFFER = """
    const done = arguments[0];
    window.peer = new RTCPeerConnection();
    window.seen = [];
    window.channels = ["/ws?channel=news", "/echo"].map((label, number) => {
        const channel = peer.createDataChannel(label);
        channel.onopen = () => seen.push(["open", number]);
        channel.onmessage = ({ data }) => seen.push(["message", number, data]);
        return channel;
    });
    (async () => {
        await peer.setLocalDescription();
        const answer = await fetch("/rtc", {
            method: "POST",
            headers: { "Content-Type": "application/sdp" },
            body: peer.localDescription.sdp,
        });
        return await answer.text();
    })().then(done, (error) => done(String(error)));
"""
ANSWER = """
    const [sdp, done] = arguments;
    peer.setRemoteDescription({ type: "answer", sdp }).then(() => done(true), done);
"""
SETTLED = """
    return seen.some(([what]) => what === "open") ||
        ["disconnected", "failed"].includes(peer.connectionState);
"""
ATTEMPTS = 5


@pytest.fixture
def server(start_server):
    return start_server(shards=1, args=("--echo",),
                        config={"rtc_address": HOST, "rtc_port": 0})


def seen(page):
    return page.execute_script("return window.seen")


def messages(page, number):
    return [event[2] for event in seen(page) if event[:2] == ["message", number]]


def connect(page, relay, eventually):
    """As an application does: whose handshake is lost again and again, until nobody waits for it
    any longer, connects anew. About one in thirty has to."""
    for _ in range(ATTEMPTS):
        sdp = page.execute_async_script(OFFER)
        assert page.execute_async_script(ANSWER, relay.answered(sdp)) is True
        eventually(lambda: page.execute_script(SETTLED), "open, or given up")
        if ["open", 0] in seen(page):
            break
        page.execute_script("window.peer.close()")
    for number in range(2):
        eventually(lambda n=number: ["open", n] in seen(page), f"channel {number} is open")


def test_losses_each_way(server, page, eventually):
    bad = UdpRelay(server, loss=0.15, seed=7)
    try:
        connect(page, bad, eventually)
        eventually(lambda: server.metric("ringside_subscriptions") == 1, "it is subscribed")
        page.execute_script("channels[1].send('x'.repeat(60000))")
        wanted = [f"message {number}" for number in range(30)]
        for text in wanted:
            server.publish("news", text)
        eventually(lambda: messages(page, 0) == wanted, "all of them, in order")
        eventually(lambda: messages(page, 1) == ["x" * 60000], "the echo")
        assert bad.lost > 10
    finally:
        page.execute_script("window.peer.close()")
        bad.close()


def test_a_hello_in_one_datagram(server, old_chromium, eventually):
    """Others here come in two: test_browser_rtc.py."""
    old_chromium.get(server.url("/healthz"))
    assert old_chromium.execute_async_script(CONNECT, [["/echo", {}]]) == 201
    eventually(lambda: ["open", 0] in seen(old_chromium), "it is open")
    old_chromium.execute_script("channels[0].send('hello')")
    eventually(lambda: messages(old_chromium, 0) == ["hello"], "the echo")
