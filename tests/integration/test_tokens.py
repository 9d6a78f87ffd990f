"""Tokens, API keys, tickets and revocations on the plain endpoints, by foreign clients: PyJWT makes
the tokens, curl, http.client and websockets bring them."""

import json
import math
import os
import subprocess
import time

import jwt
import pytest

from foreign import Refused, asynchronous, close_code, connect, receive, status_of
from ringside import PATIENCE_S, refusal, server_binary, target, wait_until
from wire import EventStream, RawWebSocket, TEXT, frame

SECRET = "a secret of thirty-two bytes or more"
API_KEY = "0123456789abcdef0123"
NAMESPACES = [
    "members:allow_subscribe=signed_on", "members:allow_publish=signed_on",
    "given:allow_subscribe=subscriber", "given:allow_publish=subscriber",
    "staff:allow_subscribe=server", "staff:allow_publish=server",
    "dialog:user_limited=on", "dialog:allow_publish=signed_on",
]


def token(secret=SECRET, headers=None, **claims):
    """A token of PyJWT; `in_s` is when it ends, or up to a second later: ends are whole."""
    ends = math.ceil(time.time()) + claims.pop("in_s", 3600)
    payload = {"sub": "alice", "exp": ends, **claims}
    return jwt.encode({name: value for name, value in payload.items() if value is not None},
                      secret, "HS256", headers=headers)


def bearer(value):
    return {"Authorization": f"Bearer {value}"}


def of_server():
    return {"X-API-Key": API_KEY}


@pytest.fixture
def guarded(start_server, tmp_path):
    """guarded(setting=value, …) -> a server with a key for tokens and one for servers."""

    def start(**config):
        (tmp_path / "hmac.key").write_text(SECRET + "\n")
        (tmp_path / "api.key").write_text(API_KEY + "\n")
        args = [word for setting in NAMESPACES for word in ("--set", setting)]
        config = {"token_keys": f"HS256:file:{tmp_path}/hmac.key",
                  "api_keys": f"file:{tmp_path}/api.key", **config}
        return start_server(config=config, args=args)

    return start


def ask(server, channel, headers=None, path="/poll", method="GET", **query):
    return server.request(method, target(path, channel=channel, **query),
                          body=b"x" if path == "/publish" else None, headers=headers)


def answer_of(answer):
    return answer.status if answer.status == 200 else (answer.status, refusal(answer))


REQUIRED, FORBIDDEN = (401, "token_required"), (403, "forbidden")
INVALID, EXPIRED = (401, "token_invalid"), (401, "token_expired")


def test_each_namespace_says_who_may_subscribe_and_publish(guarded):
    server = guarded()
    rows = [
        # channel, who, polls, publishes
        ("open", None, 200, 200),
        ("open", {}, 200, 200),
        ("members:a", None, REQUIRED, REQUIRED),
        ("members:a", {}, 200, 200),
        ("given:a", None, REQUIRED, REQUIRED),
        ("given:a", {}, FORBIDDEN, FORBIDDEN),
        ("given:a", {"channels": ["b", "given:a"]}, 200, 200),
        ("given:a", {"subs": {"given:a": {}}}, 200, 200),
        ("given:a", {"channel": "given:a"}, 200, 200),
        ("given:a", {"channel": "given:ab"}, FORBIDDEN, FORBIDDEN),
        ("open", {"channel": "given:a"}, FORBIDDEN, FORBIDDEN),
        ("staff:a", {}, FORBIDDEN, FORBIDDEN),
        ("staff:a", {"channel": "staff:a"}, 200, FORBIDDEN),
        ("dialog:x#alice,bob", None, REQUIRED, REQUIRED),
        ("dialog:x#alice,bob", {}, 200, 200),
        ("dialog:x#alice,bob", {"sub": "eve"}, FORBIDDEN, FORBIDDEN),
        ("dialog:x#bob", {}, FORBIDDEN, FORBIDDEN),
        ("dialog:x#bob", {"sub": None}, FORBIDDEN, FORBIDDEN),
    ]
    for channel, claims, polls, publishes in rows:
        headers = None if claims is None else bearer(token(**claims))
        said = answer_of(ask(server, channel, headers))
        assert said == polls, (channel, claims, said)
        said = answer_of(ask(server, channel, headers, "/publish", "POST"))
        assert said == publishes, (channel, claims, said)
        assert answer_of(ask(server, channel, of_server(), "/publish", "POST")) == 200


