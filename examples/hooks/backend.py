#!/usr/bin/env python3
"""An application that decides who connects and who subscribes: the proxy hooks of
docs/CENTRIFUGE.md, with nothing but Python's own library.

    python3 examples/hooks/backend.py 8000
    build/release/server/ringside-server --config examples/hooks/ringside.ini

A client says who it is by its cookie, `session=ann`; another application looks that up in its own
sessions. Everybody may hear `room:lobby`, and only its members any other room.
"""

import http.cookies
import http.server
import json
import sys

USERS = {"ann": "Ann", "bob": "Bob"}
MEMBERS = {"room:secret": {"ann"}}


def connect(asked, cookies):
    user = cookies["session"].value if "session" in cookies else ""
    if user not in USERS:
        return {"disconnect": {"code": 4501, "reason": "sign in first"}}
    return {"result": {"user": user, "info": {"name": USERS[user]}, "channels": [f"user:{user}"],
                       "data": {"rooms": ["room:lobby", *MEMBERS]}}}


def subscribe(asked, cookies):
    channel = asked["channel"]
    if channel == "room:lobby" or asked["user"] in MEMBERS.get(channel, ()):
        return {"result": {}}
    return {"error": {"code": 1403, "message": "not a member"}}


HOOKS = {"/connect": connect, "/subscribe": subscribe}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        verdict = HOOKS[self.path](asked, http.cookies.SimpleCookie(self.headers["Cookie"]))
        body = json.dumps(verdict).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
