"""The Centrifuge protocol by hand: what is no command, bounds, and what the SDKs never do."""

import json

import pytest

import sdk
from foreign import asynchronous, close_code, connect, publish, receive, receive_json
from ringside import wait_until
from wire import TEXT, RawWebSocket, frame

PATH = "/connection/websocket"
CONNECT = '{"id":1,"connect":{}}'


async def send(socket, *commands):
    """Sends commands in one message, a line each."""
    await socket.send("\n".join(c if isinstance(c, str) else json.dumps(c) for c in commands))


class Session:
    """Opens a session and signs on."""

    def __init__(self, server):
        self.connection = connect(server, PATH)

    async def __aenter__(self):
        socket = await self.connection.__aenter__()
        await socket.send(CONNECT)
        reply = await receive_json(socket)
        assert reply["id"] == 1 and reply["connect"]["pong"] is True
        return socket

    async def __aexit__(self, *error):
        return await self.connection.__aexit__(*error)


async def ask(socket, **command):
    await send(socket, {"id": 7, **command})
    reply = await receive_json(socket)
    assert reply["id"] == 7
    return reply


@asynchronous
async def test_connect_says_who_and_how_often(server):
    ids = set()
    for _ in range(3):
        async with connect(server, PATH) as socket:
            await socket.send(CONNECT)
            result = (await receive_json(socket))["connect"]
            assert result["ping"] == 25
            assert [len(part) for part in result["client"].split("-")] == [8, 4, 4, 4, 12]
            ids.add(result["client"])
    assert len(ids) == 3


@asynchronous
async def test_several_commands_in_a_message(server):
    async with connect(server, PATH) as socket:
        names = [f"c{n}" for n in range(20)]
        subscribes = [{"id": 2 + n, "subscribe": {"channel": c}} for n, c in enumerate(names)]
        await send(socket, CONNECT, *subscribes, "", {"id": 99, "ping": {}}, {})
        replies = [await receive_json(socket) for _ in range(22)]
        assert sorted(reply["id"] for reply in replies) == [1, *range(2, 22), 99]
        assert all("error" not in reply for reply in replies)
        await publish(server, "c7", "7")
        push = await receive_json(socket)
        assert push == {"push": {"channel": "c7", "pub": {"data": 7, "offset": 1}}}


BAD = [
    "no JSON",
    "[]",
    '"text"',
    '{"id":2}',
    '{"id":2,"unknown":{}}',
    '{"subscribe":{"channel":"c"}}',
    '{"id":-2,"subscribe":{"channel":"c"}}',
    '{"id":4294967296,"ping":{}}',
    '{"id":2,"subscribe":{"channel":7}}',
    '{"id":2,"subscribe":{"channel":"c","offset":-1}}',
    '{"id":2,"subscribe":{},"ping":{}}',
    '{"id":2,"history":{"since":{"since":{}}}}',
    '{"id":2,"connect":{}}',
    '{"id":2,"publish":{"channel":"c","data":' + "[" * 40 + "]" * 40 + "}}",
]


@pytest.mark.parametrize("command", BAD)
@asynchronous
async def test_what_is_no_command_ends_it(server, command):
    async with Session(server) as socket:
        await socket.send(command)
        assert await close_code(socket) == 3501
    server.until_closed("session_bad_request")


@asynchronous
async def test_the_first_command_is_connect(server):
    async with connect(server, PATH) as socket:
        await send(socket, {"id": 1, "subscribe": {"channel": "c"}})
        assert await close_code(socket) == 3501


@asynchronous
async def test_who_does_not_connect_is_stale(start_server):
    server = start_server(config={"head_timeout_ms": 1500})
    async with connect(server, PATH) as socket:
        assert await close_code(socket) == 3502
    server.until_closed("session_stale")


@asynchronous
async def test_who_does_not_answer_a_ping_is_told(start_server):
    server = start_server(config={"heartbeat_ms": 1000})
    async with Session(server) as socket:
        assert await receive(socket) == "{}"
        assert await close_code(socket) == 3012
    server.until_closed("session_no_pong")


