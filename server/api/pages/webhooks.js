/* The part of /admin about webhooks: endpoints, and dead letters, which are shown, given another
 * try or thrown away. It asks what POST /api/webhook/METHOD is asked, with the tab's key. */
"use strict";

const PAGE = 20; /* rows shown at a time */
const LOOK_S = 5; /* between looks, in reports */
const SURE_MS = 4000; /* a button that throws away is pressed twice in that time */

const ended = { status: "an answer that is not 2xx", budget: "too old before its turn came",
  gone: "the endpoint has answered 410", timeout: "no answer in time", name: "the name is unknown",
  connect: "no connection", certificate: "the certificate is not believed", tls: "TLS failed",
  broken: "the connection broke", bad_answer: "the answer is no HTTP",
  too_large: "the answer was too large", forbidden: "the address is not allowed",
  busy: "no place was free", memory: "memory is out", bad_url: "the URL is none" };
const ages = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
const age = (seconds) => {
  const [each, unit] = ages.find(([each]) => seconds >= each) || [1, "s"];
  return `${Math.floor(seconds / each)} ${unit} ago`;
};
const bounded = (number) => number < 1000 ? String(number) : "1,000 or more";

async function ask(method, request) {
  const answer = await fetch("admin/webhook/" + method, { method: "POST", cache: "no-store",
    headers: { "X-API-Key": sessionStorage.getItem("key") }, body: JSON.stringify(request) });
  if (!answer.ok) throw new Error(`${method}: status ${answer.status}`);
  const { result, error } = await answer.json();
  if (error) throw new Error(`${method}: ${error.message}`);
  return result;
}

/* What is asked and goes wrong is said; the next that goes well takes it away. */
async function attempt(action) {
  try {
    await action();
    find("#webhooks-trouble").textContent = "";
  } catch (error) {
    find("#webhooks-trouble").textContent = error.message;
  }
}

function button(text, label, press) {
  const made = element("button", { textContent: text, type: "button" });
  made.setAttribute("aria-label", label);
  made.dataset.key = label;
  made.onclick = () => attempt(press);
  return made;
}

/* A button that asks to be pressed again. */
function twice(made) {
  const text = made.textContent, press = made.onclick;
  made.onclick = () => {
    if (made.classList.contains("sure")) return press();
    made.classList.add("sure");
    made.textContent = "Really?";
    setTimeout(() => {
      made.classList.remove("sure");
      made.textContent = text;
    }, SURE_MS);
  };
  return made;
}

/* Rows are made anew only where what they show has changed: whoever is at one of their buttons
 * stays there. */
function show(list, items, make, empty) {
  const text = JSON.stringify(items);
  if (list.dataset.shown === text) return;
  list.dataset.shown = text;
  const at = document.activeElement?.dataset.key;
  list.replaceChildren(...items.map(make));
  if (items.length === 0)
    list.append(element("li", { className: "faint", textContent: empty }));
  if (at) find(`[data-key="${CSS.escape(at)}"]`, list)?.focus();
}

/* ---- endpoints ---- */

const endpoints = { after: "", last: "" };

function endpointState({ state, breaker }) {
  return state === "active" && breaker === "open" ? "breaker open" : state;
}

function endpointRow(of) {
  const { id, url } = of.endpoint, state = endpointState(of);
  const badge = element("span", { className: "badge", textContent: state });
  badge.dataset.state = state === "active" ? "open" : state === "off" ? "off" : "bad";
  const { why, status } = of.last_failure || {};
  const failure = why && " · "
    + (of.failures ? `failed ${of.failures} times, last: ` : "last failure: ")
    + (status ? `status ${status}` : ended[why] || why);
  const row = element("li", {}, element("div", {}, element("b", { textContent: id }), " ", badge,
    element("div", { className: "faint mono", textContent: url }),
    element("div", { className: "faint", textContent: `waiting ${bounded(of.waiting)}, `
      + `${of.under_way} under way, dead ${bounded(of.dead)}${failure || ""}` })));
  if (of.dead > 0)
    row.append(button("Dead letters", `dead letters of ${id}`, () => {
      letters.endpoint = id;
      letters.after = null;
      return look();
    }));
  return row;
}

