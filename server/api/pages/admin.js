/* The page at /admin: what the server says of itself, each second, over its event stream. The
 * key goes in a header, which an EventSource cannot have: so the stream is read by fetch. It is
 * kept for this tab alone. */
"use strict";

const POINTS = 120; /* seconds on a plot */
const MINUTE = 60; /* reports remembered for "last minute" */
const ROWS = 12;

const find = (what, inside = document) => inside.querySelector(what);
const drawn = (name, attributes, text = "") => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
};
const element = (name, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};

const scaled = (value, base, units) => {
  let unit = 0;
  for (; value >= 999.5 && unit < units.length - 1; unit++) value /= base;
  const digits = value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return Number(value.toFixed(digits)) + units[unit];
};
const bytes = (value) => value < 1024 ? value.toFixed(0) + " B"
  : scaled(value / 1024, 1024, [" KiB", " MiB", " GiB", " TiB"]);
const count = (value) => value < 10000 ? Math.round(value).toLocaleString("en")
  : scaled(value / 1000, 1000, [" k", " M", " G"]);

/* ---- /metrics: name{label="value"} number ---- */

function parse(text) {
  const samples = new Map(), families = new Map();
  for (const line of text.split("\n")) {
    const match = /^ringside_(\w+?)(?:_total)?(?:\{\w+="([^"]*)"\})? (\S+)$/.exec(line);
    if (!match) continue;
    const [, name, label, number] = match;
    if (label === undefined) {
      samples.set(name, Number(number));
    } else {
      if (!families.has(name)) families.set(name, new Map());
      families.get(name).set(label, Number(number));
    }
  }
  return { at: performance.now(), samples, families };
}

const reports = [];
const newest = () => reports[reports.length - 1];
const value = (name) => newest().samples.get(name) || 0;

function rate(name) {
  const before = reports[reports.length - 2];
  if (!before) return 0;
  const grown = value(name) - (before.samples.get(name) || 0);
  return Math.max(0, grown * 1000 / (newest().at - before.at));
}

const pending = () => ["queue_bytes", "kept_bytes", "input_bytes"]
  .reduce((sum, name) => sum + value(name), 0);

/* ---- tiles and plots ---- */

const TILES = [
  ["connections", () => count(value("connections"))],
  ["WebSockets", () => count(value("streams_websocket"))],
  ["event streams", () => count(value("streams_sse"))],
  ["long polls held", () => count(value("longpolls_held"))],
  ["sessions", () => count(value("sessions"))],
  ["channels", () => count(value("channels"))],
  ["published a second", () => count(rate("published"))],
  ["deliveries a second", () => count(rate("delivered"))],
  ["requests a second", () => count(rate("requests"))],
  ["sent a second", () => bytes(rate("bytes_sent"))],
  ["pending, in blocks", () => bytes(pending())],
  ["history", () => bytes(value("history_bytes"))],
  ["webhooks waiting", () => count(value("webhooks_pending"))],
  ["dead letters", () => count(value("webhooks_dead"))],
];
const PLOTS = [
  ["connections", "--c4", count, () => value("connections")],
  ["deliveries a second", "--c3", count, () => rate("delivered")],
  ["bytes sent a second", "--c2", bytes, () => rate("bytes_sent")],
  ["bytes pending", "--c1", bytes, pending],
];
const WIDTH = 300, HEIGHT = 90;

function tile([title, shown]) {
  const number = element("b", { textContent: "–" });
  find("#tiles").append(element("div", { className: "card tile" }, number, title));
  return () => { number.textContent = shown(); };
}

function plot([title, colour, unit, measure]) {
  const svg = drawn("svg", { class: "plot", viewBox: `0 -4 ${WIDTH} ${HEIGHT + 6}`, role: "img",
    preserveAspectRatio: "none", "aria-label": title + " over two minutes" });
  const area = drawn("polygon", { class: "area" }), line = drawn("polyline", {});
  for (const share of [0, 0.5, 1])
    svg.append(drawn("line", { class: "grid", x1: 0, x2: WIDTH, y1: HEIGHT * share,
      y2: HEIGHT * share }));
  svg.append(area, line);
  const now = element("b"), top = element("span", { className: "faint" });
  const box = element("section", { className: "card" }, element("h3", { textContent: title }),
    element("div", { className: "figures" }, element("div", {}, now), top), svg);
  box.style.setProperty("--colour", `var(${colour})`);
  find("#plots").append(box);
  const values = [];
  return () => {
    if (reports.length < 2) return; /* there is no rate yet */
    values.push(measure());
    if (values.length > POINTS) values.shift();
    const most = Math.max(...values, 1);
    now.textContent = unit(values[values.length - 1]);
    top.textContent = "at most " + unit(Math.max(...values));
    const first = POINTS - values.length;
    const points = values.map((each, i) =>
      `${(first + i) * WIDTH / (POINTS - 1)},${HEIGHT - HEIGHT * each / most}`);
    line.setAttribute("points", points.join(" "));
    area.setAttribute("points", [`${first * WIDTH / (POINTS - 1)},${HEIGHT}`, ...points,
      `${WIDTH},${HEIGHT}`].join(" "));
  };
}

