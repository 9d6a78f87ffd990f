"""Each setting of a namespace, on every way in: plain endpoints, sessions, the server API."""

import json

import pytest

import sdk
from ringside import wait_until
from test_server_api_sessions import API_KEY, Client
from wire import TEXT, RawWebSocket, frame

CHANNEL = "ns:a"
WHO = ["anonymous", "signed_on", "subscriber", "server"]


@pytest.fixture
def start(start_server, tmp_path):
    """start(setting=value, …): a server with these in the namespace of CHANNEL."""
    (tmp_path / "api.key").write_text(API_KEY + "\n")
    config = sdk.with_keys(
        tmp_path, api_keys=f"file:{tmp_path}/api.key", websocket_publish="on", head_timeout_ms=60000
    )

    def run(shards=1, **settings):
        args = [arg for name, value in settings.items() for arg in ("--set", f"ns:{name}={value}")]
        return start_server(shards=shards, config=config, args=args)

    return run


def headers_of(who, channel=CHANNEL):
    """What a request brings that is made by one of these."""
    if who == "anonymous":
        return {}
    if who == "server":
        return {"X-API-Key": API_KEY}
    claims = {"channels": [channel]} if who == "subscriber" else {}
    return {"Authorization": "Bearer " + sdk.token(sub="alice", **claims)}


def session_of(server, who):
    return Client(server, None if who == "anonymous" else "alice")


def code_of(session, method, **request):
    session.command(id=9, **{method: request})
    while (reply := session.next()).get("id") != 9:
        pass
    return reply["error"]["code"] if "error" in reply else 0


# ---- who may ----

def plainly(server, who, path, method="GET", body=None, channel=CHANNEL):
    headers = headers_of(who, channel)
    if path.startswith("/ws"):
        headers |= {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        }
    return server.request(method, path, body, headers).status not in (401, 403)


def subscribes_in_a_session(server, who):
    session = session_of(server, who)
    token = {"token": sdk.token(sub="alice", channel=CHANNEL)} if who == "subscriber" else {}
    return code_of(session, "subscribe", channel=CHANNEL, **token) == 0


SUBSCRIBES = {
    "poll": lambda server, who: plainly(server, who, f"/poll?channel={CHANNEL}"),
    "longpoll": lambda server, who: plainly(
        server, who, f"/longpoll?channel={CHANNEL}&timeout=1"
    ),
    "sse": lambda server, who: plainly(server, who, f"/sse?channel={CHANNEL}", "HEAD"),
    "ws": lambda server, who: plainly(server, who, f"/ws?channel={CHANNEL}"),
    "session": subscribes_in_a_session,
}


@pytest.mark.parametrize("allowed", WHO)
def test_allow_subscribe(start, allowed):
    server = start(allow_subscribe=allowed)
    got, wanted = {}, {}
    for way, subscribes in SUBSCRIBES.items():
        for who in WHO:
            if way == "session" and who == "server":
                continue  # there are none: they have the server API
            # A token that names the channel is always enough.
            may = WHO.index(who) >= WHO.index(allowed) or who == "subscriber"
            got[way, who], wanted[way, who] = subscribes(server, who), may
    assert got == wanted
    session = session_of(server, "signed_on")
    body = json.dumps({"user": "alice", "channel": CHANNEL}).encode()
    server.request("POST", "/api/subscribe", body, headers_of("server"))
    assert session.push()["channel"] == CHANNEL


def publishes_in_a_session(server, who):
    session = session_of(server, who)
    if who == "subscriber":
        assert code_of(session, "subscribe", channel=CHANNEL) == 0
    return code_of(session, "publish", channel=CHANNEL, data=1) == 0


@pytest.mark.parametrize("allowed", WHO)
def test_allow_publish(start, allowed):
    server = start(allow_publish=allowed)
    got, wanted = {}, {}
    for who in WHO:
        may = WHO.index(who) >= WHO.index(allowed)
        got["http", who] = plainly(server, who, f"/publish?channel={CHANNEL}", "POST", b"1")
        wanted["http", who] = may
        if who != "server":
            got["session", who] = publishes_in_a_session(server, who)
            wanted["session", who] = may
    # Whoever is on a WebSocket of the channel is subscribed to it.
    raw = RawWebSocket(server, f"/ws?channel={CHANNEL}")
    raw.send(frame(TEXT, b"1"))
    got["ws"], wanted["ws"] = raw.read()[0] == TEXT, allowed in ("anonymous", "subscriber")
    body = json.dumps({"channel": CHANNEL, "data": 1}).encode()
    answer = server.request("POST", "/api/publish", body, headers_of("server")).json()
    got["api"], wanted["api"] = "result" in answer, True
    assert got == wanted


@pytest.mark.parametrize("setting, method", [
    ("allow_history", "history"),
    ("allow_presence", "presence"),
    ("allow_presence", "presence_stats"),
])
@pytest.mark.parametrize("allowed", WHO)
def test_allow_history_and_presence(start, setting, method, allowed):
    server = start(**{setting: allowed, "presence": "on"})
    got, wanted = {}, {}
    for who in WHO[:3]:
        session = session_of(server, who)
        if who == "subscriber":
            assert code_of(session, "subscribe", channel=CHANNEL) == 0
        got[who] = code_of(session, method, channel=CHANNEL)
        wanted[who] = 0 if WHO.index(who) >= WHO.index(allowed) else 103
    body = json.dumps({"channel": CHANNEL}).encode()
    answer = server.request("POST", f"/api/{method}", body, headers_of("server")).json()
    got["api"], wanted["api"] = "result" in answer, True
    assert got == wanted


