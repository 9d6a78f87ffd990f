"""admin_listen: what the operator reaches there, and what clients then do not reach any more."""

import subprocess

import pytest

from ringside import HOST, PATIENCE_S, hold_port, port_of, refusal, server_binary, target
from wire import TEXT, RawWebSocket, dial, exchange, frame

ADMIN = {"admin_listen": f"{HOST}:0"}
OPEN = ("/metrics", "/healthz")
FOR_CLIENTS = ("/", "/poll?channel=c", "/longpoll?channel=c", "/sse?channel=c", "/ws?channel=c")


def publish(server, channel="c", headers=None):
    return server.request("POST", target("/publish", channel=channel), b"x", headers)


def start_failure(*settings):
    """What a server says that must not start."""
    command = [server_binary(), "--listen", f"{HOST}:0"]
    for setting in settings:
        command += ["--set", setting]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 1, ended
    return ended.stderr


@pytest.mark.parametrize("engine", ["auto", "io_uring_fd", "epoll"])
def test_the_operator_is_served_beside_clients(start_server, engine):
    server = start_server(config={**ADMIN, "engine": engine})
    operator = server.operator()
    assert operator.port != server.port
    for path in OPEN:
        assert operator.get(path).status == server.get(path).status == 200
    assert publish(operator).json()["offset"] == 1
    assert publish(server).json()["offset"] == 2
    assert [m["offset"] for m in server.poll("c")["messages"]] == [1, 2]


def test_clients_have_no_business_there(start_server):
    operator = start_server(config=ADMIN).operator()
    for path in FOR_CLIENTS:
        answer = operator.get(path)
        assert (answer.status, refusal(answer)) == (404, "not_found"), path


def test_without_it_nothing_changes(server):
    assert "operator" not in server.output()
    for path in OPEN:
        assert server.get(path).status == 200
    assert publish(server).status == 200


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize(
    "setting, path", [("metrics_public", "/metrics"), ("health_public", "/healthz")]
)
def test_a_path_is_turned_off_for_clients(start_server, secure, setting, path):
    server = start_server(config={**ADMIN, setting: "off"}, secure=secure)
    hidden = server.get(path)
    assert (hidden.status, refusal(hidden)) == (404, "not_found")
    # Nothing tells it from a path that does not exist.
    assert hidden.body == server.get("/no-such-path").body
    for method in ("HEAD", "OPTIONS"):
        assert server.request(method, path).status == 404
    other = OPEN[1 - OPEN.index(path)]
    assert server.get(other).status == 200
    assert server.operator().get(path).status == 200


@pytest.mark.parametrize("secure", [False, True])
def test_publishing_is_confined_to_the_operator(start_server, secure):
    server = start_server(config={**ADMIN, "publish_on": "admin"}, secure=secure)
    answer = publish(server)
    assert (answer.status, refusal(answer)) == (404, "not_found")
    assert publish(server.operator()).status == 200
    assert [m["offset"] for m in server.poll("c")["messages"]] == [1]


@pytest.mark.parametrize("config", [{}, ADMIN])
def test_nobody_may_publish(start_server, config):
    server = start_server(config={**config, "publish_on": "none"})
    for one in [server] + ([server.operator()] if config else []):
        answer = publish(one)
        assert (answer.status, refusal(answer)) == (404, "not_found")
    client = RawWebSocket(server)
    client.send(frame(TEXT, b"a message"))
    assert client.read_close() == 1008
    assert server.metric("ringside_published_total") == 0


def test_settings_that_contradict_each_other(start_server):
    assert "publish_on = admin needs admin_listen" in start_failure("publish_on=admin")
    assert "http2_push = news: a path of this server" in start_failure("http2_push=news")
    for where in ("admin", "none"):
        said = start_failure(
            "admin_listen=127.0.0.1:0", f"publish_on={where}", "websocket_publish=on"
        )
        assert "websocket_publish = on needs publish_on = all" in said
    assert "publish_on = some: needs all, admin or none" in start_failure("publish_on=some")
    assert "admin_listen = 9090: needs an address" in start_failure("admin_listen=9090")


