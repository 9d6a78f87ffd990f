"""Webhooks that are received: signed by what their senders publish (`standardwebhooks` of PyPI and
npm, `stripe`, `@octokit/webhooks-methods`), and by hand where one is to be wrong."""

import base64
import concurrent.futures
import datetime
import hashlib
import hmac
import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

import sdk
from http2 import Http2
from ringside import data_of, refusal, server_binary, wait_until
from test_cluster import start_redis  # noqa: F401  (a fixture)
from wire import EventStream

SCRIPT = Path(__file__).parent / "node" / "sign_webhooks.js"
PACKAGES = {"standard": ("standardwebhooks", "1.1.1"), "stripe": ("stripe", "23.1.0"),
            "github": ("@octokit/webhooks-methods", "6.0.0")}
SECRETS = {"standard": "whsec_" + base64.b64encode(b"s" * 24).decode(),
           "github": "a secret of the repository",
           "stripe": "whsec_a secret of the endpoint"}
SCHEMES = list(SECRETS)
TOLERANCE_S = 300


@pytest.fixture
def config(tmp_path):
    """Settings of a server with one webhook of each scheme: /hook/SCHEME."""
    for scheme, secret in SECRETS.items():
        (tmp_path / scheme).write_text(secret + "\n")
    return {f"/hook/{scheme}:{name}": value for scheme in SCHEMES for name, value in {
        "scheme": scheme, "channel": f"from:{scheme}", "secrets": f"file:{tmp_path}/{scheme}",
    }.items()}


def args_of(config):
    return [arg for name, value in config.items() for arg in ("--set", f"{name}={value}")]


@pytest.fixture
def start(start_server, config):
    def run(settings=None, more=None, **options):
        return start_server(args=args_of({**config, **(more or {})}), config=settings, **options)

    return run


@pytest.fixture
def server(start):
    return start()


def mac(scheme, signed, secret=None):
    key = (secret or SECRETS[scheme]).encode()
    if scheme == "standard":
        key = base64.b64decode(key.removeprefix(b"whsec_"))
    return hmac.new(key, signed, hashlib.sha256)


def sign(scheme, body, id="msg_1", at=None, secret=None):
    """The fields of a request, by hand."""
    at = int(time.time()) if at is None else at
    if scheme == "standard":
        digest = mac(scheme, f"{id}.{at}.".encode() + body, secret).digest()
        return {"webhook-id": id, "webhook-timestamp": str(at),
                "webhook-signature": "v1," + base64.b64encode(digest).decode()}
    if scheme == "github":
        return {"X-GitHub-Delivery": id,
                "X-Hub-Signature-256": "sha256=" + mac(scheme, body, secret).hexdigest()}
    return {"Stripe-Signature":
            f"t={at},v1={mac(scheme, f'{at}.'.encode() + body, secret).hexdigest()}"}


def body_of(number=1):
    return json.dumps({"id": f"evt_{number}", "object": "event", "n": number}).encode()


def send(server, scheme, body, headers):
    return server.request("POST", f"/hook/{scheme}", body, headers)


def deliver(server, scheme, number=1):
    body = body_of(number)
    answer = send(server, scheme, body, sign(scheme, body, id=f"msg_{number}"))
    assert answer.status == 200, answer.body
    return answer.json()


# ---- signed by others ----

