"""A hub of the Mercure protocol, its publishers and its subscribers."""

import urllib.parse

import jwt

from wire import EventStream

HUB = "/.well-known/mercure"
SUBSCRIPTIONS = HUB + "/subscriptions"
SECRET = "a secret of thirty-two bytes or more"
API_KEY = "0123456789abcdef"


def settings(tmp_path, **more):
    (tmp_path / "token.key").write_text(SECRET + "\n")
    (tmp_path / "api.key").write_text(API_KEY + "\n")
    return {"mercure": "on", "token_keys": f"HS256:file:{tmp_path}/token.key",
            "api_keys": f"file:{tmp_path}/api.key", **more}


def signed(claims):
    return jwt.encode(claims, SECRET, "HS256")


def token(**mercure):
    return signed({"mercure": mercure})


PUBLISHER = token(publish=["*"])


def bearer(by):
    return {"Authorization": f"Bearer {by}"}


def post(hub, by=PUBLISHER, **form):
    headers = {"Content-Type": "application/x-www-form-urlencoded",
               **(bearer(by) if by else {})}
    return hub.request("POST", HUB, urllib.parse.urlencode(form, doseq=True).encode(), headers)


def update(hub, *topics, **form):
    answer = post(hub, topic=list(topics), **form)
    assert answer.status == 200, answer.body
    return answer.body.decode()


class Heard(EventStream):
    """It has no position of its own to wait for: it is live when its head has come, for the hub
    answers when the subscription stands."""

    def __init__(self, hub, *headers, **query):
        super().__init__(hub.url(HUB, **query), *headers)

    def _read_head(self):
        found = super()._read_head()
        self.live.set()
        return found


def data(stream, count):
    return stream.data(count)
