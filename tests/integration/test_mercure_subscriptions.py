"""Which subscriptions a Mercure hub has: its events and its API (draft-dunglas-mercure-07,
section 7), by what the public text and its reference's own tests ask for."""

import json
import re
import urllib.parse

import pytest

from http2 import Http2
from mercure import (API_KEY, HUB, SUBSCRIPTIONS, Heard, bearer, data, post, settings, signed,
                     token, update)
from ringside import refusal

EVENTS = SUBSCRIPTIONS + "/{topic}/{subscriber}"
FOO = "https://example.com/foo"
BOOKS = "https://example.com/books/{id}"
WATCHER = token(subscribe=[EVENTS])
READER = token(subscribe=[SUBSCRIPTIONS + "{/topic}{/subscriber}"])


@pytest.fixture
def key(tmp_path):
    return settings(tmp_path, mercure_subscriptions="on")


@pytest.fixture
def hub(start_server, key):
    return start_server(config=key)


def encoded(text):
    return urllib.parse.quote(text, safe="")


def ask(hub, *segments, by=READER, **headers):
    path = "/".join([SUBSCRIPTIONS, *map(encoded, segments)])
    return hub.request("GET", path, headers={**(bearer(by) if by else {}), **headers})


def listed(hub, *segments):
    answer = ask(hub, *segments)
    assert answer.status == 200, answer.body
    return json.loads(answer.body)["subscriptions"]


def told(stream):
    event = stream.next()
    assert "event" not in event
    return json.loads(event["data"])


# ---- events ----

def test_who_may_is_told_who_comes_and_goes(hub):
    watcher = Heard(hub, topic=EVENTS, authorization=WATCHER)
    itself = told(watcher)
    assert (itself["topic"], itself["active"]) == (EVENTS, True)
    stream = Heard(hub, topic=FOO, authorization=token(payload={"foo": "bar"}))
    came = told(watcher)
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}"
                        r"-[0-9a-f]{12}", came["subscriber"])
    assert came == {
        "@context": "https://mercure.rocks/",
        "id": f"{SUBSCRIPTIONS}/{encoded(FOO)}/{encoded(came['subscriber'])}",
        "type": "Subscription", "topic": FOO, "subscriber": came["subscriber"],
        "active": True, "payload": {"foo": "bar"}}
    stream.close()
    assert told(watcher) == {**came, "active": False}


def test_events_are_private(hub, eventually):
    others = [Heard(hub, topic="*"), Heard(hub, topic=[EVENTS, "a"]),
              Heard(hub, topic="*", authorization=token(subscribe=[FOO])),
              Heard(hub, topic="*", authorization=token(subscribe=[SUBSCRIPTIONS + "/a/{s}"]))]
    Heard(hub, topic=FOO).close()
    eventually(lambda: len(listed(hub)) == 5, "the stream is gone")
    update(hub, "a", data="public")
    assert [data(stream, 1) for stream in others] == [["public"]] * 4


@pytest.mark.parametrize("payload", [
    {"a": [1, {"b": None}]}, "of \"text\"\\", 17, None, True, [], "§"])
def test_a_payload_is_any_json(hub, payload):
    watcher = Heard(hub, topic=EVENTS, authorization=WATCHER)
    told(watcher)
    Heard(hub, topic=FOO, authorization=token(payload=payload))
    came = told(watcher)
    assert "payload" in came and came["payload"] == payload


def test_without_a_payload_there_is_none(hub):
    Heard(hub, topic=FOO, authorization=token(subscribe=[FOO]))
    Heard(hub, topic=FOO)
    assert ["payload" in each for each in listed(hub)] == [False, False]


def test_each_selector_is_a_subscription_of_one_subscriber(hub):
    watcher = Heard(hub, topic=EVENTS, authorization=WATCHER)
    told(watcher)
    stream = Heard(hub, topic=[FOO, BOOKS, "§ and %"])
    came = [told(watcher) for _ in range(3)]
    assert [each["topic"] for each in came] == [FOO, BOOKS, "§ and %"]
    assert len({each["subscriber"] for each in came}) == 1
    assert came[2]["id"].split("/")[4] == "%C2%A7%20and%20%25"
    stream.close()
    assert [told(watcher)["active"] for _ in range(3)] == [False] * 3


def test_two_streams_of_a_token_are_two_subscribers(hub):
    by = token(payload=1)
    for _ in range(2):
        Heard(hub, topic=FOO, authorization=by)
    assert len({each["subscriber"] for each in listed(hub)}) == 2


def test_one_may_watch_one_topic(hub):
    only = f"{SUBSCRIPTIONS}/{encoded(BOOKS)}/{{subscriber}}"
    watcher = Heard(hub, topic=only, authorization=token(subscribe=[only]))
    Heard(hub, topic=[FOO, BOOKS])
    assert told(watcher)["topic"] == BOOKS


