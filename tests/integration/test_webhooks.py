"""Webhooks: events of the application and of the server, posted to endpoints, at least once."""

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest

import sdk
from receiver import Receiver, broken, endless
from ringside import hold_port, port_of

EXAMPLE = Path(__file__).parents[2] / "examples" / "webhooks" / "receiver.py"
API_KEY = "a key of a server, long enough"
SECRET = "whsec_" + base64.b64encode(b"a secret of webhooks: 32 bytes!!").decode()
OTHER = "whsec_" + base64.b64encode(b"another secret, of 32 bytes too!").decode()


@pytest.fixture
def receiver():
    made = Receiver()
    yield made
    made.stop()


class Hooks:
    """A server with webhooks, and what its API says."""

    def __init__(self, start_server, folder, args=(), **config):
        (folder / "api.key").write_text(API_KEY + "\n")
        self.queue = folder / "queue.db"
        self.config = {
            "api_keys": f"file:{folder}/api.key", "webhook_queue": str(self.queue),
            "courier_private": "127.0.0.1", "webhook_retry_min_ms": "10",
            "webhook_retry_max_ms": "50", **config,
        }
        self.server = start_server(config=self.config, args=args)

    def ask(self, method, request=None, body=None):
        body = json.dumps(request or {}).encode() if body is None else body
        answer = self.server.request("POST", f"/api/webhook/{method}", body=body,
                                     headers={"X-API-Key": API_KEY})
        assert answer.status == 200, answer.body
        return answer.json()

    def result(self, method, **request):
        answer = self.ask(method, request)
        assert "result" in answer, answer
        return answer["result"]

    def register(self, name, url, **more):
        return self.result("register", id=name, url=url, **{"secrets": [SECRET], **more})

    def publish(self, kind="order.paid", data=None, **more):
        return self.result("publish", type=kind, data=data, **more)["id"]

    def metric(self, name, **labels):
        return self.server.metric(f"ringside_webhooks_{name}", **labels)


@pytest.fixture
def hooks(start_server, tmp_path):
    def make(**config):
        return Hooks(start_server, tmp_path, **config)

    return make


def verify(folder, secret, received):
    """By the official library of Standard Webhooks, in a process that has it."""
    program = """
import json, sys
from standardwebhooks import Webhook
secret, headers, body = json.load(sys.stdin)
print(json.dumps(Webhook(secret).verify(body, headers)))
"""
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False,
        input=json.dumps([secret, received.headers, received.body.decode()]),
        env={"PYTHONPATH": str(folder)},
    )
    return json.loads(said.stdout) if said.returncode == 0 else None


def test_an_event_arrives_signed(hooks, receiver, eventually):
    folder = sdk.pip("standardwebhooks", "1.1.0")
    app = hooks()
    app.register("one", receiver.url("/one"))
    event = app.publish(data={"amount": 7, "text": "żółw \" \\"}, channel="orders:7")
    eventually(lambda: receiver.of("/one"), "the event")
    received = receiver.of("/one")[0]
    assert received.id == event
    told = received.json()
    assert told["type"] == "order.paid" and told["channel"] == "orders:7"
    assert told["data"] == {"amount": 7, "text": "żółw \" \\"} and told["id"] == event
    assert verify(folder, SECRET, received) == told
    assert verify(folder, OTHER, received) is None
    eventually(lambda: app.metric("delivered_total") == 1, "that it is done")
    assert app.metric("pending") == 0


def test_the_library_of_node_verifies_and_both_secrets_count(hooks, receiver, eventually):
    modules = sdk.npm("standardwebhooks", "1.1.1")
    app = hooks()
    app.register("one", receiver.url(), secrets=[OTHER, SECRET])
    app.publish()
    eventually(lambda: receiver.of(), "the event")
    received = receiver.of()[0]
    program = """
const { Webhook } = require("standardwebhooks");
const [secrets, headers, body] = JSON.parse(require("fs").readFileSync(0));
const good = secrets.map(s => { try { new Webhook(s).verify(body, headers); return true; }
                                catch (error) { return false; } });
console.log(JSON.stringify(good));
"""
    secrets = [OTHER, SECRET, "whsec_" + base64.b64encode(b"x" * 32).decode()]
    said = subprocess.run(
        ["node", "-e", program], capture_output=True, text=True, check=True,
        input=json.dumps([secrets, received.headers, received.body.decode()]),
        env={**sdk.node_environment(), "NODE_PATH": str(modules)},
    )
    assert json.loads(said.stdout) == [True, True, False]


