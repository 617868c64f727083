'use strict';

// As much of a self-hosted SignalR server as its three transports need: negotiation of version 1, WebSockets, server-sent
// events and long polling, and of the JSON hub protocol the handshake, invocations and pings. It listens on a free port.
// Its hub has two methods: name gives the first argument of this program, echo what it gets.

const { randomUUID } = require('node:crypto');
const http = require('node:http');
const { WebSocketServer } = require('ws');
const { emit, obey } = require('./lines');

const END = '\x1e';
const POLL = 3_000; // how long a poll waits
const [name] = process.argv.slice(2);

const connections = new Map(); // by connection token

class Connection {
  constructor() {
    this.queue = [];
    this.send = null; // how the transport sends, when there is one
  }

  // take handles what the client has sent.
  take(text) {
    for (const part of text.split(END).filter(Boolean)) {
      const message = JSON.parse(part);
      if (message.protocol) {
        this.say({});
      } else if (message.type === 1 && message.invocationId !== undefined) {
        const result = message.target === 'name' ? name : message.arguments[0];
        this.say({ type: 3, invocationId: message.invocationId, result });
      } else if (message.type === 6) {
        this.say({ type: 6 });
      }
    }
  }

  say(message) {
    this.queue.push(JSON.stringify(message) + END);
    if (this.send) this.send();
  }

  flush() {
    return this.queue.splice(0).join('');
  }
}

async function body(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts).toString();
}

function events(connection, request, response) {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
  response.write(':\r\n\r\n');
  connection.send = () => {
    for (const text of connection.queue.splice(0)) response.write(`data: ${text}\r\n\r\n`);
  };
  connection.send();
  request.on('close', () => (connection.send = null));
}

function poll(connection, response) {
  const answer = () => {
    clearTimeout(timer);
    connection.send = null;
    response.end(connection.flush());
  };
  const timer = setTimeout(answer, POLL);
  if (!connection.polled || connection.queue.length > 0) {
    connection.polled = true; // the first poll is answered at once
    answer();
    return;
  }
  connection.send = answer;
  response.on('close', () => clearTimeout(timer));
}

const server = http.createServer(async (request, response) => {
  const url = new URL(request.url, 'http://localhost');
  if (url.pathname === '/api/health') {
    response.end();
    return;
  }
  if (url.pathname === '/hub/negotiate' && request.method === 'POST') {
    const token = randomUUID();
    connections.set(token, new Connection());
    const transports = ['WebSockets', 'ServerSentEvents', 'LongPolling'];
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({
      negotiateVersion: 1,
      connectionId: randomUUID(),
      connectionToken: token,
      availableTransports: transports.map((transport) => ({ transport, transferFormats: ['Text'] })),
    }));
    return;
  }
  const token = url.searchParams.get('id');
  const connection = connections.get(token);
  if (!connection) {
    emit({ event: 'refused', status: 404 });
    response.writeHead(404).end('No Connection with that ID');
  } else if (request.method === 'POST') {
    connection.take(await body(request));
    response.end();
  } else if (request.method === 'DELETE') {
    connections.delete(token);
    response.writeHead(202).end();
  } else if ((request.headers.accept ?? '').includes('text/event-stream')) {
    emit({ event: 'session', kind: 'ServerSentEvents' });
    events(connection, request, response);
  } else {
    if (!connection.polled) emit({ event: 'session', kind: 'LongPolling' });
    poll(connection, response);
  }
});

const sockets = new WebSocketServer({ noServer: true });
server.on('upgrade', (request, socket, head) => {
  const connection = connections.get(new URL(request.url, 'http://localhost').searchParams.get('id'));
  if (!connection) {
    emit({ event: 'refused', status: 404 });
    socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n');
    return;
  }
  sockets.handleUpgrade(request, socket, head, (client) => {
    emit({ event: 'session', kind: 'WebSockets' });
    connection.send = () => client.send(connection.flush());
    client.on('message', (data) => connection.take(data.toString()));
    client.on('error', () => {});
  });
});

server.listen(0, '127.0.0.1', () => emit({ event: 'listening', port: server.address().port }));

obey({});