def test_a_selector_of_any_length_has_its_event(hub):
    watcher = Heard(hub, topic=EVENTS, authorization=WATCHER)
    told(watcher)
    Heard(hub, topic="§" * 256)
    assert told(watcher)["topic"] == "§" * 256


def test_nobody_else_says_so(hub):
    answer = post(hub, topic=[f"{SUBSCRIPTIONS}/a/b"], data="{}")
    assert (answer.status, refusal(answer)) == (400, "bad_topic")


def test_who_is_refused_is_not_told_of(hub):
    watcher = Heard(hub, topic=EVENTS, authorization=WATCHER)
    told(watcher)
    assert hub.get(HUB + "?topic=").status == 400
    assert hub.get(f"{HUB}?topic=a&authorization=x.y.z").status == 401
    assert hub.request("HEAD", HUB + "?topic=a").status == 200
    Heard(hub, topic=FOO)
    assert told(watcher)["topic"] == FOO


def test_what_ends_a_stream_ends_its_subscriptions(hub):
    watcher = Heard(hub, topic=EVENTS, authorization=WATCHER)
    told(watcher)
    stream = Heard(hub, topic=FOO, authorization=signed({"sub": "u", "mercure": {"payload": 1}}))
    came = told(watcher)
    assert hub.request("POST", "/revoke?user=u", headers={"X-API-Key": API_KEY}).status == 200
    assert told(watcher) == {**came, "active": False}
    assert stream.next() is None


# ---- the API ----

def test_it_is_off_by_default(start_server, tmp_path):
    hub = start_server(config=settings(tmp_path))
    watcher = Heard(hub, topic="*", authorization=token(subscribe=["*"]))
    Heard(hub, topic=FOO)
    update(hub, "a", data="nothing else", private="on")
    assert data(watcher, 1) == ["nothing else"]
    assert refusal(ask(hub)) == "not_found"


def test_all_of_them(hub):
    assert json.loads(ask(hub).body) == {
        "@context": "https://mercure.rocks/", "id": SUBSCRIPTIONS, "type": "Subscriptions",
        "lastEventID": "earliest", "subscriptions": []}
    Heard(hub, topic=[FOO, BOOKS], authorization=token(payload={"n": 1}))
    Heard(hub, topic=FOO)
    answer = ask(hub)
    assert answer.headers["Content-Type"] == "application/ld+json"
    assert answer.headers["Link"] == f'<{HUB}>; rel="mercure"'
    found = json.loads(answer.body)["subscriptions"]
    assert sorted(each["topic"] for each in found) == [BOOKS, FOO, FOO]
    for each in found:
        assert "@context" not in each and each["active"] is True
        assert each["id"] == f"{SUBSCRIPTIONS}/{encoded(each['topic'])}/" \
                             f"{encoded(each['subscriber'])}"


def test_those_of_a_topic(hub):
    Heard(hub, topic=[FOO, BOOKS])
    Heard(hub, topic="other")
    found = json.loads(ask(hub, BOOKS).body)
    assert found["id"] == f"{SUBSCRIPTIONS}/{encoded(BOOKS)}"
    assert [each["topic"] for each in found["subscriptions"]] == [BOOKS]
    # A selector is meant by its letters, and no other by what it selects.
    assert listed(hub, "https://example.com/books/1") == []
    lower = hub.request("GET", f"{SUBSCRIPTIONS}/{encoded(BOOKS).replace('%2F', '%2f')}",
                        headers=bearer(READER))
    assert len(json.loads(lower.body)["subscriptions"]) == 1


def test_one_of_them(hub):
    Heard(hub, topic=[FOO, BOOKS, FOO], authorization=token(payload=["p"]))
    Heard(hub, topic=FOO)
    one = next(each for each in listed(hub) if each["topic"] == BOOKS)
    found = json.loads(ask(hub, BOOKS, one["subscriber"]).body)
    assert found.pop("@context") == "https://mercure.rocks/"
    assert found.pop("lastEventID")
    assert found == one
    twice = json.loads(ask(hub, FOO, one["subscriber"]).body)
    assert twice["topic"] == FOO
    for segments in ([FOO, "urn:uuid:none"], ["notexist", one["subscriber"]],
                     [BOOKS, one["subscriber"], "x"]):
        assert ask(hub, *segments).status == 404


def test_one_that_is_over_is_not_there(hub, eventually):
    stream = Heard(hub, topic=FOO)
    one = listed(hub)[0]
    stream.close()
    eventually(lambda: ask(hub, FOO, one["subscriber"]).status == 404, "its end is seen")
    assert listed(hub) == []


@pytest.mark.parametrize("path", ["/", "//", "/a/", "//b", "/a//b", "/a/b/"])
def test_paths_that_are_none(hub, path):
    answer = hub.request("GET", SUBSCRIPTIONS + path, headers=bearer(token(subscribe=["*"])))
    assert (answer.status, refusal(answer)) == (404, "not_found")