def test_a_token_may_come_in_four_ways(guarded):
    server = guarded()
    good = token()
    ways = [
        ({"Authorization": f"bearer {good}"}, {}),
        ({}, {"token": good}),
        ({"Cookie": f"a=b; ringside_token={good}; c"}, {}),
    ]
    for headers, query in ways:
        assert answer_of(ask(server, "members:a", headers, **query)) == 200, (headers, query)
    other = {"Cookie": f"ringside_tokens={good}; xringside_token={good}"}
    assert answer_of(ask(server, "members:a", other)) == REQUIRED
    # The header counts, whatever else there is.
    both = {**bearer("x"), "Cookie": f"ringside_token={good}"}
    assert answer_of(ask(server, "members:a", both, token=good)) == INVALID


def test_tokens_in_urls_can_be_switched_off(guarded):
    server = guarded(url_tokens="off", token_cookie="")
    assert answer_of(ask(server, "members:a", token=token())) == REQUIRED
    cookie = {"Cookie": f"ringside_token={token()}; =x"}
    assert answer_of(ask(server, "members:a", cookie)) == REQUIRED
    assert answer_of(ask(server, "members:a", bearer(token()))) == 200


def test_a_wrong_token_is_refused_everywhere(guarded):
    """Also where none is needed: a client that signs on wrongly should know."""
    server = guarded()
    rows = [
        (token(in_s=-60), EXPIRED, "expired"),
        (token(secret="another secret of thirty-two bytes!!"), INVALID, "signature"),
        (token(headers={"kid": "other"}), INVALID, "key"),
        (token(nbf=int(time.time()) + 600), INVALID, "not_yet"),
        (token(aud="others"), INVALID, "audience"),
        (jwt.encode({"sub": "a"}, None, "none"), INVALID, "malformed"),
        (jwt.encode({"sub": "a"}, SECRET, "HS512"), INVALID, "algorithm"),
        (token(channels="a"), INVALID, "claims"),
        ("x" * 5000, INVALID, "too_long"),
        ("a.b.c", INVALID, "malformed"),
    ]
    counted = {}
    for value, wanted, result in rows:
        answer = ask(server, "open", bearer(value))
        assert answer_of(answer) == wanted, value
        challenge = answer.headers["WWW-Authenticate"]
        assert challenge.startswith('Bearer realm="ringside", error="invalid_token"'), challenge
        counted[result] = counted.get(result, 0) + 1
    for result, times in counted.items():
        assert server.metric("ringside_tokens_total", result=result) == times, result
    missing = ask(server, "members:a").headers["WWW-Authenticate"]
    assert missing == 'Bearer realm="ringside"'
    forbidden = ask(server, "given:a", bearer(token())).headers["WWW-Authenticate"]
    assert 'error="insufficient_scope"' in forbidden


def test_an_api_key_is_one_of_those_that_there_are(guarded):
    server = guarded()
    good = {"Authorization": f"apikey {API_KEY}"}
    assert answer_of(ask(server, "staff:a", good, "/publish", "POST")) == 200
    for wrong in (API_KEY[:-1], API_KEY + "0", API_KEY.upper() + "x", ""):
        refused = ask(server, "staff:a", {"X-API-Key": wrong}, "/publish", "POST")
        assert answer_of(refused) == REQUIRED


def test_anonymous_clients_may_be_unwanted(guarded):
    server = guarded(anonymous="off")
    assert answer_of(ask(server, "open")) == REQUIRED
    assert answer_of(ask(server, "open", bearer(token()))) == 200
    assert answer_of(ask(server, "open", of_server(), "/publish", "POST")) == 200
    assert answer_of(ask(server, "open", of_server())) == 200


def test_curl_streams_with_a_token_and_is_refused_without(guarded):
    server = guarded()
    url = server.url("/sse", channel="members:a")
    refused = subprocess.run(["curl", "-sS", "--noproxy", "*", "-w", "%{http_code}", url],
                             capture_output=True, text=True, timeout=PATIENCE_S)
    assert refused.stdout.endswith("401") and "token_required" in refused.stdout
    stream = EventStream(url, f"Authorization: Bearer {token()}")
    assert stream.status == 200
    assert stream.live.wait(PATIENCE_S)
    assert server.metric("ringside_signed_on") == 1
    ask(server, "members:a", of_server(), "/publish", "POST")
    assert stream.data(1) == ["x"]
    stream.close()
    wait_until(lambda: server.metric("ringside_signed_on") == 0, "its end")


