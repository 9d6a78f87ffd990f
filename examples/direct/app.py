"""Two pages that talk to each other without the server. It introduces them: what one page says to
the other on its way there is published to both, and the rest goes by WebRTC."""

SETTINGS = []
introduce = None


def start(publish):
    global introduce
    introduce = publish


def asked(path, body):
    """POST /ROOM says something to all who are in the room: 16 KiB hold any offer."""
    if len(body) <= 16384:
        introduce("room:" + path[1:], body)
    return ""
