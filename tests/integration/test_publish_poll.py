"""Publishing by POST, and short polling: answered at once, on a connection that may be kept."""

import base64
import json
import subprocess
import time

import pytest

from ringside import data_of, refusal, target
from wire import dial, exchange, read_head, read_to_end

AWKWARD_TEXTS = [
    "",
    "plain",
    'quotes " and \\ backslash',
    "control \x00\x01\x1f characters",
    "lines\nof\r\ntext\r",
    "Grüße, 世界, \U0001f600, \u2028",
    "</script><!--",
]


def curl(*arguments):
    command = ["curl", "-sS", "--noproxy", "*", *arguments]
    return subprocess.run(command, check=True, capture_output=True, timeout=30).stdout


def test_health(server):
    assert server.get("/healthz").status == 200


def test_offsets_count_up_by_one(server):
    answers = [server.publish("c", f"{n}") for n in range(5)]
    first = answers[0]["offset"]
    assert [answer["offset"] for answer in answers] == list(range(first, first + 5))
    assert {answer["channel"] for answer in answers} == {"c"}
    assert len({answer["epoch"] for answer in answers}) == 1


def test_position_is_epoch_and_offset(server):
    answer = server.publish("c", "x")
    assert server.position("c") == f"{answer['epoch']}.{answer['offset']}"


def test_poll_of_nothing(server):
    answer = server.poll("nothing")
    assert answer["messages"] == []
    assert answer["recovered"] is False
    again = server.poll("nothing", since=answer["position"])
    assert again == {"position": answer["position"], "messages": [], "recovered": True}


def test_poll_without_since_gives_the_history(server):
    for text in ("a", "b", "c"):
        server.publish("c", text)
    answer = server.poll("c")
    assert data_of(answer) == ["a", "b", "c"]
    assert answer["recovered"] is False
    assert {message["channel"] for message in answer["messages"]} == {"c"}


def test_poll_since_gives_what_was_missed_once(server):
    server.publish("c", "before")
    position = server.position("c")
    first = server.publish("c", "one")
    second = server.publish("c", "two")
    answer = server.poll("c", since=position)
    assert answer["recovered"] is True
    assert answer["messages"] == [
        {"channel": "c", "offset": first["offset"], "data": "one"},
        {"channel": "c", "offset": second["offset"], "data": "two"},
    ]
    after = server.poll("c", since=answer["position"])
    assert after["messages"] == [] and after["recovered"] is True


def test_every_position_on_the_way_resumes_exactly(server):
    answers = [server.publish("c", f"{n}") for n in range(10)]
    for n, answer in enumerate(answers):
        position = f"{answer['epoch']}.{answer['offset']}"
        polled = server.poll("c", since=position)
        assert data_of(polled) == [f"{m}" for m in range(n + 1, 10)]
        assert polled["recovered"] is True


def test_other_epoch_is_not_recovered(server):
    answer = server.publish("c", "kept")
    epoch = f"{int(answer['epoch'], 16) ^ 1:x}"
    polled = server.poll("c", since=f"{epoch}.{answer['offset']}")
    assert polled["recovered"] is False
    assert polled["position"] == f"{answer['epoch']}.{answer['offset']}"


def test_position_from_the_future_is_not_recovered(server):
    answer = server.publish("c", "kept")
    polled = server.poll("c", since=f"{answer['epoch']}.{answer['offset'] + 5}")
    assert polled["recovered"] is False
    assert polled["position"] == f"{answer['epoch']}.{answer['offset']}"


def test_history_is_bounded_by_count(start_server):
    server = start_server(config={"history_messages_max": 10})
    answers = [server.publish("c", f"{n}") for n in range(25)]
    polled = server.poll("c")
    assert data_of(polled) == [f"{n}" for n in range(15, 25)]
    # The oldest message kept is number 15: whoever has seen 14 has missed nothing that is gone.
    edge = f"{answers[14]['epoch']}.{answers[14]['offset']}"
    assert server.poll("c", since=edge)["recovered"] is True
    beyond = f"{answers[13]['epoch']}.{answers[13]['offset']}"
    assert server.poll("c", since=beyond)["recovered"] is False


