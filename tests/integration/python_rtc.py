"""aiortc, a WebRTC stack in Python, unmodified: prints what happens, one JSON array a line, and
does what it reads, one JSON array a line.

    python_rtc.py <url of the offer> <[[label, {options}], …]> [<token>]
"""

import asyncio
import json
import sys
import urllib.request

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription


def say(*event):
    print(json.dumps(event), flush=True)


def post(url, offer, token):
    request = urllib.request.Request(url, offer.encode(), {"Content-Type": "application/sdp"})
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request) as answer:
        return answer.status, answer.headers["Location"], answer.read().decode()


class Peer:
    def __init__(self):
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.connection.on("connectionstatechange", self.state)
        self.channels = []

    def state(self):
        say("state", self.connection.connectionState)

    def open(self, label, options):
        number = len(self.channels)
        channel = self.connection.createDataChannel(label, **options)
        self.channels.append(channel)
        channel.on("open", lambda: say("open", number, channel.id))
        channel.on("close", lambda: say("close", number))
        channel.on("message", lambda message: say(
            "message", number, message if isinstance(message, str) else [*message]))

    def act(self, kind, number, value=None):
        if kind == "send":
            self.channels[number].send(value if isinstance(value, str) else bytes(value))
        elif kind == "close":
            self.channels[number].close()
        elif kind == "open":
            self.open(number, value)


async def main(url, channels, token=None):
    peer = Peer()
    for label, options in json.loads(channels):
        peer.open(label, options)
    await peer.connection.setLocalDescription(await peer.connection.createOffer())
    status, location, answer = await asyncio.to_thread(
        post, url, peer.connection.localDescription.sdp, token)
    say("answered", status, location, answer)
    await peer.connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    while line := await asyncio.to_thread(sys.stdin.readline):
        peer.act(*json.loads(line))
    await peer.connection.close()


asyncio.run(main(*sys.argv[1:]))