/* Ages change with each look, and are no reason for new rows. */
const ageless = ({ last_failure: failure, ...rest }) => ({ ...rest,
  ...(failure && { last_failure: { ...failure, age_s: 0 } }) });

async function lookAtEndpoints() {
  const { endpoints: rows, total } = await ask("list", { limit: PAGE,
    ...(endpoints.after && { after: endpoints.after }) });
  endpoints.last = rows.length > 0 ? rows[rows.length - 1].endpoint.id : "";
  show(find("#endpoints"), rows.map(ageless), endpointRow, "there are none");
  find("#endpoints-about").textContent = `${count(total)} in all, in the order of their ids`;
  find("#endpoints-first").hidden = !endpoints.after;
  find("#endpoints-next").hidden = rows.length < PAGE;
}

find("#endpoints-first").onclick = () => {
  endpoints.after = "";
  attempt(look);
};
find("#endpoints-next").onclick = () => {
  endpoints.after = endpoints.last;
  attempt(look);
};

/* ---- dead letters ---- */

const letters = { endpoint: "", after: null, last: null, bodies: new Map() };
const key = ({ event, endpoint }) => `${event} for ${endpoint}`;

function letterRow(of) {
  const { event, endpoint } = of, name = key(of), body = letters.bodies.get(name);
  const press = (method) => async () => {
    await ask(method, { event, endpoint });
    letters.bodies.delete(name);
    await look();
  };
  const row = element("li", {}, element("div", {},
    element("b", { textContent: endpoint }), element("div", { className: "faint mono",
      textContent: event }), element("div", { className: "faint", textContent:
      `${ended[of.why] || of.why}; ${of.attempts} tries; given up ${of.age}` })),
    button(body === undefined ? "Show" : "Hide", `show ${name}`, async () => {
      if (body === undefined) {
        const { dead } = await ask("show", { event, endpoint });
        if (dead.length > 0) letters.bodies.set(name, JSON.stringify(dead[0].body, null, 2));
      } else {
        letters.bodies.delete(name);
      }
      await look();
    }), button("Replay", `replay ${name}`, press("replay")),
    twice(button("Purge", `purge ${name}`, press("purge"))));
  if (body !== undefined) row.append(element("pre", { textContent: body, tabIndex: 0 }));
  return row;
}

async function lookAtLetters() {
  const { dead, total } = await ask("dead", { limit: PAGE,
    ...(letters.endpoint && { endpoint: letters.endpoint }),
    ...letters.after });
  const last = dead[dead.length - 1];
  letters.last = last && { after: last.event, after_endpoint: last.endpoint };
  const rows = dead.map(({ age_s: seconds, ...rest }) => ({ ...rest, age: age(seconds),
    body: letters.bodies.get(key(rest)) }));
  show(find("#letters"), rows, letterRow, "there are none");
  find("#letters-about").textContent = letters.endpoint
    ? `those of ${letters.endpoint}; ${count(total)} in all` : `${count(total)} in all`;
  find("#letters-first").hidden = !letters.after && !letters.endpoint;
  find("#letters-first").textContent = letters.endpoint ? "All endpoints" : "First";
  find("#letters-next").hidden = dead.length < PAGE;
  find("#letters-replay").hidden = find("#letters-purge").hidden = dead.length === 0;
}

find("#letters-first").onclick = () => {
  letters.endpoint = "";
  letters.after = null;
  attempt(look);
};
find("#letters-next").onclick = () => {
  letters.after = letters.last;
  attempt(look);
};
/* Of the endpoint whose letters are shown, or of all. */
const all = (method) => () => attempt(async () => {
  await ask(method, letters.endpoint ? { endpoint: letters.endpoint } : {});
  letters.bodies.clear();
  await look();
});
find("#letters-replay").onclick = all("replay");
find("#letters-purge").onclick = all("purge");
twice(find("#letters-purge"));

/* ---- both ---- */

async function look() {
  await lookAtEndpoints();
  await lookAtLetters();
}

let reportsSince = LOOK_S;
watchers.push(() => {
  const on = newest().samples.has("webhooks_endpoints");
  find("#webhooks").hidden = !on;
  if (!on || ++reportsSince < LOOK_S) return;
  reportsSince = 0;
  attempt(look);
});
