"""Centrifugo's official Python library for its server API, unmodified, for every method."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import sdk
from test_server_api_sessions import API_KEY, Client

SCRIPT = Path(__file__).parent / "python_cent.py"
VERSION = "5.2.0"


class Library:
    """python_cent.py as a process."""

    def __init__(self, server):
        folder = sdk.pip("cent", VERSION)
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPT), server.url("/api"), API_KEY],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(folder)},
            text=True,
        )

    def __call__(self, method, *batch, **request):
        self.process.stdin.write(json.dumps([method, list(batch) or request]) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def cent(start_server, tmp_path):
    (tmp_path / "api.key").write_text(API_KEY + "\n")
    config = sdk.with_keys(tmp_path, api_keys=f"file:{tmp_path}/api.key")
    server = start_server(config=config, args=["--set", "room:presence=on"])
    library = Library(server)
    library.server = server
    yield library
    library.close()


def test_every_method(cent):
    client = Client(cent.server, "alice")
    assert cent("subscribe", user="alice", channel="room:1") == {}
    assert client.push()["channel"] == "room:1"
    position = cent("publish", channel="room:1", data={"n": 1})
    assert position["offset"] == 1
    responses = cent("broadcast", channels=["room:1", "b c"], data={"n": 2})["responses"]
    assert responses[0]["result"]["offset"] == 2 and responses[1]["error"]["code"] == 107
    assert [client.push()["pub"]["data"] for _ in range(2)] == [{"n": 1}, {"n": 2}]
    page = cent("history", channel="room:1", limit=10, reverse=True)
    assert [publication["data"]["n"] for publication in page["publications"]] == [2, 1]
    page = cent("history", channel="room:1", limit=1, since=position)
    assert [publication["offset"] for publication in page["publications"]] == [2]
    assert list(cent("presence", channel="room:1")["presence"]) == [client.id]
    stats = cent("presence_stats", channel="room:1")
    assert (stats["num_clients"], stats["num_users"]) == (1, 1)
    assert cent("channels", pattern="room:*") == {"channels": {"room:1": {"num_clients": 1}}}
    assert cent("info")["nodes"][0]["num_clients"] == 1
    replies = cent(
        "batch",
        ["publish", {"channel": "room:1", "data": 3}],
        ["history", {"channel": "room:1", "limit": 1, "reverse": True}],
        ["channels", {}],
    )["replies"]
    assert replies[0]["offset"] == 3 and replies[1]["publications"][0]["data"] == 3
    assert client.push()["pub"]["data"] == 3
    assert cent("history_remove", channel="room:1") == {}
    assert cent("history", channel="room:1", limit=10)["publications"] == []
    assert cent("unsubscribe", user="alice", channel="room:1") == {}
    assert client.push()["unsubscribe"]["code"] == 2000
    assert cent("refresh", user="alice", expire_at=4_000_000_000) == {}
    assert client.push()["refresh"]["expires"] is True
    custom = {"code": 4500, "reason": "enough"}
    assert cent("disconnect", user="alice", whitelist=["x"], disconnect=custom) == {}
    assert client.ended() == (4500, "enough")


def test_errors_are_its_errors(cent):
    assert cent("publish", channel="a b", data=1) == {"error": 107}
    assert cent("presence", channel="quiet") == {"error": 108}
    assert cent("disconnect", user="") == {"error": 107}
