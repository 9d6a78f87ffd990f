"""What is pushed by `http2_push`, to whom, and how often; by nghttp, which still takes pushes, and
by Python's h2."""

import subprocess

import h2.events
import pytest

from http2 import Http2, Stream
from ringside import PATIENCE_S

TARGET = "/poll?channel=news"
HELD = "/longpoll?channel=nothing"  # it has no answer for a while


@pytest.fixture(params=["plain", "tls"])
def pushing(request, start_server):
    served = start_server(secure=request.param == "tls", shards=1, config={"http2_push": TARGET})
    served.publish("news", "pushed to you")
    return served


def nghttp(*arguments):
    done = subprocess.run(["nghttp", "-nsy", *arguments], capture_output=True, text=True,
                          timeout=PATIENCE_S, check=True)
    return [line for line in done.stdout.splitlines() if " 200 " in line]


def test_nghttp_takes_what_is_pushed(pushing):
    lines = nghttp(pushing.url("/"))
    assert len(lines) == 2, lines
    assert [line for line in lines if TARGET in line and "*" in line], lines
    assert pushing.metric("ringside_http2_pushes_total") == 1
    assert pushing.metric("ringside_http2_pushes_unwanted_total") == 0


def test_a_client_that_takes_none_gets_none(pushing):
    assert len(nghttp("--no-push", pushing.url("/"))) == 1
    assert pushing.metric("ringside_http2_pushes_total") == 0
    assert pushing.metric("ringside_http2_pushes_unwanted_total") == 1


def test_other_paths_push_nothing(pushing):
    with Http2(pushing) as client:
        assert client.get("/healthz").status == 200
        assert client.whole(client.open("/", method="HEAD")).status == 200
        assert pushing.metric("ringside_http2_pushes_total") == 0


class Pushed(Http2):
    """Keeps what is promised, and refuses it where it is told to."""

    def __init__(self, server, refuses=False):
        self.refuses, self.promised = refuses, []
        super().__init__(server)

    def take(self, event):
        if isinstance(event, h2.events.PushedStreamReceived):
            self.promised.append(event.pushed_stream_id)
            self.streams[event.pushed_stream_id] = Stream(event.pushed_stream_id)
            fields = dict(event.headers)
            assert fields[":path"] in (TARGET, HELD) and fields[":method"] == "GET"
            if self.refuses:
                self.h2.reset_stream(event.pushed_stream_id, 8)
                self.flush()
        else:
            super().take(event)


def test_each_page_has_its_push_one_after_the_other(pushing):
    with Pushed(pushing) as client:
        for i in range(1, 4):
            assert client.get("/").status == 200
            client.until(lambda i=i: len(client.promised) == i, "a promise")
            number = client.promised[-1]
            client.until(lambda n=number: client.streams[n].over, "the pushed answer")
            assert b"pushed to you" in client.streams[number].data
        assert client.promised == [2, 4, 6]


def test_a_push_that_is_refused_ends_like_any_stream(start_server, eventually):
    server = start_server(shards=1, config={"http2_push": HELD})
    with Pushed(server, refuses=True) as client:
        assert client.get("/").status == 200
        client.until(lambda: client.promised, "a promise")
        assert client.get("/healthz").status == 200
        eventually(lambda: server.metric("ringside_streams") == 0, "no stream is left")
        assert client.get("/").status == 200
        client.until(lambda: len(client.promised) == 2, "another promise")


def test_there_is_one_push_at_a_time(start_server):
    server = start_server(shards=1, config={"http2_push": HELD})
    with Pushed(server) as client:
        for _ in range(3):
            assert client.get("/").status == 200
        assert client.promised == [2]
        assert server.metric("ringside_http2_pushes_total") == 1


def test_a_client_that_leaves_with_its_promise(pushing, eventually):
    for _ in range(20):
        with Http2(pushing) as client:
            client.open("/")
    eventually(lambda: pushing.metric("ringside_http2_connections") == 0, "all have left")


def test_nothing_is_pushed_by_default(start_server):
    server = start_server(shards=1)
    assert len(nghttp(server.url("/"))) == 1
    assert server.metric("ringside_http2_pushes_total") == 0
    assert server.metric("ringside_http2_pushes_unwanted_total") == 0
