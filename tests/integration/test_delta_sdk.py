"""Deltas as the official SDKs of Centrifugo apply them, unmodified: JavaScript, Python, Go."""

import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import sdk
from ringside import PATIENCE_S
from test_centrifuge_sdk import PYTHON_VERSION, VERSION, SdkClient
from test_delta import state

FOLDER = Path(__file__).parent
GO_SDK = ("github.com/centrifugal/centrifuge-go", "v0.12.1")
STATES = 6


def publish(server, n):
    answer = server.request("POST", "/publish?channel=m&delta=1", state(n).encode())
    assert answer.status == 200, answer.body


class Program:
    """A program that says what it got, one JSON array a line."""

    def __init__(self, command, **env):
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, **env})
        self.queue = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.queue.put(json.loads(line))
        self.queue.put(None)

    def next(self):
        return self.queue.get(timeout=PATIENCE_S)

    def cut(self):
        self.process.stdin.write("cut\n")
        self.process.stdin.flush()

    def close(self):
        self.process.kill()
        self.process.wait()


def python_program(url):
    folder = sdk.pip("centrifuge-python", PYTHON_VERSION)
    return Program([sys.executable, str(FOLDER / "python_delta.py"), url, "m"],
                   PYTHONPATH=str(folder))


def go_program(url):
    return Program([str(sdk.go("integration/go/centrifuge_delta.go", *GO_SDK)), url, "m"])


@pytest.mark.parametrize("start", [python_program, go_program])
def test_states_and_what_was_missed(server, start):
    program = start(server.ws_url("/connection/websocket"))
    try:
        assert program.next() == ["subscribed", False, False]
        for n in range(STATES):
            publish(server, n)
            assert program.next() == ["publication", json.loads(state(n))]
        deltas = server.metric("ringside_deltas_total")
        assert deltas == STATES - 1
        assert server.metric("ringside_delta_bytes_total") * 25 < \
            server.metric("ringside_delta_bytes_plain_total")
        program.cut()
        while (event := program.next())[0] != "subscribed":
            assert event == ["cut"]
        assert event[1:] == [True, True]
        for n in range(STATES, 2 * STATES):
            publish(server, n)
            assert program.next() == ["publication", json.loads(state(n))]
    finally:
        program.close()


def test_the_javascript_sdk(server):
    modules = sdk.npm("centrifuge", VERSION)
    client = SdkClient(modules, server.ws_url("/connection/websocket"), {})
    try:
        client.act("connect")
        client.next_of("connected")
        client.act("subscribe", "m", {"delta": "fossil"})
        client.next_of("subscribed")
        for n in range(STATES):
            publish(server, n)
            assert client.next_of("publication")["data"] == json.loads(state(n))
        stats = client.ask("deltaStats", "m")
        assert stats["numFullPayloads"] == 1 and stats["numDeltaPayloads"] == STATES - 1
        assert stats["compressionRatio"] > 0.75
        # Cut off, it is given what it missed whole, and goes on with deltas from there.
        client.act("cut")
        client.next_of("connecting")
        publish(server, STATES)
        client.next_of("subscribed")
        for n in range(STATES, 2 * STATES):
            if n > STATES:
                publish(server, n)
            assert client.next_of("publication")["data"] == json.loads(state(n))
        stats = client.ask("deltaStats", "m")
        assert stats["numPublications"] == 2 * STATES
        assert 2 <= stats["numFullPayloads"] <= 3
    finally:
        client.close()