def test_history_is_bounded_by_bytes(start_server):
    server = start_server(config={"history_bytes_max": 4096})
    position = server.position("c")
    for n in range(20):
        server.publish("c", f"{n:02}" + "x" * 998)
    kept = data_of(server.poll("c"))
    assert 1 <= len(kept) <= 4
    assert kept == [f"{n:02}" + "x" * 998 for n in range(20 - len(kept), 20)]
    assert server.poll("c", since=position)["recovered"] is False


def test_history_is_bounded_by_age(start_server, eventually):
    server = start_server(config={"history_age_ms": 300})
    position = server.position("c")
    server.publish("c", "short-lived")
    eventually(lambda: server.poll("c")["messages"] == [], "the message to age out")
    assert server.poll("c", since=position)["recovered"] is False


def test_several_channels_in_one_poll(server):
    server.publish("a", "a1")
    server.publish("b", "b1")
    position = server.position(["a", "b", "c"])
    assert len(position.split("~")) == 3
    server.publish("b", "b2")
    server.publish("c", "c1")
    server.publish("a", "a2")
    answer = server.poll(["a", "b", "c"], since=position)
    assert answer["recovered"] is True
    got = sorted((message["channel"], message["data"]) for message in answer["messages"])
    assert got == [("a", "a2"), ("b", "b2"), ("c", "c1")]
    assert server.poll(["a", "b", "c"], since=answer["position"])["messages"] == []


def test_many_channels_over_all_shards(start_server):
    server = start_server(shards=3)
    names = [f"channel-{n}" for n in range(24)]
    for name in names:
        server.publish(name, name)
    answer = server.poll(names)
    assert sorted(message["channel"] for message in answer["messages"]) == sorted(names)
    assert all(message["channel"] == message["data"] for message in answer["messages"])


@pytest.mark.parametrize("text", AWKWARD_TEXTS, ids=range(len(AWKWARD_TEXTS)))
def test_text_arrives_as_it_was_sent(server, text):
    server.publish("c", text)
    assert data_of(server.poll("c")) == [text]


def test_bytes_arrive_in_base64(server):
    server.publish("c", bytes(range(256)))
    (message,) = server.poll("c")["messages"]
    assert message["base64"] is True
    assert base64.b64decode(message["data"]) == bytes(range(256))


@pytest.mark.parametrize("name", ["a", "a/b", "user:42@x", "A-Z_a.z", "9" * 128])
def test_channel_names_are_percent_decoded(server, name):
    assert server.publish(name, "x")["channel"] == name
    assert server.poll(name)["messages"][0]["channel"] == name


def test_message_of_exactly_the_limit(server):
    payload = "m" * (1 << 20)
    server.publish("c", payload)
    assert data_of(server.poll("c")) == [payload]


def test_message_over_the_limit(server):
    answer = server.request("POST", "/publish?channel=c", b"m" * ((1 << 20) + 1))
    assert answer.status == 413
    assert server.poll("c")["messages"] == []


