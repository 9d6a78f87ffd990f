#!/usr/bin/env python3
"""Replaces a server under a crowd, with a ledger: is a connect refused, is everybody back within
the drain, does anybody miss a message or hear it twice?

    restart.py --clients 100000 --drain-s 60     $RINGSIDE_SERVER, or the release build

The clients are event streams in several processes, each within its limit of descriptors. Messages
go on being published; their history is in a Redis, so that it outlives the process.
"""

import argparse
import ctypes
import http.client
import json
import multiprocessing
import os
import re
import resource
import select
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path

from redis_server import Redis
from ringside import HOST, Server, wait_until

CHANNEL = "crowd"
RESERVE = 200  # descriptors of a process that are no clients
CONNECTING_MAX = 256  # of a process at a time
EVENT = re.compile(rb"(?:id: ([0-9a-f]+\.\d+)\n)?data: (\d+)\n")
PLACE = re.compile(rb"id: ([0-9a-f]+\.\d+)\n")


class Tally(ctypes.Structure):
    """What a process has counted; the parent reads it."""

    _fields_ = [(name, ctypes.c_int64)
                for name in ("standing", "returned", "refused", "missed", "doubled", "last_of_all")]


class Client:
    """One stream: where it stands, and which message it wants next."""

    def __init__(self):
        self.socket, self.rest, self.place, self.wants = None, b"", None, None
        self.asked = self.stands = self.came_before = False

    def request(self):
        resume = b"Last-Event-ID: " + self.place + b"\r\n" if self.place else b""
        return b"GET /sse?channel=%s HTTP/1.1\r\nHost: a\r\n%s\r\n" % (CHANNEL.encode(), resume)


class Crowd:
    """The clients of one process."""

    def __init__(self, number, count, port, tally):
        self.address, self.port, self.tally = (f"127.0.1.{number + 1}", 0), port, tally
        self.waiting = [Client() for _ in range(count)]
        self.everybody = list(self.waiting)
        self.connecting = 0
        self.poll, self.by_fd = select.epoll(), {}

    def dial(self, client):
        client.socket = socket.socket()
        client.socket.setblocking(False)
        client.socket.bind(self.address)
        client.socket.connect_ex((HOST, self.port))
        self.by_fd[client.socket.fileno()] = client
        self.poll.register(client.socket, select.EPOLLOUT)
        self.connecting += 1

    def connected(self, client):
        self.connecting -= 1
        if client.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0:
            self.tally.refused += 1
            self.left(client)
            return
        client.asked = True
        client.socket.sendall(client.request())
        self.poll.modify(client.socket, select.EPOLLIN)

    def left(self, client):
        self.poll.unregister(client.socket)
        del self.by_fd[client.socket.fileno()]
        client.socket.close()
        self.tally.standing -= client.stands
        client.came_before |= client.stands
        client.rest, client.asked, client.stands = b"", False, False
        self.waiting.append(client)

    def heard(self, client, number):
        if client.wants is not None and number != client.wants:
            if number > client.wants:
                self.tally.missed += number - client.wants
            else:
                self.tally.doubled += 1
                return
        client.wants = number + 1

    def read(self, client):
        try:
            data = client.socket.recv(65536)
        except ConnectionResetError:
            data = b""
        if not data:
            self.left(client)
            return
        text = client.rest + data
        whole, _, client.rest = text.rpartition(b"\n\n")
        if not whole:
            client.rest = text
            return
        whole += b"\n\n"
        for match in EVENT.finditer(whole):
            self.heard(client, int(match[2]))
        places = PLACE.findall(whole)
        if places:
            client.place = places[-1]
        if not client.stands and places:
            client.stands = True
            self.tally.standing += 1
            self.tally.returned += client.came_before

    def run(self):
        while True:
            while self.waiting and self.connecting < CONNECTING_MAX:
                self.dial(self.waiting.pop())
            for fd, _ in self.poll.poll(0.2):
                client = self.by_fd[fd]
                (self.read if client.asked else self.connected)(client)
            self.tally.last_of_all = min((each.wants or 0) - 1 for each in self.everybody)


def publish(server, number):
    """Whichever process answers; one that is going may be too late to."""
    while True:
        try:
            asked = http.client.HTTPConnection(HOST, server.port, timeout=60)
            asked.request("POST", f"/publish?channel={CHANNEL}", str(number))
            if asked.getresponse().status == 200:
                return
        except (OSError, http.client.HTTPException):
            time.sleep(0.1)


def start_crowd(clients, port):
    """(processes, their tallies)"""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = -(-clients // (hard - RESERVE))
    shares = [clients // count + (n < clients % count) for n in range(count)]
    tallies = [multiprocessing.Value(Tally, lock=False) for _ in shares]
    crowd = [multiprocessing.Process(target=lambda n=n: Crowd(n, shares[n], port, tallies[n]).run(),
                                     daemon=True) for n in range(count)]
    for process in crowd:
        process.start()
    return crowd, tallies


def replace(server, clients, drain_s):
    """What came of it, as a dictionary."""
    crowd, tallies = start_crowd(clients, server.port)

    def total(name):
        return sum(getattr(tally, name) for tally in tallies)

    wait_until(lambda: total("standing") == clients, "everybody", 600)
    publish(server, 1)
    number = 1
    wait_until(lambda: total("last_of_all") == len(tallies), "the first message", 120)
    began = time.monotonic()
    server.signal(signal.SIGUSR2)
    while total("returned") < clients or total("standing") < clients:
        if time.monotonic() - began > 2 * drain_s + 120:
            break
        number += 1
        publish(server, number)
        time.sleep(drain_s / 20)
    took = time.monotonic() - began
    publish(server, number + 1)
    want = len(tallies) * (number + 1)
    wait_until(lambda: total("last_of_all") >= want, "the last message", 300)
    for process in crowd:
        process.terminate()
    return {"clients": clients, "published": number + 1, "back_after_s": round(took, 1),
            **{name: total(name) for name in ("standing", "returned", "refused", "missed",
                                              "doubled")}}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--clients", type=int, default=100000)
    parser.add_argument("--drain-s", type=int, default=60)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        redis = Redis(Path(folder)).start()
        config = {"redis": redis.address, "drain_ms": asked.drain_s * 1000, "listen_backlog": 4096,
                  "max_connections": asked.clients * 3}
        server = Server(Path(folder), config=config).start()
        try:
            found = replace(server, asked.clients, asked.drain_s)
        finally:
            output = server.output()
            for pid in {int(n) for n in re.findall(r"process (\d+) is to take over", output)}:
                os.kill(pid, signal.SIGTERM)
            server.release()
            redis.stop()
    print(json.dumps(found))
    good = found["refused"] + found["missed"] + found["doubled"] == 0
    return 0 if good and found["returned"] >= asked.clients else 1


if __name__ == "__main__":
    sys.exit(main())
