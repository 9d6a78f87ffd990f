"""Clients by IPv6: the same server, at an address in brackets."""

import re
import socket
import subprocess

import pytest

from foreign import asynchronous, connect, publish, receive
from ringside import HOST, PATIENCE_S, target
from secure import pair
from test_trouble import assert_refused_in_one_line, run_server
from wire import TEXT, EventStream, RawWebSocket, dial, frame

LOOPBACK = "::1"


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind((LOOPBACK, 0))
    except OSError:
        return False
    return True


pytestmark = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")


@pytest.fixture(params=["io_uring", "epoll"])
def server(request, start_server):
    return start_server(host=LOOPBACK, config={"engine": request.param})


def curl(url, *options):
    command = ["curl", "-gsSf", "--noproxy", "*", "--max-time", str(PATIENCE_S), *options, url]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_curl_publishes_and_polls(server):
    assert f"http://[::1]:{server.port}/" in server.output()
    assert '"offset":1' in curl(server.url("/publish", channel="c"), "-d", "hello")
    assert '"data":"hello"' in curl(server.url("/poll", channel="c"))


def test_a_stream_and_its_end(server):
    with EventStream(server.url("/sse", channel="c")) as stream:
        server.publish("c", "hello")
        assert stream.data(1) == ["hello"]
        server.signal()
        assert stream.next() is None
        assert stream.close() == 0
    assert server.wait() == 0


@asynchronous
async def test_a_websocket_of_python(server):
    async with connect(server, channel="c") as client:
        await publish(server, "c", "hello")
        assert await receive(client) == "hello"


def test_a_bad_client_is_told(server):
    bad = RawWebSocket(server)
    bad.send(frame(TEXT, b"x", mask=None))
    assert bad.read_close_frame() == 1002
    assert bad.connection.recv(1) == b""
    bad.close()


def test_a_reader_that_stops_is_reset(start_server, eventually):
    """By a way of its own through the kernel: the address to nowhere is an IPv4 one."""
    server = start_server(
        host=LOOPBACK, config={"queue_bytes_max": 64 * 1024, "unsent_bytes_max": 64 * 1024}
    )
    stuck = RawWebSocket(server)
    for _ in range(60):
        server.publish("c", b"p" * 25_000)
    eventually(lambda: server.closed("slow_reader") == 1, "the slow reader to go")
    with pytest.raises(ConnectionResetError):
        while stuck.connection.recv(65536):
            pass
    stuck.close()


def test_all_addresses_of_both(start_server):
    server = start_server(host=LOOPBACK, listen="::")
    assert f"http://[::]:{server.port}/" in server.output()
    server.publish("c", "by IPv6")
    url = f"http://{HOST}:{server.port}{target('/poll', channel='c')}"
    assert '"data":"by IPv6"' in curl(url)


def test_one_address_is_not_the_others(start_server):
    server = start_server(host=LOOPBACK)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, server.port), timeout=PATIENCE_S)


def test_tls(start_server):
    settings = {"tls_listen": "[::1]:0", "tls_certificates": pair("local")}
    server = start_server(host=LOOPBACK, config=settings)
    port = re.search(r" and https://\[::1\]:([1-9]\d*)/", server.output())[1]
    assert '"status":"ok"' in curl(f"https://[::1]:{port}/healthz", "-k")


def test_a_host_in_brackets(server):
    with dial(server) as connection:
        host = f"[::1]:{server.port}".encode()
        connection.sendall(b"GET http://" + host + b"/healthz HTTP/1.1\r\nHost: " + host
                           + b"\r\nOrigin: http://" + host + b"\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


# ---- at the start ----

def test_port_in_use(server):
    assert_refused_in_one_line(run_server("--listen", server.address), server.address, "ss -ltnp")


def test_address_that_is_not_ours():
    result = run_server("--listen", "[2001:db8::1]:8080")
    assert_refused_in_one_line(result, "[2001:db8::1]:8080", "ip addr")


def test_link_local_address_without_its_interface():
    result = run_server("--listen", "[fe80::1]:8080")
    assert_refused_in_one_line(result, "[fe80::1]:8080", "%eth0")
