'use strict';

// An echo server on ws. It listens on the port that is its first argument; with two more, the files of a certificate and
// its key, it speaks TLS.

const fs = require('node:fs');
const http = require('node:http');
const https = require('node:https');
const { WebSocketServer } = require('ws');
const { emit, obey } = require('./lines');

const sessions = new Set();

const [port, cert, key] = process.argv.slice(2);

const answer = (request, response) => {
  response.statusCode = request.url === '/api/health' ? 200 : 404;
  response.end();
};
const server = cert
  ? https.createServer({ cert: fs.readFileSync(cert), key: fs.readFileSync(key) }, answer)
  : http.createServer(answer);

const sockets = new WebSocketServer({
  server,
  perMessageDeflate: { threshold: 0 },
  handleProtocols: (offered) => (offered.has('chat.v1') ? 'chat.v1' : false),
});

sockets.on('connection', (socket, request) => {
  sessions.add(socket);
  emit({
    event: 'session',
    path: request.url,
    authorization: request.headers.authorization,
    protocol: socket.protocol,
    deflate: socket.extensions.includes('permessage-deflate'),
  });
  socket.on('message', (data, binary) => socket.send(data, { binary }));
  socket.on('pong', (data) => emit({ event: 'pong', data: data.toString() }));
  socket.on('error', (error) => console.error(error));
  socket.on('close', (code, reason) => {
    sessions.delete(socket);
    emit({ event: 'close', code, reason: reason.toString() });
  });
});

server.listen(Number(port), '127.0.0.1', () => emit({ event: 'listening', port: server.address().port }));

obey({
  ping: ({ data }) => sessions.forEach((socket) => socket.ping(data)),
  close: ({ code, reason }) => sessions.forEach((socket) => socket.close(code, reason)),
  cut: () => sessions.forEach((socket) => socket.terminate()),
});