@asynchronous
async def test_a_websocket_needs_a_token_before_it_is_one(guarded):
    server = guarded()
    with pytest.raises(Refused) as refused:
        await connect(server, channel="members:a")
    assert status_of(refused) == 401
    with pytest.raises(Refused) as refused:
        await connect(server, channel="given:a", headers=bearer(token()))
    assert status_of(refused) == 403
    async with connect(server, channel="members:a", headers=bearer(token())) as socket:
        assert ask(server, "members:a", of_server(), "/publish", "POST").status == 200
        assert await receive(socket) == "x"


@asynchronous
async def test_the_end_of_a_token_ends_what_lives_on_it(guarded):
    server = guarded(token_leeway_s=0)
    short = bearer(token(in_s=4))
    async with connect(server, channel="open", headers=short) as socket:
        assert await close_code(socket) == 3005
    server.until_closed("token_expired")
    # It says when the connection ends, apart from when it may begin.
    long = bearer(token(in_s=4, expire_at=0))
    async with connect(server, channel="open", headers=long) as socket:
        wait_until(lambda: answer_of(ask(server, "open", long)) == EXPIRED, "its end")
        await socket.ping()
        assert server.metric("ringside_signed_on") == 1


@asynchronous
async def test_a_token_may_count_at_the_beginning_alone(guarded):
    server = guarded(token_leeway_s=0, token_ends_connection="off")
    short = bearer(token(in_s=4))
    async with connect(server, channel="open", headers=short) as socket:
        wait_until(lambda: answer_of(ask(server, "open", short)) == EXPIRED, "its end")
        server.publish("open", "still there")
        assert await receive(socket) == "still there"


def test_streams_and_long_polls_are_told_of_the_end_as_well(guarded):
    server = guarded(token_leeway_s=0)
    stream = EventStream(server.url("/sse", channel="open"),
                         f"Authorization: Bearer {token(in_s=4)}")
    answer = ask(server, "open", bearer(token(in_s=4)), "/longpoll")
    assert answer_of(answer) == EXPIRED
    assert "invalid_token" in answer.headers["WWW-Authenticate"]
    server.until_closed("token_expired", 2)
    stream.close()


def revoke(server, headers=None, **query):
    return server.request("POST", target("/revoke", **query), headers=headers or of_server())


@asynchronous
async def test_a_revocation_ends_connections_on_all_shards(guarded):
    server = guarded()
    before = int(time.time()) - 10
    sockets = [await connect(server, channel="open", headers=bearer(token(iat=before, jti=f"t{i}")))
               for i in range(8)]
    others = [await connect(server, channel="open", headers=bearer(token(sub="bob", iat=before))),
              await connect(server, channel="open")]
    assert revoke(server, token="t0").status == 200
    assert await close_code(sockets[0]) == 3503
    assert revoke(server, user="alice").status == 200
    for socket in sockets[1:]:
        assert await close_code(socket) == 3503
    server.until_closed("revoked", 8)
    server.publish("open", "on")
    for socket in others:
        assert await receive(socket) == "on"
        await socket.close()


def test_what_is_revoked_does_not_come_back(guarded):
    server = guarded()
    now = int(time.time())
    assert revoke(server, user="alice").status == 200
    assert revoke(server, token="t1", ttl=3600).status == 200
    # A shard is told in its own time.
    old = bearer(token(iat=now - 10))
    wait_until(lambda: server.metric("ringside_revocations") == 4, "both on two shards")
    for _ in range(8):
        assert answer_of(ask(server, "open", old)) == (401, "token_revoked")
        assert answer_of(ask(server, "open", bearer(token()))) == (401, "token_revoked")
        assert answer_of(ask(server, "open", bearer(token(sub="bob", jti="t1")))) == \
            (401, "token_revoked")
        assert answer_of(ask(server, "open", bearer(token(iat=now + 3600)))) == 200
        assert answer_of(ask(server, "open", bearer(token(sub="bob", jti="t2")))) == 200


