"""Polls that need not be answered twice: tags and 304 (RFC 9110), and a cache in front."""

import re
import shutil
import socket
import subprocess
import threading

import pytest

from http2 import Http2
from ringside import HOST, PATIENCE_S, hold_port, port_of, target, wait_until
from wire import dial, read_answer, read_head

TAG = re.compile(r'W/"[0-9a-f]{16}"')
SHARED = {"poll_s_maxage": 5}

# As root its workers would be somebody else, who cannot reach the folder of a test.
NGINX = """
worker_processes 1;
user root;
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
    proxy_cache_path {folder}/cache keys_zone=polls:1m;
    server {{
        listen {host}:{port};
        location / {{
            proxy_pass http://{host}:{to};
            proxy_cache polls;
            proxy_cache_lock on;
            proxy_cache_revalidate on;
            add_header X-Cache $upstream_cache_status always;
        }}
    }}
}}
"""


def poll(server, tag=None, channel="c", headers=None, **query):
    headers = {**(headers or {}), **({"If-None-Match": tag} if tag else {})}
    return server.get(target("/poll", channel=channel, **query), headers)


def tag_of(answer):
    assert answer.status == 200
    tag = answer.headers["ETag"]
    assert TAG.fullmatch(tag)
    return tag


def test_the_same_answer_has_the_same_tag(server):
    server.publish("c", "one")
    first, second = poll(server), poll(server)
    assert tag_of(first) == tag_of(second) and first.body == second.body
    server.publish("c", "two")
    assert tag_of(poll(server)) != tag_of(first)


def test_what_the_client_has_is_not_sent_again(server):
    position = server.position("c")
    tag = tag_of(poll(server, since=position))
    unchanged = poll(server, tag, since=position)
    assert (unchanged.status, unchanged.body) == (304, b"")
    assert unchanged.headers["ETag"] == tag
    assert "Content-Length" not in unchanged.headers and "Content-Type" not in unchanged.headers
    server.publish("c", "news")
    assert poll(server, tag, since=position).json()["messages"][0]["data"] == "news"
    assert server.metric("ringside_responses_unchanged_total") == 1


@pytest.mark.parametrize("named", [
    "*", '{tag}', '"x", {tag}', '{strong}', ', "" ,\t{tag}', '{tag}, "y"',
])
def test_lists_of_tags(server, named):
    tag = tag_of(poll(server))
    assert poll(server, named.format(tag=tag, strong=tag[2:])).status == 304


@pytest.mark.parametrize("named", [
    '"x"', "x", "W/{strong}x", '"', 'W/', '{upper}', "{bare}", '"x" x {tag}', '*, "x"',
])
def test_what_names_no_tag_of_ours_is_answered_whole(server, named):
    tag = tag_of(poll(server))
    if named == "W/{strong}x":
        named = 'W/"0123456789abcdef0"'
    value = named.format(tag=tag, upper='W/"ABCDEFABCDEFABCD"', bare=tag[3:-1])
    assert poll(server, value).status == 200


def test_several_channels(server):
    server.publish("a", "one")
    channels = ["a", "b"]
    tag = tag_of(poll(server, channel=channels))
    assert poll(server, tag, channel=channels).status == 304
    server.publish("b", "two")
    assert tag_of(poll(server, channel=channels)) != tag
    assert tag_of(poll(server, channel=channels[::-1])) != tag


def test_a_long_answer_is_tagged_and_spared_too(server):
    for _ in range(3):
        server.publish("c", "x" * 100_000)
    tag = tag_of(poll(server))
    assert poll(server, tag).status == 304


def test_what_the_history_has_forgotten_changes_the_tag(start_server):
    server = start_server(config={"history_messages_max": 2})
    for text in ("one", "two"):
        server.publish("c", text)
    tag = tag_of(poll(server))
    server.publish("c", "three")
    assert tag_of(poll(server)) != tag


