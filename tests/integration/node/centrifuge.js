// The official Centrifuge SDK under Node, as it is published: prints what happens, one JSON array a
// line, and does what it reads, one JSON array a line.
//
//   node centrifuge.js <folder of node_modules> <url, or a list of transports> [{options}]
"use strict";

const path = require("path");
const readline = require("readline");
const EventSource = require("eventsource");
const WebSocket = require("ws");

const [folder, url, options] = process.argv.slice(2);
const { Centrifuge } = require(path.resolve(folder, "centrifuge"));
const sockets = [];

class Recorded extends WebSocket {
    constructor(...args) {
        super(...args);
        sockets.push(this);
    }
}

function say(...event) {
    process.stdout.write(JSON.stringify(event) + "\n");
}

// What an application's backend would give: one token after the other.
function tokens({ tokens: list, ...settings }) {
    return list ? { ...settings, getToken: async () => list.shift() } : settings;
}

const client = new Centrifuge(url.startsWith("[") ? JSON.parse(url) : url, {
    websocket: Recorded,
    eventsource: EventSource,
    minReconnectDelay: 20,
    maxReconnectDelay: 200,
    ...tokens(JSON.parse(options || "{}")),
});
for (const name of ["connecting", "connected", "disconnected", "error", "message"])
    client.on(name, (context) => say(name, context));
for (const name of ["publication", "join", "leave", "subscribed", "unsubscribed"])
    client.on(name, (context) => say("server " + name, context));

function subscribe(channel, settings) {
    const subscription = client.newSubscription(channel, {
        minResubscribeDelay: 20,
        maxResubscribeDelay: 200,
        ...tokens(settings || {}),
    });
    for (const name of ["subscribed", "unsubscribed", "publication", "join", "leave", "error"])
        subscription.on(name, (context) => say(name, context));
    subscription.subscribe();
}

const actions = {
    connect: () => client.connect(),
    disconnect: () => client.disconnect(),
    subscribe,
    resubscribe: (channel) => client.getSubscription(channel).subscribe(),
    forget: (channel) => client.removeSubscription(client.getSubscription(channel)),
    unsubscribe: (channel) => client.getSubscription(channel).unsubscribe(),
    publish: (channel, data) => client.publish(channel, data),
    history: (channel, settings) => client.history(channel, settings),
    presence: (channel) => client.presence(channel),
    presenceStats: (channel) => client.presenceStats(channel),
    rpc: (method, data) => client.rpc(method, data),
    send: (data) => client.send(data),
    ready: () => client.ready(),
    deltaStats: (channel) => client.getSubscription(channel).deltaStats(),
    cut: () => sockets[sockets.length - 1].terminate(),
};

async function act([action, ...args]) {
    try {
        say("result", action, (await actions[action](...args)) || null);
    } catch (error) {
        say("failed", action, { code: error.code, message: error.message });
    }
}

readline.createInterface({ input: process.stdin }).on("line", (line) => act(JSON.parse(line)));
