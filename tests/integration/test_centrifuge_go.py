"""The official SDK of Go, unmodified. Without Go, or without its modules, this is skipped."""

import json
import subprocess

import sdk
from ringside import PATIENCE_S
from test_centrifuge_sdk import guarded  # noqa: F401 (a fixture)

SOURCE = "integration/go/main.go"
MODULE, VERSION = "github.com/centrifugal/centrifuge-go", "v0.12.1"


def test_all_that_a_client_does(guarded):  # noqa: F811
    program = sdk.go(SOURCE, MODULE, VERSION)
    server = guarded(websocket_publish="on", heartbeat_ms=3000, token_grace_ms=20000)
    done = subprocess.run(
        [program, server.ws_url("/connection/websocket"), server.url("/publish", channel="room:1"),
         sdk.token(sub="alice", in_s=3), sdk.token(sub="alice")],
        capture_output=True, text=True, timeout=4 * PATIENCE_S, check=False,
    )
    assert done.returncode == 0, done.stderr
    client, http = {"by": "the client"}, {"by": "http"}
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        ["subscribed", False, False],
        ["publication", client],
        ["publication", http],
        ["history", 2, 2],
        ["presence", ["alice"]],
        ["presence_stats", 1, 1],
        ["subscribed", True, True],
        ["publication", {**http, "while": "away"}],
        ["refreshed"],
        ["publication", {**http, "behind": "the refresh"}],
    ]