def test_who_wants_what(hooks, receiver, eventually):
    app = hooks()
    app.register("orders", receiver.url("/orders"), events=["order.*"])
    app.register("news", receiver.url("/news"), channels=["news:*"])
    app.register("off", receiver.url("/off"), enabled=False)
    assert app.result("publish", type="order.paid", data=1)["endpoints"] == 1
    assert app.result("publish", type="other", channel="news:x", data=2)["endpoints"] == 1
    assert app.result("publish", type="other", channel="x", data=3)["endpoints"] == 0
    eventually(lambda: len(receiver.all) == 2, "both")
    assert [r.json()["data"] for r in receiver.of("/orders") + receiver.of("/news")] == [1, 2]


def test_tried_again_with_the_same_id(hooks, receiver, eventually):
    app = hooks()
    app.register("one", receiver.url())
    left = [broken, 503, (500, {"Retry-After": "0"}), 204]
    receiver.answers["/"] = lambda handler, received: (
        (lambda answer: answer(handler, received) if callable(answer) else answer)(left.pop(0)))
    event = app.publish(data="x")
    eventually(lambda: app.metric("delivered_total") == 1, "the fourth try")
    assert [r.id for r in receiver.of()] == [event] * 4
    assert [r.headers["ringside-attempt"] for r in receiver.of()] == ["1", "2", "3", "4"]
    assert len({r.headers["webhook-signature"] for r in receiver.of()}) >= 1
    assert app.metric("attempts_failed_total") == 3


def test_redirects_are_not_followed(hooks, receiver, eventually):
    app = hooks()
    receiver.answers["/"] = (307, {"Location": receiver.url("/elsewhere")})
    app.register("one", receiver.url())
    app.publish()
    eventually(lambda: len(receiver.of()) > 2, "several tries")
    assert receiver.of("/elsewhere") == []


def test_a_body_without_end_is_cut_off(hooks, receiver, eventually):
    app = hooks()
    receiver.answers["/"] = endless
    app.register("one", receiver.url())
    app.publish()
    eventually(lambda: app.metric("ended_total", how="too_large") > 1, "that it was cut off, twice")


def test_dead_letters(hooks, receiver, eventually):
    app = hooks(webhook_budget_s="1")
    receiver.answers["/"] = 500
    app.register("one", receiver.url())
    event = app.publish(data={"n": 1})
    eventually(lambda: app.metric("dead") == 1, "that it was given up")
    listed = app.result("dead", endpoint="one")
    assert listed["total"] == 1
    letter = listed["dead"][0]
    assert letter["event"] == event and letter["endpoint"] == "one"
    assert letter["why"] in ("status", "budget")
    assert letter["attempts"] == len(receiver.of())
    shown = app.result("show", event=event)["dead"][0]
    assert shown["body"] == receiver.of()[0].json()
    receiver.answers["/"] = 200
    assert app.result("replay", event=event)["replayed"] == 1
    eventually(lambda: app.metric("delivered_total") == 1, "that it was taken")
    assert receiver.of()[-1].id == event and app.result("dead")["total"] == 0
    receiver.answers["/"] = 500
    app.publish()
    eventually(lambda: app.metric("dead") == 1, "the next one")
    assert app.result("purge")["purged"] == 1 and app.result("dead")["dead"] == []
    assert app.ask("dead", {"endpoint": "nobody"})["error"]["code"] == 1001
    assert app.ask("show", {"event": "evt_1"})["error"]["code"] == 1001


