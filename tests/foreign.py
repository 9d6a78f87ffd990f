"""Python's `websockets` as a foreign client, in tests that are coroutines."""

import asyncio
import functools
import json

import websockets

from ringside import PATIENCE_S


# Debian 12 has a version before 14, with the interface that later ones call legacy.
IS_LEGACY = int(websockets.__version__.split(".")[0]) < 14
HEADERS = "extra_headers" if IS_LEGACY else "additional_headers"
Refused = websockets.InvalidStatusCode if IS_LEGACY else websockets.InvalidStatus


def status_of(refused):
    """That of the answer which a client of pytest.raises(Refused) had."""
    return refused.value.status_code if IS_LEGACY else refused.value.response.status_code


def extensions_of(socket):
    return socket.extensions if IS_LEGACY else socket.protocol.extensions


def path_of(socket):
    """Of a server's socket: what its client asked for."""
    return socket.path if IS_LEGACY else socket.request.path


def fields_of(socket):
    """Likewise, the fields of the request."""
    return socket.request_headers if IS_LEGACY else socket.request.headers


def asynchronous(test):
    """Lets pytest run a coroutine, and gives up on it after a while."""

    @functools.wraps(test)
    def run(*args, **kwargs):
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), 3 * PATIENCE_S))

    return run


def connect(server, path="/ws", headers=None, **query):
    return websockets.connect(
        server.ws_url(path, **query),
        max_size=None,
        max_queue=None,
        open_timeout=PATIENCE_S,
        close_timeout=5,
        **{HEADERS: headers or {}},
        **server.foreign,
    )


async def receive(socket):
    return await asyncio.wait_for(socket.recv(), PATIENCE_S)


async def receive_json(socket):
    return json.loads(await receive(socket))


async def publish(server, channel, data):
    """Publishes without holding up the other coroutines."""
    return await asyncio.get_running_loop().run_in_executor(None, server.publish, channel, data)


async def close_code(socket):
    """Reads on to the end and returns the code that the server closed with."""
    try:
        while True:
            await receive(socket)
    except websockets.ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None
