"""TLS where something runs out: time, handshakes, room in a socket; certificates that change."""

import concurrent.futures
import os
import select
import shutil
import signal
import socket
import ssl
import time

import pytest

from ringside import HOST, PATIENCE_S
from secure import CERTIFICATES, RecordClient, client_context, pair
from test_trouble import assert_refused_in_one_line, run_server
from wire import (
    TEXT, RawWebSocket, dial, frame, publish_all, read_answer, read_to_end, slow_reader,
)

# Time for a client of a busy machine to come as far as the byte that it trickles.
TRICKLE_MS = 1500
TRICKLED = 80  # bytes
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(params=["io_uring", "epoll"])
def secure_server(request, start_server):
    """secure_server(shards=, args=, config=): one with a TLS port, on both engines."""

    def start(**options):
        options["config"] = {"engine": request.param, **options.get("config", {})}
        return start_server(secure=True, **options)

    return start


# ---- handshakes ----

@pytest.mark.parametrize("sent", ["nothing", "half"])
def test_stalled_handshake(secure_server, eventually, sent):
    server = secure_server(config={"tls_handshake_timeout_ms": 300})
    client = RecordClient(server)
    if sent == "half":
        client.send(client.hello()[:100])
    assert read_to_end(client.connection) == b""
    eventually(lambda: server.closed("tls_timeout") == 1, "the handshake to end")
    assert server.metric("ringside_tls_handshakes") == 0


@pytest.mark.parametrize("of", ["hello", "key exchange"])
def test_a_trickled_handshake_keeps_its_deadline(secure_server, eventually, of):
    """No byte moves it, and it ends while they still come: all of them would take twice as long."""
    # Of TLS 1.3 the hello has the key exchange in it.
    server = secure_server(config={"tls_handshake_timeout_ms": TRICKLE_MS, "tls_versions": "1.2"})
    client = RecordClient(server)
    flight = client.hello()
    if of == "key exchange":
        client.send(flight)
        while not client.outgoing.pending:
            assert client.feed()
            with pytest.raises(ssl.SSLWantReadError):
                client.tls.do_handshake()
        flight = client.outgoing.read()
    plain = server.plain()
    before = plain.metric("ringside_tls_handshakes_full_total")
    assert len(flight) > TRICKLED
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        for byte in flight[:TRICKLED]:
            client.send(bytes([byte]))
            time.sleep(2 * TRICKLE_MS / 1000 / TRICKLED)
            assert plain.metric("ringside_tls_handshakes_full_total") == before
    plain.until_closed("tls_timeout")
    assert plain.metric("ringside_tls_handshakes") == 0


def test_a_slow_client_behind_the_handshake_is_not_held_to_its_timeout(secure_server):
    server = secure_server(config={"tls_handshake_timeout_ms": 1500})
    quick = RawWebSocket(server)
    assert read_to_end(RecordClient(server).connection) == b""
    server.publish("c", "still here")
    assert quick.read() == (TEXT, b"still here")
    quick.close()


def test_who_has_not_said_hello_holds_no_handshake(secure_server, eventually):
    """However many begin, and however little they say."""
    server = secure_server(
        shards=1, config={"tls_handshakes_max": 1, "tls_handshake_timeout_ms": 60000}
    )
    begun = [RecordClient(server) for _ in range(20)]
    for i, client in enumerate(begun):
        client.send(client.hello()[:-1 - i * 5])
    assert server.get("/healthz").status == 200
    assert server.metric("ringside_tls_handshakes_full_total") > 0
    for client in begun:
        client.close()
    eventually(lambda: server.tls_errors("truncated") == 20, "all of them to be noticed")


