"""Webhooks where something is wrong: a server that is killed, a queue that is damaged or full, a
disk without room, names, certificates and clocks that are not as they should be."""

import contextlib
import http.client
import json
import os
import random
import resource
import signal
import sqlite3
import ssl
import subprocess
import threading
import time

import pytest

from receiver import Receiver
from test_webhooks import API_KEY, OTHER, SECRET, Hooks, hooks, receiver, verify  # noqa: F401
from ringside import refusal
from wire import RawWebSocket
import sdk

KILLS = 100
BIG = "x" * 8000


class Publisher(threading.Thread):
    """Publishes as long as it is let, and keeps what was accepted."""

    def __init__(self, app, name):
        super().__init__(daemon=True)
        self.app, self.name, self.accepted = app, name, {}
        self.left = threading.Event()

    def run(self):
        number = 0
        while not self.left.is_set():
            number += 1
            data = f"{self.name}-{number}"
            try:
                answer = self.app.ask("publish", {"type": "a", "data": data})
                assert answer["result"]["endpoints"] == 2
                self.accepted[answer["result"]["id"]] = data
            except (OSError, http.client.HTTPException):
                time.sleep(0.002)  # it is down: nothing was accepted


@pytest.mark.not_in("asan", "tsan", why="it starts a hundred times, and has to be quick at that")
def test_killed_a_hundred_times_nothing_accepted_is_lost(hooks, receiver, eventually):
    chance = random.Random(19)
    app = hooks()
    app.register("one", receiver.url("/one"), concurrency=8)
    app.register("two", receiver.url("/two"), order="channel")
    failing = [0]

    def now_and_then(_handler, _received):
        failing[0] += 1
        return 500 if failing[0] % 7 == 0 else 200

    receiver.answers["/one"] = now_and_then
    publishers = [Publisher(app, name) for name in "ab"]
    for publisher in publishers:
        publisher.start()
    for _ in range(KILLS):
        time.sleep(chance.uniform(0, 0.06))
        app.server.signal(signal.SIGKILL)
        app.server.process.wait()
        app.server.start()
    for publisher in publishers:
        publisher.left.set()
        publisher.join()
    accepted = {event: data for p in publishers for event, data in p.accepted.items()}
    assert len(accepted) > KILLS // 5  # how many, the machine says
    eventually(lambda: app.metric("pending") == 0, "that all is delivered")
    for path in ("/one", "/two"):
        told = {}
        for received in receiver.of(path):
            assert told.setdefault(received.id, received.body) == received.body
        lost = [event for event in accepted if event not in told]
        assert not lost, f"{len(lost)} of {len(accepted)} were not posted to {path}: {lost}"
        for event, data in accepted.items():
            assert json.loads(told[event])["data"] == data
    assert app.metric("dead") == 0


def test_a_damaged_queue_is_set_aside(hooks, receiver, eventually):
    app = hooks()
    receiver.answers["/"] = 500
    app.register("one", receiver.url())
    for _ in range(50):
        app.publish(data=BIG)
    app.server.stop()
    with open(app.queue, "r+b") as file:
        file.seek(0, 2)
        size = file.tell()
        for at in range(4096, size, 4096):
            file.seek(at)
            file.write(b"damaged!" * 64)
    app.server.start()
    aside = [path.name for path in app.queue.parent.iterdir() if ".damaged-" in path.name]
    assert aside and "was damaged, and is now" in app.server.output()
    receiver.answers["/"] = 200
    app.register("one", receiver.url())
    app.publish(data="anew")
    eventually(lambda: [r for r in receiver.of() if r.json()["data"] == "anew"], "the next event")


def overwrite(at, with_what=b"\xa5" * 64):
    def damage(path):
        with open(path, "r+b") as file:
            size = file.seek(0, 2)
            file.seek(int(at * size) if isinstance(at, float) else at)
            file.write(with_what)
    return damage


def cut(share):
    return lambda path: os.truncate(path, int(share * os.path.getsize(path)))


# Of which file, and whether that is found at the start and set aside. Damage in the log is as if
# the machine had lost power before the log was written: what is behind it is not there. What an
# event says has no checksum: SQLite knows the structure of its file.
DAMAGES = {
    "magic": ("", overwrite(0), True),
    "page size": ("", overwrite(16, b"\x00\x03"), True),
    "schema": ("", overwrite(100), True),
    "page in the middle": ("", overwrite(0.5, b"\xa5" * 4096), True),
    "body of an event": ("", overwrite(0.97, b"\xa5" * 512), False),
    "half of it": ("", cut(0.5), True),
    "head of the log": ("-wal", overwrite(0), False),
    "middle of the log": ("-wal", overwrite(0.5), False),
    "half of the log": ("-wal", cut(0.5), False),
    "index of the log": ("-shm", lambda path: path.write_bytes(b"\xa5" * 32768), False),
}