def test_the_connection_goes_on_behind_a_304(server):
    tag = tag_of(poll(server)).encode()
    request = b"GET /poll?channel=c HTTP/1.1\r\nHost: h\r\nIf-None-Match: %s\r\n\r\n" % tag
    with dial(server) as connection:
        connection.sendall(request * 2 + b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
        status, _, rest = read_head(connection)
        assert status == 304
        while rest.count(b"HTTP/1.1 ") < 2 or not rest.endswith(b"}\n"):
            rest += connection.recv(65536)
        assert rest.startswith(b"HTTP/1.1 304 ") and b"HTTP/1.1 200 " in rest


def test_head(server):
    tag = tag_of(poll(server))
    path = target("/poll", channel="c")
    head = server.request("HEAD", path)
    assert head.headers["ETag"] == tag
    assert server.request("HEAD", path, headers={"If-None-Match": tag}).status == 304


def test_on_http2(server):
    with Http2(server) as client:
        tag = client.get("/poll?channel=c").headers["etag"]
        spared = client.get("/poll?channel=c", fields=[("if-none-match", tag)])
        assert spared.status == 304 and spared.data == b"" and spared.ended
        assert client.get("/poll?channel=c").status == 200


# ---- for shared caches ----

def test_nobody_keeps_what_no_setting_lets(server):
    assert poll(server).headers["Cache-Control"] == "no-store"


def test_shared_caches_are_told_how_long(start_server):
    server = start_server(config=SHARED)
    tag = tag_of(poll(server))
    for answer in (poll(server), poll(server, tag)):
        assert answer.headers["Cache-Control"] == "public, max-age=0, s-maxage=5"
    for headers in ({"Authorization": "Bearer x"}, {"Cookie": "a=b"}):
        assert poll(server, headers=headers).headers["Cache-Control"] == "no-store"
        assert poll(server).headers["Vary"] == "Authorization, Cookie, X-API-Key"
    longpoll = server.get(target("/longpoll", channel="c", timeout=0))
    assert longpoll.headers["Cache-Control"] == "no-store" and "ETag" not in longpoll.headers


@pytest.fixture
def start_cache(tmp_path):
    """start_cache(to) -> the port of an nginx that keeps answers; it goes with the test."""
    running, held = [], []

    def start(to):
        held.append(hold_port())
        port = port_of(held[-1])
        config = tmp_path / "nginx.conf"
        config.write_text(NGINX.format(host=HOST, port=port, to=to, folder=tmp_path))
        running.append(subprocess.Popen(["nginx", "-c", config], stderr=subprocess.DEVNULL))

        def listens():
            assert running[-1].poll() is None, "nginx has ended"
            with socket.socket() as probe:
                return probe.connect_ex((HOST, port)) == 0

        wait_until(listens, "nginx listens")
        return port

    yield start
    for process in running:
        process.terminate()
        process.wait(PATIENCE_S)
    for port in held:
        port.close()


def through(port, path, *fields):
    """(status, X-Cache, head, body) of a request to the cache."""
    with socket.create_connection((HOST, port), PATIENCE_S) as connection:
        lines = [f"GET {path} HTTP/1.1", "Host: h", "Connection: close", *fields, "", ""]
        connection.sendall("\r\n".join(lines).encode())
        status, head, body = read_answer(connection)
    return status, re.search(rb"X-Cache: (\w+)", head).group(1).decode(), head, body


@pytest.mark.skipif(not shutil.which("nginx"), reason="no nginx here")
def test_nginx_collapses_polls(start_server, start_cache):
    server = start_server(config={"poll_s_maxage": 600})
    port = start_cache(server.port)
    position = server.position("c")
    path = target("/poll", channel="c", since=position)
    before = server.metric("ringside_requests_total")
    answers = []

    def ask():
        answers.append(through(port, path))

    threads = [threading.Thread(target=ask) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 50 and {answer[0] for answer in answers} == {200}
    assert len({answer[3] for answer in answers}) == 1
    assert [answer[1] for answer in answers].count("MISS") == 1
    assert server.metric("ringside_requests_total") - before == 2  # and this look at the counters


@pytest.mark.skipif(not shutil.which("nginx"), reason="no nginx here")
def test_nginx_asks_again_by_the_tag(start_server, start_cache, eventually):
    server = start_server(config={"poll_s_maxage": 1})
    port = start_cache(server.port)
    position = server.position("c")
    path = target("/poll", channel="c", since=position)
    assert through(port, path)[:2] == (200, "MISS")
    eventually(lambda: through(port, path)[1] == "REVALIDATED", "it asks whether all is the same")
    assert server.metric("ringside_responses_unchanged_total") >= 1
    server.publish("c", "news")
    eventually(lambda: b"news" in through(port, path)[3], "what is new")


@pytest.mark.skipif(not shutil.which("nginx"), reason="no nginx here")
def test_nginx_keeps_nothing_that_it_may_not(start_server, start_cache):
    server = start_server()
    port = start_cache(server.port)
    path = target("/poll", channel="c")
    assert {through(port, path)[1] for _ in range(3)} == {"MISS"}


@pytest.mark.skipif(not shutil.which("nginx"), reason="no nginx here")
@pytest.mark.parametrize("field", ["Authorization: Bearer x.y.z", "Cookie: ringside_token=x.y.z"])
def test_nginx_does_not_give_what_it_kept_to_who_brings_credentials(
        start_server, start_cache, tmp_path, field):
    """Not even without proxy_cache_bypass: a wrong token is refused behind the cache as before it,
    and what the server says to it is not kept for others."""
    (tmp_path / "token.key").write_text("a secret of thirty-two bytes, or so")
    server = start_server(config={
        "poll_s_maxage": 600, "token_keys": f"HS256:file:{tmp_path}/token.key"})
    port = start_cache(server.port)
    path = target("/poll", channel="c", since=server.position("c"))
    assert through(port, path)[:2] == (200, "MISS")
    assert through(port, path)[:2] == (200, "HIT")
    for _ in range(2):
        status, cached, _, body = through(port, path, field)
        assert (status, cached) == (401, "MISS") and b"token_invalid" in body
    assert through(port, path)[:2] == (200, "HIT")


@pytest.mark.skipif(not shutil.which("nginx"), reason="no nginx here")
@pytest.mark.parametrize("field", ["Authorization: apikey", "X-API-Key:"])
def test_nginx_keeps_nothing_that_a_key_let_through(start_server, start_cache, tmp_path, field):
    (tmp_path / "api.key").write_text("0123456789abcdef\n")
    server = start_server(config={
        "poll_s_maxage": 600, "api_keys": f"file:{tmp_path}/api.key"},
        args=["--set", "secret:allow_subscribe=server"])
    port = start_cache(server.port)
    server.request("POST", "/publish?channel=secret:c", b"told to few")
    path = target("/poll", channel="secret:c")
    for _ in range(2):
        status, cached, _, body = through(port, path, f"{field} 0123456789abcdef")
        assert (status, cached) == (200, "MISS") and b"told to few" in body
        assert through(port, path)[0] == 401
