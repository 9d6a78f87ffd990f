"""The pages for browsers as files: tags, fields, where they are. tests/browser has what they do."""

import pytest

from ringside import refusal

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