def test_damage_at_each_place_is_found_or_harmless(hooks, receiver, eventually):
    """Whatever is found, the server starts and serves."""
    def files():
        return list(app.queue.parent.glob(app.queue.name + "*"))

    app = hooks()
    receiver.answers["/"] = 503
    app.register("one", receiver.url())
    for _ in range(60):
        app.publish(data=BIG)
    app.server.stop()
    whole = {path.name: path.read_bytes() for path in files()}
    app.server.start()
    for _ in range(20):
        app.publish(data=BIG)
    app.server.signal(signal.SIGKILL)
    app.server.process.wait()
    logged = {path.name: path.read_bytes() for path in files()}
    assert list(whole) == [app.queue.name] and app.queue.name + "-wal" in logged
    receiver.answers["/"] = 200
    for number, (where, (end, damage, is_found)) in enumerate(DAMAGES.items()):
        for path in files():
            path.unlink()
        for name, content in (logged if end else whole).items():
            (app.queue.parent / name).write_bytes(content)
        damage(app.queue.parent / (app.queue.name + end))
        app.server.start()
        aside = [path for path in files() if ".damaged-" in path.name]
        assert bool(aside) == is_found, where
        assert not is_found or "was damaged, and is now" in app.server.output(), where
        if is_found:
            assert app.result("list")["total"] == 0, where
        app.register("one", receiver.url())
        event = app.publish(data=number)
        eventually(lambda event=event: event in {r.id for r in receiver.of()}, where)
        app.server.signal(signal.SIGKILL)
        app.server.process.wait()
    app.server.start()


def refused_to_start(app):
    done = subprocess.run(app.server.command, capture_output=True, text=True, check=False,
                          timeout=30)
    assert done.returncode == 1
    return done.stderr


def test_a_file_of_somebody_else_is_left_alone(hooks, start_server, tmp_path):
    app = hooks()
    app.server.stop()
    app.queue.unlink()
    with contextlib.closing(sqlite3.connect(app.queue)) as other, other:
        other.execute("CREATE TABLE theirs(x)")
    assert "is no queue of webhooks" in refused_to_start(app)
    with contextlib.closing(sqlite3.connect(app.queue)) as other:
        assert other.execute("SELECT count(*) FROM theirs").fetchone() == (0,)


def test_a_queue_goes_from_one_server_to_the_next(hooks, start_server, receiver, eventually):
    """The second waits for it, as a successor does for the one before it."""
    app = hooks()
    app.register("one", receiver.url())
    first, app.server = app.server, start_server(config=app.config)
    app.server.publish("news", "is served meanwhile")
    first.stop()
    event = app.publish(data="x")
    eventually(lambda: app.metric("delivered_total") == 1, "the event")
    assert receiver.of()[0].id == event


def fill(app, kind="a"):
    """Publishes until something else is answered than that it was accepted, or for long enough."""
    for _ in range(400):
        answer = app.ask("publish", {"type": kind, "data": BIG})
        if "error" in answer:
            return answer["error"]
    return None


def test_a_full_queue_refuses_and_live_push_goes_on(hooks, receiver, eventually):
    app = hooks(webhook_queue_bytes_max="1048576")
    receiver.answers["/"] = 500
    app.register("one", receiver.url())
    assert fill(app)["code"] == 1002
    assert app.metric("events_refused_total") > 0
    app.server.publish("news", "still here")
    assert app.server.poll("news", "start")["messages"]
    assert app.queue.stat().st_size < 4 << 20
    receiver.answers["/"] = 200
    eventually(lambda: app.metric("pending") == 0, "that all is delivered")
    app.publish(data="there is room again")


def test_or_drops_the_oldest(hooks, receiver):
    app = hooks(webhook_queue_bytes_max="1048576", webhook_drop_oldest="on")
    receiver.answers["/"] = 500
    app.register("one", receiver.url())
    assert fill(app) is None
    assert app.metric("dropped_total") > 0 and app.metric("events_refused_total") == 0


