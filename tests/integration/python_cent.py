"""Centrifugo's official Python library for its server API, as it is published, in a process of its
own: it brings what is newer than Debian's. Reads a line of JSON for each request, ["publish",
{"channel": "a", "data": 1}], and prints what it got as one.

    python_cent.py <http url of /api> <API key>
"""

import json
import sys

import cent

REQUESTS = {
    request.__api_method__: request
    for request in (
        cent.PublishRequest,
        cent.BroadcastRequest,
        cent.SubscribeRequest,
        cent.UnsubscribeRequest,
        cent.DisconnectRequest,
        cent.RefreshRequest,
        cent.PresenceRequest,
        cent.PresenceStatsRequest,
        cent.HistoryRequest,
        cent.HistoryRemoveRequest,
        cent.ChannelsRequest,
        cent.InfoRequest,
    )
}


def request_of(method, arguments):
    if method == "batch":
        return cent.BatchRequest(requests=[request_of(*one) for one in arguments])
    return REQUESTS[method](**arguments)


def main(url, key):
    client = cent.Client(url, api_key=key)
    for line in sys.stdin:
        method, arguments = json.loads(line)
        try:
            result = getattr(client, method)(request_of(method, arguments))
            got = result.model_dump(serialize_as_any=True)
        except cent.CentApiResponseError as error:
            got = {"error": error.code}
        print(json.dumps(got), flush=True)


main(*sys.argv[1:])
