"""The Mercure protocol (draft-dunglas-mercure-07): what its own suite asks of a hub, and more."""

import json

import pytest

from mercure import (HUB, PUBLISHER, Heard, bearer, data, post, settings, signed, token,
                     update)
from ringside import refusal, target

ORDER = "https://shop.example/orders/17"
ORDERS = "https://shop.example/orders/{id}"


@pytest.fixture
def key(tmp_path):
    return settings(tmp_path)


@pytest.fixture
def hub(start_server, key):
    return start_server(config=key)


def test_it_is_off_by_default(server):
    for answer in (server.get(HUB + "?topic=a"), post(server, by=None, topic="a")):
        assert (answer.status, refusal(answer)) == (404, "not_found")


def test_an_update_reaches_who_asked_for_its_topic(hub):
    stream, other = Heard(hub, topic=ORDER), Heard(hub, topic="https://elsewhere.example/")
    assert stream.headers["content-type"] == "text/event-stream"
    given = update(hub, ORDER, data="on\nits way", type="moved", retry=1234, id="urn:x:1")
    assert given == "urn:x:1"
    event = stream.next()
    assert event == {"id": "urn:x:1", "event": "moved", "data": "on\nits way"}
    assert stream.retry_ms == 1234
    own = update(hub, ORDER, data="second")
    assert stream.next() == {"id": own, "data": "second"}
    update(hub, "https://elsewhere.example/", data="for the other")
    assert data(other, 1) == ["for the other"]


@pytest.mark.parametrize("selector", [
    "*", ORDERS, "https://shop.example{/path,id}", "https://{+all}", ORDER,
    "https://shop.example/orders/1{rest}", "{+any}"])
def test_selectors_that_name_it(hub, selector):
    stream = Heard(hub, topic=selector)
    update(hub, ORDER, data="this")
    assert data(stream, 1) == ["this"]


@pytest.mark.parametrize("selector", [
    "https://shop.example/{id}", "{id}", "https://shop.example/orders/{id", "orders/{id}",
    "https://shop.example/orders/17{?x}", "HTTPS://shop.example/orders/17", "{+a}{b}{c}{d}{e}"])
def test_selectors_that_do_not(hub, selector):
    stream = Heard(hub, topic=[selector, "last"])
    update(hub, ORDER, data="not for it")
    update(hub, "last", data="behind it")
    assert data(stream, 1) == ["behind it"]


def test_alternate_topics_bring_an_update_once(hub):
    stream = Heard(hub, topic=[ORDERS, "b", "*"])
    update(hub, "a", ORDER, "b", data="one")
    update(hub, "b", data="two")
    assert data(stream, 2) == ["one", "two"]


# ---- what the protocol's public conformance suite lists, for this draft ----

@pytest.mark.parametrize("topics, selectors, private, received", [
    (["a raw string"], ["a raw string"], False, True),
    (["one", "two"], ["two"], False, True),
    (["one"], ["foo", "one"], False, True),
    (["https://example.net/foo/1"], ["https://example.net/foo/1"], False, True),
    (["https://example.net/foo/1"], ["https://example.net/foo/{random}"], False, True),
    (["will-not-match"], ["another-name"], False, False),
    (["https://example.net/foo/no"], ["https://example.net/foo/another-name"], False, False),
    (["https://example.net/foo/no"], ["https://example.net/bar/{var}"], False, False),
    (["a raw string"], ["a raw string"], True, False),
    (["https://example.net/foo/1"], ["https://example.net/foo/1"], True, False),
    (["https://example.net/foo/1"], ["https://example.net/foo/{random}"], True, False)],
    ids=range(11))
def test_its_rows(hub, topics, selectors, private, received):
    stream = Heard(hub, topic=[*selectors, "last"])
    form = {"private": "on"} if private else {}
    answer = post(hub, topic=topics, id="its id", data="data for\n\n        a name", **form)
    assert answer.status == 200 and answer.body == b"its id"
    assert answer.headers["Content-Type"].startswith("text/plain")
    update(hub, "last", data="behind it")
    if received:
        assert stream.next() == {"id": "its id", "data": "data for\n\n        a name"}
    assert data(stream, 1) == ["behind it"]


