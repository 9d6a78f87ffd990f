"""The examples: each by its one command, in a real browser."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ringside import PATIENCE_S, server_binary

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def run(chromium):
    """run(name): starts an example and opens its page; it goes with the test."""
    running = []

    def start(name):
        running.append(subprocess.Popen(
            [sys.executable, EXAMPLES / "run.py", name, "--port", "0"], stdout=subprocess.PIPE,
            text=True, env={**os.environ, "RINGSIDE_SERVER": server_binary()}))
        chromium.get(running[-1].stdout.readline().strip())
        return chromium

    yield start
    chromium.execute_script("localStorage.clear()")
    chromium.get("about:blank")
    for process in running:
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 0
        process.stdout.close()


@pytest.mark.parametrize("name", sorted(path.parent.name for path in EXAMPLES.glob("*/app.py")))
def test_an_example_is_short(name):
    files = [path for path in (EXAMPLES / name).iterdir() if path.is_file()]
    assert sum(len(path.read_text().splitlines()) for path in files) < 150


def status(page):
    return page.execute_script("return document.querySelector('[role=status]')?.textContent")


def test_orders_are_there_at_once_and_move(run, eventually):
    page = run("orders")
    seen = lambda: page.execute_script(
        "return [...document.querySelectorAll('[role=status]')].map(one => one.textContent)")
    eventually(lambda: len(seen()) == 4, "four orders")
    page.refresh()
    eventually(lambda: len(seen()) == 4, "four orders behind the reload")
    before = seen()
    eventually(lambda: seen() != before, "an order that moves")


def test_no_notification_is_lost_or_doubled(run, eventually):
    page = run("notifications")
    click = "document.querySelector('button').click()"
    page.execute_script(click)
    eventually(lambda: status(page) == "1", "a notification")
    page.execute_script("window.source?.close()")
    address = page.current_url
    page.get("about:blank")
    subprocess.run(["curl", "-sSf", "--noproxy", "*", "-d", "meanwhile", address + "notes"],
                   check=True, stdout=subprocess.DEVNULL)
    page.get(address)
    eventually(lambda: status(page) == "2", "what came meanwhile")
    texts = page.execute_script(
        "return [...document.querySelectorAll('li')].map(one => one.textContent)")
    assert texts == ["2. meanwhile", "1. Your parcel is here"]


def test_an_answer_survives_a_reload(run, eventually):
    page = run("answer")
    answer = lambda: page.execute_script("return document.querySelector('output').textContent")
    page.execute_script("document.querySelector('form').requestSubmit()")
    eventually(lambda: len(answer().split()) > 8, "some words")
    page.refresh()
    eventually(lambda: status(page) == "complete", "the end")
    assert answer().startswith("You asked: What happens when I reload. Ringside keeps")
    assert answer().endswith("so nobody waits for more.")
    whole = answer()
    page.refresh()
    eventually(lambda: status(page) == "complete", "the whole of it again")
    assert answer() == whole


def test_two_tabs_talk_to_each_other(run, eventually, tmp_path):
    page = run("direct")
    first = page.current_window_handle
    address = page.current_url
    page.switch_to.new_window("tab")
    second = page.current_window_handle
    try:
        page.get(address)
        eventually(lambda: status(page) == "together", "the second sees the first")
        lines = lambda: page.execute_script(
            "return [...document.querySelectorAll('li')].map(one => one.textContent)")
        page.find_element("id", "text").send_keys("hello\n")
        page.switch_to.window(first)
        eventually(lambda: lines() == ["They: hello"], "what the second has said")
        file = tmp_path / "letter.bin"
        file.write_bytes(bytes(range(256)) * 1024)
        page.find_element("id", "file").send_keys(str(file))
        page.switch_to.window(second)
        eventually(lambda: lines()[1:] == ["They: letter.bin (262144 bytes)"], "the file")
        page.close()
        page.switch_to.window(first)
        eventually(lambda: status(page) == "alone", "the second has gone")
    finally:
        page.switch_to.window(first)
