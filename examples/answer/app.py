"""An answer that is written word by word. Its channel ends with it: who comes late, or loads the
page again, is given all of it, and is told that it is over."""
import secrets
import threading
import time

SETTINGS = ["answer:history_age_ms=600000"]
TEXT = """Ringside keeps what was written. A page that is loaded again asks from the start, gets
every word once and in order, and goes on with those that are written meanwhile. The last message
says that it is the last, so nobody waits for more."""
tell = None


def start(publish):
    global tell
    tell = publish


def asked(_path, question):
    name = secrets.token_hex(6)
    threading.Thread(target=write, args=(f"answer:{name}", question), daemon=True).start()
    return name


def write(channel, question):
    """In the place of a model."""
    words = [f"You asked: {question}.", *TEXT.split()]
    for word in words[:-1]:
        tell(channel, word + " ")
        time.sleep(0.08)
    tell(channel, words[-1], end=1)