def test_what_else_the_reference_is_tested_for(hub):
    """A form without data or without an id; a wrong algorithm; a last id of nothing at all."""
    stream = Heard(hub, topic="a")
    own = update(hub, "a")
    assert stream.next() == {"id": own, "data": ""}
    for by in ("eyJhbGciOiJub25lIn0.eyJtZXJjdXJlIjp7InB1Ymxpc2giOlsiKiJdfX0.",
               signed({"mercure": {"publish": ["*"]}, "exp": 1})):
        assert post(hub, by=by, topic="a").status == 401
    assert Heard(hub, topic="a", lastEventID="").headers["last-event-id"] == "earliest"


# ---- who may ----

def test_only_who_may_publishes(hub):
    assert refusal(post(hub, by=None, topic="a")) == "token_required"
    assert post(hub, by=None, topic="a").status == 401
    for by in (token(subscribe=["*"]), token(publish=[]), signed({"sub": "u"}),
                token(publish=["b"]), token(publish="*"), signed({"mercure": {"publish": [1]}})):
        answer = post(hub, by=by, topic=["a"], data="x")
        assert (answer.status, refusal(answer)) == (403, "forbidden")
    assert post(hub, by=token(publish=["b"]), topic=["b", "a"]).status == 403
    assert post(hub, by=token(publish=[ORDERS, "b"]), topic=["b", ORDER]).status == 200
    assert post(hub, by=PUBLISHER + "x", topic="a").status == 401
    assert hub.metric("ringside_published_total") == 1


def test_a_server_publishes_by_its_key(hub):
    answer = hub.request("POST", HUB, b"topic=a&data=x", {"X-API-Key": "0123456789abcdef"})
    assert answer.status == 200


def test_to_publish_a_cookie_does_not_count(hub):
    answer = hub.request("POST", HUB, b"topic=a", {"Cookie": f"mercureAuthorization={PUBLISHER}"})
    assert answer.status == 401
    assert hub.request("POST", target(HUB, authorization=PUBLISHER), b"topic=a").status == 200


def test_what_is_private_is_for_who_may(hub):
    allowed = token(subscribe=[ORDERS])
    by = {
        "header": Heard(hub, f"Authorization: Bearer {allowed}", topic="*"),
        "cookie": Heard(hub, f"Cookie: a=b; mercureAuthorization={allowed}", topic="*"),
        "query": Heard(hub, topic="*", authorization=allowed),
    }
    others = [Heard(hub, topic="*"),
              Heard(hub, topic="*", authorization=token(subscribe=["https://x.example/{y}"]))]
    update(hub, ORDER, data="secret", private="on")
    update(hub, "alternate", ORDER, data="secret too", private="")
    update(hub, "a", data="for all")
    for stream in by.values():
        assert data(stream, 3) == ["secret", "secret too", "for all"]
    for stream in others:
        assert data(stream, 1) == ["for all"]


def test_private_and_not_asked_for(hub):
    stream = Heard(hub, topic="b", authorization=token(subscribe=["*"]))
    update(hub, "a", data="not asked for", private="on")
    update(hub, "b", data="asked for", private="on")
    assert data(stream, 1) == ["asked for"]


def test_a_wrong_token_is_refused(start_server, key, hub):
    answer = hub.get(target(HUB, topic="a", authorization="x.y.z"))
    assert (answer.status, refusal(answer)) == (401, "token_invalid")
    closed = start_server(config={**key, "anonymous": "off"})
    answer = closed.get(target(HUB, topic="a"))
    assert (answer.status, refusal(answer)) == (401, "token_required")
    assert Heard(closed, topic="a", authorization=token()).status == 200


def test_nobody_reads_the_channel_of_the_hub_itself(hub):
    update(hub, "a", data="secret", private="on")
    for path in ("/poll", "/sse", "/longpoll"):
        assert refusal(hub.get(target(path, channel="~mercure"))) == "bad_channel"
    assert refusal(hub.request("POST", target("/publish", channel="~mercure"), b"x")) \
        == "bad_channel"


# ---- to come back ----

def test_who_comes_back_gets_what_came_meanwhile_of_all_its_topics(hub):
    ids = [update(hub, topic, data=f"{n}") for n, topic in enumerate(["a", "b", "c", "a", "b"])]
    for resumed in (Heard(hub, f"Last-Event-ID: {ids[0]}", topic=["a", "b"]),
                    Heard(hub, topic=["a", "b"], lastEventID=ids[0]),
                    Heard(hub, topic=["a", "b"], last_event_id=ids[0])):
        assert resumed.headers["last-event-id"] == ids[0]
        assert data(resumed, 3) == ["1", "3", "4"]


