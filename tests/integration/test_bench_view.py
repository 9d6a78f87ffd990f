"""What is seen of a run while it goes on: drawn in place on a terminal, lines elsewhere. The
terminal is as it was on every way out."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import pytest

from bench import bench, bench_binary
from ringside import wait_until

ENDLESS = ("hold", "--connections", "50", "--seconds", "600", "--against", "none")
SHORT = ("fanout", "--subscribers", "20", "--turns", "2", "--turn-ms", "200", "--depth", "1",
         "--transport", "websocket", "--against", "none")
HIDE, SHOW = b"\x1b[?25l", b"\x1b[?25h"
PATIENCE_S = 60


def quit_by_default():
    """What a shell starts in the background begins with SIGQUIT ignored, and so would this."""
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)


class Terminal:
    """A program on a pseudo terminal, and all that it wrote."""

    def __init__(self, *arguments, columns=80, lines=24, **env):
        self.master, slave = pty.openpty()
        self.resize(columns, lines)
        clean = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "LC_ALL", "LANG")}
        self.process = subprocess.Popen(
            [str(bench_binary()), *arguments, "--results", "none"], stdin=slave, stdout=slave,
            stderr=slave, start_new_session=True, preexec_fn=quit_by_default,
            env={**clean, "TERM": "xterm", "LC_ALL": "C.UTF-8", **env})
        os.close(slave)
        self.written = b""

    def resize(self, columns, lines):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def read_until(self, wanted, since=0):
        """Reads until `wanted` was written after the first `since` bytes; None: until the end."""
        deadline = time.monotonic() + PATIENCE_S
        while wanted is None or wanted not in self.written[since:]:
            left = deadline - time.monotonic()
            assert left > 0, f"no {wanted!r} in {self.written[-2000:]!r}"
            if not select.select([self.master], [], [], left)[0]:
                continue
            try:
                more = os.read(self.master, 65536)
            except OSError:  # the other side is closed
                more = b""
            if not more:
                assert wanted is None, f"no {wanted!r} in {self.written[-2000:]!r}"
                break
            self.written += more

    def signal(self, number):
        self.process.send_signal(number)

    def until_stopped(self):
        """A SIGCONT that comes before does nothing, and the process stays stopped."""
        wait_until(lambda: os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOHANG),
                   "the bench to stop")

    def read_what_is_there(self):
        while select.select([self.master], [], [], 0)[0]:
            self.written += os.read(self.master, 65536)

    def end(self):
        self.read_until(None)
        status = self.process.wait(timeout=PATIENCE_S)
        os.close(self.master)
        return status

    def text(self):
        """All that was written, without what moves the cursor and colours."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.written.decode())

    def cursor_is_shown(self):
        return self.written.rfind(SHOW) > self.written.rfind(HIDE) >= 0


@pytest.mark.parametrize("number", (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
def test_the_cursor_comes_back_when_interrupted(number):
    terminal = Terminal(*ENDLESS)
    terminal.read_until(b"idle")
    assert HIDE in terminal.written
    terminal.signal(number)
    assert terminal.end() == 130
    assert terminal.cursor_is_shown()
    tail = terminal.written[terminal.written.rfind(SHOW):]
    assert b"interrupted" in tail and b"connected  " not in tail


def test_the_cursor_comes_back_when_killed_twice():
    terminal = Terminal(*ENDLESS)
    terminal.read_until(b"idle")
    terminal.signal(signal.SIGSTOP)  # so that both are there when it goes on
    terminal.until_stopped()
    terminal.signal(signal.SIGINT)
    terminal.signal(signal.SIGTERM)
    terminal.signal(signal.SIGCONT)
    assert terminal.end() == 130
    assert terminal.cursor_is_shown()


@pytest.mark.not_in("asan", why="the sanitizer has handlers of its own")
@pytest.mark.parametrize("number", (signal.SIGABRT, signal.SIGQUIT, signal.SIGSEGV))
def test_the_cursor_comes_back_when_it_crashes(number):
    terminal = Terminal(*ENDLESS)
    terminal.read_until(b"idle")
    terminal.signal(number)
    assert terminal.end() == -number
    assert terminal.cursor_is_shown()


def test_it_can_be_stopped_and_goes_on():
    terminal = Terminal(*ENDLESS)
    terminal.read_until(b"idle")
    for _ in range(5):  # a drawing is under way in one of them, with luck
        before = len(terminal.written)
        terminal.signal(signal.SIGTSTP)
        terminal.until_stopped()
        terminal.read_until(SHOW, since=before)
        terminal.read_what_is_there()
        assert terminal.cursor_is_shown()
        before = len(terminal.written)
        terminal.signal(signal.SIGCONT)
        terminal.read_until(HIDE, since=before)
    terminal.signal(signal.SIGINT)
    assert terminal.end() == 130
    assert terminal.cursor_is_shown()


def test_a_new_width_is_seen():
    terminal = Terminal(*ENDLESS, columns=100)
    terminal.read_until(b"idle")
    terminal.resize(45, 20)
    widest = 100
    deadline = time.monotonic() + PATIENCE_S
    # What was drawn before still waits to be read, whole and in pieces.
    while widest >= 45 and time.monotonic() < deadline:
        before = len(terminal.written)
        terminal.read_until(b"errors", since=before)
        drawn = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", terminal.written[before:])
        drawn = drawn[:drawn.index(b"errors")]
        widest = max(len(line) for line in drawn.decode(errors="replace").splitlines())
    terminal.signal(signal.SIGINT)
    terminal.end()
    assert widest < 45


def test_what_the_terminal_cannot_do_is_left_out():
    # How much of a short run is drawn is a matter of how busy the machine is.
    terminal = Terminal(*SHORT, "--turns", "600", LC_ALL="C", NO_COLOR="1")
    terminal.read_until(b"##")
    terminal.read_until(b"last turn")
    terminal.signal(signal.SIGINT)
    assert terminal.end() == 130
    assert terminal.written.isascii()
    assert not re.search(rb"\x1b\[[0-9;]*m", terminal.written)


@pytest.mark.parametrize("env", ({"TERM": "dumb"}, {"TERM": ""}))
def test_a_terminal_that_cannot_move_its_cursor(env):
    terminal = Terminal(*SHORT, **env)
    assert terminal.end() == 0
    assert b"] turns, websocket" in terminal.written
    assert b"\x1b" not in terminal.written


def test_plain_and_quiet():
    terminal = Terminal(*SHORT, "--plain")
    assert terminal.end() == 0
    assert b"] turns, websocket" in terminal.written
    terminal = Terminal(*SHORT, "--quiet")
    assert terminal.end() == 0
    assert b"] turns" not in terminal.written and b"Deliveries" in terminal.written
    assert b"\x1b" not in terminal.written


def test_lines_where_there_is_no_terminal(tmp_path):
    found = bench(tmp_path, *SHORT, lines=True)
    assert "] ramp, websocket" in found.output
    assert "] turns, websocket, depth 1, round 1 (1 of 3 turns" in found.output
    assert "\x1b" not in found.output