def test_sixteen_mebibytes_when_set(start_server):
    size = 16 << 20
    server = start_server(
        config={
            "message_bytes_max": size,
            "queue_bytes_max": 4 * size,
            "history_bytes_max": 2 * size,
        }
    )
    payload = ("0123456789abcdef" * (size // 16)).encode()
    server.publish("c", payload)
    assert data_of(server.poll("c")) == [payload.decode()]


def test_connection_is_kept(server):
    connection = server.connect()
    for n in range(20):
        connection.request("POST", "/publish?channel=c", body=f"{n}")
        assert json.loads(connection.getresponse().read())["offset"] == n + 1
        connection.request("GET", "/poll?channel=c")
        assert len(json.loads(connection.getresponse().read())["messages"]) == n + 1
    connection.close()


def test_pipelined_requests_are_answered_in_order(server):
    request = b"POST /publish?channel=c HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n%02d"
    last = b"GET /poll?channel=c HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    answer = exchange(server, b"".join(request % n for n in range(30)) + last)
    assert answer.count(b"HTTP/1.1 200") == 31
    polled = json.loads(answer.rsplit(b"\r\n\r\n", 1)[1])
    assert data_of(polled) == [f"{n:02}" for n in range(30)]


def test_request_one_byte_at_a_time(server):
    request = b"POST /publish?channel=c HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
    with dial(server) as connection:
        for byte in request:
            connection.sendall(bytes([byte]))
        assert read_head(connection)[0] == 200
    assert data_of(server.poll("c")) == ["abc"]


@pytest.mark.parametrize("size", [5000, 20000, 200000])
def test_head_in_two_pieces_and_a_body_behind(server, size):
    """The second piece brings the rest of the head and more body than a head may have."""
    body = b"x" * size
    path = target("/publish", channel="c")
    head = f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {size}\r\n\r\n"
    connection = dial(server)
    connection.sendall(head[:20].encode())
    time.sleep(0.05)  # so that the pieces arrive apart; joined, they are the easy case
    connection.sendall(head[20:].encode() + body)
    assert read_head(connection)[0] == 200
    connection.close()


def test_chunked_body(server):
    body = b"3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\nTrailer: x\r\n\r\n"
    head = b"POST /publish?channel=c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
    exchange(server, head + b"Connection: close\r\n\r\n" + body)
    assert data_of(server.poll("c")) == ["abcde"]


def test_expect_continue(server):
    head = b"POST /publish?channel=c HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n"
    with dial(server) as connection:
        connection.sendall(head + b"Expect: 100-continue\r\n\r\n")
        assert read_head(connection)[0] == 100
        connection.sendall(b"abc")
        assert read_head(connection)[0] == 200
    assert data_of(server.poll("c")) == ["abc"]


def test_http_1_0_is_answered_and_closed(server):
    answer = exchange(server, b"GET /healthz HTTP/1.0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200") or answer.startswith(b"HTTP/1.0 200")


def test_connection_close_is_obeyed(server):
    with dial(server) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        answer = read_to_end(connection)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in answer.lower()


def test_answers_are_not_cached(server):
    assert "no-store" in server.get("/poll?channel=c").headers["Cache-Control"]
    assert server.get("/poll?channel=c").headers["Content-Type"].startswith("application/json")


def test_curl_publishes_and_polls(server):
    published = json.loads(curl("--data-binary", "from curl", server.url("/publish", channel="c")))
    assert published["channel"] == "c"
    assert data_of(json.loads(curl(server.url("/poll", channel="c")))) == ["from curl"]


@pytest.mark.parametrize(
    "since",
    ["junk", "1", "1.", ".1", "1.1~1.1", "1.1~", "G.1", "0x1.1", "1.-1", "1." + "9" * 40, "01.1"],
)
def test_malformed_position_is_refused(server, since):
    answer = server.get(target("/poll", channel="c", since=since))
    assert answer.status == 400
    assert refusal(answer) == "bad_position"
    assert server.refused("bad_position") == 1


def test_preflight_is_answered(start_server):
    server = start_server(config={"allowed_origins": "https://app.example"})
    preflight = {"Access-Control-Request-Method": "POST", "Origin": "https://app.example"}
    answer = server.request("OPTIONS", "/publish?channel=c", headers=preflight)
    assert answer.status in (200, 204)
    assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]


def test_origin_decides_who_may_read(start_server):
    server = start_server(config={"allowed_origins": "https://app.example"})
    good = server.get("/poll?channel=c", headers={"Origin": "https://app.example"})
    assert good.headers["Access-Control-Allow-Origin"] == "https://app.example"
    bad = server.get("/poll?channel=c", headers={"Origin": "https://other.example"})
    assert bad.headers["Access-Control-Allow-Origin"] is None
