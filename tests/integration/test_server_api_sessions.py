"""POST /api/METHOD for what is done to sessions: subscribe, unsubscribe, disconnect, refresh; and
the channels that they are subscribed to."""

import json

import pytest

import sdk
from ringside import wait_until
from wire import CLOSE, TEXT, RawWebSocket, frame

API_KEY = "a key of a server, long enough"
PATH = "/connection/websocket"


class RawClient(RawWebSocket):
    """A session that has not connected yet."""

    def __init__(self, server):
        super().__init__(server, PATH)
        self.messages = []

    def command(self, **command):
        self.send(frame(TEXT, json.dumps(command).encode()))

    def ask(self, method, **request):
        self.command(id=7, **{method: request})
        reply = self.next()
        assert reply["id"] == 7
        return reply[method]

    def next(self):
        """The next reply or push; not pings."""
        while not self.messages:
            opcode, payload = self.read()
            assert opcode == TEXT, payload
            self.messages = [json.loads(line) for line in payload.splitlines() if line != b"{}"]
        return self.messages.pop(0)

    def push(self):
        return self.next()["push"]

    def ended(self):
        """Reads on to the end: its code and its reason."""
        while True:
            opcode, payload = self.read()
            if opcode == CLOSE:
                self.connection.close()
                return int.from_bytes(payload[:2], "big"), payload[2:].decode()


class Client(RawClient):
    """A session, signed on as somebody."""

    def __init__(self, server, user=None, **claims):
        super().__init__(server)
        token = {"token": sdk.token(sub=user, **claims)} if user else {}
        self.id = self.ask("connect", **token)["client"]


def nothing_came(client):
    """What was sent before the answer to this would have come before it."""
    return client.ask("ping") == {}


@pytest.fixture
def api(start_server, tmp_path):
    """api(method, request) -> the result, or the error's code."""
    (tmp_path / "api.key").write_text(API_KEY + "\n")
    config = sdk.with_keys(tmp_path, api_keys=f"file:{tmp_path}/api.key", token_grace_ms=0)
    server = start_server(config=config, shards=2)

    def call(method, /, **request):
        body = json.dumps(request).encode()
        answer = server.request("POST", f"/api/{method}", body, {"X-API-Key": API_KEY})
        assert answer.status == 200
        answer = answer.json()
        return answer["result"] if "result" in answer else answer["error"]["code"]

    call.server = server
    return call


def crowd(server, user):
    """Six, or more until each shard has one of them."""
    clients = [Client(server, user) for _ in range(6)]
    while len({client.id[9:13] for client in clients}) == 1:
        clients.append(Client(server, user))
    return clients


def test_subscribe_reaches_a_user_on_every_shard(api):
    clients = crowd(api.server, "alice")
    others = [Client(api.server, "bob"), Client(api.server)]
    offset = api("publish", channel="c", data=1)["offset"]
    assert api("subscribe", user="alice", channel="c") == {}
    for client in clients:
        push = client.push()
        assert push["channel"] == "c"
        assert push["subscribe"]["offset"] == offset and push["subscribe"]["recoverable"]
    api("publish", channel="c", data={"n": 2})
    for client in clients:
        assert client.push() == {"channel": "c", "pub": {"data": {"n": 2}, "offset": 2}}
    assert all(nothing_came(other) for other in others)
    assert api("subscribe", user="alice", channel="c") == {}
    assert all(nothing_came(client) for client in clients)
    assert api.server.metric("ringside_orders_total") == 2 * len(clients)


def test_a_client_is_found_by_its_id(api):
    clients = crowd(api.server, "alice")
    for client in clients[:2]:
        assert api("subscribe", user="alice", client=client.id, channel="c") == {}
        assert api("subscribe", client=client.id, channel="d") == {}
        # Two channels have no order between them.
        assert sorted(client.push()["channel"] for _ in range(2)) == ["c", "d"]
    assert api("subscribe", user="bob", client=clients[2].id, channel="c") == {}
    for id in ("nobody", clients[3].id[:-1] + "!", clients[3].id[:-1], "f" * 36):
        assert api("subscribe", user="alice", client=id, channel="c") == {}
    assert all(nothing_came(client) for client in clients[2:])


