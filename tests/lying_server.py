#!/usr/bin/python3
"""A server that lies: a Ringside server whose messages pass somebody who tells lies (lies.py).

    lying_server.py --drop 3 [--from N] [--reopened] [--tally FILE] -- ringside-server ARGUMENTS…

It takes the arguments of the server behind it, so that the bench can start it in the place of one:
it listens where the other was told to, on the TLS port too, and forwards: what comes by HTTP/2
(lying_h2.py) by HTTP/1.1, all else as it is. In what comes back it finds the messages of each
transport by reading RFC 6455, RFC 9112 and docs/PROTOCOL.md in its own way: it shares no code with
the server or the bench.
"""

import argparse
import asyncio
import contextlib
import json
import re
import signal
import ssl
import sys
from collections import deque
from urllib.parse import parse_qs, urlsplit

import lies
import lying_h2

ENDED = (ConnectionError, asyncio.IncompleteReadError)
LIMIT = 4 << 20  # of a head, an event
TEXT = 0x81
LENGTH = re.compile(rb"Content-Length: \d+|Transfer-Encoding: chunked")  # of a body
LISTENS = re.compile(rb"listens on http://127\.0\.0\.1:(\d+)/")


async def head_of(reader):
    """The lines of a head, and the whole as it came."""
    whole = await reader.readuntil(b"\r\n\r\n")
    return whole.decode().split("\r\n")[:-2], whole


def fields_of(lines):
    pairs = (line.split(":", 1) for line in lines[1:])
    return {name.lower(): value.strip() for name, value in pairs}


class Relation:
    """One client and the connection that was made for it to the server behind."""

    def __init__(self, liar, client, server):
        self.liar = liar
        self.client_in, self.client_out = client
        self.server_in, self.server_out = server
        self.asked = deque()  # targets of the requests that are not answered yet
        self.upgraded = False
        self.publishes = False
        self.streams = {}
        self.bytes = b""  # of an event that is not whole

    def stream(self, channel):
        if channel not in self.streams:
            self.streams[channel] = self.liar.stream(channel)
        return self.streams[channel]

    async def run(self):
        pumps = [asyncio.create_task(pump()) for pump in (self.up, self.down)]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
        results = await asyncio.gather(*pumps, return_exceptions=True)
        for writer in (self.client_out, self.server_out):
            writer.close()
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, ENDED):
                raise result

    # ---- up ----

    async def up(self):
        while not self.upgraded:
            lines, whole = await head_of(self.client_in)
            fields = fields_of(lines)
            body = await self.client_in.readexactly(int(fields.get("content-length", 0)))
            self.asked.append(lines[0].split()[1])
            self.server_out.write(whole + body)
            if "upgrade" in fields:
                break
        while piece := await self.client_in.read(LIMIT):
            # Who sends a text or a binary message publishes: that connection counts nothing.
            self.publishes |= piece[0] & 15 in (1, 2)
            self.server_out.write(piece)
            await self.server_out.drain()

    # ---- down ----

    async def down(self):
        while True:
            lines, whole = await head_of(self.server_in)
            target = urlsplit(self.asked.popleft())
            query = parse_qs(target.query)
            fields = fields_of(lines)
            status = int(lines[0].split()[1])
            if status == 101:
                self.client_out.write(whole)
                stream = self.stream(query.get("channel", ["echo"])[0])
                return await self.frames(stream, "envelope" in query)
            chunked = fields.get("transfer-encoding") == "chunked"
            polled = target.path in ("/poll", "/longpoll") and status == 200
            if chunked and not polled:
                self.client_out.write(whole)
                return await self.events(self.stream(query["channel"][0]))
            if not chunked and "content-length" not in fields:
                self.client_out.write(whole)
                return await self.rest()
            body = (b"".join([chunk async for chunk in self.chunks()]) if chunked else
                    await self.server_in.readexactly(int(fields["content-length"])))
            if polled:
                body = self.answer(body)
                whole = LENGTH.sub(b"Content-Length: %d" % len(body), whole)
            self.client_out.write(whole + body)
            await self.client_out.drain()

    async def chunks(self):
        """Those of a body, up to its end."""
        while line := await self.server_in.readuntil(b"\r\n"):
            chunk = await self.server_in.readexactly(int(line, 16))
            await self.server_in.readexactly(2)
            if not chunk:
                return
            yield chunk

    async def rest(self):
        while piece := await self.server_in.read(LIMIT):
            self.client_out.write(piece)
            await self.client_out.drain()

    async def frames(self, stream, envelope):
        while not self.publishes and not self.liar.has_done(stream):
            head = await self.server_in.readexactly(2)
            extra = await self.server_in.readexactly({126: 2, 127: 8}.get(head[1], 0))
            length = int.from_bytes(extra, "big") if extra else head[1]
            payload = await self.server_in.readexactly(length)
            whole = [head + extra + payload]
            if head[0] == TEXT and not self.publishes:
                whole = self.frame(stream, payload, envelope)
            self.client_out.writelines(whole)
            await self.client_out.drain()
        await self.rest()

    def frame(self, stream, payload, envelope):
        if not envelope:
            return self.liar.pass_on(stream, payload.decode(), frame_of)
        message = json.loads(payload)
        if "data" not in message:
            return [frame_of(payload.decode())]
        return self.liar.pass_on(stream, message["data"],
                                 lambda text: frame_of(compact({**message, "data": text})))

    async def events(self, stream):
        """Chunk after chunk, each as long as what it holds has become."""
        async for chunk in self.chunks():
            *whole, self.bytes = (self.bytes + chunk).split(b"\n\n")
            out = b"".join(part for event in whole for part in self.event(stream, event))
            if out:
                self.client_out.write(b"%x\r\n%s\r\n" % (len(out), out))
            await self.client_out.drain()
        self.client_out.write(b"0\r\n\r\n")

    def event(self, stream, event):
        text = event.decode()
        found = re.search(r"^data: (.*)$", text, re.MULTILINE)
        if not found or "event:" in text:
            return [event + b"\n\n"]
        return self.liar.pass_on(
            stream, found[1],
            lambda data: f"{text[:found.start(1)]}{data}{text[found.end(1):]}\n\n".encode())

    def answer(self, body):
        answer = json.loads(body)
        answer["messages"] = [
            sent for message in answer["messages"]
            for sent in self.liar.pass_on(self.stream(message["channel"]), message["data"],
                                          lambda text, of=message: {**of, "data": text})]
        return compact(answer).encode()


