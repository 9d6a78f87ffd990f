// Signs webhooks as their senders do, by the packages that those publish: reads one JSON object a
// line, and prints the fields of its request, one JSON object a line.
//
//   node sign_webhooks.js <folder of node_modules>
"use strict";

const path = require("path");
const readline = require("readline");

const folder = path.resolve(process.argv[2]);

const signers = {
    async standard({ secret, body, id, timestamp }) {
        const { Webhook } = require(path.join(folder, "standardwebhooks"));
        return {
            "webhook-id": id,
            "webhook-timestamp": String(timestamp),
            "webhook-signature": new Webhook(secret).sign(id, new Date(timestamp * 1000), body),
        };
    },
    async github({ secret, body, id }) {
        const { sign } = await import(
            path.join(folder, "@octokit/webhooks-methods/dist-node/index.js"));
        return { "X-GitHub-Delivery": id, "X-Hub-Signature-256": await sign(secret, body) };
    },
    async stripe({ secret, body, timestamp }) {
        const Stripe = require(path.join(folder, "stripe"));
        const { webhooks } = new (Stripe.Stripe || Stripe)("sk_test_none");
        const header = webhooks.generateTestHeaderString({ payload: body, secret, timestamp });
        return { "Stripe-Signature": header };
    },
};

(async () => {
    for await (const line of readline.createInterface({ input: process.stdin })) {
        const order = JSON.parse(line);
        process.stdout.write(JSON.stringify(await signers[order.scheme](order)) + "\n");
    }
})();