@asynchronous
async def test_bytes_are_another_protocol(server):
    async with connect(server, PATH) as socket:
        await socket.send(CONNECT.encode())
        assert await close_code(socket) == 3506


@asynchronous
async def test_more_commands_than_a_message_may_have(server):
    async with connect(server, PATH) as socket:
        await send(socket, CONNECT, *['{"id":2,"ping":{}}'] * 1023)
        for _ in range(1024):
            await receive(socket)
        await send(socket, *['{"id":2,"ping":{}}'] * 1025)
        assert await close_code(socket) == 3501


REFUSED = [
    ({"subscribe": {"channel": ""}}, 107),
    ({"subscribe": {"channel": "a b"}}, 107),
    ({"subscribe": {"channel": "c" * 129}}, 107),
    ({"subscribe": {}}, 107),
    ({"publish": {"channel": "c"}}, 103),
    ({"rpc": {"method": "m"}}, 108),
    ({"presence": {"channel": "c"}}, 108),
    ({"presence_stats": {"channel": "c"}}, 108),
    ({"sub_refresh": {"channel": "c", "token": "t"}}, 103),
    ({"history": {"channel": "c"}}, 103),
    ({"subscribe": {"channel": "c", "token": "t"}}, 103),
]


@pytest.mark.parametrize("command, code", REFUSED)
@asynchronous
async def test_what_is_refused_has_its_code(server, command, code):
    async with Session(server) as socket:
        assert (await ask(socket, **command))["error"]["code"] == code
        assert (await ask(socket, ping={})) == {"id": 7, "ping": {}}
    assert server.metric("ringside_commands_refused_total") == 1


@asynchronous
async def test_an_epoch_that_is_gone(server):
    async with Session(server) as socket:
        await ask(socket, subscribe={"channel": "c"})
        since = {"epoch": "5f3a", "offset": 1}
        reply = await ask(socket, history={"channel": "c", "limit": 1, "since": since})
        assert reply["error"]["code"] == 112


@asynchronous
async def test_what_it_may_be_owed_is_bounded(start_server):
    server = start_server(config={"queue_bytes_max": 65536})
    for _ in range(3):
        await publish(server, "c", b'"' + b"x" * 20_000 + b'"')
    async with Session(server) as socket:
        await ask(socket, subscribe={"channel": "c"})
        history = {"channel": "c", "limit": -1}
        await send(socket, *[{"id": n, "history": history} for n in range(1, 101)])
        replies = [await receive_json(socket) for _ in range(100)]
        refused = [reply for reply in replies if "error" in reply]
        assert 0 < len(refused) < 100
        assert {reply["error"]["code"] for reply in refused} == {111}
        assert "ping" in await ask(socket, ping={})


@asynchronous
async def test_many_channels_recover(server):
    names = [f"c{n}" for n in range(30)]
    epochs = [(await publish(server, name, "1"))["epoch"] for name in names]
    for name in names:
        for n in (2, 3):
            await publish(server, name, f"{n}")
    async with Session(server) as socket:
        await send(socket, *[
            {"id": 2 + n, "subscribe": {"channel": c, "recover": True, "epoch": e, "offset": 1}}
            for n, (c, e) in enumerate(zip(names, epochs))])
        got, results = {name: [] for name in names}, 0
        while results < 30 or any(len(missed) < 2 for missed in got.values()):
            for message in map(json.loads, (await receive(socket)).split("\n")):
                if "id" in message:
                    result = message["subscribe"]
                    assert result["recovered"] and result["was_recovering"]
                    found = result.get("publications", [])
                    got[names[message["id"] - 2]] += [p["data"] for p in found]
                    assert result["offset"] == 1 + len(found)
                    results += 1
                else:
                    got[message["push"]["channel"]].append(message["push"]["pub"]["data"])
        assert all(missed == [2, 3] for missed in got.values())
        await publish(server, "c29", "4")
        assert (await receive_json(socket))["push"]["pub"] == {"data": 4, "offset": 4}


