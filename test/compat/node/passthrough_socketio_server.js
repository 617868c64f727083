'use strict';

// A server on socket.io with its default settings. It listens on a free port and says its name, the first argument, to
// each client. Messages go back; "all" is sent to everybody here.

const http = require('node:http');
const { Server } = require('socket.io');
const { emit, obey } = require('./lines');

const [name] = process.argv.slice(2);

const server = http.createServer((request, response) => {
  response.statusCode = request.url === '/api/health' ? 200 : 404;
  response.end();
});
const io = new Server(server, { pingInterval: 2000 });

io.on('connection', (socket) => {
  emit({ event: 'session', kind: socket.conn.transport.name });
  socket.emit('name', name);
  socket.on('echo', (data, answer) => answer(data));
});

server.listen(0, '127.0.0.1', () => emit({ event: 'listening', port: server.address().port }));

obey({ send: ({ text }) => io.emit('all', text) });
