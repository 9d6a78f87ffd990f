"""WebTransport from a page, in every way that a session can be used: by a Chromium that takes the
certificate by its hash, of a server that has each client prove its address first."""

import json

import pytest

from test_browser_http3 import browser, certificate, certificate_hash  # noqa: F401 (fixtures)

MIB = 1 << 20

LIBRARY = """
window.ask = async (done, test) => {
  try { done(await test()); } catch (error) { done(`${error} ${error.stack}`); }
};
window.open_session = (url, hash, options) => new WebTransport(url, {...options,
  serverCertificateHashes: [{algorithm: "sha-256",
                             value: Uint8Array.from(atob(hash), c => c.charCodeAt(0))}]});
// The frames of a stream, as [first byte, payload].
window.frames = stream => {
  const reader = stream.getReader();
  let bytes = new Uint8Array(0);
  const need = async count => {
    while (bytes.length < count) {
      const {value, done} = await reader.read();
      if (done) return false;
      const both = new Uint8Array(bytes.length + value.length);
      both.set(bytes);
      both.set(value, bytes.length);
      bytes = both;
    }
    return true;
  };
  return async () => {
    if (!await need(2)) return null;
    const more = bytes[1] === 126 ? 2 : bytes[1] === 127 ? 8 : 0;
    await need(2 + more);
    let length = more ? 0 : bytes[1];
    for (let i = 0; i < more; i++) length = length * 256 + bytes[2 + i];
    await need(2 + more + length);
    const found = [bytes[0], bytes.slice(2 + more, 2 + more + length)];
    bytes = bytes.slice(2 + more + length);
    return found;
  };
};
window.frame = payload => {  // masked with zeros
  const length = payload.length, more = length < 126 ? 0 : length < 65536 ? 2 : 8;
  const framed = new Uint8Array(6 + more + length), view = new DataView(framed.buffer);
  framed[0] = 0x82;
  framed[1] = 0x80 | (more === 0 ? length : more === 2 ? 126 : 127);
  if (more === 2) view.setUint16(2, length);
  if (more === 8) view.setBigUint64(2, BigInt(length));
  framed.set(payload, 6 + more);
  return framed;
};
window.text = bytes => new TextDecoder().decode(bytes);
window.bytes_of = text => new TextEncoder().encode(text);
window.next = async readable => {
  const reader = readable.getReader();
  const {value} = await reader.read();
  reader.releaseLock();
  return value;
};
window.send = async (session, payload) => {
  const writer = (await session.createUnidirectionalStream()).getWriter();
  await writer.write(payload);
  await writer.close();
};
"""

ECHOES = """
const [url, hash, size, done] = arguments;
ask(done, async () => {
  const session = open_session(url + "/echo", hash, {protocols: ["other", "ringside"]});
  await session.ready;
  const told = {protocol: session.protocol};
  await send(session, bytes_of("one way"));
  const back = frames(await next(session.incomingUnidirectionalStreams));
  told.one_way = text((await back())[1]);
  await session.datagrams.writable.getWriter().write(bytes_of("\\0\\0datagram"));
  told.datagram = text((await back())[1]);
  const {readable, writable} = await session.createBidirectionalStream();
  const writer = writable.getWriter(), hear = frames(readable);
  await writer.write(bytes_of("/echo\\n"));
  await writer.write(frame(bytes_of("hello world")));
  told.hello = text((await hear())[1]);
  const large = new Uint8Array(size).map((_, i) => i * 31);
  writer.write(frame(large));
  const echoed = (await hear())[1];
  told.large = echoed.length === size && echoed.every((byte, i) => byte === large[i]);
  session.close({closeCode: 777, reason: "client bye"});
  told.closed = await session.closed;
  return told;
});
"""

CHANNEL = """
const [url, hash, done] = arguments;
ask(done, async () => {
  const session = open_session(url + "/wt?channel=page", hash);
  await session.ready;
  for (let n = 0; n < 100; n++)
    fetch(`/publish?channel=page`, {method: "POST", body: `message ${n}`});
  const hear = frames(await next(session.incomingUnidirectionalStreams));
  const heard = new Set();
  while (heard.size < 100) heard.add(text((await hear())[1]));
  fetch("/publish?channel=page&end=1", {method: "POST", body: "last"});
  const last = text((await hear())[1]);
  const [first, close] = await hear();
  const after = await hear();
  const closed = await session.closed;
  return [heard.size, last, first, text(close.slice(2)), after,
          closed.closeCode, closed.reason];
});
"""