def test_subscribe_gives_what_was_missed(api):
    client = Client(api.server, "alice")
    first = api("publish", channel="c", data=1)
    for n in (2, 3):
        api("publish", channel="c", data=n)
    since = {"offset": 1, "epoch": first["epoch"]}
    assert api("subscribe", user="alice", channel="c", recover_since=since) == {}
    assert client.push()["subscribe"]["offset"] == 3
    assert [client.push()["pub"]["data"] for _ in range(2)] == [2, 3]
    api("publish", channel="c", data=4)
    assert client.push()["pub"] == {"data": 4, "offset": 4}


def test_a_subscription_may_end(api):
    client = Client(api.server, "alice")
    assert api("subscribe", user="alice", channel="c", expire_at=1) == {}
    assert client.push()["channel"] == "c"


def test_no_more_channels_than_a_session_may_have(start_server, tmp_path):
    (tmp_path / "api.key").write_text(API_KEY + "\n")
    config = sdk.with_keys(tmp_path, api_keys=f"file:{tmp_path}/api.key", session_channels_max=2)
    server = start_server(config=config)
    client = Client(server, "alice")
    codes = []
    for channel in "abc":
        body = json.dumps({"user": "alice", "channel": channel}).encode()
        answer = server.request("POST", "/api/subscribe", body, {"X-API-Key": API_KEY}).json()
        codes.append(answer.get("error", {}).get("code"))
    assert codes == [None, None, 106]
    assert [client.push()["channel"] for _ in range(2)] == ["a", "b"]


def test_unsubscribe(api):
    clients = crowd(api.server, "alice")
    for client in clients:
        for channel in "abc":
            assert client.ask("subscribe", channel=channel)["recoverable"]
    gone = {"code": 2000, "reason": "server unsubscribe"}
    assert api("unsubscribe", user="alice", channel="b") == {}
    for client in clients:
        assert client.push() == {"channel": "b", "unsubscribe": gone}
    api("publish", channel="b", data=1)
    assert api("unsubscribe", user="alice", channel="b") == {}
    assert all(nothing_came(client) for client in clients)
    assert api("unsubscribe", user="alice", client=clients[0].id, channel="") == {}
    left = [clients[0].push() for _ in range(2)]
    assert sorted(push["channel"] for push in left) == ["a", "c"]
    assert all(push["unsubscribe"] == gone for push in left)
    api("publish", channel="a", data=2)
    assert nothing_came(clients[0])
    assert clients[1].push()["pub"]["data"] == 2


def test_disconnect(api):
    clients = crowd(api.server, "alice")
    other = Client(api.server, "bob")
    kept = clients.pop()
    assert api("disconnect", user="alice", whitelist=[kept.id]) == {}
    assert {client.ended() for client in clients} == {(3503, "force disconnect")}
    assert nothing_came(kept) and nothing_came(other)
    custom = {"code": 4321, "reason": 'a "word"'}
    assert api("disconnect", client=kept.id, disconnect=custom) == {}
    assert kept.ended() == (4321, 'a "word"')
    api.server.until_closed("disconnected", len(clients) + 1)


def test_refresh(api):
    client = Client(api.server, "alice", in_s=3600)
    assert api("refresh", user="alice", expire_at=4_000_000_000) == {}
    refresh = client.push()["refresh"]
    assert refresh["expires"] is True and refresh["ttl"] > 3600
    assert api("refresh", user="alice") == {}
    assert client.push() == {"refresh": {}}
    assert api("refresh", user="alice", expired=True) == {}
    assert client.ended()[0] == 3005
    client = Client(api.server, "alice")
    assert api("refresh", user="alice", expire_at=1_000_000_000) == {}
    assert client.ended()[0] == 3005


def test_a_client_can_be_revoked(api):
    clients = crowd(api.server, "alice")

    def revoke(**query):
        path = "/revoke?" + "&".join(f"{name}={value}" for name, value in query.items())
        return api.server.request("POST", path, headers={"X-API-Key": API_KEY}).status

    assert revoke(client=clients[0].id) == 200
    assert clients[0].ended() == (3503, "force disconnect")
    api.server.until_closed("revoked")
    assert revoke(client="nobody") == revoke(client="f" * 36) == 200
    assert revoke(client=clients[1].id, user="alice") == 400
    assert revoke(client="") == 400
    assert all(nothing_came(client) for client in clients[1:])


