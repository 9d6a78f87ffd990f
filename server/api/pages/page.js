/* The page at /: subscribes to one channel by every transport, and shows when each has a message.
 * Nothing of a message is ever taken for markup: all of it goes through textContent. */
"use strict";

const POINTS = 60; /* latencies on a plot */
const KEPT = 30; /* messages in a list */
const RECENT = 500; /* texts whose time is remembered */

const find = (what, inside = document) => inside.querySelector(what);
const channel = new URLSearchParams(location.search).get("channel") || "demo";
const query = "channel=" + encodeURIComponent(channel);
const sentAt = new Map(); /* text -> when it was published here */

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function drawn(name, attributes, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

/* ---- a plot: latency over messages, by the logarithm, the same scale for all transports ---- */

const LOWEST = 0.5, HIGHEST = 2000; /* ms, bottom and top */
const WIDTH = 300, HEIGHT = 104, LEFT = 34;
const shown = (ms) => ms < 10 ? ms.toFixed(1) + " ms" : ms < 1000 ? Math.round(ms) + " ms"
  : (ms / 1000).toFixed(2) + " s";

function heightOf(ms) {
  const bounded = Math.min(Math.max(ms, LOWEST), HIGHEST);
  return HEIGHT - HEIGHT * Math.log(bounded / LOWEST) / Math.log(HIGHEST / LOWEST);
}

function plot(title) {
  const svg = drawn("svg", { class: "plot", viewBox: `0 -8 ${WIDTH} ${HEIGHT + 12}`, role: "img",
    "aria-label": "latency of the last messages by " + title });
  for (const ms of [1, 10, 100, 1000]) {
    const y = heightOf(ms);
    svg.append(drawn("line", { class: "grid", x1: LEFT, x2: WIDTH, y1: y, y2: y }),
      drawn("text", { x: LEFT - 5, y: y + 3, "text-anchor": "end" },
        ms < 1000 ? ms + " ms" : "1 s"));
  }
  const line = drawn("polyline", {});
  const dots = drawn("g", {});
  svg.append(line, dots);
  const draw = (latencies) => {
    const step = (WIDTH - LEFT - 8) / (POINTS - 1);
    const last = latencies.slice(-POINTS);
    const points = last.map((ms, i) => [LEFT + 4 + i * step, heightOf(ms)]);
    line.setAttribute("points", points.map((point) => point.join()).join(" "));
    dots.replaceChildren(...points.slice(-1).map(([x, y]) => drawn("circle",
      { cx: x, cy: y, r: 3.5 })));
  };
  return { svg, draw };
}

/* ---- a card: one transport ---- */

function figure(title) {
  const value = element("b", { textContent: "–" });
  return { value, box: element("div", {}, value, title) };
}

function card(id, title, how) {
  const state = element("div", { className: "state", textContent: "connecting" });
  state.setAttribute("role", "status");
  const last = figure("latest"), middle = figure("p50"), tail = figure("p95");
  const { svg, draw } = plot(title);
  const list = element("ol", { ariaLabel: "messages by " + title, tabIndex: 0 });
  const box = element("section", { id, className: "card" }, element("h2", { textContent: title }),
    element("div", { className: "faint", textContent: how }), state,
    element("div", { className: "figures" }, last.box, middle.box, tail.box), svg, list);
  box.setAttribute("aria-label", title);
  find("#transports").append(box);
  const latencies = [];

  function measured(ms) {
    latencies.push(ms);
    if (latencies.length > POINTS) latencies.shift();
    const sorted = latencies.slice().sort((a, b) => a - b);
    const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
    last.value.textContent = shown(ms);
    middle.value.textContent = shown(at(0.5));
    tail.value.textContent = shown(at(0.95));
    draw(latencies);
  }

  return {
    state(kind, text) {
      if (box.dataset.state !== kind || state.textContent !== text) {
        box.dataset.state = kind;
        state.textContent = text;
      }
    },
    add(text) {
      const sent = sentAt.get(text);
      const item = element("li", {}, element("span", { textContent: text }));
      if (sent !== undefined) {
        const ms = performance.now() - sent;
        item.append(element("small", { textContent: shown(ms) }));
        measured(ms);
      }
      list.prepend(item);
      while (list.childElementCount > KEPT) list.lastChild.remove();
    },
  };
}

/* ---- the transports ---- */

const pause = (ms) => new Promise((done) => setTimeout(done, ms));
/* Full jitter: clients that lost the server together do not come back together. */
const backoff = (tries) => pause(Math.random() * Math.min(30000, 500 * 2 ** tries));

async function ask(path) {
  const answer = await fetch(path, { cache: "no-store" });
  if (!answer.ok) throw new Error("status " + answer.status);
  return answer.json();
}

/* Runs until it fails, and again; `run` is given what to call when it goes well. */
async function keep(view, run) {
  for (let tries = 0; ; tries++) {
    try {
      await run(() => {
        tries = 0;
        view.state("open", "open");
      });
    } catch (error) {
      view.state("lost", "lost: " + error.message);
    }
    await backoff(tries);
  }
}

function polls(view, path, pace) {
  let position = "";
  return keep(view, async (well) => {
    if (!position) position = (await ask("poll?" + query)).position;
    well();
    for (;;) {
      const answer = await ask(`${path}?${query}&since=${position}`);
      position = answer.position;
      well();
      for (const message of answer.messages) view.add(message.data);
      await pause(pace);
    }
  });
}

/* An EventSource reconnects by itself, but not after an answer other than 200. */
function events(view) {
  return keep(view, (well) => new Promise((_, fail) => {
    const source = new EventSource("sse?" + query);
    source.onopen = well;
    source.onmessage = (event) => view.add(event.data);
    source.onerror = () => {
      view.state("lost", "connecting again");
      if (source.readyState === EventSource.CLOSED) fail(new Error("refused"));
    };
  }));
}

function socket(view) {
  let position = "";
  return keep(view, (well) => new Promise((_, fail) => {
    const url = new URL("ws?envelope=1&" + query + (position && "&since=" + position),
      location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const open = new WebSocket(url);
    open.onopen = well;
    open.onclose = (event) => fail(new Error(`code ${event.code} ${event.reason}`));
    open.onmessage = (event) => {
      const message = JSON.parse(event.data);
      position = message.position;
      if ("data" in message) view.add(message.data);
    };
  }));
}

polls(card("poll", "Short polling", "asks every second"), "poll", 1000);
polls(card("longpoll", "Long polling", "answered when there is news"), "longpoll", 0);
events(card("sse", "Server-sent events", "one answer that goes on"));
socket(card("websocket", "WebSocket", "frames, both ways"));

/* ---- publishing ---- */

async function publish(text) {
  sentAt.delete(text);
  sentAt.set(text, performance.now());
  if (sentAt.size > RECENT) sentAt.delete(sentAt.keys().next().value);
  let said = "";
  try {
    const answer = await fetch("publish?" + query, { method: "POST", body: text });
    const why = () => `status ${answer.status}, which is not the server's`; /* a proxy's */
    if (!answer.ok)
      said = `Not published: ${await answer.json().then((told) => told.message, why)}.`;
  } catch {
    said = "Not published: the server does not answer.";
  }
  find("#trouble").textContent = said;
  return said === "";
}

find("#publish").onsubmit = (event) => {
  event.preventDefault();
  const form = new FormData(event.target);
  if (form.get("channel") !== channel)
    location.search = "?channel=" + encodeURIComponent(form.get("channel"));
  else
    publish(form.get("text"));
};

let steady = 0, ticks = 0;
find("#steady").onclick = (event) => {
  const on = steady === 0;
  event.target.ariaPressed = on;
  clearInterval(steady);
  const mark = Math.random().toString(36).slice(2, 6);
  steady = on ? setInterval(async () => {
    if (!await publish(`tick ${++ticks} of ${mark}`) && steady) event.target.click();
  }, 250) : 0;
};

/* ---- which transport ---- */

const FIGURES = [ /* results/compare: p50, p99, deliveries/s, CPU, bytes */
  ["poll", "short polling", "250 ms", "495 ms", "20,000", "536 µs", "13,100 + 4,500"],
  ["longpoll", "long polling", "33 ms", "90 ms", "149,000", "5.7 µs", "410 + 98"],
  ["sse", "SSE", "28 ms", "72 ms", "220,000", "4.5 µs", "166 + 0"],
  ["websocket", "WebSocket", "25 ms", "59 ms", "229,000", "4.4 µs", "132 + 0"],
];

const ADVICE = {
  cache: ["poll", "Short polling through a cache",
    "A shared cache asks once for all (poll_s_maxage), so the server does not feel how many there "
    + "are. What is seen is as old as the interval and the cache's second."],
  poll: ["poll", "Short polling",
    "Plain requests, nothing held open, and an ETag makes an empty answer small. It lags by half "
    + "the interval; where news is rare nearly all answers are empty."],
  sse: ["sse", "Server-sent events",
    "One answer that goes on. A browser reconnects by itself with the last id, and gets what it "
    + "missed. Over HTTP/1.1 a browser has six of them to a host, over HTTP/2 as many as streams."],
  websocket: ["websocket", "WebSocket",
    "Frames of a few bytes both ways on one connection, for several channels. The page reconnects "
    + "itself; envelopes carry the position from which it goes on."],
};
const DURABLE = {
  all: "Keep the position, and come back with it: the history has what was missed, or the server "
    + "says plainly that it has not.",
  latest: "Keep a history of one message for the channel (history_messages = 1) and ask from the "
    + "start: the newest state comes first.",
  live: "Ask without a position: what is published from now on is all there is.",
};

function advice(choice) {
  const kind = choice.direction === "both" ? "websocket"
    : { cached: "cache", seconds: "poll", now: "sse" }[choice.freshness];
  /* An EventSource brings its position by itself. */
  const back = kind === "sse" ? "" : "&since=POSITION";
  const since = { all: back, latest: "&since=start", live: "" }[choice.durability];
  const path = { poll: "/poll", sse: "/sse", websocket: "/ws" }[ADVICE[kind][0]];
  const url = location.origin + path + "?channel=" + channel + since;
  return { kind, how: {
    poll: `fetch("${url}")`,
    sse: `new EventSource("${url}")`,
    websocket: `new WebSocket("${url.replace("http", "ws")}&envelope=1")`,
  }[ADVICE[kind][0]] };
}

function advise() {
  const choice = Object.fromEntries(new FormData(find("#picker")));
  const { kind, how } = advice(choice);
  const [transport, title, why] = ADVICE[kind];
  const box = find("#advice");
  const colours = { poll: "--c1", sse: "--c3", websocket: "--c4" };
  box.style.setProperty("--colour", `var(${colours[transport]})`);
  find("h3", box).textContent = title;
  find("p", box).textContent = why + " " + DURABLE[choice.durability];
  find("code", box).textContent = how;
  find("#figures tbody").replaceChildren(...FIGURES.map(([id, name, ...figures]) =>
    element("tr", { className: id === transport ? "chosen" : "" },
      element("th", { scope: "row", textContent: (id === transport ? "▸ " : "") + name }),
      ...figures.map((textContent) => element("td", { textContent })))));
}
find("#picker").onchange = advise;
advise();

for (const at of document.querySelectorAll(".origin")) at.textContent = location.origin;
for (const at of document.querySelectorAll(".channel")) at.textContent = channel;
find("[name=channel]").value = channel;
const came = performance.getEntriesByType("navigation")[0];
const NAMES = { h2: "HTTP/2", "http/1.1": "HTTP/1.1", "http/1.0": "HTTP/1.0" };
find("#carried").textContent = "by " + ((came && NAMES[came.nextHopProtocol]) || "HTTP")
  + (location.protocol === "https:" ? " over TLS" : "");
