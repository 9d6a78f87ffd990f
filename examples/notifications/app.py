"""A feed in which nothing may be lost. The application keeps its notes; Ringside brings them."""
import json
import threading

SETTINGS = []
notes = []
lock = threading.Lock()
feed = None


def start(publish):
    global feed
    feed = publish


def asked(path, body):
    """POST /notes adds one, POST /recent has the newest, for a page that was away too long."""
    if path == "/recent":
        return json.dumps(notes[-50:])
    with lock:
        note = {"number": len(notes) + 1, "text": body}
        notes.append(note)
        feed("feed:ann", json.dumps(note))
    return json.dumps(note)