def test_ids_of_publishers_are_found_too(hub):
    for n in range(4):
        update(hub, "a", data=f"{n}", id=f"urn:uuid:{n}")
    resumed = Heard(hub, "Last-Event-ID: urn:uuid:1", topic="a")
    assert resumed.headers["last-event-id"] == "urn:uuid:1"
    assert data(resumed, 2) == ["2", "3"]
    update(hub, "a", data="live")
    assert data(resumed, 1) == ["live"]


def test_an_id_that_looks_like_a_position_is_found(hub):
    for n in range(3):
        update(hub, "a", data=f"{n}", id=f"17.{n}")
    resumed = Heard(hub, topic="a", lastEventID="17.1")
    assert resumed.headers["last-event-id"] == "17.1"
    assert data(resumed, 1) == ["2"]


@pytest.mark.parametrize("given", ["earliest", "urn:unknown", "0123456789abcdef.3", "x" * 300])
def test_one_that_is_gone_is_told_and_gets_all(hub, given):
    update(hub, "a", data="0")
    update(hub, "a", data="1", id="urn:1")
    resumed = Heard(hub, topic="a", lastEventID=given)
    assert resumed.headers["last-event-id"] == "earliest"
    assert data(resumed, 2) == ["0", "1"]


def test_without_an_id_only_what_is_new(hub):
    update(hub, "a", data="old")
    stream = Heard(hub, topic="a")
    assert "last-event-id" not in stream.headers
    update(hub, "a", data="new")
    assert data(stream, 1) == ["new"]


def test_a_history_of_many_parts(hub):
    for n in range(40):
        update(hub, "a" if n % 2 else "b", data=f"{n}" + "x" * 30_000, id=f"urn:{n}")
    resumed = Heard(hub, topic="a", lastEventID="urn:0")
    assert [text.rstrip("x") for text in data(resumed, 20)] == [f"{n}" for n in range(1, 40, 2)]


# ---- what is no request ----

@pytest.mark.parametrize("form, name", [
    (b"", "no_topic"), (b"data=x", "no_topic"), (b"topic=", "bad_topic"),
    (b"topic=" + b"a" * 513, "bad_topic"), (b"&".join([b"topic=a"] * 17), "bad_topic"),
    (b"topic=%ff", "bad_topic"), (b"topic=a&data=%ff", "bad_update"),
    (b"topic=a&id=%23x", "bad_update"), (b"topic=a&id=x%0ay", "bad_update"),
    (b"topic=a&type=x%0dy", "bad_update"), (b"topic=a&retry=soon", "bad_update"),
    (b"topic=a&retry=4294967296", "bad_update"), (b"topic=a&data=%f", "bad_update"),
    (b"topic=a&type=" + b"t" * 256, "bad_update"),
    (b"topic=/.well-known/mercure/subscriptions/a/b", "bad_topic")])
def test_forms_that_are_none(hub, form, name):
    answer = hub.request("POST", HUB, form, bearer(PUBLISHER))
    assert (answer.status, refusal(answer)) == (400, name)
    assert hub.refused(name) == 1 and hub.metric("ringside_published_total") == 0


@pytest.mark.parametrize("query, name", [
    ("", "no_topic"), ("?topic=", "bad_topic"), ("?topic=" + "a" * 513, "bad_topic"),
    ("?" + "&".join(f"topic={n}" for n in range(33)), "bad_topic"), ("?topic=%f", "bad_query"),
    ("?topic=%ff", "bad_topic")])
def test_subscriptions_that_are_none(hub, query, name):
    answer = hub.get(HUB + query)
    assert (answer.status, refusal(answer)) == (400, name)


def test_bounds_that_are_kept(hub):
    stream = Heard(hub, topic=[f"{n}" * 20 for n in range(32)])
    update(hub, "9" * 20, *(f"{n}" for n in range(15)), data="x", id="i" * 255, type="t" * 255)
    assert stream.next() == {"id": "i" * 255, "event": "t" * 255, "data": "x"}


def test_it_drains_and_beats(start_server, key):
    hub = start_server(config={**key, "heartbeat_ms": 1000})
    stream = Heard(hub, topic="a")
    hub.signal()
    stream.thread.join(30)
    assert not stream.thread.is_alive()


def test_methods_and_head(hub):
    head = hub.request("HEAD", target(HUB, topic="a"))
    assert head.status == 200 and head.headers["Content-Type"] == "text/event-stream"
    assert hub.request("OPTIONS", HUB).headers["Allow"] == "GET, HEAD, POST, OPTIONS"
    assert json.loads(hub.request("PUT", HUB).body)["error"] == "method_not_allowed"