@asynchronous
async def test_a_token_where_there_are_no_keys(server):
    async with connect(server, PATH) as socket:
        await send(socket, {"id": 1, "connect": {"token": "a.b.c"}})
        assert await close_code(socket) == 3500
    server.until_closed("session_token")
    async with Session(server) as socket:
        await send(socket, {"id": 2, "refresh": {"token": "t"}})
        assert await close_code(socket) == 3500


@asynchronous
async def test_a_connection_ends_with_its_token(start_server, tmp_path):
    server = start_server(config=sdk.with_keys(tmp_path, token_grace_ms=0))
    async with connect(server, PATH) as socket:
        await send(socket, {"id": 1, "connect": {"token": sdk.token(sub="alice", in_s=1)}})
        assert (await receive_json(socket))["connect"]["expires"]
        assert await close_code(socket) == 3005
    server.until_closed("token_expired")


@asynchronous
async def test_a_refresh_is_of_the_same_user(start_server, tmp_path):
    server = start_server(config=sdk.with_keys(tmp_path))
    async with connect(server, PATH) as socket:
        await send(socket, {"id": 1, "connect": {"token": sdk.token(sub="alice")}})
        await receive_json(socket)
        assert (await ask(socket, refresh={"token": sdk.token(sub="alice")}))["refresh"]["ttl"]
        await send(socket, {"id": 7, "refresh": {"token": sdk.token(sub="bob")}})
        assert await close_code(socket) == 3500


@asynchronous
async def test_a_revoked_user_is_closed(start_server, tmp_path):
    (tmp_path / "api.key").write_text("a key of a server, long enough")
    config = sdk.with_keys(tmp_path, api_keys=f"file:{tmp_path}/api.key")
    server = start_server(config=config)
    async with connect(server, PATH) as socket:
        await send(socket, {"id": 1, "connect": {"token": sdk.token(sub="alice")}})
        await receive_json(socket)
        headers = {"X-API-Key": "a key of a server, long enough"}
        assert server.request("POST", "/revoke?user=alice", headers=headers).status == 200
        assert await close_code(socket) == 3503


@asynchronous
async def test_who_is_nobody_is_let_in_or_not(start_server, tmp_path):
    server = start_server(config=sdk.with_keys(tmp_path, anonymous="off"))
    async with connect(server, PATH) as socket:
        await socket.send(CONNECT)
        assert await close_code(socket) == 3500


@asynchronous
async def test_a_subscription_ends_with_its_token(start_server, tmp_path):
    config = sdk.with_keys(tmp_path, heartbeat_ms=1000, token_grace_ms=0)
    server = start_server(config=config)
    async with connect(server, PATH) as socket:
        await send(socket, {"id": 1, "connect": {"token": sdk.token(sub="alice", in_s=None)}})
        assert "expires" not in (await receive_json(socket))["connect"]
        channel_token = sdk.token(sub="alice", channel="c", in_s=2)
        reply = await ask(socket, subscribe={"channel": "c", "token": channel_token})
        result = reply["subscribe"]
        assert result["expires"] and result["ttl"] <= 3
        while (message := await receive_json(socket)) == {}:
            await socket.send("{}")
        push = {"channel": "c", "unsubscribe": {"code": 2501, "reason": "subscription expired"}}
        assert message == {"push": push}
        await publish(server, "c", "1")
        await send(socket, {"id": 7, "ping": {}})
        while (message := await receive_json(socket)) == {}:
            await socket.send("{}")
        assert message == {"id": 7, "ping": {}}


@asynchronous
async def test_a_channel_is_subscribed_to_once(server):
    async with Session(server) as socket:
        assert "subscribe" in await ask(socket, subscribe={"channel": "c"})
        assert (await ask(socket, subscribe={"channel": "\u0063"}))["error"]["code"] == 105
        assert "unsubscribe" in await ask(socket, unsubscribe={"channel": "c"})
        assert "unsubscribe" in await ask(socket, unsubscribe={"channel": "c"})
        assert "subscribe" in await ask(socket, subscribe={"channel": "c"})