def test_publishers_are_refused_where_their_event_has_no_room(hooks, receiver, eventually):
    """By name, and only of what somebody wants to be told; live push goes on."""
    app = hooks(webhook_queue_bytes_max="1048576", webhook_refuse_publish="on")
    receiver.answers["/"] = 500
    with contextlib.closing(RawWebSocket(app.server, "/ws?channel=free")) as socket:
        app.server.publish("free", "nobody wants to be told")
        app.register("one", receiver.url(), events=["order.*"])
        # A sixteenth is left: of that an endpoint is registered below.
        eventually(lambda: app.publish(data=BIG) and app.metric("full") == 1, "that it is full")
        app.server.publish("free", "still nobody")
        app.register("two", receiver.url(), events=["channel.published"])
        refused = app.server.request("POST", "/publish?channel=free", body=b"x")
        assert (refused.status, refusal(refused)) == (507, "webhooks_full")
        api = app.server.request("POST", "/api/publish", headers={"X-API-Key": API_KEY},
                                 body=b'{"channel":"free","data":1}').json()
        assert api["error"]["code"] == 111
        assert app.server.metric("ringside_requests_refused_total", reason="webhooks_full") == 1
        receiver.answers["/"] = 200
        eventually(lambda: app.metric("full") == 0, "that there is room")
        app.server.publish("free", "and told")
        eventually(lambda: [r for r in receiver.of() if r.json().get("channel") == "free"],
                   "what it is told")
        assert [socket.read()[1] for _ in range(3)] == [
            b"nobody wants to be told", b"still nobody", b"and told"]
    assert app.metric("events_refused_total") == 0


@pytest.fixture
def disk(tmp_path):
    """A small disk of its own, where root may mount one."""
    path = tmp_path / "disk"
    path.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", path], check=False,
                      capture_output=True).returncode != 0:
        pytest.skip("a small disk is mounted by root")
    yield path
    subprocess.run(["umount", "-l", path], check=True)


def test_a_disk_that_cannot_be_written(hooks, disk):
    app = hooks(webhook_queue=str(disk / "queue.db"))
    app.server.stop()
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    assert f"webhook_queue = {disk}/queue.db: " in refused_to_start(app)
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    app.server.start()
    assert app.result("list")["total"] == 0


def test_a_full_disk(hooks, receiver, disk, eventually):
    """ENOSPC of a file system: events and publishes are refused by name, push of what nobody wants
    to be told goes on, and what was accepted arrives when there is room."""
    app = hooks(webhook_queue=str(disk / "queue.db"), webhook_refuse_publish="on")
    receiver.answers["/"] = 500
    app.register("one", receiver.url(), events=["order.*", "channel.published"])
    first = app.publish(data="before")
    with open(disk / "others", "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    error = fill(app, "order.paid")
    assert error["code"] in (100, 1002)
    assert app.metric("disk_failures_total") > 0
    eventually(lambda: app.metric("full") == 1, "that it is known")
    (disk / "others").unlink()
    receiver.answers["/"] = 200
    eventually(lambda: app.metric("pending") == 0, "that all is delivered")
    eventually(lambda: app.metric("full") == 0, "that it is well")
    assert first in {r.id for r in receiver.of()}
    app.server.publish("news", "there is room again")
    accepted = app.metric("events_accepted_total")
    eventually(lambda: len({r.id for r in receiver.of()}) >= accepted, "all that was accepted")


def limit_files():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))


def test_a_disk_without_room(start_server, tmp_path, receiver, eventually):
    """As far as a process can tell, a limit on the size of its files is a full disk."""
    app = Hooks(lambda **options: start_server(before=limit_files, **options), tmp_path)
    receiver.answers["/"] = 500
    app.register("one", receiver.url())
    assert fill(app)["code"] in (100, 1002)
    assert app.metric("disk_failures_total") > 0
    app.server.publish("news", "still here")
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(app.server.process.pid, resource.RLIMIT_FSIZE, unlimited)
    receiver.answers["/"] = 200
    eventually(lambda: app.metric("pending") == 0, "that all is delivered")
    accepted = app.metric("events_accepted_total")
    assert len({r.id for r in receiver.of()}) >= accepted
    app.publish(data="there is room again")


def certificate(folder):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-keyout", folder / "key.pem", "-out", folder / "chain.pem", "-days", "2",
         "-subj", "/CN=receiver", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "chain.pem", folder / "key.pem")
    return context


def test_tls(hooks, tmp_path, eventually):
    secure = Receiver(certificate(tmp_path))
    try:
        app = hooks()
        app.register("one", secure.url())
        event = app.publish()
        eventually(lambda: app.metric("ended_total", how="certificate") > 0, "that it is refused")
        app.register("plain", secure.url().replace("https", "http"))
        app.register("other", secure.url().replace("127.0.0.1", "localhost"))
        app.server.stop()
        assert secure.all == []
    finally:
        secure.stop()
    assert event


