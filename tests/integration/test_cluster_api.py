"""What servers and sessions ask of a cluster: two nodes with a Redis of the test's own, or NATS."""

import json
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import sdk
from foreign import asynchronous, connect, receive
from relay import Relay
from ringside import HOST, PATIENCE_S, data_of, target, wait_until
from test_cluster import start_engine, start_redis  # noqa: F401  (fixtures)
from test_server_api_sessions import API_KEY, Client, RawClient
from wire import TEXT, EventStream


class Api:
    """The server API of one node: api(method, request) is the result, or the error's code."""

    def __init__(self, server):
        self.server = server

    def __call__(self, method, /, **request):
        body = json.dumps(request).encode()
        answer = self.server.request("POST", f"/api/{method}", body, {"X-API-Key": API_KEY}).json()
        return answer["result"] if "result" in answer else answer["error"]["code"]

    def data(self, channel):
        page = self("history", channel=channel, limit=100)["publications"]
        return [publication["data"] for publication in page]


both = pytest.mark.parametrize("nodes", ["redis", "nats"], indirect=True)


@pytest.fixture
def nodes(request, start_server, start_engine, tmp_path):  # noqa: F811
    """nodes(count, redis=, port=, rules=, …settings) -> the engine, and the APIs of nodes: a Redis,
    or of tests of both also a NATS"""
    kind = getattr(request, "param", "redis")
    (tmp_path / "api.key").write_text(API_KEY + "\n")

    def start(count=2, redis=None, port=None, rules=(), **config):
        redis = redis or start_engine(kind)
        address = f"{HOST}:{port}" if port else redis.address
        config = sdk.with_keys(tmp_path, api_keys=f"file:{tmp_path}/api.key",
                               broker_timeout_ms=2000, **redis.settings | {kind: address},
                               **config)
        args = [word for rule in rules for word in ("--set", f":{rule}=on")]
        apis = [Api(start_server(config=config, args=args)) for _ in range(count)]
        for api in apis:
            wait_until(lambda api=api: len(api("info")["nodes"]) >= count, "they see each other")
        return redis, apis

    return start


# ---- what a publish wants besides ----


def test_a_key_counts_once_on_all_nodes(nodes):
    redis, (a, b) = nodes()
    first = a("publish", channel="c", data=1, idempotency_key="k")
    assert first["offset"] == 1
    assert b("publish", channel="c", data=2)["offset"] == 2
    assert b("publish", channel="c", data=3, idempotency_key="k") == first
    assert a("publish", channel="c", data=3, idempotency_key="k") == first
    assert b("publish", channel="d", data=4, idempotency_key="k")["offset"] == 1
    assert b("publish", channel="c", data=6, idempotency_key="l")["offset"] == 3
    assert a.data("c") == [1, 2, 6] and a.data("d") == [4]
    assert b.server.metric("ringside_repeated_total") == 1
    # It ends with its time, and all of them with the last.
    assert int(redis.ask("PTTL", "ringside:{c}:k")) > 0
    assert int(redis.ask("PTTL", "ringside:{c}:q")) > 0


def test_keys_are_bounded_and_end(nodes):
    redis, (a, b) = nodes(idempotency_keys_max=100, idempotency_ms=1000)
    for n in range(250):
        (a, b)[n % 2]("publish", channel="c", data=n, idempotency_key=str(n))
    assert int(redis.ask("HLEN", "ringside:{c}:k")) <= 100
    assert int(redis.ask("LLEN", "ringside:{c}:q")) <= 100
    assert a("publish", channel="c", data=0, idempotency_key="149")["offset"] == 251


def test_an_outdated_version_is_dropped_on_all_nodes(nodes):
    _, (a, b) = nodes()
    assert a("publish", channel="c", data="v2", version=2)["offset"] == 1
    for version in (1, 2):
        assert b("publish", channel="c", data="old", version=version)["offset"] == 1
    assert b("publish", channel="c", data="v10", version=10, version_epoch="a")["offset"] == 2
    assert a("publish", channel="c", data="old", version=9, version_epoch="a")["offset"] == 2
    assert a("publish", channel="c", data="b1", version=1, version_epoch="b")["offset"] == 3
    most = 2 ** 64 - 1
    assert b("publish", channel="c", data="most", version=most, version_epoch="b")["offset"] == 4
    assert a("publish", channel="c", data="old", version=most - 1, version_epoch="b")["offset"] == 4
    assert a.data("c") == b.data("c") == ["v2", "v10", "b1", "most"]
    assert a.server.metric("ringside_outdated_total") == 2


