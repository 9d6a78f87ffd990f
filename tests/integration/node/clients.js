// Foreign clients under Node: prints what happens, one JSON array a line.
//
//   node clients.js ws <url>        opens, then sends each line of standard input as a message
//   node clients.js sse <url>       EventSource, which reconnects by itself
//   node clients.js http2 <url>     an event stream by Node's own HTTP/2
"use strict";

const readline = require("readline");

function say(...event) {
    process.stdout.write(JSON.stringify(event) + "\n");
}

function webSocket(url) {
    const WebSocket = require("ws");
    const socket = new WebSocket(url);
    socket.on("open", () => {
        say("open");
        const input = readline.createInterface({ input: process.stdin });
        input.on("line", (line) => socket.send(line));
    });
    socket.on("message", (data, isBinary) =>
        say("message", isBinary ? data.toString("base64") : data.toString(), isBinary));
    socket.on("ping", () => say("ping"));
    socket.on("unexpected-response", (_request, response) => {
        say("refused", response.statusCode);
        process.exit(0);
    });
    socket.on("error", (error) => say("error", error.message));
    socket.on("close", (code) => {
        say("close", code);
        process.exit(0);
    });
}

function eventSource(url) {
    const EventSource = require("eventsource");
    const source = new EventSource(url);
    const show = (event) => say(event.type, event.data, event.lastEventId);
    source.onopen = () => say("open");
    source.onmessage = show;
    for (const type of ["recovered", "unrecoverable", "binary"]) {
        source.addEventListener(type, show);
    }
    source.onerror = (event) => say("error", event.status || 0);
}

function http2(url) {
    const { origin, pathname, search } = new URL(url);
    const session = require("http2").connect(origin, { rejectUnauthorized: false });
    session.on("error", (error) => say("error", error.message));
    session.on("goaway", (code) => say("goaway", code));
    const stream = session.request({ ":path": pathname + search });
    let text = "";
    stream.setEncoding("utf8");
    stream.on("response", (headers) => say("open", headers[":status"]));
    stream.on("data", (chunk) => {
        const lines = (text + chunk).split("\n");
        text = lines.pop();
        for (const line of lines.filter((line) => line.startsWith("data: "))) {
            say("message", line.slice(6));
        }
    });
    stream.on("end", () => say("end"));
}

const [kind, url] = process.argv.slice(2);
({ ws: webSocket, sse: eventSource, http2 })[kind](url);
