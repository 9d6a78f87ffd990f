"""The official Python SDK of Centrifugo, as it is published, in a process of its own: it brings a
`websockets` that is newer than Debian's. Prints what it got as one line of JSON.

    python_centrifuge.py <ws url> <http url of /publish?channel=room:1> <token>
"""

import asyncio
import json
import sys
import urllib.request

from centrifuge import Client, SubscriptionEventHandler

PATIENCE_S = 30


class Events(SubscriptionEventHandler):
    def __init__(self):
        self.queue = asyncio.Queue()

    async def on_subscribed(self, ctx):
        await self.queue.put(["subscribed", ctx.was_recovering, ctx.recovered])

    async def on_publication(self, ctx):
        await self.queue.put(["publication", ctx.pub.data])

    async def next(self):
        return await asyncio.wait_for(self.queue.get(), PATIENCE_S)


async def publish(url, data):
    request = urllib.request.Request(url, json.dumps(data).encode(), method="POST")
    await asyncio.to_thread(lambda: urllib.request.urlopen(request).read())


async def main(url, publish_url, token):
    client = Client(url, token=token, min_reconnect_delay=0.05)
    events = Events()
    subscription = client.new_subscription("room:1", events)
    await client.connect()
    await subscription.subscribe()
    got = [await events.next()]
    await subscription.publish({"by": "the client"})
    got.append(await events.next())
    await publish(publish_url, {"by": "http"})
    got.append(await events.next())
    page = await subscription.history(limit=10)
    got.append(["history", [p.data for p in page.publications], page.offset])
    clients = (await subscription.presence()).clients
    got.append(["presence", [one.user for one in clients.values()]])
    stats = await subscription.presence_stats()
    got.append(["presence_stats", stats.num_clients, stats.num_users])
    client._conn.transport.abort()
    await publish(publish_url, {"by": "http", "while": "away"})
    got += [await events.next(), await events.next()]
    await client.disconnect()
    print(json.dumps(got))


asyncio.run(main(*sys.argv[1:]))