def test_tags_and_whose_it_is_cross(nodes):
    _, (a, b) = nodes(websocket_publish="on")
    client = Client(a.server, "alice", info={"name": "A\n"})
    client.ask("subscribe", channel="c")
    tags = {"kind": 'a "quoted" one', "n": "1"}
    b("publish", channel="c", data={"x": 1}, tags=tags)
    assert client.push()["pub"] == {"data": {"x": 1}, "offset": 1, "tags": tags}
    other = Client(b.server, "bob")
    other.ask("subscribe", channel="c")
    client.command(id=8, publish={"channel": "c", "data": 1})
    info = {"client": client.id, "user": "alice", "conn_info": {"name": "A\n"}}
    assert other.push()["pub"] == {"data": 1, "offset": 2, "info": info}
    pages = [api("history", channel="c", limit=9)["publications"] for api in (a, b)]
    assert pages[0] == pages[1]
    assert pages[0][0]["tags"] == tags and pages[0][1]["info"] == info
    assert b("publish", channel="c", data="seen", skip_history=True)["offset"] == 0
    assert other.push()["pub"] == {"data": "seen"}
    assert a.data("c") == [{"x": 1}, 1]


def test_a_history_that_is_removed_is_gone_on_all_nodes(nodes, eventually):
    redis, (a, b) = nodes()
    a("publish", channel="c", data=1)
    place = a("publish", channel="c", data=2)
    eventually(lambda: a.data("c") == b.data("c") == [1, 2], "both have both")
    since = f"{place['epoch']}.0"
    assert b("history_remove", channel="c") == {}
    eventually(lambda: b.data("c") == [], "it is gone")
    eventually(lambda: a.data("c") == [], "the other node hears of it")
    assert int(redis.ask("LLEN", "ringside:{c}:h")) == 0
    # Its numbers go on.
    assert a("publish", channel="c", data=3)["offset"] == 3
    eventually(lambda: a.data("c") == b.data("c") == [3], "both have the next")
    assert not a.server.poll("c", since)["recovered"]
    late = b.server.poll("c", f"{place['epoch']}.2")
    assert late["recovered"] and data_of(late) == ["3"]


def test_what_changed_is_told_across_nodes(nodes):
    _, (a, b) = nodes()
    old = {"text": "a long line that stays as it is" * 20, "n": 1}
    client = Client(a.server)
    assert client.ask("subscribe", channel="c", delta="fossil")["delta"]
    pubs = []
    for n in range(3):
        b("publish", channel="c", data={**old, "n": n}, delta=True)
        pubs.append(client.push()["pub"])
    assert not pubs[0].get("delta") and pubs[1]["delta"] and pubs[2]["delta"]
    assert len(pubs[2]["data"]) < 100


# ---- who is there, over all nodes ----


@both
def test_presence_is_that_of_all_nodes(nodes, eventually):
    _, (a, b) = nodes(rules=("presence", "join_leave"))
    alice = Client(a.server, "alice", info={"name": "A"})
    alice.ask("subscribe", channel="c", join_leave=True)
    assert alice.push()["join"]["info"]["user"] == "alice"
    bob = Client(b.server, "bob")
    bob.ask("subscribe", channel="c")
    assert bob.push()["join"]["info"]["user"] == "bob"
    assert alice.push()["join"]["info"] == {"client": bob.id, "user": "bob"}
    again = Client(b.server, "alice")
    again.ask("subscribe", channel="c")
    assert alice.push()["join"]["info"]["client"] == again.id
    assert bob.push()["join"]["info"]["client"] == again.id
    for api in (a, b):
        there = api("presence", channel="c")["presence"]
        assert set(there) == {alice.id, bob.id, again.id}
        assert there[alice.id]["conn_info"] == {"name": "A"}
        assert api("presence_stats", channel="c") == {"num_clients": 3, "num_users": 2}
        assert api("presence", channel="none") == {"presence": {}}
    assert set(alice.ask("presence", channel="c")["presence"]) == set(there)
    assert bob.ask("presence_stats", channel="c") == {"num_clients": 3, "num_users": 2}
    # A node that dies leaves no ghosts.
    b.server.process.kill()
    b.server.process.wait()
    eventually(lambda: set(a("presence", channel="c")["presence"]) == {alice.id}, "no ghosts")
    assert a("presence_stats", channel="c") == {"num_clients": 1, "num_users": 1}
    b.server.start()


