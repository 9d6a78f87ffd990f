"""HTTP/3 and WebTransport from a page, in a Chromium that may use QUIC."""

import base64
import hashlib
import json
import subprocess

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

import sdk
from chromium_flags import FLAGS
from ringside import PATIENCE_S
from test_browser_centrifuge import VERSION

# What a browser accepts by its hash alone: P-256, and for two weeks at most.
CERTIFICATE = (
    "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
    "-nodes", "-days", "10", "-subj", "/CN=localhost",
    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
)

EVENTS = """
const [done] = [arguments[arguments.length - 1]];
const heard = [];
const events = new EventSource("/sse?channel=news");
events.onopen = () => fetch("/publish?channel=news", {method: "POST", body: "by h3"});
events.onmessage = event => {
  heard.push(event.data);
  events.close();
  // What it came by is noted when it has ended.
  const timer = setInterval(() => {
    const entry = performance.getEntriesByType("resource").find(one => one.name.includes("/sse"));
    if (entry) {
      clearInterval(timer);
      done([heard, entry.nextHopProtocol]);
    }
  }, 20);
};
events.onerror = () => done("no events");
"""

STREAMS = """
const [url, hash, done] = arguments;
const bytes = Uint8Array.from(atob(hash), c => c.charCodeAt(0));
const told = [];
(async () => {
  const session = new WebTransport(url, {serverCertificateHashes: [
    {algorithm: "sha-256", value: bytes}]});
  await session.ready;
  const streams = [];
  for (let n = 0; n < 2; n++) {
    const stream = await session.createBidirectionalStream();
    const reader = stream.readable.pipeThrough(new TextDecoderStream()).getReader();
    const writer = stream.writable.getWriter();
    let text = "";
    const line = async () => {
      while (!text.includes("\\n")) text += (await reader.read()).value;
      const end = text.indexOf("\\n");
      const first = text.slice(0, end);
      text = text.slice(end + 1);
      return JSON.parse(first);
    };
    const say = what => writer.write(new TextEncoder().encode(JSON.stringify(what) + "\\n"));
    await say({id: 1, connect: {}});
    await line();
    await say({id: 2, subscribe: {channel: "both"}});
    await line();
    streams.push({say, line});
  }
  // Each hears it, and the one that said it has an answer as well.
  await streams[0].say({id: 3, publish: {channel: "both", data: {from: "a"}}});
  told.push((await streams[1].line()).push.pub.data);
  session.close({closeCode: 7, reason: "enough"});
  told.push((await session.closed).closeCode);
  done(told);
})().catch(error => done(String(error)));
"""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Its path, without the ending."""
    own = tmp_path_factory.mktemp("certificate") / "own"
    subprocess.run([*CERTIFICATE, "-keyout", f"{own}.key.pem", "-out", f"{own}.pem"], check=True,
                   capture_output=True)
    return own


def openssl(given, *command):
    return subprocess.run(["openssl", *command], check=True, capture_output=True,
                          input=given).stdout


def hash_of(der):
    return base64.b64encode(hashlib.sha256(der).digest()).decode()


def certificate_hash(own):
    return hash_of(openssl(own.with_suffix(".pem").read_bytes(), "x509", "-outform", "der"))


def key_hash(own):
    public = openssl(own.with_suffix(".pem").read_bytes(), "x509", "-pubkey", "-noout")
    return hash_of(openssl(public, "pkey", "-pubin", "-outform", "der"))


@pytest.fixture
def served(start_server, certificate):
    return start_server(secure=True, certificates=(str(certificate),),
                        config={"http3": "on", "websocket_publish": "on"})


@pytest.fixture
def browser(served, certificate, tmp_path):
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in FLAGS:
        if flag not in ("--disable-quic", "--ignore-certificate-errors"):
            options.add_argument(flag)
    options.add_argument(f"--origin-to-force-quic-on=127.0.0.1:{served.port}")
    options.add_argument(f"--ignore-certificate-errors-spki-list={key_hash(certificate)}")
    options.add_argument(f"--user-data-dir={tmp_path}")
    driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
    driver.set_script_timeout(PATIENCE_S)
    yield driver
    driver.quit()


def test_events_come_by_http3_and_streams_by_webtransport(served, browser, certificate):
    browser.get(served.url("/healthz"))
    assert browser.execute_async_script(EVENTS) == [["by h3"], "h3"]
    url = served.url("/connection/webtransport")
    told = browser.execute_async_script(STREAMS, url, certificate_hash(certificate))
    assert told == [{"from": "a"}, 7], json.dumps(told)


# The official SDK by the transport of that name alone: a page has no hashes to give it.
SDK = """
const done = arguments[arguments.length - 1];
const told = [];
const client = new Centrifuge([{transport: "webtransport",
  endpoint: `https://${location.host}/connection/webtransport`}], {});
client.on("error", context => told.push(`${context.error.message}`));
client.on("connected", context => told.push(context.transport));
const subscription = client.newSubscription("sdk");
subscription.on("publication", context => {
  told.push(context.data);
  client.on("disconnected", context => done([...told, context.code]));
  client.disconnect();
});
subscription.on("subscribed", () => subscription.publish({from: "sdk"}));
subscription.subscribe();
client.connect();
"""


def test_the_official_sdk_connects_by_webtransport(served, browser):
    bundle = sdk.npm("centrifuge", VERSION) / "centrifuge" / "dist" / "centrifuge.js"
    browser.get(served.url("/healthz"))
    browser.execute_script(bundle.read_text())
    assert browser.execute_async_script(SDK) == ["webtransport", {"from": "sdk"}, 0]