@pytest.mark.parametrize("path", ["/%", "/%4", "/%g0", "/a/%", "/%0g"])
def test_paths_that_are_wrongly_encoded(hub, path):
    answer = hub.request("GET", SUBSCRIPTIONS + path, headers=bearer(token(subscribe=["*"])))
    assert answer.status == 400


@pytest.mark.parametrize("by, segments, status", [
    (None, [], 401), (token(), [], 403), (token(publish=["*"]), [], 403),
    (token(subscribe=["*"]), [], 200), (token(subscribe=[SUBSCRIPTIONS]), [], 200),
    (token(subscribe=[SUBSCRIPTIONS]), ["foo"], 403),
    (token(subscribe=[SUBSCRIPTIONS + "/foo{/subscriber}"]), [], 403),
    (token(subscribe=[SUBSCRIPTIONS + "/foo{/subscriber}"]), ["foo"], 200),
    (token(subscribe=[SUBSCRIPTIONS + "/foo{/subscriber}"]), ["bar"], 403),
    (token(subscribe=[SUBSCRIPTIONS + "/foo{/subscriber}"]), ["bar", "baz"], 403),
    (token(subscribe=[EVENTS]), [], 403), (token(subscribe=[EVENTS]), [FOO, "s"], 404)],
    ids=range(12))
def test_who_may_see_it(hub, by, segments, status):
    assert ask(hub, *segments, by=by).status == status


def test_by_cookie_by_query_by_key(hub):
    assert hub.request("GET", SUBSCRIPTIONS,
                       headers={"Cookie": f"mercureAuthorization={READER}"}).status == 200
    assert hub.get(f"{SUBSCRIPTIONS}?authorization={READER}").status == 200
    assert hub.request("GET", SUBSCRIPTIONS, headers={"X-API-Key": API_KEY}).status == 200
    assert hub.get(f"{SUBSCRIPTIONS}?authorization=x.y.z").status == 401


def test_who_goes_on_behind_the_list_misses_nothing(hub):
    Heard(hub, topic=FOO)
    assert json.loads(ask(hub).body)["lastEventID"] != "earliest"
    own = update(hub, "a", data="x", id="urn:x:17")
    last = json.loads(ask(hub).body)["lastEventID"]
    assert last == own
    Heard(hub, topic=BOOKS)
    watcher = Heard(hub, topic=EVENTS, lastEventID=last, authorization=WATCHER)
    assert [told(watcher)["topic"] for _ in range(2)] == [BOOKS, EVENTS]


def test_a_list_that_has_not_changed_is_not_sent_again(hub):
    Heard(hub, topic=FOO)
    first = ask(hub)
    again = ask(hub, **{"If-None-Match": first.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")
    Heard(hub, topic=FOO)
    other = ask(hub, **{"If-None-Match": first.headers["ETag"]})
    assert other.status == 200 and len(json.loads(other.body)["subscriptions"]) == 2


def test_head_and_methods(hub):
    head = hub.request("HEAD", SUBSCRIPTIONS, headers=bearer(READER))
    assert head.status == 200 and head.headers["Content-Type"] == "application/ld+json"
    assert hub.request("POST", SUBSCRIPTIONS, b"").headers["Allow"] == "GET, HEAD, OPTIONS"


def test_of_all_shards_and_of_many(start_server, key, eventually):
    hub = start_server(shards=2, config=key)
    streams = [Heard(hub, topic=[f"{n}-{m}" for m in range(8)]) for n in range(12)]
    found = listed(hub)
    assert sorted(each["topic"] for each in found) \
        == sorted(f"{n}-{m}" for n in range(12) for m in range(8))
    for stream in streams[::2]:
        stream.close()
    eventually(lambda: len(listed(hub)) == 48, "half of them are gone")
    assert hub.metric("ringside_mercure_ends_lost_total") == 0


def test_streams_of_http2_are_listed(hub, eventually):
    with Http2(hub) as client:
        client.open(f"{HUB}?topic={encoded(FOO)}")
        eventually(lambda: [each["topic"] for each in listed(hub)] == [FOO], "its stream stands")
    eventually(lambda: listed(hub) == [], "its connection is gone")


def test_a_list_that_is_too_long_is_refused_and_one_topic_is_not(hub, eventually):
    """A shard has its share of the answer: here 4 MiB, and subscriptions of 3 KB each."""
    by = token(payload="p" * 2800)
    with Http2(hub) as client:
        for n in range(50):
            topics = "&".join(f"topic={n}-{m}" for m in range(32))
            client.open(f"{HUB}?{topics}", fields=[("authorization", f"Bearer {by}")])
        eventually(lambda: len(listed(hub, "49-31")) == 1, "the last of them stands")
        answer = ask(hub)
        assert (answer.status, refusal(answer)) == (503, "list_too_long")
        assert hub.refused("list_too_long") == 1
        assert [each["topic"] for each in listed(hub, "7-5")] == ["7-5"]
    eventually(lambda: listed(hub) == [], "the connection is gone")