def test_a_revocation_is_over_in_the_end(guarded):
    server = guarded()
    assert revoke(server, user="alice", ttl=1).status == 200
    wait_until(lambda: answer_of(ask(server, "open", bearer(token()))) == 200, "the end of it")


def test_only_servers_revoke_and_say_of_whom(guarded):
    server = guarded()
    assert answer_of(revoke(server, bearer(token()), user="a")) == (401, "api_key_required")
    assert answer_of(revoke(server)) == (400, "bad_revocation")
    assert answer_of(revoke(server, user="a", token="b")) == (400, "bad_revocation")
    assert answer_of(revoke(server, user="a", ttl="x")) == (400, "bad_revocation")
    assert answer_of(revoke(server, user="a", ttl=0)) == (400, "bad_revocation")
    body = server.request("POST", "/revoke?user=a", b"x", of_server())
    assert answer_of(body) == (400, "body_unexpected")


def test_revocations_have_a_bound(guarded):
    server = guarded(revoked_max=3)
    for i in range(5):
        assert revoke(server, user=f"u{i}").status == 200
    wait_until(lambda: server.metric("ringside_revocations_lost_total") == 4, "two on two shards")
    assert server.metric("ringside_revocations") == 6


def ticket(server, headers, **query):
    return server.request("POST", target("/ticket", **query), headers=headers)


def test_a_ticket_is_good_once(guarded):
    server = guarded()
    given = ticket(server, bearer(token(jti="t1", info={"a": 1}))).json()
    assert given["ttl_ms"] == 30000
    outcomes = [answer_of(ask(server, "members:a", ticket=given["ticket"])) for _ in range(8)]
    assert outcomes == [200] + [(401, "ticket_invalid")] * 7
    assert server.metric("ringside_tokens_total", result="taken") == 7


def test_a_ticket_stands_for_what_its_token_does(guarded):
    server = guarded()
    ends = int(time.time()) + 3600
    claims = {"jti": "t\"1", "channels": ["given:a"], "iat": 5, "sub": "\u00e9\"\\\n"}
    value = ticket(server, bearer(token(**claims))).json()["ticket"]
    inside = jwt.decode(value, options={"verify_signature": False})
    assert inside["of"] == claims["jti"] and inside["channels"] == claims["channels"]
    assert inside["sub"] == claims["sub"] and inside["iat"] == 5
    assert abs(inside["expire_at"] - ends) < 60 and inside["exp"] < ends
    assert answer_of(ask(server, "given:a", ticket=value)) == 200
    # What it was made from is revoked.
    value = ticket(server, bearer(token(**claims))).json()["ticket"]
    assert revoke(server, token=claims["jti"]).status == 200
    wait_until(lambda: server.metric("ringside_revocations") == 2, "both shards know")
    assert answer_of(ask(server, "given:a", ticket=value)) == (401, "token_revoked")


def test_a_server_gives_tickets_to_users(guarded):
    server = guarded()
    value = ticket(server, of_server(), user="alice").json()["ticket"]
    assert answer_of(ask(server, "dialog:x#alice", ticket=value)) == 200
    value = ticket(server, of_server(), user="alice", channel="given:a").json()["ticket"]
    assert answer_of(ask(server, "given:b", ticket=value)) == FORBIDDEN
    assert answer_of(ticket(server, of_server())) == REQUIRED
    assert answer_of(ticket(server, {})) == REQUIRED
    assert answer_of(ticket(server, bearer("x"))) == INVALID


def test_a_ticket_makes_no_ticket(guarded):
    server = guarded()
    value = ticket(server, bearer(token())).json()["ticket"]
    assert answer_of(ticket(server, {}, ticket=value)) == REQUIRED


def test_tickets_end_and_are_of_one_server(guarded):
    server, other = guarded(ticket_ttl_ms=1000), guarded()
    foreign = ticket(other, bearer(token())).json()["ticket"]
    assert answer_of(ask(server, "open", ticket=foreign)) == (401, "ticket_invalid")
    assert answer_of(ask(server, "open", ticket=token())) == (401, "ticket_invalid")
    assert answer_of(ask(server, "open", bearer(foreign))) == INVALID
    late = ticket(server, bearer(token())).json()["ticket"]
    time.sleep(1.1)
    assert answer_of(ask(server, "open", ticket=late)) == (401, "ticket_invalid")


