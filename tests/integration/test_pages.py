"""The pages for browsers as files: tags, fields, where they are. tests/browser has what they do."""

import json

import pytest

from ringside import HOST, parse_metrics, refusal
from wire import EventStream

OF_VISITORS = {"/": "text/html", "/page.js": "text/javascript", "/page.css": "text/css"}


@pytest.mark.parametrize("path", OF_VISITORS)
def test_a_page_has_a_tag_and_a_policy(server, path):
    answer = server.get(path)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == OF_VISITORS[path] + "; charset=utf-8"
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'")
    assert "unsafe" not in policy
    tag = answer.headers["ETag"]
    for given in (tag, f'"other", {tag}'):
        again = server.get(path, {"If-None-Match": given})
        assert (again.status, again.body, again.headers["ETag"]) == (304, b"", tag)
    assert server.get(path, {"If-None-Match": '"other"'}).body == answer.body
    assert server.request("HEAD", path).headers["Content-Length"] == str(len(answer.body))


def test_nothing_is_inline_or_from_elsewhere(server):
    text = server.get("/").body.decode()
    assert "<style" not in text and "onclick" not in text and "style=" not in text
    assert "://" not in text
    assert text.count("<script") == text.count('<script src="page.js" defer></script>') == 1


def test_the_page_can_be_turned_off(start_server):
    server = start_server(config={"page_public": "off"})
    for path in OF_VISITORS:
        answer = server.get(path)
        assert (answer.status, refusal(answer)) == (404, "not_found")
    assert server.get("/poll?channel=c").status == 200


# ---- the operator's ----

OF_OPERATOR = {"/admin": "text/html", "/admin.js": "text/javascript", "/admin.css": "text/css",
               "/admin/webhooks.js": "text/javascript"}
KEY = "0123456789abcdef"


@pytest.fixture
def watched(start_server, tmp_path):
    (tmp_path / "api.key").write_text(KEY + "\n")
    return start_server(
        config={"admin_listen": f"{HOST}:0", "api_keys": f"file:{tmp_path}/api.key"}
    )


def watch(server, key=KEY):
    return ChunkedEvents(server.operator(), "/admin/events", {"X-API-Key": key})


class ChunkedEvents:
    """An event stream as (event, data), read as it comes."""

    def __init__(self, server, path, headers):
        self.connection = server.connect()
        self.connection.request("GET", path, headers=headers)
        self.answer = self.connection.getresponse()

    def __iter__(self):
        event, data = None, []
        for line in self.answer:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name == "event":
                event = value
            elif name == "data":
                data.append(value)
            elif not name:
                yield event, "\n".join(data)
                event, data = None, []

    def close(self):
        self.connection.close()


def test_the_operators_page_is_only_there(watched):
    operator = watched.operator()
    for path, kind in OF_OPERATOR.items():
        assert operator.get(path).headers["Content-Type"] == kind + "; charset=utf-8"
        assert watched.get(path).status == 404
    assert watched.get("/admin/events", {"X-API-Key": KEY}).status == 404
    for path in OF_VISITORS:
        assert operator.get(path).status == 404


def test_its_stream_wants_a_key(watched, start_server):
    for headers in ({}, {"X-API-Key": "another key, and a long one"}):
        answer = watched.operator().get("/admin/events", headers)
        assert (answer.status, refusal(answer)) == (401, "api_key_required")
    page = {"X-API-Key": KEY, "Origin": "https://elsewhere.example"}
    assert watched.operator().get("/admin/events", page).status == 403
    without = start_server(config={"admin_listen": f"{HOST}:0"}).operator()
    assert without.get("/admin/events", {"X-API-Key": KEY}).status == 401


def test_it_tells_of_the_server_and_of_its_channels(watched):
    heard = watch(watched)
    assert heard.answer.status == 200
    streams = [EventStream(watched.url("/sse", channel="busy")) for _ in range(3)]
    seen, subscribers = set(), 0
    for event, data in heard:
        seen.add(event)
        if event == "metrics":
            numbers = {name: number for name, labels, number in parse_metrics(data) if not labels}
            assert numbers["ringside_connections"] >= 1
            watched.publish("busy", "x")
        elif event == "top":
            rows = [row for row in json.loads(data)["channels"] if row["channel"] == "busy"]
            assert all(row["deliveries"] == row["subscribers"] * row["messages"] for row in rows)
            subscribers = max(subscribers, sum(row["subscribers"] for row in rows))
        if seen == {"metrics", "top"} and subscribers > 0:
            break
    for stream in streams:
        stream.close()
    heard.close()


def test_it_ends_when_the_server_drains(watched):
    heard = watch(watched)
    watched.signal()
    assert [event for event, _ in heard][:1] == ["metrics"]
    heard.close()