def go_on(client):
    """Answers what the server has said, unsent."""
    client.feed()
    try:
        client.tls.do_handshake()
    except ssl.SSLWantReadError:
        pass


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_who_stands_still_makes_place(secure_server, eventually, version):
    """Said hello, and never went on: the one that has stood still for longest goes."""
    server = secure_server(
        shards=1,
        config={"tls_handshakes_max": 2, "tls_handshake_timeout_ms": 60000,
                "tls_versions": version},
    )
    plain = server.plain()
    begun = [RecordClient(server) for _ in range(2)]
    for i, client in enumerate(begun):
        client.send(client.hello())
        eventually(lambda n=i + 1: plain.metric("ringside_tls_handshakes") == n, "a handshake")
    # Bytes that are no whole step do not help.
    go_on(begun[0])
    begun[0].send(begun[0].outgoing.read()[:-70])
    assert server.get("/healthz").status == 200
    assert begun[0].read_alert() == "TLSV1_ALERT_INTERNAL_ERROR"
    begun[0].close()
    eventually(lambda: plain.closed("tls_evicted") == 1, "it to be counted")
    # The other one can still go on.
    begun[1].feed()
    begun[1].handshake().send(begun[1].seal(REQUEST))
    assert begun[1].read().startswith(b"HTTP/1.1 200")
    for client in begun:
        client.close()
    eventually(lambda: plain.metric("ringside_tls_handshakes") == 0, "both to be given back")