@pytest.fixture(scope="module")
def node_signs():
    """node_signs(scheme=, body=, …): the fields, by the package of npm."""
    for package in PACKAGES.values():
        modules = sdk.npm(*package)
    process = subprocess.Popen(["node", str(SCRIPT), str(modules)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True, env=sdk.node_environment())

    def ask(**order):
        process.stdin.write(json.dumps({"secret": SECRETS[order["scheme"]], **order}) + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    yield ask
    process.stdin.close()
    process.wait()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_webhook_is_pushed_to_browsers(server, node_signs, scheme):
    stream = EventStream(server.url("/sse", channel=f"from:{scheme}"))
    assert stream.live.wait(30)
    body = '{"id":"evt_9","text":"für alle ✓"}'
    headers = node_signs(scheme=scheme, body=body, id="9-9-9", timestamp=int(time.time()))
    answer = send(server, scheme, body.encode(), headers)
    assert answer.status == 200, answer.body
    assert stream.data(1) == [body]
    assert answer.json()["channel"] == f"from:{scheme}" and answer.json()["offset"] == 1


def test_the_official_library_of_python(server, monkeypatch):
    monkeypatch.syspath_prepend(str(sdk.pip("standardwebhooks", "1.1.0")))
    webhooks = pytest.importorskip("standardwebhooks")
    webhook = webhooks.Webhook(SECRETS["standard"])
    now, body = datetime.datetime.now(tz=datetime.timezone.utc), '{"type":"order.paid"}'
    headers = {"webhook-id": "msg_p", "webhook-timestamp": str(int(now.timestamp())),
               "webhook-signature": webhook.sign("msg_p", now, body)}
    assert webhook.verify(body, headers) == {"type": "order.paid"}
    assert send(server, "standard", body.encode(), headers).status == 200
    assert data_of(server.poll("from:standard", since="start")) == [body]


# ---- what is refused, each by name ----

@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_wrong_signature(server, scheme):
    body = body_of()
    for wrong in (sign(scheme, body, secret=SECRETS[scheme][:-4] + "AAAA"),
                  sign(scheme, body + b" ")):
        answer = send(server, scheme, body, wrong)
        assert (answer.status, refusal(answer)) == (401, "hook_signature")
    assert server.refused("hook_signature") == 2
    assert server.poll(f"from:{scheme}", since="start")["messages"] == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_no_signature(server, scheme):
    body = body_of()
    good = sign(scheme, body)
    for missing in good:
        rest = {name: value for name, value in good.items() if name != missing}
        answer = send(server, scheme, body, rest)
        assert (answer.status, refusal(answer)) == (401, "hook_unsigned"), missing
    for other in set(SCHEMES) - {scheme}:
        answer = send(server, scheme, body, sign(other, body))
        assert (answer.status, refusal(answer)) == (401, "hook_unsigned")


@pytest.mark.parametrize("scheme", ["standard", "stripe"])
def test_a_timestamp_out_of_its_tolerance(server, scheme):
    body, now = body_of(), int(time.time())
    for at in (now - TOLERANCE_S - 60, now + TOLERANCE_S + 60, 1):
        answer = send(server, scheme, body, sign(scheme, body, at=at))
        assert (answer.status, refusal(answer)) == (401, "hook_stale")
    assert server.refused("hook_stale") == 3
    for number, at in enumerate((now - TOLERANCE_S + 60, now + TOLERANCE_S - 60)):
        body = body_of(number)
        headers = sign(scheme, body, id=f"msg_{number}", at=at)
        assert send(server, scheme, body, headers).status == 200


@pytest.mark.parametrize("name", ["nobody", "standard/", "standard/x", "Standard", "%73tandard"])
def test_an_unknown_one(server, name):
    body = body_of()
    answer = server.request("POST", f"/hook/{name}", body, sign("standard", body))
    assert (answer.status, refusal(answer)) == (404, "unknown_hook")


def test_without_any_there_is_no_such_path(start_server):
    answer = start_server().request("POST", "/hook/x", b"{}")
    assert (answer.status, refusal(answer)) == (404, "not_found")


def test_other_methods(server):
    answer = server.get("/hook/standard")
    assert answer.status == 405 and answer.headers["Allow"] == "POST, OPTIONS"


@pytest.mark.parametrize("body", [
    b"no json", b"{}", b'{"id":7}', b'{"id":""}', b'{"id":"a","id":"b"}', b'["id"]',
    json.dumps({"id": "x" * 129}).encode(), b'{"data":{"id":"inner"}}', b'{"id":"a"} 'b"x"])
def test_a_body_without_the_id_that_its_scheme_has_there(server, body):
    answer = send(server, "stripe", body, sign("stripe", body))
    assert (answer.status, refusal(answer)) == (400, "hook_id")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_one_that_is_too_large(start, scheme):
    server = start(more={f"/hook/{scheme}:body_bytes_max": 1000})
    body = body_of() + b" " * 1000
    answer = send(server, scheme, body, sign(scheme, body))
    assert (answer.status, refusal(answer)) == (413, "body_long")
    largest = body_of(2)
    largest += b" " * (1000 - len(largest))
    assert send(server, scheme, largest, sign(scheme, largest)).status == 200


def test_an_ended_channel(server):
    assert server.request("POST", "/publish?channel=from:github&end=1", b"end").status == 200
    body = body_of()
    answer = send(server, "github", body, sign("github", body))
    assert (answer.status, refusal(answer)) == (409, "ended")


# ---- repeats ----

@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_id_that_comes_again_is_published_once(start, scheme):
    server = start(shards=2)
    first = deliver(server, scheme)
    for _ in range(8):
        again = deliver(server, scheme)  # a connection each: both shards have some
        assert again == {**first, "repeated": True}
    deliver(server, scheme, number=2)
    assert data_of(server.poll(f"from:{scheme}", since="start")) == [
        body_of(1).decode(), body_of(2).decode()]
    assert server.metric("ringside_webhooks_received_total") == 2
    assert server.metric("ringside_webhooks_repeated_total") == 8
    assert server.metric("ringside_lasting_keys") == 2


def test_the_same_id_at_once_from_many(start):
    server = start(shards=2)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        told = list(pool.map(lambda _: deliver(server, "standard"), range(64)))
    assert {one["offset"] for one in told} == {1}
    assert sum("repeated" not in one for one in told) == 1


def test_the_same_id_of_another_webhook_is_another(start, config):
    """Also where both go to one channel."""
    server = start(more={"/hook/github:channel": "both", "/hook/standard:channel": "both"})
    assert "repeated" not in deliver(server, "github")
    assert "repeated" not in deliver(server, "standard")
    assert len(server.poll("both", since="start")["messages"]) == 2


def test_the_oldest_id_gives_way(start):
    server = start(settings={"webhook_ids_max": 64}, shards=1)
    for number in range(65):
        deliver(server, "github", number)
    assert "repeated" not in deliver(server, "github", 0)
    assert "repeated" in deliver(server, "github", 64)
    assert server.metric("ringside_lasting_keys") == 64


def test_a_key_of_the_server_api_is_no_id(start, tmp_path):
    (tmp_path / "api.key").write_text("0123456789abcdef\n")
    server = start(settings={"api_keys": f"file:{tmp_path}/api.key"})
    deliver(server, "github", 1)
    order = {"channel": "from:github", "data": {}, "idempotency_key": "msg_1"}
    answer = server.request("POST", "/api/publish", json.dumps(order).encode(),
                            {"X-API-Key": "0123456789abcdef"})
    assert answer.json()["result"]["offset"] == 2


# ---- secrets ----

def test_a_secret_is_replaced_while_both_count(start, tmp_path):
    other = tmp_path / "other"
    other.write_text("another secret of the endpoint\n")
    both = f"file:{tmp_path}/stripe file:{other}"
    server = start(more={"/hook/stripe:secrets": both})
    for number, secret in enumerate((SECRETS["stripe"], "another secret of the endpoint")):
        body = body_of(number)
        assert send(server, "stripe", body, sign("stripe", body, secret=secret)).status == 200
    body = body_of(7)
    headers = sign("stripe", body)
    headers["Stripe-Signature"] += ",v1=" + "0" * 64 + ",v0=" + "1" * 64
    assert send(server, "stripe", body, headers).status == 200


def test_sighup_reads_secrets_again(server, tmp_path):
    (tmp_path / "github").write_text("a newer secret of it\n")
    server.signal(signal.SIGHUP)
    body = body_of()
    headers = sign("github", body, secret="a newer secret of it")
    wait_until(lambda: send(server, "github", body, headers).status == 200, "the new secret")
    assert refusal(send(server, "github", body, sign("github", body))) == "hook_signature"
    assert "those of 3 webhooks" in server.output()


@pytest.mark.parametrize("more,said", [
    ({"/hook/x:scheme": "stripe"}, "[hook x] needs secrets ="),
    ({"/hook/github:channel": ""}, "[hook github] needs channel ="),
    ({"/hook/github:channel": "a b"}, "is no name of a channel"),
    ({"/hook/github:scheme": "gitlab"}, "needs standard, github or stripe"),
    ({"/hook/a%20b:scheme": "github"}, "a webhook has a name of 1 to 64"),
    ({"/hook/github:colour": "red"}, "a webhook has nothing named colour"),
    ({"/hook/standard:tolerance_s": "50000"}, "webhook_ids_s above 100000"),
    ({"/hook/github:secrets": "file:/nowhere"}, "/nowhere: No such file"),
    ({"/hook/standard:secrets": "env:HOME"}, "is no secret of a webhook"),
])
def test_what_is_no_webhook_is_said_at_the_start(config, more, said):
    ended = subprocess.run([server_binary(), "--listen", "127.0.0.1:1",
                            *args_of({**config, **more})], capture_output=True, text=True,
                           timeout=30, check=False)
    assert ended.returncode != 0 and said in ended.stderr


def test_a_section_of_the_file(start_server, tmp_path):
    (tmp_path / "secret").write_text(SECRETS["github"])
    path = tmp_path / "hooks.ini"
    path.write_text(f"[hook ci]\nscheme = github\nsecrets = file:{tmp_path}/secret\n"
                    "channel = builds\n")
    server = start_server(args=["--config", str(path)])
    body = body_of()
    assert server.request("POST", "/hook/ci", body, sign("github", body)).status == 200


# ---- what carries it ----

@pytest.mark.parametrize("secure", [False, True])
def test_over_tls_and_http2(start, secure):
    server = start(secure=secure)
    deliver(server, "standard", 1)
    with Http2(server) as client:
        for number, pieces in ((2, 1), (3, 7)):
            body = body_of(number) + b" " * 40000
            fields = [(name.lower(), value) for name, value in
                      sign("standard", body, id=f"msg_{number}").items()]
            stream = client.open("/hook/standard", method="POST", end=False, fields=fields)
            step = len(body) // pieces + 1
            for at in range(0, len(body), step):
                client.send(stream, body[at:at + step], end=at + step >= len(body))
            assert client.whole(stream).status == 200
    assert len(server.poll("from:standard", since="start")["messages"]) == 3


def test_in_chunks_with_other_requests_behind_it(server):
    body = body_of()
    connection = server.connect()
    for number in range(2):
        headers = {**sign("github", body, id=f"g{number}"), "Transfer-Encoding": "chunked"}
        connection.request("POST", "/hook/github", iter([body[:5], body[5:]]), headers,
                           encode_chunked=True)
        assert connection.getresponse().read().startswith(b'{"channel":"from:github"')
    wrong = sign("github", b"other")
    connection.request("POST", "/hook/github", body, wrong)
    assert b"hook_signature" in connection.getresponse().read()
    connection.request("GET", "/healthz")
    assert connection.getresponse().status == 200
    connection.close()


# ---- several nodes ----

def test_an_id_counts_once_on_all_nodes(start, start_redis):  # noqa: F811
    redis = start_redis()
    a, b = (start({"redis": redis.address, "broker_timeout_ms": 2000}) for _ in range(2))
    first = deliver(a, "standard", 1)
    assert deliver(b, "standard", 1) == {**first, "repeated": True}
    assert deliver(b, "standard", 2)["offset"] == 2
    assert "repeated" in deliver(a, "standard", 2)
    assert len(b.poll("from:standard", since="start")["messages"]) == 2
    ttl = int(redis.ask("PTTL", "ringside:{from:standard}:l"))
    assert 86_000_000 < ttl <= 86_400_000