def test_dead_letters_are_paged_within_an_event(hooks, receiver, eventually):
    app = hooks(webhook_budget_s="1")
    for name in ("one", "two", "three"):
        receiver.answers[f"/{name}"] = 503
        app.register(name, receiver.url(f"/{name}"))
    events = [app.publish(data=number) for number in range(2)]
    eventually(lambda: app.metric("dead") == 6, "all are dead")
    listed, after = [], {}
    while page := app.result("dead", limit=2, **after)["dead"]:
        listed += [(letter["event"], letter["endpoint"]) for letter in page]
        after = dict(zip(("after", "after_endpoint"), listed[-1]))
    assert listed == [(e, n) for e in events for n in ("one", "two", "three")]
    assert [letter["event"] for letter in app.result("dead", endpoint="two")["dead"]] == events
    assert app.result("dead", after=events[0], limit=9)["dead"][0]["event"] == events[1]
    assert app.result("purge", event=events[0], endpoint="two")["purged"] == 1
    assert app.result("show", event=events[0], endpoint="one")["dead"][0]["body"]["data"] == 0
    assert app.result("remove", id="one") == {}
    assert app.result("purge", endpoint="two")["purged"] == 1
    assert [(letter["event"], letter["endpoint"]) for letter in app.result("dead")["dead"]] == [
        (event, "three") for event in events]
    assert app.result("purge")["purged"] == 2 and app.metric("dead") == 0


def test_the_list_says_how_each_is(hooks, receiver, eventually):
    app = hooks(webhook_breaker="3")
    receiver.answers["/bad"] = 503
    app.register("bad", receiver.url("/bad"), concurrency=1)
    app.register("down", "http://127.0.0.1:1025/")
    app.register("good", receiver.url("/good"))
    for _ in range(5):
        app.publish()
    eventually(lambda: app.metric("endpoints_failing") == 2, "both fail")
    eventually(lambda: app.metric("delivered_total") == 5, "the third is well")
    bad, down, good = app.result("list")["endpoints"]
    assert bad["breaker"] == down["breaker"] == "open" and good["breaker"] == "closed"
    assert bad["state"] == "active" and bad["waiting"] == 5 and good["waiting"] == 0
    assert bad["failures"] >= 3 and bad["last_failure"]["why"] == "status"
    assert bad["last_failure"]["status"] == 503 and "last_failure" not in good
    assert down["last_failure"]["why"] == "connect" and "status" not in down["last_failure"]


def test_gone_ends_the_endpoint(hooks, receiver, eventually):
    app = hooks()
    receiver.answers["/"] = 410
    app.register("one", receiver.url())
    app.publish()
    eventually(lambda: app.metric("endpoints_gone") == 1, "that it is gone")
    assert app.result("list")["endpoints"][0]["state"] == "gone"
    assert app.result("dead")["dead"][0]["why"] == "gone"
    assert app.result("publish", type="x", data=1)["endpoints"] == 0
    receiver.answers["/"] = 200
    app.register("one", receiver.url())
    assert app.metric("endpoints_gone") == 0
    assert app.result("replay")["replayed"] == 1
    eventually(lambda: app.metric("delivered_total") == 1, "the one that it was to have")


def test_order_by_channel(hooks, receiver, eventually):
    """The first of one channel fails for a while; another channel does not wait for it."""
    app = hooks(webhook_breaker="1000")
    fails = [500] * 5
    receiver.answers["/"] = lambda _handler, received: (
        fails.pop() if fails and received.json()["channel"] == "a" else 200)
    app.register("one", receiver.url(), order="channel", concurrency=8)
    for number in range(10):
        app.publish(channel="a", data=number)
    app.publish(channel="b", data="b")
    eventually(lambda: app.metric("delivered_total") == 11, "all")
    told = [r.json() for r in receiver.of()]
    assert [t["data"] for t in told if t["channel"] == "a"] == [0] * 5 + list(range(10))
    assert sum(t["channel"] == "b" for t in told) == 1


def test_batches(hooks, receiver, eventually):
    app = hooks()
    app.register("one", receiver.url(), batch=10, batch_delay_ms=200)
    ids = [app.publish(data=number) for number in range(25)]
    eventually(lambda: app.metric("delivered_total") == 25, "all")
    lists = [r.json() for r in receiver.of()]
    assert sorted(event["id"] for events in lists for event in events) == ids
    assert len(lists) < 25 and max(map(len, lists)) <= 10
    assert all(r.id.startswith("bat_") for r in receiver.of())