def test_a_login_ticket_connects_once(api):
    headers = {"Authorization": "Bearer " + sdk.token(sub="alice")}
    ticket = api.server.request("POST", "/ticket", headers=headers).json()["ticket"]
    client, again = RawClient(api.server), RawClient(api.server)
    assert client.ask("connect", token=ticket)["client"]
    assert api("subscribe", user="alice", channel="c") == {}
    assert client.push()["channel"] == "c"
    again.command(id=7, connect={"token": ticket})
    assert again.ended() == (3500, "invalid token")


def test_channels(api):
    clients = [Client(api.server) for _ in range(6)]
    for n, client in enumerate(clients):
        client.ask("subscribe", channel="news:all")
        client.ask("subscribe", channel=f"own:{n}")
    api("publish", channel="unheard", data=1)
    channels = {"news:all": {"num_clients": 6}}
    assert api("channels", pattern="news:*")["channels"] == channels
    channels |= {f"own:{n}": {"num_clients": 1} for n in range(6)}
    assert api("channels")["channels"] == channels
    assert api("channels", pattern="own:[0-2]")["channels"].keys() == {"own:0", "own:1", "own:2"}
    assert api("channels", pattern="x*") == {"channels": {}}
    for client in clients[1:]:
        client.ask("unsubscribe", channel="news:all")
    wait_until(
        lambda: api("channels", pattern="news:*")["channels"]["news:all"]["num_clients"] == 1,
        "the others have gone",
    )


def test_history_remove(api):
    client = Client(api.server)
    client.ask("subscribe", channel="c")
    position = [api("publish", channel="c", data=n) for n in range(3)][0]
    assert api("history_remove", channel="c") == {}
    assert api("history", channel="c", limit=10) == {"publications": [], "offset": 3} | {
        "epoch": position["epoch"]
    }
    assert api("publish", channel="c", data="new")["offset"] == 4
    assert [client.push()["pub"]["offset"] for _ in range(4)] == [1, 2, 3, 4]
    late = Client(api.server)
    result = late.ask("subscribe", channel="c", recover=True, **position)
    assert "recovered" not in result and result["was_recovering"]


BAD = [
    ("subscribe", {"channel": "c"}, 107),
    ("subscribe", {"user": "", "channel": "c"}, 107),
    ("subscribe", {"user": "a"}, 107),
    ("subscribe", {"user": "a", "channel": ""}, 107),
    ("subscribe", {"user": "a", "channel": "a b"}, 107),
    ("subscribe", {"user": 7, "channel": "c"}, 107),
    ("subscribe", {"user": "a", "channel": "c", "expire_at": -1}, 107),
    ("subscribe", {"user": "a", "channel": "c", "expire_at": "1"}, 107),
    ("subscribe", {"user": "a", "channel": "c", "recover_since": 7}, 107),
    ("subscribe", {"user": "a", "channel": "c", "session": "s"}, 108),
    ("unsubscribe", {"channel": "c"}, 107),
    ("unsubscribe", {"user": "a", "channel": "a b"}, 107),
    ("unsubscribe", {"user": "a", "session": "s"}, 108),
    ("disconnect", {}, 107),
    ("disconnect", {"user": "a", "disconnect": {"code": 2999}}, 107),
    ("disconnect", {"user": "a", "disconnect": {"code": 5000}}, 107),
    ("disconnect", {"user": "a", "disconnect": {"code": "4000"}}, 107),
    ("disconnect", {"user": "a", "disconnect": {"code": 4000, "reason": 7}}, 107),
    ("disconnect", {"user": "a", "disconnect": {"code": 4000, "reason": "x" * 124}}, 107),
    ("disconnect", {"user": "a", "disconnect": "no"}, 107),
    ("disconnect", {"user": "a", "whitelist": "a"}, 107),
    ("disconnect", {"user": "a", "whitelist": [7]}, 107),
    ("refresh", {"client": ""}, 107),
    ("refresh", {"user": "a", "expired": "yes"}, 107),
    ("refresh", {"user": "a", "session": "s"}, 108),
    ("history_remove", {}, 107),
    ("history_remove", {"channel": "a b"}, 107),
    ("channels", {"pattern": "["}, 107),
    ("channels", {"pattern": "{a,b}"}, 107),
    ("channels", {"pattern": "x" * 257}, 107),
    ("channels", {"pattern": 7}, 107),
    ("rpc", {"method": "m"}, 104),
]


def test_what_is_wrong_has_its_code(api):
    client = Client(api.server, "a")
    got = [(method, request, api(method, **request)) for method, request, _ in BAD]
    assert got == BAD
    assert nothing_came(client)
