"""No sticky sessions: two nodes behind the proxies of packaging/proxies, round robin. Whatever node
a request comes to, its client misses nothing and hears nothing twice."""

import itertools
import json
import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from foreign import asynchronous, connect, receive
from ringside import HOST, PATIENCE_S, Server, at, data_of, hold_port, port_of, target, wait_until
from test_centrifuge_streams import emulate, events, lines
from test_cluster import start_redis  # noqa: F401  (a fixture)
from wire import EventStream

FOLDER = Path(__file__).parents[2] / "packaging" / "proxies"
FILES = {"nginx": "nginx.conf", "haproxy": "haproxy.cfg", "caddy": "Caddyfile"}
TEMPORARY = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]


class Front(Server):
    """What clients see: the proxy, in the place of a server."""

    def __init__(self, program, folder, nodes):  # pylint: disable=super-init-not-called
        self.host, self.held = HOST, [hold_port()]
        self.port = port_of(self.held[0])
        self.address = at(HOST, self.port)
        text = (FOLDER / FILES[program]).read_text()
        for known, own in (("10.0.0.11:8080", nodes[0].address),
                           ("10.0.0.12:8080", nodes[1].address),
                           ("listen 80;", f"listen {self.address};"),
                           # A name alone does not say where it listens.
                           ("http://:80 {", f"http://{self.address} {{\n\tbind {HOST}"),
                           ("bind :80\n", f"bind {self.address}\n")):
            text = text.replace(known, own)
        assert "10.0.0" not in text and self.address in text
        config = folder / FILES[program]
        command = [program, "-f", str(config)]
        if program == "nginx":
            paths = "".join(f"{name}_temp_path {folder}/{name};\n" for name in TEMPORARY)
            text = text.replace("http {\n", "http {\n" + paths)
            command = [program, "-c", str(config), "-p", str(folder), "-g",
                       f"daemon off; pid {folder}/nginx.pid; error_log stderr;"]
        if program == "caddy":
            command = [program, "run", "--adapter", "caddyfile", "--config", str(config)]
        config.write_text(text)
        own = {**os.environ, "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
        self.log = open(folder / "proxy.log", "wb")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, env=own)
        wait_until(self.is_up, f"{program} and both nodes")

    def is_up(self):
        assert self.process.poll() is None, Path(self.log.name).read_text()
        try:
            return all(self.get("/healthz").status == 200 for _ in range(4))
        except OSError:
            return False

    def stop(self):
        self.process.terminate()
        self.process.wait(PATIENCE_S)
        self.log.close()
        self.held[0].close()


@pytest.fixture(params=FILES)
def cluster(request, start_server, start_redis, tmp_path):  # noqa: F811
    """(the proxy, the nodes)"""
    if not shutil.which(request.param):
        pytest.skip(f"no {request.param} here")
    redis = start_redis()
    nodes = [start_server(config={"redis": redis.address}) for _ in range(2)]
    front = Front(request.param, tmp_path, nodes)
    yield front, nodes
    front.stop()


def requests_of(nodes):
    return [node.metric("ringside_requests_total") for node in nodes]


def test_polls_and_long_polls_go_anywhere(cluster):
    front, nodes = cluster
    assert front.request("POST", target("/publish", channel="news"), b"x").status == 404
    assert front.get("/metrics").status == 404
    since = front.position("news")
    heard, count = [], 30
    before = requests_of(nodes)

    def publish():
        for n, node in zip(range(count), itertools.cycle(nodes)):
            node.publish("news", f"{n}")

    thread = threading.Thread(target=publish)
    thread.start()
    while len(heard) < count:
        answer = front.get(target("/longpoll", channel="news", since=since, timeout=20)).json()
        assert answer["recovered"]
        heard += data_of(answer)
        since = answer["position"]
        again = front.poll("news", since)
        assert again["recovered"]
        heard += data_of(again)
        since = again["position"]
    thread.join()
    assert heard == [f"{n}" for n in range(count)]
    assert all(after > at_first + 1 for after, at_first in zip(requests_of(nodes), before))


def test_a_stream_that_comes_back_goes_on(cluster):
    front, nodes = cluster
    heard, last = [], None
    for turn in range(4):
        headers = [f"Last-Event-ID: {last}"] if last else []
        with EventStream(front.url("/sse", channel="news"), *headers) as stream:
            for n in range(3):
                nodes[n % 2].publish("news", f"{turn}.{n}")
            wanted = 3 if turn == 0 else 4
            while wanted > 0:
                event = stream.next()
                last = event["id"]
                if event.get("event") != "recovered":
                    heard.append(event["data"])
                    wanted -= 1
                else:
                    assert turn > 0
        nodes[turn % 2].publish("news", f"{turn}.between")
    expected = [f"{turn}.{n}" for turn in range(4) for n in (0, 1, 2, "between")][:-1]
    assert heard == expected


@asynchronous
async def test_websockets_hear_every_node(cluster):
    front, nodes = cluster
    sockets = [await connect(front, channel="news") for _ in range(4)]
    for n in range(6):
        nodes[n % 2].publish("news", f"{n}")
    for socket in sockets:
        assert [await receive(socket) for _ in range(6)] == [f"{n}" for n in range(6)]
        await socket.close()


@pytest.mark.parametrize("opened", [lines, events])
def test_emulation_comes_to_any_node(cluster, opened):
    front, nodes = cluster
    with opened(front) as one, opened(front) as other:
        results = [stream.next()["connect"] for stream in (one, other)]
        for n in range(6):
            for stream, result in ((one, results[0]), (other, results[1])):
                command = {"id": 2 + n, "subscribe": {"channel": f"c{n}"}}
                assert emulate(front, result, command) == (204, None)
                assert stream.next()["id"] == 2 + n
        nodes[0].publish("c5", json.dumps({"a": 1}).encode())
        nodes[1].publish("c5", b"2")
        for stream in (one, other):
            assert [stream.next()["push"]["pub"]["data"] for _ in range(2)] == [{"a": 1}, 2]
        forged = results[0]["session"][:-1] + "x"
        for _ in range(2):
            assert emulate(front, results[0], {}, session=forged) == (404, "no_session")
            assert emulate(front, results[0], {}, node="0" * 15 + "1") == (404, "no_session")
