"""The official Centrifuge SDK in a real browser, over each transport that it has, as its bundle is
published."""

import pytest

import sdk
from relay import Relay
from ringside import HOST

VERSION = "5.8.0"
PATHS = {"websocket": "/connection/websocket", "http_stream": "/connection/http_stream",
         "sse": "/connection/sse"}

# Notes what happens in window.seen; window.client and window.subscription can be asked.
CLIENT = """
    const [transports, token, next, channel] = arguments;
    window.seen = [];
    const note = (target, name, of) => target.on(name, context => seen.push([name, of(context)]));
    window.client = new Centrifuge(transports.map(([transport, path]) => ({transport, endpoint:
        (transport === "websocket" ? "ws" : "http") + `://${location.host}${path}`})),
        {token, getToken: async () => { seen.push(["refreshed"]); return next; },
         minReconnectDelay: 20, maxReconnectDelay: 200});
    note(client, "connected", context => context.transport);
    note(client, "disconnected", context => context.code);
    window.subscription = client.newSubscription(channel);
    note(subscription, "subscribed", context => [context.wasRecovering, context.recovered]);
    note(subscription, "publication", context => context.data);
    subscription.subscribe();
    client.connect();
"""

ASK = """
    const [method, argument, done] = arguments;
    subscription[method](argument).then(done, error => done({failed: `${error.message}`}));
"""


@pytest.fixture(scope="module")
def bundle():
    path = sdk.npm("centrifuge", VERSION) / "centrifuge" / "dist" / "centrifuge.js"
    return path.read_text()


@pytest.fixture
def relayed(chromium, start_server, tmp_path):
    """A page that comes through a relay, as all that its scripts ask for."""
    server = start_server(
        config=sdk.with_keys(tmp_path, websocket_publish="on", heartbeat_ms=3000),
        args=["--set", "room:presence=on"],
    )
    relay = Relay(server.port)
    chromium.get(f"http://{HOST}:{relay.port}/healthz")
    yield server, relay
    chromium.get("about:blank")
    relay.close()


def refuse(names):
    """The SDK's own order, with nothing at the paths of these."""
    return [[name, "/nowhere" if name in names else path] for name, path in PATHS.items()]


@pytest.mark.parametrize("refused", [[], ["websocket"], ["websocket", "http_stream"]],
                         ids=["websocket", "http_stream", "sse"])
def test_all_that_a_client_does(chromium, bundle, relayed, eventually, refused):
    server, relay = relayed
    found = list(PATHS)[len(refused)]
    read = 0

    def next_of(name):
        """Skips to the next that happened under this name."""
        def there():
            seen = chromium.execute_script("return window.seen")[read:]
            return next(([at, *one] for at, one in enumerate(seen) if one[0] == name), None)

        nonlocal read
        at, _, *value = eventually(there, name)
        read += at + 1
        return value[0] if value else None

    def ask(method, argument=None):
        return chromium.execute_async_script(ASK, method, argument)

    chromium.execute_script(bundle)
    chromium.execute_script(CLIENT, refuse(refused), sdk.token(sub="alice", in_s=4),
                            sdk.token(sub="alice"), "room:1")
    assert next_of("connected") == found
    assert next_of("subscribed") == [False, False]
    assert "failed" not in ask("publish", {"by": "the page", "text": "Grüße\n"})
    assert next_of("publication") == {"by": "the page", "text": "Grüße\n"}
    server.publish("room:1", b'{"by":\r\n"http"}')
    assert next_of("publication") == {"by": "http"}
    assert len(ask("history", {"limit": 10})["publications"]) == 2
    assert [one["user"] for one in ask("presence")["clients"].values()] == ["alice"]
    assert ask("presenceStats")["numUsers"] == 1

    relay.cut()
    server.publish("room:1", '"missed"')
    assert next_of("subscribed") == [True, True]
    assert next_of("publication") == "missed"
    eventually(lambda: ["refreshed"] in chromium.execute_script("return window.seen"), "a refresh")
    server.publish("room:1", '"behind"')
    assert next_of("publication") == "behind"
    assert server.closed("session_no_pong") == 0
