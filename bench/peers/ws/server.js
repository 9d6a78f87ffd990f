// The broadcast server of the documentation of ws, with one publisher: what comes in on /pub goes
// to everybody on /sub.
//   node server.js HOST PORT FOLDER          FOLDER/node_modules/ws is the package
//   node server.js --version FOLDER
'use strict';
const path = require('node:path');

function load(folder, name) {
  return require(path.resolve(folder, 'node_modules/ws', name));
}

function serve(host, port, folder) {
  const { WebSocketServer, WebSocket } = load(folder, '');
  const server = new WebSocketServer({
    host,
    port: Number(port),
    backlog: 4096,
    perMessageDeflate: false,
  });
  const subscribers = new Set();
  server.on('connection', (socket, request) => {
    socket.on('error', () => {});
    if (request.url === '/pub') {
      socket.on('message', (data, isBinary) => {
        for (const subscriber of subscribers) {
          if (subscriber.readyState === WebSocket.OPEN) {
            subscriber.send(data, { binary: isBinary });
          }
        }
      });
      return;
    }
    subscribers.add(socket);
    socket.on('close', () => subscribers.delete(socket));
  });
}

process.on('SIGTERM', () => process.exit(0));
const [first, second, third] = process.argv.slice(2);
if (first === '--version') {
  console.log(`ws ${load(second, 'package.json').version}, Node ${process.versions.node}`);
} else {
  serve(first, second, third);
}