def compact(value):
    return json.dumps(value, separators=(",", ":"))


def frame_of(text):
    payload = text.encode()
    length = len(payload)
    head = (bytes([TEXT, length]) if length < 126 else
            bytes([TEXT, 126]) + length.to_bytes(2, "big") if length < 1 << 16 else
            bytes([TEXT, 127]) + length.to_bytes(8, "big"))
    return head + payload


class Front:
    """What the server was told, its ports taken out, and the ports."""

    def __init__(self, command):
        self.command, self.tls_port, self.certificate = [], None, None
        arguments = iter(command)
        for argument in arguments:
            if argument == "--listen":
                self.port = int(next(arguments).rpartition(":")[2])
                self.command += ["--listen", "127.0.0.1:0"]
                continue
            value = next(arguments) if argument == "--set" else None
            if value and value.startswith("tls_"):
                self.take_tls(*value.split("=", 1))
                continue
            self.command += [argument] if value is None else [argument, value]

    def take_tls(self, name, value):
        if name == "tls_listen":
            self.tls_port = int(value.rpartition(":")[2])
        elif name == "tls_certificates":
            self.certificate = value.split(":")

    def tls(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.certificate)
        context.set_alpn_protocols(["h2", "http/1.1"])
        return context


async def main(liar, command):
    front = Front(command)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    behind = await asyncio.create_subprocess_exec(*front.command, stdout=asyncio.subprocess.PIPE)
    said = await behind.stdout.readline()
    port = int(LISTENS.search(said)[1])
    faults = []

    async def relate(reader, writer):
        server = await asyncio.open_connection("127.0.0.1", port, limit=LIMIT)
        await Relation(liar, (reader, writer), server).run()

    async def meet(reader, writer):
        try:
            first = await reader.readexactly(len(lying_h2.PREFACE))
            peeked = lying_h2.Peeked(first, reader)
            if first == lying_h2.PREFACE:
                await lying_h2.Connection(peeked, writer, relate).run()
            else:
                await relate(peeked, writer)
        except ENDED:
            writer.close()
        except Exception as fault:
            faults.append(fault)
            raise  # asyncio tells it on standard error

    await asyncio.start_server(meet, "127.0.0.1", front.port, limit=LIMIT, backlog=4096)
    if front.tls_port:
        await asyncio.start_server(meet, "127.0.0.1", front.tls_port, limit=LIMIT, backlog=4096,
                                   ssl=front.tls())
    drain = asyncio.create_task(behind.stdout.read())
    await stop.wait()
    with contextlib.suppress(ProcessLookupError):
        behind.terminate()
    await drain
    liar.write_tally()
    return await behind.wait() or len(faults)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    lies.add_options(parser)
    parser.add_argument("server", nargs="+")
    asked = parser.parse_args()
    sys.exit(asyncio.run(main(lies.Liar.of(asked), asked.server)))
