"""Polls as gzip, for those who take it (RFC 9110 section 12.5.3)."""

import gzip
import json
import os
import subprocess

import httpx
import pytest

from http2 import Http2
from ringside import target

LONG = json.dumps([{"instrument": f"RING{i}", "price": 17.25} for i in range(20)])


@pytest.fixture
def server(start_server):
    return start_server(config={"poll_gzip": "on"})


def poll(server, accept="gzip", **headers):
    headers = {"Accept-Encoding": accept} if accept else {}
    return server.get(target("/poll", channel="c"), headers)


def test_who_takes_gzip_gets_it(server):
    server.publish("c", LONG)
    plain, zipped = poll(server, None), poll(server)
    assert "Content-Encoding" not in plain.headers
    assert zipped.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(zipped.body) == plain.body
    assert len(zipped.body) < len(plain.body) / 3
    for answer in (plain, zipped):
        assert answer.headers["Vary"] == "Accept-Encoding"
        assert int(answer.headers["Content-Length"]) == len(answer.body)
    assert plain.headers["ETag"] == zipped.headers["ETag"]


@pytest.mark.parametrize("accept", ["gzip;q=0", "br", "*;q=0", "gzip;q=x", "identity"])
def test_who_does_not_take_it_does_not(server, accept):
    server.publish("c", LONG)
    answer = poll(server, accept)
    assert "Content-Encoding" not in answer.headers and answer.json()["messages"][0]["data"] == LONG


def test_what_is_short_or_gets_no_smaller_is_sent_as_it_is(server):
    assert "Content-Encoding" not in poll(server).headers
    server.publish("c", os.urandom(3000))
    answer = poll(server)
    body = answer.body
    if "Content-Encoding" in answer.headers:  # base64 has redundancy to take out
        body = gzip.decompress(body)
    assert json.loads(body)["messages"][0]["base64"] is True


def test_a_large_answer_goes_in_pieces_as_it_is(server):
    server.publish("c", LONG * 100)
    answer = poll(server)
    assert "Content-Encoding" not in answer.headers and answer.headers["Vary"] == "Accept-Encoding"
    assert answer.json()["messages"][0]["data"] == LONG * 100


def test_head_and_304(server):
    server.publish("c", LONG)
    whole = poll(server)
    head = server.request("HEAD", target("/poll", channel="c"), headers={"Accept-Encoding": "gzip"})
    assert head.headers["Content-Encoding"] == "gzip"
    assert head.headers["Content-Length"] == whole.headers["Content-Length"]
    spared = server.get(target("/poll", channel="c"), {
        "Accept-Encoding": "gzip", "If-None-Match": whole.headers["ETag"]})
    assert (spared.status, spared.body) == (304, b"")
    assert "Content-Encoding" not in spared.headers


def test_curl_and_httpx_unpack_it(server):
    server.publish("c", LONG)
    url = server.url("/poll", channel="c")
    curl = subprocess.run(["curl", "-sS", "--noproxy", "*", "--compressed", url],
                          check=True, capture_output=True)
    answer = httpx.get(url, trust_env=False)
    assert answer.headers["content-encoding"] == "gzip"
    for body in (json.loads(curl.stdout), answer.json()):
        assert body["messages"][0]["data"] == LONG


def test_on_http2(server):
    server.publish("c", LONG)
    with Http2(server) as client:
        answer = client.get("/poll?channel=c", fields=[("accept-encoding", "gzip")])
    assert answer.headers["content-encoding"] == "gzip"
    assert json.loads(gzip.decompress(answer.data))["messages"][0]["data"] == LONG


def test_off_by_default_and_never_for_long_polls(start_server, server):
    other = start_server()
    other.publish("c", LONG)
    answer = poll(other)
    assert "Content-Encoding" not in answer.headers and "Vary" not in answer.headers
    server.publish("c", LONG)
    held = server.get(target("/longpoll", channel="c", since="start"), {"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in held.headers
