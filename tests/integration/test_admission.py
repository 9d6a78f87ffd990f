"""Who is not let in is told when to come back; who is in, and who is no subscriber, notices
nothing. And whoever is told when to come back is told a time of its own."""

import http.client
import re
import struct

import pytest

from ringside import data_of, target
from wire import CLOSE, EventStream, RawWebSocket, dial, read_head, read_to_end, upgrade

# One subscriber a second: whoever asks many times at once is sent away but for the first.
STRICT = {"admits_per_s": 1, "admit_burst_ms": 0}
MANY = 50


@pytest.fixture
def strict(start_server):
    return start_server(shards=1, config=STRICT)


def sent_away(server, path="/poll?channel=c", **headers):
    """An answer to somebody who was not let in."""
    answers = (server.get(path, headers) for _ in range(MANY))
    return next(answer for answer in answers if answer.status != 200)


@pytest.mark.parametrize("path", ["/poll?channel=c", "/longpoll?channel=c&timeout=0"])
def test_polls_are_told_when_to_come_back(strict, path):
    answer = sent_away(strict, path)
    body = answer.json()
    assert answer.status == 503
    assert body["error"] == "admission" and body["message"]
    assert 0 < body["retry_ms"] <= 60000
    assert int(answer.headers["Retry-After"]) == -(-body["retry_ms"] // 1000)
    assert answer.headers["Connection"] == "close"
    assert strict.refused("admission") > 0
    strict.until_closed("admission", strict.refused("admission"))
    assert strict.metric("ringside_errors_5xx_total") == strict.refused("admission")


def test_who_was_read_whole_and_sent_away_holds_no_place(strict, eventually):
    """However long it keeps its end open: the server has nothing left to read, and closes."""
    connections = [dial(strict) for _ in range(MANY)]
    for connection in connections:
        connection.sendall(b"GET /poll?channel=c HTTP/1.1\r\nHost: h\r\n\r\n")
    eventually(lambda: strict.refused("admission") > 0, "somebody to be sent away")
    eventually(
        lambda: strict.metric("ringside_connections") + strict.refused("admission") == MANY + 1,
        "only those who were let in, and who asks, to be there",
    )
    assert strict.metric("ringside_lingers_cut_total") == 0
    for connection in connections:
        connection.close()


def test_a_web_socket_is_refused_before_it_opens(strict):
    for _ in range(MANY):
        with dial(strict) as connection:
            connection.sendall(upgrade())
            status, head, _ = read_head(connection)
        if status != 101:
            break
    assert status == 503
    assert b"retry-after: " in head.lower()


def test_an_event_stream_ends_behind_its_hint(strict):
    """An EventSource gives up for good after 503, and comes back after a stream that ended."""
    for _ in range(MANY):
        with dial(strict) as connection:
            connection.sendall(b"GET /sse?channel=c HTTP/1.1\r\nHost: h\r\n\r\n")
            status, head, body = read_head(connection)
            assert status == 200
            if b"chunked" not in head.lower():
                body += read_to_end(connection)
                break
    assert b"text/event-stream" in head and b"Connection: close" in head
    assert re.fullmatch(rb"retry: [1-9]\d*\n\n", body)
    assert strict.refused("admission") > 0
    assert strict.metric("ringside_errors_5xx_total") == 0


def test_places_are_handed_out_one_after_the_other(start_server):
    server = start_server(shards=1, config={"admits_per_s": 2, "admit_burst_ms": 0})
    waits = [server.get("/poll?channel=c") for _ in range(40)]
    waits = [answer.json()["retry_ms"] for answer in waits if answer.status == 503]
    assert len(waits) > 10
    assert waits[-1] > 2 * waits[0]
    assert len(set(waits)) > len(waits) / 2


def test_who_is_in_stays_in(strict):
    """A subscriber hears on, and a kept connection polls on, while others are sent away."""
    connection = http.client.HTTPConnection(*strict.address.split(":"), timeout=30)
    for _ in range(MANY):
        connection.request("GET", "/poll?channel=c")
        answer = connection.getresponse()
        answer.read()
        if answer.status == 200:
            break
    assert answer.status == 200
    sent_away(strict)
    for n in range(10):
        strict.publish("c", f"{n}")
        connection.request("GET", target("/poll", channel="c", since="start"))
        answer = connection.getresponse()
        assert answer.status == 200
        assert len(answer.read()) > 0
    connection.close()


def test_others_need_no_admission(strict):
    sent_away(strict)
    before = strict.metric("ringside_admitted_total")
    for _ in range(10):
        strict.publish("c", "x")
        assert strict.get("/healthz").status == 200
        assert strict.get("/").status == 200
    assert strict.metric("ringside_admitted_total") - before == 0


def test_without_a_rate_all_are_let_in(server):
    for n in range(MANY):
        assert data_of(server.poll("c")) == []
    assert server.refused("admission") == 0
    assert server.metric("ringside_admitted_total") == MANY


def test_streams_are_told_different_times(start_server):
    server = start_server(config={"retry_ms": 1000, "retry_spread_ms": 5000})
    server.publish("c", "x")
    told = set()
    for _ in range(8):
        with EventStream(server.url("/sse", channel="c", since="start")) as stream:
            while stream.next()["data"] != "x":
                pass
            told.add(stream.retry_ms)
    assert all(1000 <= retry_ms <= 6000 for retry_ms in told)
    assert len(told) > 1


def test_a_goodbye_says_when_to_come_back(start_server):
    server = start_server(config={"retry_ms": 1000, "retry_spread_ms": 5000})
    sockets = [RawWebSocket(server) for _ in range(8)]
    server.signal()
    told = set()
    for socket in sockets:
        opcode, payload = socket.read()
        code, text = struct.unpack(">H", payload[:2])[0], payload[2:].decode()
        assert (opcode, code) == (CLOSE, 1001)
        name, hint = text.split(" ")
        assert name == "going_away" and hint.startswith("retry_ms=")
        told.add(int(hint.removeprefix("retry_ms=")))
        socket.close()
    assert all(1000 <= retry_ms <= 6000 for retry_ms in told)
    assert len(told) > 1
    assert server.wait() == 0
