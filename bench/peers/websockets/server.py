"""The broadcast server of the documentation of websockets, with one publisher: what comes in on
/pub goes to everybody on /sub.

    server.py HOST PORT FOLDER          FOLDER/site has the package
    server.py --version FOLDER
"""

import asyncio
import logging
import platform
import signal
import sys


def load(folder):
    sys.path.insert(0, f"{folder}/site")
    import websockets.asyncio.server
    return websockets


async def serve(websockets, host, port):
    subscribers = set()

    async def handle(connection):
        if connection.request.path == "/pub":
            async for message in connection:
                websockets.asyncio.server.broadcast(subscribers, message)
            return
        subscribers.add(connection)
        try:
            await connection.wait_closed()
        finally:
            subscribers.discard(connection)

    logging.getLogger("websockets").setLevel(logging.CRITICAL)
    stop = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set_result, None)
    await websockets.asyncio.server.serve(handle, host, port, compression=None, ping_interval=None,
                                          backlog=4096)
    await stop


def main(first, second, third=None):
    if first == "--version":
        print(f"websockets {load(second).version.version}, Python {platform.python_version()}")
        return
    asyncio.run(serve(load(third), first, int(second)))


if __name__ == "__main__":
    main(*sys.argv[1:])
