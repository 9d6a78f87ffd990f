// The publish-and-subscribe server of Bun's documentation: subscribers of /sub are in a topic, and
// what comes in on /pub is published to it. Bun's WebSockets are uWebSockets, in C++.
//   bun server.js HOST PORT
'use strict';

const TOPIC = 'news';

function serve(hostname, port) {
  const server = Bun.serve({
    hostname,
    port: Number(port),
    fetch(request, it) {
      const publishes = new URL(request.url).pathname === '/pub';
      if (it.upgrade(request, { data: { publishes } })) {
        return undefined;
      }
      return new Response('ready\n');
    },
    websocket: {
      perMessageDeflate: false,
      idleTimeout: 0,
      sendPings: false,
      open(socket) {
        if (!socket.data.publishes) {
          socket.subscribe(TOPIC);
        }
      },
      message(socket, message) {
        if (socket.data.publishes) {
          server.publish(TOPIC, message);
        }
      },
    },
  });
}

process.on('SIGTERM', () => process.exit(0));
const [host, port] = process.argv.slice(2);
serve(host, port);