def test_no_web_page_may_use_it(start_server):
    """The operator's browser reaches it; a page of somebody else must not be able to by that."""
    operator = start_server(config={**ADMIN, "allowed_origins": "*"}).operator()
    page = {"Origin": "https://elsewhere.example"}
    for answer in (publish(operator, headers=page), operator.get("/metrics", page)):
        assert (answer.status, refusal(answer)) == (403, "origin_refused")
        assert "Access-Control-Allow-Origin" not in answer.headers
    assert operator.request("OPTIONS", "/publish", headers=page).status == 403
    assert "Access-Control-Allow-Origin" not in operator.get("/metrics").headers


def test_its_own_page_may_with_a_key(start_server, tmp_path):
    """Only what wants a key anyway; and a page whose name was made to point here has none."""
    (tmp_path / "api.key").write_text("0123456789abcdef\n")
    operator = start_server(config={
        **ADMIN, "api_keys": f"file:{tmp_path}/api.key", "webhook_queue": str(tmp_path / "q.db"),
    }).operator()
    own = {"Origin": f"http://{HOST}:{operator.port}"}
    key = {"X-API-Key": "0123456789abcdef"}

    def ask(path, headers):
        answer = operator.request("POST", path, b"{}", headers)
        return answer.status, refusal(answer) if answer.status != 200 else None

    page, api = "/admin/webhook/list", "/api/webhook/list"
    assert ask(page, {**own, **key}) == ask(page, key) == ask(api, {}) == (200, None)
    named = {"Host": "rebound.example", "Origin": "http://rebound.example"}
    for headers in (own, {}, named):
        assert ask(page, headers) == (401, "api_key_required"), headers
    for strange in ("http://elsewhere.example", own["Origin"].replace("http", "https"),
                    own["Origin"] + "0", "null", ""):
        assert ask(page, {**key, "Origin": strange}) == (403, "origin_refused"), strange
    assert ask(api, {**own, **key}) == (403, "origin_refused")
    assert ask("/publish?channel=c", {**own, **key}) == (403, "origin_refused")
    assert operator.get("/metrics", own).status == 403
    for method in ("publish", "register", "remove"):
        assert ask(f"/admin/webhook/{method}", {**own, **key})[0] == 404


@pytest.mark.parametrize("engine", ["auto", "io_uring_fd", "epoll"])
def test_the_operator_gets_in_where_clients_do_not(start_server, eventually, engine):
    server = start_server(
        shards=1, config={**ADMIN, "engine": engine, "max_connections": 2, "metrics_public": "off"}
    )
    operator = server.operator()
    held = [dial(server) for _ in range(2)]
    eventually(lambda: operator.metric("ringside_connections") == 3, "both places taken")
    assert exchange(server, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").startswith(b"HTTP/1.1 503")
    assert operator.get("/healthz").status == 200
    operator.until_closed("table_full")
    for connection in held:
        connection.close()


def health(*options):
    """(exit code, what it said) of the command that images ask with."""
    ran = subprocess.run([server_binary(), "health", *options], capture_output=True, text=True,
                         timeout=PATIENCE_S)
    return ran.returncode, ran.stderr


@pytest.mark.parametrize("with_operator", [False, True])
def test_a_command_asks_for_the_health(start_server, with_operator):
    config = {}
    if with_operator:
        held = hold_port()
        config |= {"admin_listen": f"{HOST}:{port_of(held)}", "health_public": "off"}
    server = start_server(config=config)
    asked = server.command[1:]
    assert health(*asked) == (0, "")
    server.stop()
    code, said = health(*asked)
    assert code == 1 and "Connection refused" in said
    if with_operator:
        held.close()


def test_health_says_where_it_could_ask():
    code, said = health("--set", "health_public=off")
    assert code == 1 and "set admin_listen" in said
