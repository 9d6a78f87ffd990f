"""permessage-deflate by the table of Autobahn's sections 12 and 13: five kinds of data, eighteen
sizes and ways to cut them, seven ways to offer it. Autobahn sends each a thousand times and needs
Python 2; the client here is `websockets`, which deflates and inflates by itself."""

import json
import random

import pytest
import websockets
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from foreign import asynchronous, extensions_of, receive

MESSAGES = 2  # of each, so that a context that was kept would show
SIZES = [(size, 0) for size in (16, 64, 256, 1024, 4096, 8192, 16384, 32768, 65536, 131072)] + [
    (8192, 256), (16384, 256), (32768, 256), (65536, 256), (131072, 256), (131072, 1024),
    (131072, 4096), (131072, 32768)]


def data_of(kind):
    """Enough for all of SIZES, the same in each run."""
    chance = random.Random(17)
    if kind == "json":
        return json.dumps([{"id": n, "price": chance.random(), "name": f"RING{n % 50}"}
                           for n in range(4000)])
    if kind == "picture":
        return bytes((x + y + chance.randrange(8)) % 256 for y in range(512) for x in range(512))
    if kind == "german":
        words = "Habe nun ach Philosophie Juristerei und Medizin durchaus mit heißem Bemühn"
        return " ".join(chance.choices(words.split(), k=30_000)).encode()
    if kind == "html":
        return "".join(f'<tr class="row"><td>{n}</td><td>§ {chance.random()}</td></tr>\n'
                       for n in range(5000))
    assert kind == "packed"
    return chance.randbytes(300_000)


DATA = {kind: data_of(kind) for kind in ("json", "picture", "german", "html", "packed")}


def factory(no_context=False, bits=None):
    """What Autobahn calls requestNoContextTakeover and requestMaxWindowBits."""
    return ClientPerMessageDeflateFactory(server_no_context_takeover=no_context,
                                          server_max_window_bits=bits, client_max_window_bits=True)


async def echoes(socket, data, size, fragment):
    for n in range(MESSAGES):
        message = data[n * size // 2:][:size]
        assert len(message) == size
        pieces = [message[at:at + fragment] for at in range(0, size, fragment)] if fragment else []
        await socket.send(pieces or message)
        assert await receive(socket) == message


def dial(server, *factories):
    return websockets.connect(server.ws_url("/echo"), extensions=factories, compression=None,
                              max_size=1 << 20)


@pytest.fixture
def start(start_server):
    return lambda bits: start_server(config={
        "websocket_deflate": "on", "echo": "on", "websocket_publish": "on",
        "deflate_window_bits": bits})


@pytest.mark.parametrize("kind", DATA)
@asynchronous
async def test_12_echoes_of_each_kind_and_size(start, kind):
    async with dial(start(12), factory()) as socket:
        assert extensions_of(socket)
        for size, fragment in SIZES:
            await echoes(socket, DATA[kind], size, fragment)


@pytest.mark.parametrize("offers", [
    [(False, None)], [(True, None)], [(False, 9)], [(False, 15)], [(True, 9)], [(True, 15)],
    [(True, 9), (True, None), (False, None)]],
    ids=[f"13.{n}" for n in range(1, 8)])
@pytest.mark.parametrize("bits", [9, 12, 15])
@asynchronous
async def test_13_offers(start, offers, bits):
    """A server with a larger window than is asked for declines that offer, and takes the next."""
    taken = any(theirs is None or theirs >= bits for _, theirs in offers)
    async with dial(start(bits), *(factory(*offer) for offer in offers)) as socket:
        assert bool(extensions_of(socket)) == taken
        for extension in extensions_of(socket):
            assert extension.remote_no_context_takeover and extension.local_no_context_takeover
            assert extension.remote_max_window_bits == bits
        for size, fragment in SIZES[::5]:
            await echoes(socket, DATA["json"], size, fragment)
