// werift, a WebRTC stack in TypeScript, as it is published: says and does what python_rtc.py does.
//
//   node rtc.js <folder of node_modules> <url of the offer> <[[label, {options}], …]> [<token>]
"use strict";

const path = require("path");
const readline = require("readline");

const [folder, url, channels, token] = process.argv.slice(2);
const { RTCPeerConnection, RTCSessionDescription } = require(path.resolve(folder, "werift"));

function say(...event) {
    process.stdout.write(JSON.stringify(event) + "\n");
}

const connection = new RTCPeerConnection({ iceServers: [] });
const opened = [];
connection.connectionStateChange.subscribe((state) => say("state", state));

function open(label, options) {
    const number = opened.length;
    const channel = connection.createDataChannel(label, options);
    opened.push(channel);
    channel.stateChanged.subscribe((state) => {
        if (state === "open")
            say("open", number, channel.id);
        if (state === "closed")
            say("close", number);
    });
    channel.onMessage.subscribe((message) =>
        say("message", number, typeof message === "string" ? message : [...message]));
}

function act(kind, number, value) {
    if (kind === "send")
        opened[number].send(typeof value === "string" ? value : Buffer.from(value));
    else if (kind === "close")
        opened[number].close();
    else
        open(number, value);
}

async function main() {
    for (const [label, options] of JSON.parse(channels))
        open(label, options);
    await connection.setLocalDescription(await connection.createOffer());
    const headers = { "Content-Type": "application/sdp" };
    if (token)
        headers.Authorization = `Bearer ${token}`;
    const answer = await fetch(url, {
        method: "POST", headers, body: connection.localDescription.sdp });
    const sdp = await answer.text();
    say("answered", answer.status, answer.headers.get("location"), sdp);
    await connection.setRemoteDescription(new RTCSessionDescription(sdp, "answer"));
    for await (const line of readline.createInterface({ input: process.stdin }))
        act(...JSON.parse(line));
    await connection.close();
    process.exit(0);
}

main();