/* ---- tables ---- */

function fill(body, rows, empty) {
  const lines = rows.slice(0, ROWS).map(([name, ...cells]) => element("tr", {},
    element("th", { scope: "row", textContent: name, title: name }),
    ...cells.map((textContent) => element("td", { textContent }))));
  if (lines.length === 0)
    lines.push(element("tr", {}, element("td", { textContent: empty, className: "faint",
      colSpan: 4 })));
  find(body).replaceChildren(...lines);
}

/* Rows of families: name, in the last minute, in all; what happened lately comes first. */
function counted(families, skip = () => false) {
  const before = reports[Math.max(0, reports.length - 1 - MINUTE)];
  const rows = [];
  for (const [family, prefix] of families)
    for (const [label, all] of newest().families.get(family) || []) {
      const lately = all - (before.families.get(family)?.get(label) || 0);
      if (all > 0 && !skip(label)) rows.push([prefix + label, lately, all]);
    }
  rows.sort((a, b) => b[1] - a[1] || b[2] - a[2]);
  return rows.map(([name, lately, all]) => [name, count(lately), count(all)]);
}

/* A shard says what it delivered itself: a channel's subscribers are those of all shards. */
const tops = new Map();
function channels() {
  const sums = new Map();
  for (const rows of tops.values())
    for (const { channel, subscribers, messages, deliveries } of rows) {
      const sum = sums.get(channel) || [0, 0, 0];
      sums.set(channel, [sum[0] + subscribers, Math.max(sum[1], messages), sum[2] + deliveries]);
    }
  const rows = [...sums].map(([name, sum]) => [name, ...sum]);
  rows.sort((a, b) => b[3] - a[3]);
  fill("#channels", rows.map(([name, ...cells]) => [name, ...cells.map(count)]),
    "nothing was delivered");
}

const watchers = []; /* what else is shown of a report */
const draws = [...TILES.map(tile), ...PLOTS.map(plot)];

function heard(kind, data) {
  if (kind === "top") {
    const { shard, channels: rows } = JSON.parse(data);
    tops.set(shard, rows);
    return;
  }
  if (kind !== "metrics") return;
  const report = parse(data);
  if (reports.length > 0 && report.samples.get("requests") < value("requests"))
    reports.length = 0; /* the server is another one */
  reports.push(report);
  if (reports.length > MINUTE + 2) reports.shift();
  for (const draw of draws) draw();
  channels();
  fill("#closed", counted([["connections_closed", ""], ["streams_closed", "stream: "]]),
    "nobody has left");
  fill("#refused", counted([["requests_refused", ""], ["tokens", "token: "],
    ["tls_errors", "TLS: "], ["http2_floods", "HTTP/2 flood: "]], (label) => label === "good"),
    "nothing was refused");
  const engine = [...(newest().families.get("engine") || new Map()).keys()][0];
  find("#about").textContent = `${value("shards")} ${value("shards") === 1 ? "shard" : "shards"}`
    + ` on ${engine}, a report each second.`;
  for (const look of watchers) look();
}

/* ---- the stream ---- */

function say(state, text) {
  find("#state").dataset.state = state;
  find("#state").textContent = text;
}

async function read(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value: piece, done } = await reader.read();
    if (done) return;
    const blocks = (rest + piece).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const lines = block.split("\n");
      const field = (name) => lines.filter((line) => line.startsWith(name + ": "))
        .map((line) => line.slice(name.length + 2)).join("\n");
      heard(field("event"), field("data"));
    }
  }
}

/* Returns if the key is none; else until the stream ends, which is an error. */
async function watch(key) {
  const answer = await fetch("admin/events", { headers: { "X-API-Key": key }, cache: "no-store" });
  if (answer.status === 401) return;
  if (!answer.ok) throw new Error("status " + answer.status);
  sessionStorage.setItem("key", key);
  find("#all").hidden = false;
  find("#enter").hidden = true;
  find("#trouble").textContent = "";
  say("open", "live");
  await read(answer.body);
  throw new Error("the stream ended");
}

async function enter(key) {
  for (;;) {
    try {
      await watch(key);
      break;
    } catch {
      say("lost", "connecting again");
      await new Promise((done) => setTimeout(done, 500 + 1500 * Math.random()));
    }
  }
  sessionStorage.removeItem("key");
  say("lost", "not connected");
  find("#enter").hidden = false;
  find("#all").hidden = true;
  find("#trouble").textContent = "This is no API key of the server (setting api_keys).";
  find("[name=key]").focus();
}

find("#enter").onsubmit = (event) => {
  event.preventDefault();
  enter(new FormData(event.target).get("key"));
};
if (sessionStorage.getItem("key")) enter(sessionStorage.getItem("key"));
else find("[name=key]").focus();