def test_user_limited(start):
    """alice's channel: hers on every way, and bob's on none, whatever else is allowed."""
    server = start(
        user_limited="on", allow_history="anonymous", allow_presence="anonymous", presence="on"
    )
    hers, bobs = "ns:dialog%23alice,carol", "ns:dialog%23bob"
    got, wanted = {}, {}
    for way, path, method in [
        ("poll", "/poll?channel=", "GET"),
        ("longpoll", "/longpoll?timeout=1&channel=", "GET"),
        ("sse", "/sse?channel=", "HEAD"),
        ("ws", "/ws?channel=", "GET"),
        ("http", "/publish?channel=", "POST"),
    ]:
        for channel, may in ((hers, True), (bobs, False)):
            got[way, channel] = plainly(
                server, "signed_on", path + channel, method, b"1" if way == "http" else None, ""
            )
            wanted[way, channel] = may
    hers, bobs = hers.replace("%23", "#"), bobs.replace("%23", "#")
    session = session_of(server, "signed_on")
    for method in ("subscribe", "publish", "history", "presence", "presence_stats"):
        for channel, may in ((hers, 0), (bobs, 103)):
            data = {"data": 1} if method == "publish" else {}
            got[method, channel] = code_of(session, method, channel=channel, **data)
            wanted[method, channel] = may
    assert got == wanted


# ---- what is kept ----

def kept(server, channel=CHANNEL):
    """What each way gives of a channel's history from its start on."""
    polled = [message["data"] for message in server.poll(channel, "start")["messages"]]
    body = json.dumps({"channel": channel, "limit": -1}).encode()
    page = server.request("POST", "/api/history", body, headers_of("server")).json()["result"]
    session = session_of(server, "anonymous")
    code_of(session, "subscribe", channel=channel)
    own = session.ask("history", channel=channel, limit=-1)
    recovered = Client(server).ask(
        "subscribe", channel=channel, recover=True, epoch=page["epoch"], offset=0
    )
    return {
        "poll": polled,
        "api": [str(publication["data"]) for publication in page["publications"]],
        "session": [str(publication["data"]) for publication in own["publications"]],
        "recovered": [str(p["data"]) for p in recovered.get("publications", [])],
    }


@pytest.mark.parametrize("settings, messages, recovered", [
    ({}, ["0", "1", "2", "3", "4"], ["0", "1", "2", "3", "4"]),
    ({"history_messages": 2}, ["3", "4"], []),
    ({"history_messages": 0}, [], []),
    ({"history_bytes": 1}, ["4"], []),
    ({"latest_state": "on"}, ["4"], ["4"]),
    ({"recovery": "off"}, ["0", "1", "2", "3", "4"], []),
    ({"ephemeral": "on"}, [], []),
])
def test_what_is_kept(start, settings, messages, recovered):
    server = start(**settings)
    for n in range(5):
        server.publish(CHANNEL, str(n))
    wanted = {"poll": messages, "api": messages, "session": messages, "recovered": recovered}
    assert kept(server) == wanted


def test_sessions_are_told_whether_they_can_recover(start):
    server = start(recovery="off")
    session = session_of(server, "anonymous")
    assert "recoverable" not in session.ask("subscribe", channel=CHANNEL)
    assert session.ask("subscribe", channel="other")["recoverable"] is True


def test_history_age(start):
    server = start(history_age_ms=1)
    server.publish(CHANNEL, "0")
    body = json.dumps({"channel": CHANNEL, "limit": -1}).encode()

    def is_forgotten():
        answer = server.request("POST", "/api/history", body, headers_of("server")).json()
        return answer["result"]["publications"] == []

    wait_until(is_forgotten, "it is too old")
    assert set(map(tuple, kept(server).values())) == {()}


# ---- how often ----

def test_publishes_per_s(start):
    """Every way takes of the same share."""
    server = start(publishes_per_s=1)
    session = session_of(server, "anonymous")
    body = json.dumps({"channel": CHANNEL, "data": 1}).encode()
    ways = {
        "http": lambda: server.request("POST", f"/publish?channel={CHANNEL}", b"1").status == 429,
        "session": lambda: code_of(session, "publish", channel=CHANNEL, data=1) == 111,
        "api": lambda: server.request("POST", "/api/publish", body, headers_of("server"))
        .json().get("error", {}).get("code") == 111,
    }
    for way, refused in ways.items():
        server.request("POST", f"/publish?channel={CHANNEL}", b"1")
        assert refused() or refused(), way


# ---- the end of a channel ----

def test_sessions_hear_that_a_channel_has_ended(start):
    server = start()
    sessions = [session_of(server, "anonymous") for _ in range(2)]
    position = [session.ask("subscribe", channel=CHANNEL) for session in sessions][0]
    server.publish(CHANNEL, "1")
    server.request("POST", f"/publish?channel={CHANNEL}&end=1", b"2")
    ended = {"channel": CHANNEL, "unsubscribe": {"code": 2001, "reason": "channel ended"}}
    for session in sessions:
        assert [session.push()["pub"]["data"] for _ in range(2)] == [1, 2]
        assert session.push() == ended
    late = session_of(server, "anonymous")
    since = {"epoch": position["epoch"], "offset": 1}
    result = late.ask("subscribe", channel=CHANNEL, recover=True, **since)
    assert [publication["data"] for publication in result["publications"]] == [2]
    assert late.push() == ended
    assert code_of(late, "publish", channel=CHANNEL, data=3) == 108
    body = json.dumps({"channel": CHANNEL, "data": 1}).encode()
    answer = server.request("POST", "/api/publish", body, headers_of("server")).json()
    assert answer["error"]["code"] == 108
    assert late.ask("ping") == {}
