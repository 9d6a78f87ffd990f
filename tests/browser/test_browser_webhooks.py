"""The operator's page about webhooks: endpoints, and dead letters: read, replayed, purged."""

import json

import pytest

from receiver import Receiver
from test_browser_pages import WIDTHS, press, script, window  # noqa: F401

KEY = "0123456789abcdef"


@pytest.fixture
def receiver():
    made = Receiver()
    yield made
    made.stop()


@pytest.fixture
def courier(start_server, tmp_path):
    (tmp_path / "api.key").write_text(KEY + "\n")
    return start_server(config={
        "admin_listen": "127.0.0.1:0", "api_keys": f"file:{tmp_path}/api.key",
        "webhook_queue": str(tmp_path / "queue.db"), "courier_private": "127.0.0.1",
        "webhook_budget_s": "1", "webhook_breaker": "2", "webhook_retry_min_ms": "10",
        "webhook_retry_max_ms": "50"})


def ask(server, method, **request):
    answer = server.request("POST", f"/api/webhook/{method}", body=json.dumps(request).encode(),
                            headers={"X-API-Key": KEY})
    assert answer.status == 200 and "result" in answer.json(), answer.body
    return answer.json()["result"]


def enter(page, server):
    page.get(server.operator().url("/admin"))
    page.execute_cdp_cmd("Input.insertText", {"text": KEY})
    press(page, "Enter", 13)


def text(page, selector):
    return script(page, f"document.querySelector('{selector}').innerText")


def click(page, label):
    script(page, f"document.querySelector('[aria-label=\"{label}\"]').click()")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS.keys())
def test_the_operator_sees_and_mends(courier, receiver, chromium, window, eventually,  # noqa: F811
                                     width, dark):
    receiver.answers["/bad"] = 500
    ask(courier, "register", id="bad.of-a-long-name", url=receiver.url("/bad"))
    ask(courier, "register", id="good", url=receiver.url("/good"), events=["none"])
    first = ask(courier, "publish", type="order.paid", data={"text": "<img src=x>"})["id"]
    second = ask(courier, "publish", type="order.paid", data={"n": 2})["id"]
    eventually(lambda: courier.metric("ringside_webhooks_dead") == 2, "two dead letters")
    window(width, dark)
    enter(chromium, courier)
    eventually(lambda: first in text(chromium, "#webhooks"), "the dead letters")
    said = text(chromium, "#endpoints")
    assert "breaker open" in said and "dead 2" in said and "status 500" in said
    assert "active" in said and "2 in all" in text(chromium, "#endpoints-about")
    assert "an answer that is not 2xx" in text(chromium, "#letters") \
        or "too old" in text(chromium, "#letters")
    # What was published is text; nothing is wider than the page.
    click(chromium, f"show {first} for bad.of-a-long-name")
    eventually(lambda: "<img src=x>" in text(chromium, "#letters"), "the body")
    assert script(chromium, "document.images.length") == 0
    assert script(chromium, "document.documentElement.scrollWidth") <= width
    # One is replayed, with its id; the other one is thrown away, by a second press.
    receiver.answers["/bad"] = 200
    click(chromium, f"replay {first} for bad.of-a-long-name")
    eventually(lambda: courier.metric("ringside_webhooks_delivered_total") == 1, "the replay")
    assert receiver.of("/bad")[-1].id == first
    eventually(lambda: first not in text(chromium, "#letters"), "that it is gone from the list")
    click(chromium, f"purge {second} for bad.of-a-long-name")
    assert courier.metric("ringside_webhooks_dead") == 1
    click(chromium, f"purge {second} for bad.of-a-long-name")
    eventually(lambda: courier.metric("ringside_webhooks_dead") == 0, "that it is thrown away")
    eventually(lambda: "there are none" in text(chromium, "#letters"), "an empty list")
    chromium.get("about:blank")


def test_letters_of_one_endpoint_and_all_of_them(courier, receiver, chromium, window,  # noqa: F811
                                                 eventually):
    for name in ("one", "two"):
        receiver.answers[f"/{name}"] = 500
        ask(courier, "register", id=name, url=receiver.url(f"/{name}"))
    for _ in range(25):
        ask(courier, "publish", type="order.paid")
    eventually(lambda: courier.metric("ringside_webhooks_dead") == 50, "all are dead")
    window(360)
    enter(chromium, courier)
    rows = lambda: script(chromium, "document.querySelectorAll('#letters > li').length")
    eventually(lambda: rows() == 20, "the first page")
    seen = set()
    keys = "[...document.querySelectorAll('#letters [aria-label^=show]')]" \
        ".map(each => each.ariaLabel)"
    for count in (20, 20, 10):
        eventually(lambda count=count: rows() == count and
                   not seen & set(script(chromium, keys)), "the next page")
        seen |= set(script(chromium, keys))
        script(chromium, "document.querySelector('#letters-next').click()")
    assert len(seen) == 50  # none is left out where a page ends within an event
    click(chromium, "dead letters of two")
    eventually(lambda: "those of two" in text(chromium, "#letters-about") and
               "for one" not in str(script(chromium, keys)), "those of one endpoint")
    for _ in range(2):
        script(chromium, "document.querySelector('#letters-purge').click()")
    eventually(lambda: courier.metric("ringside_webhooks_dead") == 25, "those of two are gone")
    receiver.answers["/one"] = 200
    script(chromium, "document.querySelector('#letters-first').click()")
    eventually(lambda: rows() == 20, "those of the other")
    script(chromium, "document.querySelector('#letters-replay').click()")
    eventually(lambda: courier.metric("ringside_webhooks_delivered_total") == 25, "all are taken")
    chromium.get("about:blank")


def test_without_webhooks_there_is_no_such_part(start_server, chromium, window,  # noqa: F811
                                                eventually, tmp_path):
    (tmp_path / "api.key").write_text(KEY + "\n")
    server = start_server(config={"admin_listen": "127.0.0.1:0",
                                  "api_keys": f"file:{tmp_path}/api.key"})
    window()
    enter(chromium, server)
    eventually(lambda: "live" in text(chromium, "header"), "the first report")
    assert script(chromium, "document.querySelector('#webhooks').hidden")
    chromium.get("about:blank")