@both
def test_channels_and_nodes_are_those_of_all(nodes):
    _, apis = nodes(3)
    a, b, c = apis
    clients = [Client(api.server) for api in (a, b, b)]
    for client in clients:
        client.ask("subscribe", channel="news")
    clients[2].ask("subscribe", channel="other")
    for api in apis:
        assert api("channels") == {
            "channels": {"news": {"num_clients": 3}, "other": {"num_clients": 1}}}
        assert api("channels", pattern="o*") == {"channels": {"other": {"num_clients": 1}}}
        told = api("info")["nodes"]
        assert len({node["uid"] for node in told}) == 3
        assert sorted(node["num_clients"] for node in told) == [0, 1, 2]
        assert sum(node["num_subs"] for node in told) == 4


# ---- what is done to sessions, wherever they are ----


@both
def test_orders_reach_every_node(nodes):
    _, (a, b) = nodes()
    alice = Client(b.server, "alice")
    bob = Client(b.server, "bob")
    assert a("subscribe", user="alice", channel="c") == {}
    assert alice.push()["channel"] == "c"
    b("publish", channel="c", data=1)
    assert alice.push()["pub"]["data"] == 1
    assert a("unsubscribe", user="alice", channel="c") == {}
    assert alice.push()["unsubscribe"]["code"] == 2000
    assert a("disconnect", client=bob.id, user="bob",
             disconnect={"code": 4001, "reason": "go"}) == {}
    assert bob.ended() == (4001, "go")
    kept = Client(b.server, "alice")
    assert a("disconnect", user="alice", whitelist=[kept.id]) == {}
    assert alice.ended()[0] == 3503
    assert kept.ask("ping") == {}


def revoke(api, **of):
    query = "&".join(f"{name}={value}" for name, value in of.items())
    answer = api.server.request("POST", f"/revoke?{query}", b"", {"X-API-Key": API_KEY})
    return answer.status, answer.json()


@both
def test_revocations_reach_every_node(nodes):
    redis, (a, b) = nodes()
    alice, bob, carol = (Client(b.server, user) for user in ("alice", "bob", "carol"))
    assert revoke(a, user="alice") == (200, {"revoked": True})
    alice.ended()
    assert revoke(a, client=bob.id) == (200, {"revoked": True})
    bob.ended()
    assert carol.ask("ping") == {}
    if redis.name == "redis":
        assert int(redis.ask("XLEN", "ringside:!orders")) == 2


def may_connect(api, **claims):
    client = RawClient(api.server)
    token = sdk.token(**claims)
    client.command(id=7, connect={"token": token})
    opcode, payload = client.read()
    client.connection.close()
    return opcode == TEXT and "connect" in json.loads(payload)


@both
def test_a_node_that_comes_later_knows_what_was_revoked(nodes, eventually):
    redis, (a,) = nodes(1)
    assert revoke(a, token="badge-1") == (200, {"revoked": True})
    _, (b,) = nodes(1, redis=redis)
    eventually(lambda: not may_connect(b, sub="alice", jti="badge-1"), "it is told")
    assert may_connect(b, sub="alice", jti="badge-2")


@both
def test_a_node_that_was_cut_off_does_what_it_missed(nodes, eventually):
    redis, (a,) = nodes(1)
    relay = Relay(redis.port)
    _, (b,) = nodes(1, redis=redis, port=relay.port)
    alice = Client(b.server, "alice")
    relay.freeze()
    eventually(lambda: b.server.metric("ringside_broker_connected") == 0, "it is cut off")
    # Redis believes that it hears: its server is told that somebody was silent. Over NATS it is
    # missed by then.
    assert a("disconnect", user="alice") == (100 if redis.name == "redis" else {})
    if redis.name == "redis":  # what it may not read it has not read
        redis.ask("ACL", "SETUSER", "default", "-xrange")
    relay.thaw()
    if redis.name == "redis":
        eventually(lambda: b.server.metric("ringside_broker_errors_total") > 0, "it is refused")
        redis.ask("ACL", "SETUSER", "default", "+xrange")
    assert alice.ended()[0] == 3503
    relay.close()


