"""The official Python SDK of Centrifugo, as it is published, with deltas, in a process of its own.
Prints what it got, one JSON array a line, and disconnects and comes back when a line is written to
it.

    python_delta.py <ws url> <channel>
"""

import asyncio
import json
import sys

from centrifuge import Client, DeltaType, SubscriptionEventHandler


def say(*event):
    print(json.dumps(event), flush=True)


class Events(SubscriptionEventHandler):
    async def on_subscribed(self, ctx):
        say("subscribed", ctx.was_recovering, ctx.recovered)

    async def on_publication(self, ctx):
        say("publication", ctx.pub.data)

    async def on_error(self, ctx):
        say("error", str(ctx.error))


async def main(url, channel):
    client = Client(url, min_reconnect_delay=0.05)
    subscription = client.new_subscription(channel, Events(), delta=DeltaType.FOSSIL)
    await client.connect()
    await subscription.subscribe()
    while await asyncio.to_thread(sys.stdin.readline):
        await client.disconnect()
        say("cut")
        await client.connect()
    await client.disconnect()


asyncio.run(main(*sys.argv[1:]))