@pytest.mark.parametrize("say", ["a byte", "half a hello", "a hello"])
def test_squatters(start_server, say):
    """1,100 of them, and who comes behind them is served all the same."""
    server = start_server(secure=True, config={"tls_handshake_timeout_ms": 60000})
    hello = RecordClient(server).hello()
    sent = {"a byte": hello[:1], "half a hello": hello[:len(hello) // 2], "a hello": hello}[say]
    squatters = []
    try:
        for _ in range(1100):
            squatter = socket.create_connection((HOST, server.port), timeout=PATIENCE_S)
            squatters.append(squatter)
            squatter.sendall(sent)
        assert server.get("/healthz").status == 200
    finally:
        for squatter in squatters:
            squatter.close()


@pytest.mark.parametrize(
    "config", [{"tls_handshakes_per_turn": 1}, {"tls_handshakes_per_s": 20}], ids=["turn", "rate"]
)
def test_who_waits_for_a_turn_gets_one(secure_server, config):
    server = secure_server(config=config)

    def visit(_):
        with dial(server) as connection:
            connection.sendall(REQUEST)
            return read_answer(connection)[0]

    listening = RawWebSocket(server)
    with concurrent.futures.ThreadPoolExecutor(20) as visitors:
        assert list(visitors.map(visit, range(40))) == [200] * 40
    server.publish("c", "in between")
    assert listening.read() == (TEXT, b"in between")
    listening.close()
    assert server.metric("ringside_tls_handshakes_waiting") == 0


def test_table_is_full(secure_server, eventually):
    server = secure_server(shards=1, args=["--max-connections", "4"])
    inside = [RawWebSocket(server) for _ in range(4)]
    with pytest.raises(ssl.SSLError, match="internal error"):
        dial(server)
    for client in inside[:2]:
        client.close()

    def sent_away():
        try:
            return server.closed("table_full")
        except ssl.SSLError:  # the closed ones still hold their places
            return 0

    eventually(sent_away, "a place to come free, and the one sent away to have been counted")
    for client in inside[2:]:
        client.close()


def test_drain_in_the_middle_of_handshakes(secure_server):
    server = secure_server()
    clients = [RecordClient(server) for _ in range(10)]
    for client in clients[:5]:
        client.send(client.hello()[:100])
    server.signal()
    assert server.wait() == 0
    for client in clients:
        client.close()


# ---- full sockets ----

def test_a_slow_reader_gets_all_of_it_in_order(secure_server):
    server = secure_server(config={"queue_bytes_max": 64 << 20})
    reader = slow_reader(server)
    sizes = [1, 100, 20000, 300000, 5, 1000000, 16384, 70000] * 4
    payloads = [(b"%d " % i) * (size // 3 + 1) for i, size in enumerate(sizes)]
    publish_all(server, payloads)
    assert server.metric("ringside_sends_short_total") > 0
    for payload in payloads:
        assert reader.read() == (TEXT, payload)
    server.publish("c", "last")
    assert reader.read() == (TEXT, b"last")
    reader.close()


@pytest.mark.parametrize("policy", ["drop_oldest", "keep_latest"])
def test_what_is_dropped_leaves_a_stream_that_decrypts(secure_server, policy):
    """Records that were sealed must leave, in order; only messages behind them may go."""
    server = secure_server(config={"queue_bytes_max": 100000, "slow_reader": policy})
    reader = slow_reader(server)
    publish_all(server, (b"%06d" % i + b"x" * 20000 for i in range(500)))
    assert server.metric("ringside_messages_dropped_total") > 0
    numbers = []
    while not numbers or numbers[-1] != 499:
        opcode, payload = reader.read()
        assert opcode == TEXT and payload[6:] == b"x" * 20000
        numbers.append(int(payload[:6]))
    assert numbers == sorted(set(numbers))
    reader.close()


def test_a_reader_that_takes_nothing_is_closed(secure_server, eventually):
    server = secure_server(config={"stall_timeout_ms": 300, "queue_bytes_max": 64 << 20})
    reader = slow_reader(server)
    publish_all(server, [b"x" * 1000000] * 20)
    eventually(lambda: server.closed("stalled") == 1, "the reader to be closed")
    reader.close()


def test_a_flood_of_requests_is_slowed_down(secure_server):
    """Who reads no answers is not read from, and costs no memory."""
    server = secure_server(config={"queue_bytes_max": 65536})
    with RecordClient(server).handshake() as client:
        client.connection.settimeout(0.5)
        with pytest.raises(TimeoutError):
            for _ in range(20000):
                client.connection.sendall(client.seal(REQUEST * 100))
    assert server.get("/healthz").status == 200


def test_flood_of_requests_behind_one_that_is_held(secure_server):
    """As in test_bad_input.py, by one thread: Python's TLS sockets do not take two at once."""
    server = secure_server()
    request = b"GET /poll?channel=other HTTP/1.1\r\nHost: h\r\n\r\n"
    count = 3000
    with RecordClient(server).handshake() as client:
        waiting = client.seal(b"GET /longpoll?channel=c&timeout=1 HTTP/1.1\r\nHost: h\r\n\r\n")
        waiting += client.seal(request * count)
        client.connection.setblocking(False)
        received = b""
        while received.count(b"HTTP/1.1 200 ") < count + 1:
            readable, writable, _ = select.select(
                [client.connection], [client.connection] if waiting else [], [], PATIENCE_S
            )
            assert readable or writable
            if writable:
                waiting = waiting[client.connection.send(waiting):]
            if readable:
                received += client.read_what_has_come()
    assert server.get("/healthz").status == 200


# ---- one record for what a turn brings ----

def test_messages_of_one_turn_share_a_record(secure_server):
    server = secure_server(shards=1)
    reader = RawWebSocket(server)
    before = server.metric("ringside_tls_records_sent_total")
    one = b"POST /publish?channel=c HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n"
    with socket.create_connection((HOST, server.plain_port), timeout=PATIENCE_S) as publisher:
        publisher.sendall(b"".join(one + b"%04d" % i for i in range(100)))
        for i in range(100):
            assert reader.read() == (TEXT, b"%04d" % i)
    records = server.metric("ringside_tls_records_sent_total") - before
    assert records < 50, f"{records} records for 100 messages"
    reader.close()


@pytest.mark.parametrize("version, overhead", [("1.2", 29), ("1.3", 22)])
def test_records_are_as_small_as_what_they_say(secure_server, version, overhead):
    server = secure_server(shards=1, config={"tls_versions": version})
    with RecordClient(server).handshake() as client:
        client.send(client.seal(REQUEST))
        client.read() # and tickets before it
        client.send(client.seal(REQUEST))
        wire = client.connection.recv(65536)
        client.incoming.write(wire)
        assert len(wire) == len(client.read()) + overhead


# ---- certificates ----

@pytest.fixture
def files(tmp_path):
    """A chain and a key that can be replaced."""

    def show(name):
        shutil.copy(CERTIFICATES / f"{name}.pem", tmp_path / "new.pem")
        shutil.copy(CERTIFICATES / f"{name}.key.pem", tmp_path / "key.pem")
        os.replace(tmp_path / "new.pem", tmp_path / "chain.pem")

    show("local")
    show.setting = f"{tmp_path}/chain.pem:{tmp_path}/key.pem"
    show.folder = tmp_path
    return show


def shown_by(server):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    raw = socket.create_connection((HOST, server.port), timeout=PATIENCE_S)
    with context.wrap_socket(raw, server_hostname=HOST) as connection:
        return ssl.DER_cert_to_PEM_cert(connection.getpeercert(binary_form=True))


def certificate(name):
    return ssl.DER_cert_to_PEM_cert(
        ssl.PEM_cert_to_DER_cert((CERTIFICATES / f"{name}.pem").read_text())
    )


def test_sighup_reads_the_certificates_again(secure_server, eventually, files):
    server = secure_server(config={"tls_certificates": files.setting})
    stays = RawWebSocket(server)
    half = RecordClient(server)
    hello = half.hello()
    half.send(hello[:50])
    assert shown_by(server) == certificate("local")
    files("rsa")
    for _ in range(3):
        server.signal(signal.SIGHUP)
    eventually(lambda: shown_by(server) == certificate("rsa"), "the new certificate")
    server.context = client_context(CERTIFICATES / "rsa.pem")
    server.publish("c", "still here")
    assert stays.read() == (TEXT, b"still here")
    assert "has read 1 certificate again" in server.output()
    half.send(hello[50:])
    assert half.feed()
    half.close()
    stays.close()


@pytest.mark.parametrize("trouble", ["gone", "nonsense", "wrong key"])
def test_certificates_that_cannot_be_read_change_nothing(secure_server, eventually, files, trouble):
    server = secure_server(config={"tls_certificates": files.setting})
    if trouble == "gone":
        (files.folder / "chain.pem").unlink()
    elif trouble == "nonsense":
        (files.folder / "chain.pem").write_text("nonsense")
    else:
        shutil.copy(CERTIFICATES / "ec.key.pem", files.folder / "key.pem")
    server.signal(signal.SIGHUP)
    eventually(lambda: "the certificates stay as they were" in server.output(), "a sentence")
    assert shown_by(server) == certificate("local")


@pytest.mark.parametrize("bits", ["", "3072", "4096"])
def test_sizes_of_rsa(start_server, eventually, files, bits):
    server = start_server(secure=True, config={"tls_certificates": files.setting})
    files(f"rsa{bits}")
    server.signal(signal.SIGHUP)
    eventually(lambda: shown_by(server) == certificate(f"rsa{bits}"), "the certificate")


def test_rsa_that_is_too_long():
    result = run_server("--tls-listen", f"{HOST}:0", "--set", f"tls_certificates={pair('rsa5120')}")
    assert_refused_in_one_line(result, "at most 4096 bits")


@pytest.mark.parametrize(
    "settings, words",
    [
        (["tls_certificates="], ["tls_certificates", "./build.sh run --tls"]),
        (["tls_certificates=nonsense"], ["chain.pem:key.pem"]),
        (["tls_certificates=/nowhere/chain.pem:/nowhere/key.pem"], ["/nowhere/chain.pem"]),
        ([f"tls_certificates={CERTIFICATES}/ec.pem:{CERTIFICATES}/rsa.key.pem"], ["rsa.key.pem"]),
        (
            [f"tls_certificates={CERTIFICATES}/ec.pem:{CERTIFICATES}/encrypted.key.pem"],
            ["encrypted.key.pem"],
        ),
        ([f"tls_certificates={pair('ec')}", "tls_ciphers=rc4"], ["rc4", "chacha20-poly1305"]),
    ],
)
def test_settings_that_do_not_start(settings, words):
    sets = [word for setting in settings for word in ("--set", setting)]
    result = run_server("--tls-listen", f"{HOST}:0", *sets)
    assert_refused_in_one_line(result, *words)


def test_tls_port_alone(start_server):
    server = start_server(secure=True, args=["--listen", ""])
    assert server.get("/healthz").status == 200
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, server.plain_port))


def test_echo_of_many_connections(secure_server):
    server = secure_server(args=["--echo"])
    clients = [RawWebSocket(server, "/echo") for _ in range(60)]
    for i, client in enumerate(clients):
        client.send(frame(TEXT, b"%d" % i))
    for i, client in enumerate(clients):
        assert client.read() == (TEXT, b"%d" % i)
        client.close()