@both
def test_without_redis_orders_are_refused(nodes, eventually):
    redis, (a, b) = nodes(rules=("presence",))
    redis.stop()
    eventually(lambda: a.server.metric("ringside_broker_connected") == 0, "it is noticed")
    assert a("disconnect", user="alice") == 100
    assert a("presence", channel="c") == 100
    assert revoke(a, user="alice")[1]["error"] == "node_silent"
    assert len(a("info")["nodes"]) == 1


def test_what_a_user_needs_to_be_allowed(nodes, start_redis, tmp_path):  # noqa: F811
    """The line of docs/CLUSTER.md is enough, for all that is asked of Redis."""
    text = (Path(__file__).parents[2] / "docs" / "CLUSTER.md").read_text()
    line = next(line for line in text.splitlines() if line.startswith("ACL SETUSER ringside"))
    redis = start_redis()
    assert redis.ask(*line.replace("SECRET", "secret").split()) == "OK"
    assert redis.ask("ACL", "SETUSER", "default", "nocommands", "+ping", "+acl") == "OK"
    (tmp_path / "redis.key").write_text("secret\n")
    (tmp_path / "ticket.key").write_text("a key of tickets, of thirty-two bytes or more\n")
    _, (a, b) = nodes(redis=redis, redis_user="ringside", rules=("presence",),
                      redis_password=f"file:{tmp_path}/redis.key",
                      ticket_key=f"HS256:file:{tmp_path}/ticket.key")
    client = Client(a.server, "alice")
    client.ask("subscribe", channel="c")
    assert b("publish", channel="c", data=1, idempotency_key="k", version=1)["offset"] == 1
    assert client.push()["pub"]["data"] == 1
    assert list(b("presence", channel="c")["presence"]) == [client.id]
    assert b("history_remove", channel="c") == {}
    wait_until(lambda: a.data("c") == [], "word of it at the other node")
    bearer = {"Authorization": f"Bearer {sdk.token(sub='bob')}"}
    ticket = a.server.request("POST", "/ticket", b"", bearer).json()["ticket"]
    assert poll_by(b, ticket) == 200
    assert b("disconnect", user="alice") == {}
    assert client.ended()[0] == 3503
    assert a.server.metric("ringside_broker_errors_total") == 0
    assert b.server.metric("ringside_broker_errors_total") == 0


# ---- hostile neighbours ----

NODE = "00000000000000aa"
SAYINGS = [
    "", "Q", "A", "x" * 64, "Q" + NODE * 2, "Q" + NODE * 2 + "?", "A" + NODE * 2 + "?",
    "Q" + NODE * 2 + "p", "Q" + NODE * 2 + "pnot a channel", "Q" + NODE * 2 + "s" + "c" * 4000,
    "Q" + NODE * 2 + "c[", "Q" + NODE * 2 + "i", "Q" + NODE * 2 + "i" + "x" * 100,
    "Q" + NODE * 2 + "e", "Q" + NODE * 2 + "e" + "0" * 68 + "{}", "Q" + NODE * 2 + "o",
    "Q" + NODE * 2 + "o9 0 0 0 0 0 0 0 0 0 0 0\n",
    "Q" + NODE * 2 + "o2 3503 0 0 0 0 0 5 0 0 9 0\na",
    "Q" + NODE * 2 + "r", "Q" + NODE * 2 + "ru 1 2", "Q" + NODE * 2 + "rt 1 99999999999 ",
    "1-1 Q" + NODE * 2 + "o", "9" * 60 + " Q", "Q" + "0" * 32 + "i",
]


def test_what_strangers_say_to_nodes(nodes):
    redis, (a, b) = nodes()
    client = Client(a.server, "alice")
    for saying in SAYINGS:
        redis.ask("PUBLISH", "ringside:!all", saying)
        redis.ask("XADD", "ringside:!orders", "*", "o", saying)
    redis.ask("XADD", "ringside:!orders", "*", "other", "field", "and", "more")
    assert client.ask("ping") == {}
    assert len(a("info")["nodes"]) == len(b("info")["nodes"]) == 2
    assert a.server.metric("ringside_broker_foreign_total") > 5
    # A node that reads them all.
    _, (c,) = nodes(1, redis=redis)
    assert len(c("info")["nodes"]) == 3


