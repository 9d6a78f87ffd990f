"""A WebSocket server that is not ours, for the tests of `compare --peer`: it speaks the protocol
that its second argument names, and takes nothing else.

    peer_server.py PORT raw|json|mqtt|sse [POST_PORT] [--drop N, --double N … as in lies.py]

raw   what comes in on /pub goes to everybody on /sub
json  subscribers ask with {"join": CHANNEL} and a field `X-Key: open`; what is POSTed to
      http://HOST:POST_PORT/pub as {"text": TEXT} reaches them as {"push": {"text": TEXT}}
mqtt  subprotocol "mqtt", CONNECT, SUBSCRIBE and PUBLISH as MQTT 3.1.1 writes them, QoS 0, for
      bodies of 128 to 16,383 bytes
sse   as json, on the event stream of GET /events, to all who ask with a field `X-Key: open`
"""

import argparse
import asyncio
import json
import signal

import websockets

import lies
from foreign import fields_of, path_of

CONNECT = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00"
CONNACK = b"\x20\x02\x00\x00"
TOPIC = b"\x00\x05bench"
SUBSCRIBE = b"\x82\x0a\x00\x01" + TOPIC + b"\x00"
SUBACK = b"\x90\x03\x00\x01\x00"


class Server:
    """Everybody who has subscribed."""

    def __init__(self, liar):
        self.liar = liar
        self.subscribers, self.streams = {}, {}

    def publish(self, text, form=str):
        for writer, stream in self.streams.items():
            for message in self.liar.pass_on(stream, text, form):
                writer.write(f"id: 1\ndata: {message}\n\n".encode())
        for socket, stream in self.subscribers.items():
            for message in self.liar.pass_on(stream, text, form):
                websockets.broadcast([socket], message)

    async def stay(self, socket):
        self.subscribers[socket] = self.liar.stream("bench")
        try:
            await socket.wait_closed()
        finally:
            del self.subscribers[socket]

    async def raw(self, socket):
        if path_of(socket) != "/pub":
            return await self.stay(socket)
        async for message in socket:
            self.publish(message)

    async def json(self, socket):
        asked = json.loads(await socket.recv())
        if asked != {"join": "bench"} or fields_of(socket).get("X-Key") != "open":
            return
        await self.stay(socket)

    async def json_post(self, reader, writer):
        """POSTs on one connection, one after the other."""
        while (head := await head_of(reader)) is not None:
            body = json.loads(await reader.readexactly(int(head["content-length"])))
            self.publish(body["text"], lambda text: json.dumps({"push": {"text": text}}))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        writer.close()

    async def events(self, reader, writer):
        head = await head_of(reader)
        if head is None or head.get("x-key") != "open":
            writer.close()
            return
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: hello\n\n")
        self.streams[writer] = self.liar.stream("bench")
        try:
            await reader.read()  # until it leaves
        except ConnectionError:
            pass
        finally:
            del self.streams[writer]
            writer.close()

    async def mqtt(self, socket):
        if socket.subprotocol != "mqtt" or await socket.recv() != CONNECT:
            return
        await socket.send(CONNACK)
        first = await socket.recv()
        if first == SUBSCRIBE:
            await socket.send(SUBACK)
            return await self.stay(socket)
        self.mqtt_publish(first)
        async for packet in socket:
            self.mqtt_publish(packet)

    def mqtt_publish(self, packet):
        length = (packet[1] & 0x7F) | packet[2] << 7
        assert packet[0] == 0x30 and packet[1] & 0x80 and not packet[2] & 0x80
        assert length == len(packet) - 3 and packet[3:10] == TOPIC
        head = packet[:10]
        self.publish(packet[10:].decode(), lambda text: head + text.encode())


async def head_of(reader):
    """The fields of a request; None when there is no other one."""
    try:
        text = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    fields = (line.split(":", 1) for line in text.decode().split("\r\n")[1:] if line)
    return {name.lower(): value.strip() for name, value in fields}


async def main(liar, port, protocol, post_port):
    server = Server(liar)
    stop = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set_result, None)
    if protocol in ("json", "sse"):
        await asyncio.start_server(server.json_post, "127.0.0.1", post_port)
    if protocol == "sse":
        await asyncio.start_server(server.events, "127.0.0.1", port)
        await stop
        return
    subprotocols = ["mqtt"] if protocol == "mqtt" else None
    async with websockets.serve(getattr(server, protocol), "127.0.0.1", port, compression=None,
                                subprotocols=subprotocols):
        await stop


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("protocol", choices=("raw", "json", "mqtt", "sse"))
    parser.add_argument("post_port", type=int, nargs="?")
    lies.add_options(parser)
    asked = parser.parse_args()
    asyncio.run(main(lies.Liar.of(asked), asked.port, asked.protocol, asked.post_port))