def test_tickets_can_be_switched_off(guarded):
    server = guarded(ticket_ttl_ms=0)
    assert answer_of(ticket(server, bearer(token()))) == (404, "tickets_off")
    assert answer_of(ask(server, "open", ticket="x")) == (401, "ticket_invalid")


@asynchronous
async def test_a_browser_that_cannot_set_a_header_has_a_ticket(guarded):
    server = guarded()
    value = ticket(server, bearer(token())).json()["ticket"]
    async with connect(server, channel="members:a", ticket=value) as socket:
        ask(server, "members:a", of_server(), "/publish", "POST")
        assert await receive(socket) == "x"
    with pytest.raises(Refused):
        await connect(server, channel="members:a", ticket=value)


def test_a_websocket_publishes_where_its_namespace_lets_it(guarded):
    server = guarded(websocket_publish="on")
    value = token(channels=["given:a", "staff:a"])
    rows = [("open", True), ("members:a", True), ("given:a", True), ("staff:a", False)]
    for channel, may in rows:
        socket = RawWebSocket(server, target("/ws", channel=channel, token=value))
        socket.send(frame(TEXT, b"hello"))
        if may:
            assert socket.read() == (TEXT, b"hello"), channel
            socket.close()
        else:
            assert socket.read_close() == 1008, channel


def test_keys_are_read_again(guarded, tmp_path):
    server = guarded()
    other = "the next secret of thirty-two bytes!"
    assert answer_of(ask(server, "open", bearer(token()))) == 200
    (tmp_path / "hmac.key").write_text(other)
    server.signal(1)
    wait_until(lambda: "has read its keys again: 1 of tokens, 1 of servers" in server.output(),
               "a sentence")
    assert answer_of(ask(server, "open", bearer(token(secret=other)))) == 200
    assert answer_of(ask(server, "open", bearer(token()))) == INVALID
    os.unlink(tmp_path / "hmac.key")
    server.signal(1)
    wait_until(lambda: "the keys stay as they were" in server.output(), "another sentence")
    assert answer_of(ask(server, "open", bearer(token(secret=other)))) == 200
    assert other not in server.output() and SECRET not in server.output()


def test_that_nobody_is_asked_for_a_name_is_said_where_strangers_connect(start_server):
    said = "nobody is asked for a name"
    assert said not in start_server().output()
    assert said in start_server(listen="0.0.0.0").output()


def test_without_keys_a_token_is_not_looked_at(server):
    assert answer_of(ask(server, "open", bearer("x"), token="y", ticket="z")) == 200
    assert json.loads(server.get("/poll?channel=a%23b,c").body)["position"]


def run(*args):
    """(exit code, stdout, stderr) of a command of ringside-server."""
    done = subprocess.run([server_binary(), *map(str, args)], capture_output=True, text=True,
                          timeout=PATIENCE_S, env={**os.environ, "RINGSIDE_TEST_SECRET": SECRET})
    return done.returncode, done.stdout, done.stderr


def test_gen_token_makes_what_others_verify(guarded):
    key = "HS256@k1:env:RINGSIDE_TEST_SECRET"
    code, out, _ = run("gen-token", "--key", key, "--claims", '{"sub": "bob", "aud": ["a"]}')
    assert code == 0
    claims = jwt.decode(out.strip(), SECRET, ["HS256"], audience="a")
    assert claims["sub"] == "bob" and claims["exp"] - claims["iat"] == 3600
    assert jwt.get_unverified_header(out.strip())["kid"] == "k1"
    code, out, _ = run("gen-token", "--key", "HS256:env:RINGSIDE_TEST_SECRET", "--ttl", 0)
    assert code == 0 and "exp" not in jwt.decode(out.strip(), SECRET, ["HS256"])
    assert answer_of(ask(guarded(), "members:a", bearer(out.strip()))) == 200
    rows = [
        (["--key", "ES256:env:RINGSIDE_TEST_SECRET"], "is not a public key on P-256"),
        (["--key", "HS256:env:RINGSIDE_TEST_NONE"], "no such variable"),
        ([], "--key says what to sign it with"),
        (["--key", key, "--ttl", "x"], "--ttl needs whole seconds"),
        (["--key", key, "--claims", "x"], "is no JSON object"),
        (["--key", key, "--claims", '{"sub":'], "is no token"),
        (["--key", key, "--claims", '{"exp":1}'], "has a claim of the wrong kind, or one twice"),
        (["--key", key, "--claims", '{"sub":1}'], "has a claim of the wrong kind"),
    ]
    for args, said in rows:
        code, out, err = run("gen-token", *args)
        assert code == 1 and said in err and out == "", (args, out, err)