@pytest.mark.parametrize("nodes", ["nats"], indirect=True)
def test_what_strangers_say_to_nodes_over_nats(nodes):
    nats, (a, b) = nodes()
    client = Client(a.server, "alice")
    for saying in (*SAYINGS, "B", "B" + "x" * 16, "L" + "0" * 16, "B" + "0" * 17, "b" + "1" * 16):
        data = saying if isinstance(saying, bytes) else saying.encode()
        for subject in ("ringside.n.all", "ringside.s.!orders", "ringside.r.!orders"):
            nats.publish(subject, data)
    assert client.ask("ping") == {}
    assert len(a("info")["nodes"]) == len(b("info")["nodes"]) == 2
    assert a.server.metric("ringside_broker_foreign_total") > 5
    _, (c,) = nodes(1, redis=nats)
    assert len(c("info")["nodes"]) == 3
    # One that is said to be there, and is not, is waited for; until it is missed.
    def silent():
        nats.publish("ringside.n.all", b"B" + b"1" * 16)
        return revoke(a, user="bob")[1].get("error") == "node_silent"

    wait_until(silent, "it is waited for")
    wait_until(lambda: revoke(a, user="bob")[0] == 200, "it is missed")


# ---- login tickets ----


@pytest.fixture
def ticketed(nodes, tmp_path):
    """Two nodes with one ticket_key, and ticket(api) -> one that the first or the second gives."""
    (tmp_path / "ticket.key").write_text("a key of tickets, of thirty-two bytes or more\n")
    redis, apis = nodes(ticket_key=f"HS256:file:{tmp_path}/ticket.key", anonymous="off")

    def ticket(api):
        bearer = {"Authorization": f"Bearer {sdk.token(sub='alice')}"}
        answer = api.server.request("POST", "/ticket", b"", bearer)
        assert answer.status == 200, answer.body
        return answer.json()["ticket"]

    return redis, apis, ticket


def poll_by(api, ticket, path="/poll"):
    answer = api.server.get(target(path, channel="c", ticket=ticket))
    return answer.status if answer.status == 200 else (answer.status, answer.json()["error"])


@both
def test_a_ticket_counts_once_on_all_nodes(ticketed):
    redis, (a, b), ticket = ticketed
    taken = (401, "ticket_invalid")
    one = ticket(a)
    assert poll_by(b, one) == 200
    assert poll_by(b, one) == poll_by(a, one) == taken
    one = ticket(b)
    assert poll_by(b, one) == 200
    assert poll_by(a, one) == taken
    assert poll_by(a, ticket(a)[:-2] + "xx") == taken
    if redis.name == "redis":
        left_ms = int(redis.ask("PTTL", redis.ask("KEYS", "ringside:!ticket:*").split()[0]))
        assert 0 < left_ms <= 30000
    # Of many at once one has it.
    one = ticket(a)
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(poll_by, (a, b)[n % 2], one) for n in range(8)]
        answers = [done.result() for done in asked]
    assert answers.count(200) == 1 and answers.count(taken) == 7
    body = a.server.request("POST", target("/publish", channel="c", ticket=ticket(a)), b"x")
    assert body.status == 401


@asynchronous
async def test_a_ticket_opens_streams_anywhere(ticketed):
    _, (a, b), ticket = ticketed
    key = {"X-API-Key": API_KEY}
    with EventStream(b.server.url("/sse", channel="c", ticket=ticket(a))) as stream:
        async with connect(b.server, channel="c", ticket=ticket(a)) as web:
            assert a.server.request("POST", "/publish?channel=c", b"x", key).status == 200
            assert stream.next()["data"] == "x"
            assert await receive(web) == "x"
    command = ["curl", "-sS", "--http2-prior-knowledge", "--noproxy", "*",
               b.server.url("/poll", channel="c", ticket=ticket(a))]
    assert json.loads(subprocess.check_output(command))["messages"][0]["data"] == "x"
    # What came behind a request that was held is answered, too.
    head = b"GET /poll?channel=c&ticket=%s HTTP/1.1\r\nHost: h\r\n\r\n" % ticket(a).encode()
    with socket_of(b.server) as connection:
        connection.sendall(head + b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
        answers = b""
        while answers.count(b"HTTP/1.1 200 OK") < 2:
            piece = connection.recv(65536)
            assert piece, answers
            answers += piece


def socket_of(server):
    return socket.create_connection((HOST, server.port), PATIENCE_S)


@both
def test_without_redis_a_ticket_is_refused(ticketed, eventually):
    redis, (a, b), ticket = ticketed
    one = ticket(a)
    redis.stop()
    eventually(lambda: b.server.metric("ringside_broker_connected") == 0, "it is noticed")
    assert poll_by(b, one) == (503, "broker_down")