def test_one_that_fails_is_probed_and_delays_nobody(hooks, receiver, eventually):
    app = hooks(webhook_retry_min_ms="200", webhook_retry_max_ms="400")
    receiver.answers["/bad"] = 500
    app.register("bad", receiver.url("/bad"), concurrency=4)
    app.register("good", receiver.url("/good"))
    for _ in range(20):
        app.publish()
    eventually(lambda: app.metric("endpoints_failing") == 1, "that its breaker is open")
    eventually(lambda: len(receiver.of("/good")) == 20, "the other's")
    receiver.answers["/bad"] = 200
    eventually(lambda: app.metric("delivered_total") == 40, "that it has them, too")
    assert app.metric("endpoints_failing") == 0


@pytest.mark.parametrize("endpoint, of", [
    ({"url": "http://127.0.0.1:8080/"}, "an endpoint is"),
    ({"id": "a b", "url": "http://127.0.0.1:8080/"}, "id"),
    ({"id": "a", "url": "file:///etc/passwd"}, "url"),
    ({"id": "a", "url": "http://127.0.0.1:22/"}, "url"),
    ({"id": "a", "url": "http://u:p@127.0.0.1:8080/"}, "url"),
    ({"id": "a", "url": "http://127.0.0.1:8080/", "secrets": ["short"]}, "secrets"),
    ({"id": "a", "url": "http://127.0.0.1:8080/", "secrets": ["whsec_AAAA"]}, "secrets"),
    ({"id": "a", "url": "http://127.0.0.1:8080/", "events": []}, "events"),
    ({"id": "a", "url": "http://127.0.0.1:8080/", "events": ["[a"]}, "events"),
    ({"id": "a", "url": "http://127.0.0.1:8080/", "concurrency": 0}, "concurrency"),
    ({"id": "a", "url": "http://127.0.0.1:8080/", "batch": 1.5}, "batch"),
    ({"id": "a", "url": "http://127.0.0.1:8080/", "other": 1}, "other"),
])
def test_what_is_no_endpoint(hooks, endpoint, of):
    error = hooks().ask("register", endpoint)["error"]
    assert error["code"] == 107 and error["message"].startswith(of)


def test_bad_requests(hooks, server):
    app = hooks()
    for body in (b"{", b"[]", b'{"type":1}', b'{"limit":0}', b'{"x":1}', b'\xff'):
        assert app.ask("list", body=body)["error"]["code"] == 107
    for kind in ("", "a b", "client.connected", "channel.x", "x" * 65):
        assert app.ask("publish", {"type": kind})["error"]["code"] == 107
    assert app.server.request("POST", "/api/webhook/list", body=b"{}").status == 401
    assert app.ask("remove", {"id": "nobody"})["error"]["code"] == 1001
    answer = server.request("POST", "/api/webhook/list", body=b"{}")
    assert answer.status == 401


def test_a_secret_is_drawn_and_not_listed(hooks, receiver):
    app = hooks()
    made = app.result("register", id="one", url=receiver.url())
    assert made["secrets"][0].startswith("whsec_")
    assert "secrets" not in app.result("list")["endpoints"][0]["endpoint"]


def test_the_example_verifies_and_drops_repeats(hooks, eventually, tmp_path):
    """examples/webhooks/receiver.py; as long as it is not there, it is tried again."""
    app = hooks()
    held = hold_port()
    url = f"http://127.0.0.1:{port_of(held)}/"
    app.register("example", url)
    app.publish(data={"n": 1})
    eventually(lambda: app.metric("attempts_failed_total") > 0, "that nobody is there")
    log = tmp_path / "example.log"
    with open(log, "w", encoding="utf-8") as out:
        example = subprocess.Popen([sys.executable, EXAMPLE, str(port_of(held)), SECRET],
                                   stdout=out, stderr=subprocess.STDOUT)
    try:
        eventually(lambda: app.metric("delivered_total") == 1, "that it was taken")
        assert log.read_text() == 'order.paid {"n": 1}\n'
        app.register("example", url, secrets=[OTHER])
        app.publish(data={"n": 2})
        eventually(lambda: app.metric("attempts_failed_total") > 2, "that it is refused")
        assert log.read_text() == 'order.paid {"n": 1}\n'
    finally:
        example.kill()
        example.wait()
        held.close()


def test_private_addresses_are_refused(hooks, receiver, eventually):
    app = hooks(courier_private="10.0.0.0/8")
    app.register("one", receiver.url())
    app.publish()
    eventually(lambda: app.metric("ended_total", how="forbidden") > 0, "that it was refused")
    assert receiver.all == []