DATAGRAMS = """
const [url, hash, done] = arguments;
ask(done, async () => {
  const session = open_session(url + "/wt?channel=state&datagrams=9", hash);
  session.datagrams.incomingHighWaterMark = 100;
  await session.ready;
  const reader = session.datagrams.readable.getReader();
  const writer = session.datagrams.writable.getWriter();
  const heard = [];
  for (let n = 0; n < 20; n++) {
    await writer.write(new Uint8Array([9, n, 65 + n]));
    const {value} = await reader.read();
    heard.push([...value]);
  }
  const large = new Uint8Array(5000).fill(66);
  await send(session, large);
  const wide = await next(session.incomingUnidirectionalStreams);
  const whole = new Uint8Array(await new Response(wide).arrayBuffer());
  return [heard, [...whole.slice(0, 3)], whole.length];
});
"""

ENDS = """
const [url, hash, size, done] = arguments;
ask(done, async () => {
  const told = {};
  const refused = open_session(url + "/wt?channel=**", hash);
  told.refused = await refused.ready.then(() => "ready", error => error.name);
  const session = open_session(url + "/wt?channel=ends", hash);
  await session.ready;
  // More than a message may have: the server stops it, with a code. Chromium's network process
  // tells the end of the pipe and the code by two ways, and an end that comes first has no code.
  for (let turn = 0; turn < 5 && told.stopped == null; turn++)
    told.stopped = await (async () => {
      const writer = (await session.createUnidirectionalStream()).getWriter();
      try {
        for (let n = 0; n < 40; n++) await writer.write(new Uint8Array(size / 8));
        return "taken";
      } catch (error) { return error.streamErrorCode; }
    })();
  const stream = await session.createBidirectionalStream();
  await stream.writable.getWriter().write(bytes_of("/" + "x".repeat(20000)));
  told.reset = await stream.readable.getReader().read().then(
    () => "read", error => error.streamErrorCode);
  const aborted = (await session.createBidirectionalStream()).writable;
  const aborting = aborted.getWriter();
  await aborting.write(bytes_of("/ws?channel=a\\n"));
  await aborting.abort(new WebTransportError({message: "", streamErrorCode: 33}));
  const gone = open_session(url + "/wt?channel=x&since=1111111111111111.9", hash);
  await gone.ready;
  const closed = await gone.closed;
  told.closed = [closed.closeCode, closed.reason];
  session.close();
  return told;
});
"""


@pytest.fixture(scope="module")
def asked(certificate):  # noqa: F811
    return certificate_hash(certificate)


@pytest.fixture
def served(start_server, certificate):  # noqa: F811
    return start_server(secure=True, certificates=(str(certificate),), args=("--echo",), config={
        "http3": "on", "websocket_publish": "on", "quic_retry_over": "0"})


def test_every_way_to_use_a_session(served, browser, asked):  # noqa: F811
    def ask(script, *more):
        return browser.execute_async_script(script, served.url(""), asked, *more)

    browser.get(served.url("/healthz"))
    browser.execute_script(LIBRARY)
    echoes = ask(ECHOES, MIB)
    assert echoes == {
        "protocol": "ringside", "one_way": "one way", "datagram": "datagram",
        "hello": "hello world", "large": True,
        "closed": {"closeCode": 777, "reason": "client bye"}}, json.dumps(echoes)
    told = ask(CHANNEL)
    assert told == [100, "last", 0x88, "ended", None, 1000, "ended"], told
    heard, head, length = ask(DATAGRAMS)
    assert heard == [[9, n, 65 + n] for n in range(20)]
    assert head == [9, 20, 66] and length == 5002
    ends = ask(ENDS, MIB)
    assert ends == {"refused": "WebTransportError", "stopped": 1009, "reset": 0,
                    "closed": [4410, "unrecoverable"]}, ends
    assert served.metric("ringside_quic_retries_total") > 0
