"""A nats-server of the tests' own, with JetStream, on loopback and a port of its own."""

import json
import socket
import subprocess

from redis_server import CERTIFICATES
from ringside import HOST, PATIENCE_S, ServerFault, hold_port, port_of, wait_until


class Nats:
    """One nats-server. With `durable` nodes take it for one that has kept all that it acknowledged
    when it is started again: it has, unless the machine has ended with it. With `tls` it speaks
    that, by that certificate, and trusts clients with tests/certificates/local.pem."""

    name = "nats"

    def __init__(self, folder, durable=False, args=(), tls=None):
        self.held = hold_port()
        self.port = port_of(self.held)
        self.address = f"{HOST}:{self.port}"
        self.log = folder / "nats.log"
        self.command = ["nats-server", "-a", HOST, "-p", str(self.port), "-js",
                        "-sd", str(folder), *args]
        self.settings = {"nats": self.address, "nats_durable": "on" if durable else "off"}
        if tls:
            own, local = CERTIFICATES / tls, CERTIFICATES / "local"
            self.command += ["--tlsverify", "--tlscert", f"{own}.pem", "--tlskey",
                             f"{own}.key.pem", "--tlscacert", f"{local}.pem"]
            self.settings |= {"nats": f"localhost:{self.port}", "nats_tls": "on",
                              "nats_ca": f"{own}.pem", "nats_certificate": f"{local}.pem",
                              "nats_key": f"{local}.key.pem"}
        self.process = None

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log)
        wait_until(self.is_up, "a NATS that answers")
        return self

    def is_up(self):
        if self.process.poll() is not None:
            raise ServerFault(self.log.read_text(errors="replace"))
        try:
            with socket.create_connection((HOST, self.port), timeout=PATIENCE_S) as there:
                return there.recv(5) == b"INFO "
        except OSError:
            return False

    def say(self, *lines):
        """Lines of the protocol, as any client may send them; back when they have been taken."""
        with socket.create_connection((HOST, self.port), timeout=PATIENCE_S) as there:
            file = there.makefile("rb")
            file.readline()
            there.sendall(b'CONNECT {"verbose":false}\r\n' + b"".join(lines) + b"PING\r\n")
            while file.readline() != b"PONG\r\n":
                pass

    def request(self, api, text=b""):
        """Of JetStream: its answer."""
        with socket.create_connection((HOST, self.port), timeout=PATIENCE_S) as there:
            file = there.makefile("rb")
            file.readline()
            there.sendall(b'CONNECT {"verbose":false}\r\nSUB _INBOX.test 1\r\n' +
                          f"PUB $JS.API.{api} _INBOX.test {len(text)}\r\n".encode() + text +
                          b"\r\n")
            size = int(file.readline().split()[-1])
            return json.loads(file.read(size))

    def publish(self, subject, data):
        self.say(f"PUB {subject} {len(data)}\r\n".encode() + data + b"\r\n")

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(PATIENCE_S)

    def kill(self):
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def release(self):
        self.held.close()
