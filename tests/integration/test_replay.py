"""Replays that are larger than what may wait: read from the history as fast as the client reads."""

import socket
import threading

from ringside import target
from wire import TEXT, EventStream, RawWebSocket, dial, read_to_end

MIB = 1024 * 1024
CHANNELS = [f"past{i}" for i in range(8)]
EACH = 2
LARGE = 500000
# An event stream writes each as a line of its own: seven bytes for one.
BREAKS = b"\r" * LARGE
ID = b"\nid: "


def fill(server, payload=BREAKS):
    for _ in range(EACH):
        for name in CHANNELS:
            server.publish(name, payload)


def get_stream(server, **query):
    connection = dial(server)
    request = f"GET {target('/sse', **query)} HTTP/1.0\r\nHost: a\r\n\r\n"
    connection.sendall(request.encode())
    return connection


def read_replay(server, count, results):
    """Reads until there were so many ids, or the end; notes how many there were."""
    with get_stream(server, channel=CHANNELS, since="start") as connection:
        tail, ids = b"", 0
        while ids < count and (chunk := connection.recv(MIB)):
            ids += (tail + chunk).count(ID)
            tail = chunk[1 - len(ID) :]
        results.append(ids)


def test_a_replay_over_the_total_reaches_clients_that_read(start_server):
    """Two at once, of 56 MB each, where 12 MB may wait."""
    server = start_server(config={"queue_total_bytes_max": 12 * MIB})
    fill(server)
    results = []
    count = EACH * len(CHANNELS) + 1  # and where it begins
    threads = [
        threading.Thread(target=read_replay, args=(server, count, results)) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [count] * 2
    assert server.closed("queue_total") == 0 and server.closed("slow_reader") == 0


def test_an_unread_replay_is_not_made(start_server, eventually):
    server = start_server(shards=2)
    fill(server)
    connections = [get_stream(server, channel=CHANNELS, since="start") for _ in range(6)]
    eventually(lambda: server.metric("ringside_sends_short_total") >= 6, "full sockets")
    for _ in range(10):
        # A message of each, seven bytes for one.
        assert server.metric("ringside_queue_bytes") < 6 * 8 * LARGE
        assert server.get("/healthz").status == 200
    for connection in connections:
        connection.close()
    eventually(lambda: server.metric("ringside_queue_bytes") < MIB, "nothing held")


def test_live_messages_do_not_wait_for_the_replay_of_others(start_server):
    server = start_server(shards=2, config={"queue_bytes_max": 100000})
    for i in range(30):
        server.publish("past", b"%d" % i + b"." * 20000)
    position = server.position(["past", "live"]).split("~")
    epoch = position[0].split(".")[0]
    with EventStream(
        server.url("/sse", channel=["past", "live"], since=f"{epoch}.0~{position[1]}")
    ) as stream:
        assert stream.next()["event"] == "recovered"
        server.publish("live", "now")
        data = [stream.next() for _ in range(31)]
        past = [event["data"].rstrip(".") for event in data if event["data"] != "now"]
        assert past == [str(i) for i in range(30)]
        server.publish("past", "last")
        event = stream.next()
        assert event["data"] == "last"
        assert server.poll(["past", "live"], since=event["id"])["messages"] == []


def test_messages_meanwhile_come_behind_the_replay(server, eventually):
    """The client reads nothing while they are published: they are read from the history, too."""
    for i in range(40):
        server.publish("c", b"%d" % i + b"x" * 100000)
    for path, read in [("/ws?channel=c&since=start", lambda socket: socket.read())]:
        socket_ = RawWebSocket(server, path)
        eventually(lambda: server.metric("ringside_sends_short_total") > 0, "a full socket")
        for i in range(40, 60):
            server.publish("c", b"%d" % i + b"x" * 1000)
        for i in range(60):
            opcode, payload = read(socket_)
            assert opcode == TEXT and payload.rstrip(b"x") == b"%d" % i
        server.publish("c", "live")
        assert read(socket_) == (TEXT, b"live")
        socket_.close()


def test_a_reader_that_is_slower_than_the_history_is_cut_off(start_server, eventually):
    server = start_server(config={"history_bytes_max": 4 * MIB, "history_messages_max": 8})
    for _ in range(8):
        server.publish("c", b"x" * 500000)
    stream = get_stream(server, channel="c", since="start")
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    eventually(lambda: server.metric("ringside_sends_short_total") > 0, "a full socket")
    for _ in range(20):
        server.publish("c", b"y" * 500000)
    received = read_to_end(stream)
    assert 0 < received.count(ID) < 29
    server.until_closed("slow_reader")
    stream.close()
