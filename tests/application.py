"""An application's backend, as Centrifugo's proxy asks it, over HTTP: in a thread, and told by the
test what to say."""

import http.server
import json
import threading
import time


class Application:
    """`says[path]` is the answer to it: a dict; bytes, as they are; a status; or what is called
    with what was asked and gives one of them. `asked` is what came: (path, JSON, head)."""

    def __init__(self):
        self.says = {}
        self.asked = []
        application = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                application.asked.append((self.path, body, self.headers))
                said = application.says.get(self.path, {"result": {}})
                self.answer(said(body) if callable(said) else said)

            def answer(self, said):
                status = said if isinstance(said, int) else 200
                body = said if isinstance(said, bytes) else json.dumps(said).encode()
                if status == 204:  # which has none
                    body = b""
                self.send_response(status)
                if status != 204:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"

    def of(self, path):
        """What came to this path."""
        return [body for at, body, _ in self.asked if at == path]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def slowly(answer, seconds):
    def say(_):
        time.sleep(seconds)
        return answer

    return say
