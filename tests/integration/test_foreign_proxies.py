"""Proxies of strangers in front of the server: HAProxy speaks the PROXY protocol of its own making,
and nginx and HAProxy say in a field whose a request is. A client is then whoever it is to them."""

import shutil
import socket
import subprocess

import pytest

from ringside import HOST, PATIENCE_S, hold_port, port_of, wait_until
from wire import read_answer

HAPROXY = """
global
    maxconn 200
defaults
    timeout connect 5s
    timeout client 30s
    timeout server 30s
{mode}
frontend in
    bind {host}:{port}
    default_backend out
backend out
    server ringside {host}:{to} {options}
"""

NGINX = """
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 200; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream ringside {{ server {host}:{to}; keepalive 8; }}
    server {{
        listen {host}:{port};
        location / {{
            proxy_pass http://ringside;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        }}
    }}
}}
"""


NAMED = {
    "admin_listen": f"{HOST}:0", "trusted_proxies": HOST, "address_requests_per_s": 1,
    "address_burst_ms": 0, "address_connections_max": 1,
}


def needs(program):
    return pytest.mark.skipif(not shutil.which(program), reason=f"no {program} here")


@pytest.fixture
def start_proxy(tmp_path):
    """start_proxy(program, to, …) -> its port; it goes with the test."""
    running, held = [], []

    def start(program, to, mode="    mode tcp", options=""):
        held.append(hold_port())
        port = port_of(held[-1])
        config = tmp_path / program
        text = HAPROXY if program == "haproxy" else NGINX
        config.write_text(
            text.format(host=HOST, port=port, to=to, mode=mode, options=options, folder=tmp_path)
        )
        command = [program, "-f", config] if program == "haproxy" else [program, "-c", config]
        running.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))

        def listens():
            assert running[-1].poll() is None, f"{program} has ended"
            with socket.socket() as probe:
                return probe.connect_ex((HOST, port)) == 0

        wait_until(listens, f"{program} listens")
        return port

    yield start
    for process in running:
        process.terminate()
        process.wait(PATIENCE_S)
    for port in held:
        port.close()


def dial(port, address):
    return socket.create_connection((HOST, port), PATIENCE_S, source_address=(address, 0))


def answered(connection):
    """The status of a request's answer; None when the connection was reset."""
    try:
        connection.sendall(b"GET /poll?channel=c HTTP/1.1\r\nHost: h\r\n\r\n")
        return read_answer(connection)[0]
    except (ConnectionError, AssertionError):
        return None


@needs("haproxy")
@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("options", ["send-proxy", "send-proxy-v2", "send-proxy-v2 "
                                     "proxy-v2-options unique-id,ssl,cert-cn"])
def test_haproxy_passes_connections_on(start_server, start_proxy, eventually, secure, options):
    server = start_server(secure=secure, config={
        "admin_listen": f"{HOST}:0", "address_connections_max": 2,
        "proxy_protocol": "on", "tls_proxy_protocol": "on",
    })
    operator = server.operator()
    # Its own checks are LOCAL, or UNKNOWN in version 1, and are nobody's.
    port = start_proxy("haproxy", server.port, options=f"{options} check inter 50ms")
    held = [server.wrap(dial(port, "127.0.0.5")) for _ in range(2)]
    assert [answered(connection) for connection in held] == [200, 200]
    third = dial(port, "127.0.0.5")
    try:
        assert answered(server.wrap(third)) is None
    except (ConnectionError, OSError):
        pass
    third.close()
    held.append(server.wrap(dial(port, "127.0.0.6")))
    assert answered(held[-1]) == 200
    assert operator.closed("proxy") == 0
    eventually(lambda: operator.metric("ringside_addresses_counted") == 3, "those who are in")
    for connection in held:
        connection.close()
    eventually(lambda: operator.metric("ringside_addresses_counted") == 0, "all given back")


def check_requests(server, port):
    def statuses(address):
        with dial(port, address) as connection:
            return [answered(connection) for _ in range(10)]

    one = statuses("127.0.0.5")
    assert one[0] == 200 and 429 in one
    assert answered(dial(port, "127.0.0.6")) == 200
    assert server.operator().metric("ringside_addresses_counted") == 0


@needs("haproxy")
def test_haproxy_names_the_client_of_a_request(start_server, start_proxy):
    server = start_server(config=NAMED)
    mode = "    mode http\n    option forwardfor"
    check_requests(server, start_proxy("haproxy", server.port, mode))


@needs("nginx")
def test_nginx_names_the_client_of_a_request(start_server, start_proxy):
    server = start_server(config=NAMED)
    check_requests(server, start_proxy("nginx", server.port))
