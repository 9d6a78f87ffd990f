"""examples/chat in two tabs of a browser: by its one command, as somebody would run it."""

import subprocess
import sys

import pytest
from selenium.webdriver.common.by import By

import sdk
from ringside import HOST, PATIENCE_S, hold_port, port_of, server_binary
from test_browser_centrifuge import VERSION

CHAT = sdk.ROOT / "examples" / "chat" / "chat.py"


@pytest.fixture
def chat(chromium):
    """The address of its page, while it runs."""
    bundle = sdk.npm("centrifuge", VERSION) / "centrifuge" / "dist" / "centrifuge.js"
    with hold_port() as held:
        command = [sys.executable, CHAT, "--port", "0", "--listen", f"{HOST}:{port_of(held)}",
                   "--server", server_binary(), "--bundle", bundle]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True,
                                   stderr=subprocess.DEVNULL)
        try:
            while not (line := process.stdout.readline()).startswith("open "):
                assert line, "it has ended"
            yield line.split()[1]
        finally:
            process.send_signal(2)
            assert process.wait(PATIENCE_S) == 0
            process.stdout.close()
    chromium.get("about:blank")


def test_two_tabs(chromium, chat, eventually):
    tabs = {}

    def text(name, part):
        chromium.switch_to.window(tabs[name])
        return chromium.find_element(By.ID, part).text

    def write(name, words, part="text"):
        chromium.switch_to.window(tabs[name])
        chromium.find_element(By.ID, part).send_keys(words)

    first = chromium.current_window_handle
    for name in ("alice", "bob"):
        if tabs:
            chromium.switch_to.new_window("tab")
        tabs[name] = chromium.current_window_handle
        chromium.get(chat)
        write(name, name + "\n", "name")
        eventually(lambda who=name: who in text(who, "present"), f"{name} is there")
    for name in tabs:
        eventually(lambda who=name: text(who, "present") == "Here: alice, bob", "both see both")

    write("alice", "Hel")
    eventually(lambda: text("bob", "typing") == "alice …", "bob sees that alice types")
    write("alice", "lo <b>\n")
    eventually(lambda: text("bob", "messages") == "alice: Hello <b>", "bob reads it")
    assert text("bob", "typing") == "" and text("alice", "typing") == ""
    chromium.refresh()  # alice's tab: her name is asked for again, and what was said is there
    write("alice", "carol\n", "name")
    eventually(lambda: text("alice", "messages") == "alice: Hello <b>", "carol reads what was said")
    eventually(lambda: text("bob", "present") == "Here: bob, carol", "alice has left")

    chromium.switch_to.window(tabs["bob"])
    chromium.close()
    chromium.switch_to.window(first)
    eventually(lambda: text("alice", "present") == "Here: carol", "bob has left")