def test_tls_that_is_believed(hooks, tmp_path, eventually):
    secure = Receiver(certificate(tmp_path))
    try:
        app = hooks(courier_authorities=str(tmp_path / "chain.pem"))
        app.register("one", secure.url())
        event = app.publish()
        eventually(lambda: secure.of(), "the event")
        assert secure.of()[0].id == event
    finally:
        secure.stop()


def test_names_and_ports_that_nobody_has(hooks, eventually):
    app = hooks()
    app.register("name", "http://nobody.invalid:8080/")
    app.register("port", "http://127.0.0.1:1025/")
    app.publish()
    for how in ("name", "connect"):
        eventually(lambda how=how: app.metric("ended_total", how=how) > 0, how)


def test_a_secret_that_is_rotated_between_two_tries(hooks, receiver, eventually):
    folder = sdk.pip("standardwebhooks", "1.1.0")
    app = hooks()
    receiver.answers["/"] = 500
    app.register("one", receiver.url())
    event = app.publish(data="x")
    eventually(lambda: receiver.of(), "the first try")
    app.register("one", receiver.url(), secrets=[OTHER, SECRET])
    before = len(receiver.of())
    eventually(lambda: len(receiver.of()) > before + 1, "a later one")
    app.register("one", receiver.url(), secrets=[OTHER])
    receiver.answers["/"] = 200
    eventually(lambda: app.metric("delivered_total") == 1, "that it was taken")
    last = receiver.of()[-1]
    assert last.id == event
    assert verify(folder, OTHER, last) and not verify(folder, SECRET, last)


@pytest.mark.parametrize("years", [-10, 10])
def test_a_clock_that_jumped_makes_nothing_late_or_old(hooks, receiver, eventually, years):
    app = hooks()
    receiver.answers["/"] = 500
    app.register("one", receiver.url())
    event = app.publish(data="x")
    eventually(lambda: receiver.of(), "the first try")
    app.server.stop()
    shift = years * 365 * 86400 * 1000
    with contextlib.closing(sqlite3.connect(app.queue)) as queue, queue:
        queue.execute("UPDATE meta SET value = value - ? WHERE name = 'clock'", (shift,))
        queue.execute("UPDATE deliveries SET next = next - ?1, born = born - ?1", (shift,))
    receiver.answers["/"] = 200
    app.server.start()
    eventually(lambda: app.metric("delivered_total") == 1, "the event")
    assert receiver.of()[-1].id == event and app.metric("dead") == 0


def test_endpoints_of_a_file(hooks, receiver, tmp_path, eventually):
    path = tmp_path / "endpoints.json"
    one = {"id": "one", "url": receiver.url("/one"), "secrets": [SECRET]}
    two = {"id": "two", "url": receiver.url("/two"), "secrets": [SECRET]}
    path.write_text(json.dumps([one, two]))
    app = hooks(webhook_endpoints=str(path), webhook_endpoints_max="3")
    app.register("three", receiver.url("/three"))
    assert app.ask("register", {"id": "four", "url": receiver.url()})["error"]["code"] == 1002
    app.publish()
    eventually(lambda: app.metric("delivered_total") == 3, "all three")
    app.server.stop()
    path.write_text(json.dumps([one]))
    app.server.start()
    names = [listed["endpoint"]["id"] for listed in app.result("list")["endpoints"]]
    assert names == ["one", "three"]
    page = app.result("list", after="one", limit=1)["endpoints"]
    assert [listed["endpoint"]["id"] for listed in page] == ["three"]
    app.server.stop()
    path.write_text('[{"id":"one"}]')
    assert "webhook_endpoints" in refused_to_start(app)
    path.write_text(json.dumps([{"id": "one", "url": receiver.url("/one")}]))
    assert "one: an endpoint of a file needs secrets" in refused_to_start(app)
    path.write_text("{}")
    assert "no JSON list" in refused_to_start(app)
    path.write_text(json.dumps([one]))
    app.server.start()


def test_many_endpoints_by_channel(hooks, receiver, tmp_path, eventually):
    """Each hears of its own channel, and nobody asks all of them."""
    path = tmp_path / "endpoints.json"
    path.write_text(json.dumps([
        {"id": f"e{n}", "url": receiver.url(f"/{n}"), "channels": [f"c{n}"], "secrets": [SECRET]}
        for n in range(2000)]))
    app = hooks(webhook_endpoints=str(path))
    assert app.metric("endpoints") == 2000
    for number in (0, 7, 1999):
        assert app.result("publish", type="a", channel=f"c{number}")["endpoints"] == 1
    eventually(lambda: app.metric("delivered_total") == 3, "those three")
    assert sorted(r.path for r in receiver.all) == ["/0", "/1999", "/7"]
