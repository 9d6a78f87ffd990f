"""Long polling: the answer of /poll, held until there is something to say."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from ringside import data_of, target
from wire import dial, read_head


def longpoll(server, **query):
    answer = server.get(target("/longpoll", **query))
    assert answer.status == 200, (answer.status, answer.body)
    return answer.json()


def waiting(server, count=1):
    return lambda: server.metric("ringside_longpolls_held") >= count


def test_answers_at_once_when_there_is_something(server):
    position = server.position("c")
    server.publish("c", "waiting for you")
    answer = longpoll(server, channel="c", since=position, timeout=25)
    assert data_of(answer) == ["waiting for you"]
    assert answer["recovered"] is True


def test_is_held_until_there_is_a_message(server, eventually):
    position = server.position("c")
    with ThreadPoolExecutor() as pool:
        held = pool.submit(longpoll, server, channel="c", since=position, timeout=25)
        eventually(waiting(server), "the request to be held")
        assert not held.done()
        published = server.publish("c", "now")
        answer = held.result()
    assert data_of(answer) == ["now"]
    assert answer["position"] == f"{published['epoch']}.{published['offset']}"


def test_ends_empty_at_the_timeout(server):
    position = server.position("c")
    start = time.monotonic()
    answer = longpoll(server, channel="c", since=position, timeout=1)
    assert time.monotonic() - start > 0.9
    assert answer == {"position": position, "messages": [], "recovered": True}


def test_default_timeout_is_a_setting(start_server):
    server = start_server(config={"longpoll_hold_ms": 300})
    answer = longpoll(server, channel="c", since=server.position("c"))
    assert answer["messages"] == []


def test_other_epoch_is_told_at_once(server):
    published = server.publish("c", "kept")
    epoch = f"{int(published['epoch'], 16) ^ 1:x}"
    answer = longpoll(server, channel="c", since=f"{epoch}.1", timeout=25)
    assert answer["recovered"] is False


def test_any_of_several_channels_wakes_it(server, eventually):
    names = ["a", "b", "c", "d"]
    position = server.position(names)
    with ThreadPoolExecutor() as pool:
        held = pool.submit(longpoll, server, channel=names, since=position, timeout=25)
        eventually(waiting(server), "the request to be held")
        server.publish("c", "woken")
        answer = held.result()
    assert [(m["channel"], m["data"]) for m in answer["messages"]] == [("c", "woken")]
    assert server.poll(names, since=answer["position"])["messages"] == []


def test_nothing_is_lost_between_answers(start_server):
    """A reader that asks again and again, while somebody publishes as fast as it goes."""
    total = 200
    server = start_server(config={"history_messages_max": total})
    position = server.position("c")
    publisher = threading.Thread(
        target=lambda: [server.publish("c", f"{n}") for n in range(total)], daemon=True
    )
    publisher.start()
    connection = server.connect()
    got = []
    while len(got) < total:
        connection.request("GET", target("/longpoll", channel="c", since=position, timeout=20))
        answer = json.loads(connection.getresponse().read())
        assert answer["recovered"] is True
        got += data_of(answer)
        position = answer["position"]
    connection.close()
    publisher.join()
    assert got == [f"{n}" for n in range(total)]


def test_many_waiters_all_hear_it(server, eventually):
    count = 40
    position = server.position("c")
    with ThreadPoolExecutor(count) as pool:
        held = [
            pool.submit(longpoll, server, channel="c", since=position, timeout=25)
            for _ in range(count)
        ]
        eventually(waiting(server, count), "all requests to be held")
        server.publish("c", "all of you")
        answers = [future.result() for future in held]
    assert [data_of(answer) for answer in answers] == [["all of you"]] * count


def test_next_request_on_the_connection_waits_its_turn(server, eventually):
    """Pipelined behind a held request: answered after it, not instead of it."""
    position = server.position("c")
    held = f"GET /longpoll?channel=c&since={position}&timeout=25 HTTP/1.1\r\nHost: h\r\n\r\n"
    with dial(server) as connection:
        connection.sendall(held.encode() + b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
        eventually(waiting(server), "the request to be held")
        server.publish("c", "first")
        status, _head, rest = read_head(connection)
        while rest.count(b"HTTP/1.1 ") == 0:
            rest += connection.recv(65536)
    assert status == 200
    assert rest.index(b"first") < rest.index(b"HTTP/1.1 200")


def test_client_that_leaves_is_forgotten(server, eventually):
    position = server.position("c")
    connection = dial(server)
    request = f"GET /longpoll?channel=c&since={position}&timeout=25 HTTP/1.1\r\nHost: h\r\n\r\n"
    connection.sendall(request.encode())
    eventually(waiting(server), "the request to be held")
    connection.close()
    eventually(lambda: server.metric("ringside_longpolls_held") == 0, "nothing to be held")
    server.publish("c", "to nobody")


@pytest.mark.parametrize("timeout", ["x", "-1", "1e3", "99999999999999999999"])
def test_malformed_timeout_is_refused(server, timeout):
    path = target("/longpoll", channel="c", since=server.position("c"), timeout=timeout)
    assert server.get(path).status == 400
