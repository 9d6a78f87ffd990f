"""The pages that the server has for people, in a real browser."""

import jwt
import pytest

from ringside import target
from wire import RawWebSocket

WIDTHS = {"wide": 1280, "narrow": 360}


@pytest.fixture
def window(chromium):
    """window(width=, dark=): how wide the page is, and which colours its reader likes."""

    def be(width=1280, dark=False):
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        chromium.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False},
        )

    chromium.get_log("browser")  # what earlier tests provoked
    yield be
    chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert [e for e in chromium.get_log("browser") if e["level"] == "SEVERE"] == []
    chromium.get("about:blank")


def script(page, text):
    return page.execute_script("return " + text)


def all_open(page):
    return script(page, "document.querySelectorAll('.card[data-state=open]').length") == 4


def press(page, key, code):
    for kind in ("rawKeyDown", "char", "keyUp"):
        page.execute_cdp_cmd("Input.dispatchKeyEvent", {
            "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code,
            **({"text": "\r"} if kind == "char" and key == "Enter" else {})})


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS.keys())
def test_latencies_of_all_transports_are_drawn(server, chromium, window, eventually, width, dark):
    window(width, dark)
    chromium.get(server.url("/"))
    eventually(lambda: all_open(chromium), "four open transports")
    script(chromium, "document.querySelector('#publish').requestSubmit()")
    eventually(lambda: script(
        chromium, "document.querySelectorAll('.card li small').length") == 4, "four latencies")
    assert script(chromium, "document.querySelectorAll('svg.plot circle').length") == 4
    # Nothing is wider than the page, and the colours are those that were asked for.
    assert script(chromium, "document.documentElement.scrollWidth") <= width
    paper = script(chromium, "getComputedStyle(document.body).backgroundColor")
    assert (int(paper.split("(")[1].split(",")[0]) < 128) == dark


def test_the_keyboard_suffices(server, chromium, window, eventually):
    window()
    chromium.get(server.url("/"))
    eventually(lambda: all_open(chromium), "four open transports")
    for _ in range(3):
        press(chromium, "Tab", 9)
    assert script(chromium, "document.activeElement.textContent") == "Publish"
    press(chromium, "Enter", 13)
    eventually(lambda: script(
        chromium, "document.querySelectorAll('.card li small').length") == 4, "four latencies")


def test_the_picker_chooses(server, chromium, window):
    window()
    chromium.get(server.url("/"))
    chosen = lambda: script(chromium, "document.querySelector('tr.chosen th').textContent")
    pick = lambda name, value: script(
        chromium, f"document.querySelector('[name={name}][value={value}]').click()")
    assert chosen() == "▸ SSE"
    pick("freshness", "seconds")
    assert chosen() == "▸ short polling"
    pick("direction", "both")
    assert chosen() == "▸ WebSocket"
    pick("durability", "latest")
    assert "since=start" in script(chromium, "document.querySelector('#advice code').textContent")


def test_what_is_published_is_text(server, chromium, window, eventually):
    window()
    chromium.get(server.url("/", channel="c"))
    eventually(lambda: all_open(chromium), "four open transports")
    server.publish("c", "<img src=x onerror=document.title='markup'>")
    eventually(lambda: script(
        chromium, "document.body.innerText.split('<img src=x').length") == 5, "four messages")
    assert script(chromium, "document.images.length") == 0


def test_the_operator_sees_the_server_live(start_server, chromium, window, eventually, tmp_path):
    (tmp_path / "api.key").write_text("0123456789abcdef\n")
    server = start_server(
        config={"admin_listen": "127.0.0.1:0", "api_keys": f"file:{tmp_path}/api.key"}
    )
    window(360)
    chromium.get(server.operator().url("/admin"))
    assert script(chromium, "document.activeElement.name") == "key"
    for letter in "0123456789abcdef":
        chromium.execute_cdp_cmd("Input.insertText", {"text": letter})
    press(chromium, "Enter", 13)
    body = lambda: script(chromium, "document.body.innerText")
    eventually(lambda: "live" in body() and "connections" in body(), "the first report")
    server.get("/nothing-here")
    eventually(lambda: "not_found" in body(), "what was refused")
    assert script(chromium, "document.documentElement.scrollWidth") <= 360
    # All columns of a table are seen at once, also beside a long name.
    channel = "prices/of:all-instruments.that-are-traded/somewhere@exchange"
    readers = [RawWebSocket(server, target("/ws", channel=channel)) for _ in range(12)]
    eventually(lambda: server.publish(channel, "x") and channel in body(), "a top channel")
    for width in (360, 1280):
        window(width)
        assert script(chromium, "[...document.querySelectorAll('.scroll')]"
                                ".every(each => each.scrollWidth <= each.clientWidth)"), width
    for reader in readers:
        reader.close()
    # The key is this tab's: a reload asks for none.
    chromium.refresh()
    eventually(lambda: "not_found" in body(), "a report behind the reload")
    chromium.get("about:blank")


def test_an_event_source_hears_a_mercure_hub(start_server, chromium, window, eventually, tmp_path):
    """As Mercure's clients in browsers are: an EventSource, whose cookie says what it may."""
    (tmp_path / "api.key").write_text("0123456789abcdef\n")
    (tmp_path / "token.key").write_text("a secret of thirty-two bytes or more\n")
    server = start_server(config={
        "mercure": "on", "api_keys": f"file:{tmp_path}/api.key",
        "token_keys": f"HS256:file:{tmp_path}/token.key"})
    window()
    chromium.get(server.url("/"))
    token = jwt.encode({"mercure": {"subscribe": ["https://shop.example/{+all}"]}},
                       "a secret of thirty-two bytes or more", "HS256")
    chromium.execute_script("""
        document.cookie = "mercureAuthorization=" + arguments[0] + "; path=/.well-known/mercure";
        window.seen = [];
        const hub = new URL("/.well-known/mercure", location.href);
        hub.searchParams.append("topic", "https://shop.example/orders/{id}");
        const source = new EventSource(hub);
        source.onopen = () => seen.push("open");
        for (const type of ["message", "moved"])
            source.addEventListener(type, (event) => seen.push(
                [event.type, event.data, event.lastEventId]));
    """, token)
    seen = lambda: script(chromium, "window.seen")
    eventually(lambda: seen() == ["open"], "an open stream")
    form = "topic=https://shop.example/orders/17&private=on&id=urn:1&data="
    key = {"X-API-Key": "0123456789abcdef"}
    for body in (form + "packed", form.replace("urn:1", "urn:2") + "gone&type=moved"):
        assert server.request("POST", "/.well-known/mercure", body.encode(), key).status == 200
    eventually(lambda: len(seen()) == 3, "two updates")
    assert seen()[1:] == [["message", "packed", "urn:1"], ["moved", "gone", "urn:2"]]
    chromium.get("about:blank")