def test_check_config_says_whether_it_would_start(tmp_path):
    path = tmp_path / "ringside.ini"
    code, out, _ = run("gen-config", "--set", "news:latest_state=on", "--set", "retry_ms=7")
    assert code == 0 and "[namespace news]" in out and "retry_ms = 7" in out
    path.write_text(out)
    code, out, _ = run("check-config", "--config", path)
    assert code == 0 and "0 keys of tokens, 0 of servers, 1 namespaces" in out
    rows = [
        ("[namespace a]\nallow_subscribe = signed_on\n", "without token_keys nobody has"),
        ("[namespace a]\nallow_subscribe = root\n", "needs anonymous, signed_on, subscriber or"),
        ("[namespace a]\nhistory = 5\n", "nothing named history"),
        ("anonymous = off\n", "anonymous = off needs token_keys"),
        ("token_keys = HS256:file:/nowhere\n", "/nowhere: No such file"),
        ("api_keys = secret\n", "a key stands in file:PATH or env:NAME"),
        ("tls_listen = 127.0.0.1:0\n", "needs tls_certificates"),
        ("redis = 127.0.0.1\n", "redis = 127.0.0.1: needs an address and a port"),
        ("redis = a:1\nredis_prefix = {\n", "redis_prefix = {: needs"),
        ("redis = a:1\nredis_key = k\n", "redis_certificate and redis_key: one needs the other"),
        ("redis = a:1\nnats = b:1\n", "redis and nats are both set"),
        ("nats = b\n", "nats = b: needs an address and a port"),
        ("nats = b:1\nnats_prefix = a.b\n", "nats_prefix = a.b: needs"),
        ("nats = b:1\nnats_ca = /nowhere\n", "need nats_tls = on"),
        ("nats = b:1\nnats_tls = on\nnats_ca = /nowhere\n", "nats_ca = /nowhere: no cert"),
        ("nats = b:1\nnats_password = env:NOWHERE\n", "nats_password"),
    ]
    for text, said in rows:
        path.write_text(text)
        code, out, err = run("check-config", "--config", path)
        assert code == 1 and said in err, (text, out, err)


def test_check_config_says_what_nobody_may(tmp_path):
    path = tmp_path / "ringside.ini"
    (tmp_path / "api.key").write_text(API_KEY + "\n")
    text = "[namespace]\nallow_publish = server\n[namespace a]\nallow_subscribe = server\n"
    path.write_text(text)
    code, _, err = run("check-config", "--config", path)
    assert code == 0 and err.count("nobody may") == 3
    assert "[namespace] allow_publish = server: nobody may" in err
    assert "[namespace a] allow_subscribe = server: nobody may" in err
    for line in ("admin_listen = 127.0.0.1:9", f"api_keys = file:{tmp_path}/api.key"):
        path.write_text(f"{line}\n{text}")
        code, _, err = run("check-config", "--config", path)
        assert code == 0 and "nobody may" not in err


def test_a_namespace_says_what_is_kept(start_server):
    settings = ["last:latest_state=on", "few:history_messages=2", "off:recovery=off",
                "slow:publishes_per_s=1"]
    server = start_server(args=[word for setting in settings for word in ("--set", setting)])
    begin = {}
    for channel in ("last:a", "few:a", "off:a", "a"):
        begin[channel] = server.poll(channel)["position"]
        for i in range(5):
            server.publish(channel, str(i))
    assert server.poll("last:a", begin["last:a"])["recovered"]
    assert [m["data"] for m in server.poll("last:a", begin["last:a"])["messages"]] == ["4"]
    assert [m["data"] for m in server.poll("few:a")["messages"]] == ["3", "4"]
    assert not server.poll("off:a", begin["off:a"])["recovered"]
    assert len(server.poll("a", begin["a"])["messages"]) == 5
    assert ask(server, "slow:a", path="/publish", method="POST").status == 200
    assert answer_of(ask(server, "slow:a", path="/publish", method="POST")) == \
        (429, "channel_publishes")