@asynchronous
async def test_no_more_channels_than_a_session_may_have(start_server):
    server = start_server(config={"session_channels_max": 3})
    async with Session(server) as socket:
        for channel in "abc":
            assert "subscribe" in await ask(socket, subscribe={"channel": channel})
        assert (await ask(socket, subscribe={"channel": "d"}))["error"]["code"] == 106
        await ask(socket, unsubscribe={"channel": "b"})
        assert "subscribe" in await ask(socket, subscribe={"channel": "d"})


@asynchronous
async def test_the_longest_name_with_escapes(server):
    escaped = "\\u0063" * 128
    async with Session(server) as socket:
        await socket.send('{"id":7,"subscribe":{"channel":"' + escaped + '"}}')
        assert "subscribe" in await receive_json(socket)
        await publish(server, "c" * 128, "1")
        assert (await receive_json(socket))["push"]["channel"] == "c" * 128


@asynchronous
async def test_positions(server):
    async with Session(server) as socket:
        result = (await ask(socket, subscribe={"channel": "c"}))["subscribe"]
        assert "offset" not in result and "was_recovering" not in result
        epoch = result["epoch"]
        await publish(server, "c", "1")
        assert (await receive_json(socket))["push"]["pub"] == {"data": 1, "offset": 1}
        await ask(socket, unsubscribe={"channel": "c"})
        await publish(server, "c", "2")
        since = {"channel": "c", "recover": True, "offset": 1}
        result = (await ask(socket, subscribe={**since, "epoch": epoch}))["subscribe"]
        assert result["recovered"] and result["was_recovering"] and result["offset"] == 2
        assert result["publications"] == [{"data": 2, "offset": 2}]
        await ask(socket, unsubscribe={"channel": "c"})
        for lost in ({"epoch": "5f3a"}, {"epoch": epoch, "offset": 9}, {"epoch": ""}):
            result = (await ask(socket, subscribe={**since, **lost}))["subscribe"]
            assert result["was_recovering"] and "recovered" not in result
            assert result["offset"] == 2 and "publications" not in result
            await ask(socket, unsubscribe={"channel": "c"})


def test_a_slow_reader_is_closed_whatever_the_policy(start_server):
    server = start_server(config={"queue_bytes_max": 65536, "slow_reader": "drop_oldest"})
    socket = RawWebSocket(server, PATH)
    socket.send(frame(TEXT, CONNECT.encode() + b'\n{"id":2,"subscribe":{"channel":"c"}}'))
    assert [json.loads(socket.read()[1])["id"] for _ in range(2)] == [1, 2]
    for _ in range(100):
        server.publish("c", b'"' + b"x" * 500_000 + b'"')
        if server.closed("slow_reader"):
            break
    server.until_closed("slow_reader")
    assert server.metric("ringside_messages_dropped_total") == 0
    socket.connection.close()


@asynchronous
async def test_it_counts_its_sessions(server):
    async with Session(server), Session(server):
        assert server.metric("ringside_sessions") == 2
    assert server.metric("ringside_commands_total") == 2


@asynchronous
async def test_presence_takes_no_more_than_it_may(start_server):
    """Who comes beyond that is subscribed, and not present; when others have left, it is."""
    server = start_server(shards=1, args=["--set", ":presence=on", "--set",
                                          "presence_total_bytes_max=4096"])
    names = [f"c{n}" for n in range(60)]

    async def present(socket):
        replies = [await ask(socket, presence_stats={"channel": name}) for name in names]
        return [reply["presence_stats"]["num_clients"] for reply in replies]

    async with Session(server) as socket:
        for name in names:
            assert "subscribe" in await ask(socket, subscribe={"channel": name})
        there = sum(await present(socket))
        assert 0 < there < len(names)
        assert server.metric("ringside_presence_full_total") == len(names) - there
        assert 0 < server.metric("ringside_presence_bytes") <= 4096 + 512
        await ask(socket, unsubscribe={"channel": names[0]})
        await ask(socket, unsubscribe={"channel": names[-1]})
        assert "subscribe" in await ask(socket, subscribe={"channel": names[-1]})
        last = await ask(socket, presence_stats={"channel": names[-1]})
        assert last["presence_stats"]["num_clients"] == 1
    wait_until(lambda: server.metric("ringside_presence_bytes") == 0, "all to have left")
