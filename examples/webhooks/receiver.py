#!/usr/bin/env python3
"""Receives webhooks: verifies who sent them, drops what came before, prints the rest.

    examples/webhooks/receiver.py PORT SECRET      the secret begins with whsec_

As Standard Webhooks has it (docs/WEBHOOKS.md); its libraries do the same as verify() below."""

import base64
import collections
import hashlib
import hmac
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOLERANCE_S = 300
REMEMBERED = 100_000

seen = collections.OrderedDict()  # ids; a real application keeps them where it keeps its data


def verify(secret, headers, body):
    """Whether the body is from who knows the secret, and of now."""
    ident, sent = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not sent.isdigit() or abs(time.time() - int(sent)) > TOLERANCE_S:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    code = hmac.new(key, f"{ident}.{sent}.".encode() + body, hashlib.sha256).digest()
    expected = "v1," + base64.b64encode(code).decode()
    given = headers.get("webhook-signature", "").split(" ")
    return any(hmac.compare_digest(one.encode(), expected.encode()) for one in given)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        good = verify(sys.argv[2], self.headers, body)
        if good and self.headers["webhook-id"] not in seen:
            event = json.loads(body)
            print(event["type"], json.dumps(event["data"]), flush=True)
            seen[self.headers["webhook-id"]] = True  # behind what it was for: else it is lost
            if len(seen) > REMEMBERED:
                seen.popitem(last=False)
        self.send_response(204 if good else 401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_words):
        pass


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
