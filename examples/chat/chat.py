#!/usr/bin/env python3
"""A chat on the official Centrifuge SDK: `python3 examples/chat/chat.py`, then open what it says.

Starts Ringside, fetches the SDK's bundle from npm once, and serves the page and tokens. It asks
nobody for a password: whoever gives a name has it.
"""

import argparse
import base64
import contextlib
import hashlib
import hmac
import http.server
import json
import os
import secrets
import subprocess
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

HERE = Path(__file__).resolve().parent
BUILD = HERE.parent.parent / "build"
SDK = BUILD / "sdk/npm/node_modules/centrifuge/dist/centrifuge.js"
SECRET = secrets.token_hex(32)
RULES = [  # who may what, in channels that begin so
    "chat:presence=on", "chat:join_leave=on", "chat:allow_subscribe=signed_on",
    "chat:allow_publish=subscriber", "typing:history_messages=0", "typing:ephemeral=on",
    "typing:allow_subscribe=signed_on", "typing:allow_publish=subscriber",
]


def part(value):
    return base64.urlsafe_b64encode(value).rstrip(b"=")


def token(name):
    claims = {"sub": name, "exp": int(time.time()) + 600}
    signed = part(b'{"alg":"HS256"}') + b"." + part(json.dumps(claims).encode())
    signature = hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()
    return (signed + b"." + part(signature)).decode()


class Pages(http.server.BaseHTTPRequestHandler):
    options = None  # of the command line

    def do_GET(self):
        url = urlsplit(self.path)
        name = parse_qs(url.query).get("name", ["?"])[0][:40]
        page = (HERE / "index.html").read_text().replace("{SERVER}", self.options.listen)
        kind, text = {
            "/": ("text/html; charset=utf-8", page),
            "/centrifuge.js": ("text/javascript", self.options.bundle.read_text()),
            "/token": ("text/plain", token(name)),
        }.get(url.path, (None, ""))
        self.send_response(200 if kind else 404)
        self.send_header("Content-Type", kind or "text/plain")
        self.end_headers()
        self.wfile.write(text.encode())


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--port", type=int, default=8000, help="of the page (default 8000)")
    options.add_argument("--listen", default="127.0.0.1:8080", help="of Ringside")
    options.add_argument("--server", default=BUILD / "release/server/ringside-server")
    options.add_argument("--bundle", type=Path, default=SDK)
    Pages.options = options = options.parse_args()
    if not options.bundle.is_file():
        subprocess.run(["npm", "install", "--prefix", SDK.parents[3], "centrifuge@5"], check=True)
    pages = http.server.ThreadingHTTPServer(("127.0.0.1", options.port), Pages)
    sets = [word for rule in [*RULES, "token_keys=HS256:env:CHAT_SECRET", "websocket_publish=on"]
            for word in ("--set", rule)]
    server = subprocess.Popen([options.server, "--listen", options.listen, *sets],
                              env={**os.environ, "CHAT_SECRET": SECRET})
    print(f"open http://127.0.0.1:{pages.server_port}/ in two tabs", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        pages.serve_forever()
    server.terminate()
    server.wait()


if __name__ == "__main__":
    main()
