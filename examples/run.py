#!/usr/bin/env python3
"""Runs an example: examples/run.py NAME [--port N]. Ctrl-C ends it.

Starts a ringside-server for it, serves its folder, and lets its app.py publish. An app has
  SETTINGS        of the server, as --set takes them
  start(publish)  called once; publish(channel, data, **query) returns the answer's status
  asked(path, body)  what a page POSTs, optional; returns a text
"""
import argparse
import functools
import http.server
import importlib.util
import os
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
BINARY = HERE.parent / "build/release/server/ringside-server"


def publish(url, channel, data, **query):
    query = urllib.parse.urlencode({"channel": channel, **query})
    try:
        with urllib.request.urlopen(f"{url}publish?{query}", data.encode(), timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as refused:
        return refused.code


class Pages(http.server.SimpleHTTPRequestHandler):
    """The example's folder; /ringside says where the server is."""

    app = ringside = None

    def text(self, body, status=200):
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body.encode())

    def do_GET(self):
        if self.path == "/ringside":
            self.text(self.ringside)
        else:
            super().do_GET()

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        asked = getattr(self.app, "asked", None)
        self.text(asked(self.path, body) if asked else "", 200 if asked else 404)

    def log_message(self, *_):
        pass


def load(name):
    found = importlib.util.spec_from_file_location(name, HERE / name / "app.py")
    app = importlib.util.module_from_spec(found)
    found.loader.exec_module(app)
    return app


def main():
    names = sorted(path.parent.name for path in HERE.glob("*/app.py"))
    parser = argparse.ArgumentParser(description="Runs an example.")
    parser.add_argument("name", choices=names)
    parser.add_argument("--port", type=int, default=8000, help="of the page; 0: any")
    options = parser.parse_args()
    app = load(options.name)
    command = [os.environ.get("RINGSIDE_SERVER", BINARY), "--listen", "127.0.0.1:0"]
    for setting in app.SETTINGS:
        command += ["--set", setting]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            line = server.stdout.readline()
            found = re.search(r"http://[^ ]+", line)
            if not found:
                raise SystemExit("ringside-server did not start: ./build.sh build makes it")
            handler = functools.partial(Pages, directory=HERE / options.name)
            Pages.app, Pages.ringside = app, found.group()
            with http.server.ThreadingHTTPServer(("127.0.0.1", options.port), handler) as pages:
                app.start(functools.partial(publish, found.group()))
                print(f"http://127.0.0.1:{pages.server_port}/", flush=True)
                pages.serve_forever()
        except KeyboardInterrupt:
            pass
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
