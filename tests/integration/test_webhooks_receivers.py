"""Receivers that are not as they should be: certificates, versions of TLS, names that are not
resolved, connections that hang, answers that are no HTTP. Each ends a try by a name, and nobody
else waits for them."""

import contextlib
import ctypes
import datetime
import ipaddress
import os
import socket
import ssl
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from receiver import Receiver
from test_webhooks import Hooks, hooks, receiver  # noqa: F401

HOST = "127.0.0.1"
DAY = datetime.timedelta(days=1)
CLONE_NEWNS, MS_BIND, MS_REC, MS_PRIVATE = 0x20000, 0x1000, 0x4000, 0x40000


# ---- certificates ----

def certificate(folder, name, signer=None, address=HOST, since=-1, until=2):
    """A key, and a certificate by `signer`, (key, certificate); None: by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.utcnow()
    called = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = x509.CertificateBuilder().subject_name(called).issuer_name(
        signer[1].subject if signer else called).public_key(key.public_key()).serial_number(
        x509.random_serial_number()).not_valid_before(now + since * DAY).not_valid_after(
        now + until * DAY).add_extension(
        x509.BasicConstraints(ca=name.startswith("authority"), path_length=None), critical=True
        ).add_extension(x509.SubjectAlternativeName(
            [x509.IPAddress(ipaddress.ip_address(address))]), critical=False).sign(
        signer[0] if signer else key, hashes.SHA256())
    (folder / f"{name}.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption()))
    return key, made


def context_of(folder, name, newest=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    if newest:
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = newest
    return context


class Raw:
    """Takes connections, and does with each what `serve` does."""

    def __init__(self, serve):
        self.listener = socket.create_server((HOST, 0), backlog=64)
        self.port, self.serve, self.held = self.listener.getsockname()[1], serve, []
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.held.append(connection)
                threading.Thread(target=self.one, args=(connection,), daemon=True).start()

    def one(self, connection):
        with contextlib.suppress(OSError):
            self.serve(connection)

    def stop(self):
        self.listener.close()
        for connection in self.held:
            connection.close()


def hang_up(connection):
    connection.recv(1)
    connection.close()


def mute(connection):
    while connection.recv(65536):
        pass


def no_tls(connection):
    connection.recv(1)
    connection.sendall(b"HTTP/1.1 400 This is plain HTTP\r\n\r\n")
    mute(connection)


def test_each_class_of_tls_failure(hooks, tmp_path, eventually):  # noqa: F811
    """Names in `ended` say which; the one that is well is served meanwhile."""
    authority = certificate(tmp_path, "authority")
    certificate(tmp_path, "good", authority)
    certificate(tmp_path, "expired", authority, since=-3, until=-1)
    certificate(tmp_path, "future", authority, since=1)
    certificate(tmp_path, "wrong-name", authority, address="127.0.0.2")
    certificate(tmp_path, "self-signed")
    stranger = certificate(tmp_path, "authority-of-others")
    certificate(tmp_path, "unknown-authority", stranger)
    end_of = {"good": None, **dict.fromkeys(
        ["expired", "future", "wrong-name", "self-signed", "unknown-authority"], "certificate")}
    receivers = {name: Receiver(context_of(tmp_path, name)) for name in end_of}
    old = Receiver(context_of(tmp_path, "good", newest=ssl.TLSVersion.TLSv1_1))
    raws = {"tls": (Raw(no_tls), "tls"), "hangs-up": (Raw(hang_up), "tls"),
            "mute": (Raw(mute), "timeout")}
    app = hooks(courier_authorities=str(tmp_path / "authority.pem"), webhook_retry_min_ms="60000",
                webhook_retry_max_ms="60000")
    try:
        urls = {name: (each.url(), end_of[name]) for name, each in receivers.items()}
        urls["old-version"] = old.url(), "tls"
        urls |= {name: (f"https://{HOST}:{raw.port}/", end) for name, (raw, end) in raws.items()}
        for name, (url, _) in urls.items():
            app.register(name, url, events=[name], timeout_ms=500 if name == "mute" else 20000)
        for name, (_, end) in urls.items():
            if end is None:
                continue
            app.publish(name)
            eventually(lambda name=name: app.result("list", after=name[:-1], limit=1)["endpoints"]
                       [0].get("last_failure"), f"the failure of {name}")
            listed = app.result("list", after=name[:-1], limit=1)["endpoints"][0]
            assert listed["endpoint"]["id"] == name
            assert (name, listed["last_failure"]["why"]) in [(name, end), ("hangs-up", "broken")]
        app.publish("good")
        eventually(lambda: receivers["good"].all, "the one that is well")
        assert sum(len(each.all) for each in receivers.values()) == 1 and old.all == []
    finally:
        for each in [*receivers.values(), old, *(raw for raw, _ in raws.values())]:
            each.stop()


# ---- phases ----

def with_resolver(path):
    """In the new process: names are asked of what the file says, for this process alone."""
    libc = ctypes.CDLL(None, use_errno=True)

    def before():
        if libc.unshare(CLONE_NEWNS) or libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) \
                or libc.mount(os.fsencode(path), b"/etc/resolv.conf", None, MS_BIND, None):
            raise OSError(ctypes.get_errno(), "mount")

    return before


@pytest.mark.skipif(os.geteuid() != 0, reason="another resolver is mounted by root")
def test_each_phase_has_its_end_and_holds_nobody(start_server, tmp_path,
                                                 receiver, eventually):  # noqa: F811
    """A resolver, a backlog, a handshake and an answer that never come."""
    resolver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    resolver.bind(("127.0.0.119", 53))
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.119\noptions timeout:30\n")
    full = socket.socket()
    full.bind((HOST, 0))
    full.listen(0)
    waiting = [socket.socket() for _ in range(4)]
    for each in waiting:
        each.setblocking(False)
        each.connect_ex(full.getsockname())
    silent = Raw(mute)
    app = Hooks(lambda **options: start_server(
        before=with_resolver(tmp_path / "resolv.conf"), **options), tmp_path,
        webhook_retry_min_ms="60000", webhook_retry_max_ms="60000")
    urls = {"resolver": "http://slow.example:8080/", "backlog": f"http://{HOST}:%d/" %
            full.getsockname()[1], "handshake": f"https://{HOST}:{silent.port}/",
            "answer": f"http://{HOST}:{silent.port}/"}
    try:
        for name, url in urls.items():
            app.register(name, url, timeout_ms=1000)
        app.register("well", receiver.url())
        app.publish()
        eventually(lambda: receiver.of(), "the one that is well")
        eventually(lambda: app.metric("attempts_failed_total") == 4, "the ends of the others")
        for listed in app.result("list")["endpoints"]:
            why = listed.get("last_failure", {}).get("why")
            assert why == (None if listed["endpoint"]["id"] == "well" else "timeout"), listed
    finally:
        silent.stop()
        for each in [resolver, full, *waiting]:
            each.close()


# ---- what is no HTTP ----

BROKEN = [
    b"", b"\r\n", b"\0" * 100, b"\xff\xfe\xfd", b"HTTP", b"HTTP/1.1\r\n\r\n", b"HTTP/1.1 \r\n\r\n",
    b"HTTP/1.1 2\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 -200 OK\r\n\r\n",
    b"HTTP/9.9 200 OK\r\nContent-Length: 0\r\n\r\n", b"HTTX/1.1 200 OK\r\n\r\n",
    b"ICY 200 OK\r\n\r\n", b"220 smtp.example ESMTP\r\n", b"SSH-2.0-OpenSSH\r\n",
    b"* OK IMAP4rev1\r\n", b"\x16\x03\x01\x00\x05hello", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x00\x00\x00\x04\x00\x00\x00\x00\x00", b"HTTP/1.1 500 No\r\nContent-Length: -1\r\n\r\n",
    b"HTTP/1.1 500 No\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"HTTP/1.1 500 No\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
    b"HTTP/1.1 500 No\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnone",
    b"HTTP/1.1 500 No\r\n" + b"A: b\r\n" * 20000 + b"\r\n",
    b"HTTP/1.1 500 No\r\nA: " + b"x" * 200000 + b"\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n" * 50, b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n",
    b"HTTP/1.1 500 No\r\nNul: a\0b\r\n\r\n", b"HTTP/1.1 500 No\nno: carriage\n\n",
    b"HTTP/1.1 500 No\r\n folded\r\n\r\n", b"HTTP/1.1 500 No\r\nno colon\r\n\r\n",
    b"HTTP/1.1 407 Proxy\r\nProxy-Authenticate: Negotiate\r\n\r\n",
    b"HTTP/1.1 401 No\r\nWWW-Authenticate: Digest\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 503 No\r\nRetry-After: \xff\xff\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 503 No\r\nRetry-After: -99999999999999999999\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 301 No\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n",
]


def test_answers_that_break_http(hooks, receiver, eventually):  # noqa: F811
    """None is taken for a yes, none ends the courier, and each has a name."""

    def serve(connection):
        connection.settimeout(10)
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(65536)
        connection.sendall(BROKEN[int(head.split()[1][1:])])
        connection.shutdown(socket.SHUT_WR)
        mute(connection)

    raw = Raw(serve)
    app = hooks(webhook_retry_min_ms="60000", webhook_retry_max_ms="60000")
    try:
        for number in range(len(BROKEN)):
            app.register(f"n{number:02}", f"http://{HOST}:{raw.port}/{number}")
        app.publish()
        eventually(lambda: app.metric("delivered_total") + app.metric("attempts_failed_total")
                   == len(BROKEN), "a try of each")
        listed = app.result("list", limit=len(BROKEN))["endpoints"]
        ends = {BROKEN[int(each["endpoint"]["id"][1:])]: each.get("last_failure", {}).get("why")
                for each in listed}
        assert [each for each, why in ends.items() if why not in (
            "status", "broken", "bad_answer", "too_large")] == []
        app.register("well", receiver.url(), events=["well"])
        app.publish("well")
        eventually(lambda: receiver.all, "the courier is well")
    finally:
        raw.stop()


# ---- URLs, and what they ask for ----

@pytest.mark.parametrize("url", [
    b"http://127.0.0.1:8080/\xff\xfe", b"http://\xc3\x28.example/", b"http://a b.example/",
    b"http://127.0.0.1:8080/\\u0000", b"http://127.0.0.1:8080/\\ud800",
    b"http://127.0.0.1:99999/", b"http://[::1/", b"http://127.0.0.1:8080/a\\r\\nX: y",
    b"gopher://127.0.0.1:8080/", b"//127.0.0.1/", b"",
])
def test_urls_that_are_none(hooks, url):  # noqa: F811
    error = hooks().ask("register", body=b'{"id":"a","url":"' + url + b'"}')["error"]
    assert error["code"] == 107


def test_a_receiver_says_when_to_come_back(hooks, receiver, eventually):  # noqa: F811
    """Nothing else of the endpoint comes before that, either."""
    app = hooks(webhook_breaker="1000")
    answers = iter([(503, {"Retry-After": "2"})])
    receiver.answers["/"] = lambda _handler, received: (
        when.append(received) or next(answers, 200))
    when = []
    app.register("one", receiver.url())
    app.publish()
    eventually(lambda: app.metric("attempts_failed_total") == 1, "the first try")
    app.publish()
    eventually(lambda: app.metric("delivered_total") == 2, "both")
    stamps = [int(each.headers["webhook-timestamp"]) for each in when]
    assert len(stamps) == 3 and min(stamps[1:]) >= stamps[0] + 1


# ---- what is claimed of webhooks ----

def test_one_that_answers_too_late_has_it_again(hooks, receiver, eventually):  # noqa: F811
    """It took it each time; the ids tell that it is one event."""
    app = hooks(webhook_breaker="1000")
    late = iter([True, True, False])
    go_on = threading.Event()
    receiver.answers["/"] = lambda *_: (next(late) and go_on.wait(), 200)[1]
    app.register("one", receiver.url(), timeout_ms=300)
    event = app.publish(data=1)
    eventually(lambda: app.metric("delivered_total") == 1, "an answer in time")
    go_on.set()
    assert [each.id for each in receiver.of()] == [event] * 3
    assert len({each.body for each in receiver.of()}) == 1


def test_without_an_order_a_later_event_overtakes(hooks, receiver, eventually):  # noqa: F811
    """With order by channel none does."""
    app = hooks(webhook_breaker="1000")
    told = lambda path: [each.json()["data"] for each in receiver.of(path)]
    receiver.answers["/none"] = lambda _handler, received: (
        503 if received.json()["data"] == 0 and 1 not in told("/none") else 200)
    answers = iter([503, 503, 503])
    receiver.answers["/channel"] = lambda *_: next(answers, 200)
    for order in ("none", "channel"):
        app.register(order, receiver.url("/" + order), order=order, concurrency=2)
    for number in range(3):
        app.publish(channel="a", data=number)
    eventually(lambda: app.metric("delivered_total") == 6, "all three, of both")
    assert told("/none").index(1) < len(told("/none")) - 1 - told("/none")[::-1].index(0)
    assert told("/channel") == [0, 0, 0, 0, 1, 2]
