'use strict';

// A client on ws over a stream of Node's own HTTP/2 (RFC 8441). All sessions of the
// process share one connection. ws knows no HTTP/2: it gets the stream once that is
// open, in the way in which its own handshake would hand over a socket.

const http2 = require('node:http2');
const WebSocket = require('ws');
const { emit, message, payload, obey } = require('./lines');

let connection;
let socket;

// connected calls back with the connection when the server has allowed what we ask.
function connected(origin, then) {
  if (connection) return then();
  connection = http2.connect(origin);
  connection.on('error', (error) => console.error(error));
  connection.on('remoteSettings', ({ enableConnectProtocol }) => {
    if (!enableConnectProtocol) throw new Error('the server does not allow extended CONNECT');
    then();
  });
}

function opened(stream, protocol) {
  socket = new WebSocket(null, undefined, { autoPong: true, maxPendingAutoPongs: 128, closeTimeout: 30000 });
  socket._isServer = false;
  socket._protocol = protocol || '';
  const mine = socket;
  mine.on('open', () => emit({ event: 'open', protocol: mine.protocol }));
  mine.on('message', (data, binary) => message(binary ? data : data.toString()));
  mine.on('pong', (data) => emit({ event: 'pong', data: data.toString() }));
  mine.on('error', (error) => console.error(error));
  mine.on('close', (code, reason) => emit({ event: 'close', code, reason: reason.toString() }));
  mine.setSocket(stream, Buffer.alloc(0), { maxPayload: 64 << 20, maxFragments: 1 << 20, maxBufferedChunks: 1 << 20 });
}

obey({
  open({ url, protocols = [], headers }) {
    const { host, pathname, search } = new URL(url);
    connected(`https://${host}`, () => {
      const stream = connection.request({
        ...headers,
        ':method': 'CONNECT',
        ':protocol': 'websocket',
        ':path': pathname + search,
        'sec-websocket-version': '13',
        'sec-websocket-protocol': protocols.join(', '),
      });
      stream.on('error', (error) => console.error(error));
      stream.once('response', (answer) => {
        if (answer[':status'] === 200) return opened(stream, answer['sec-websocket-protocol']);
        stream.close();
        emit({ event: 'refused', status: answer[':status'] });
      });
    });
  },
  send(command) {
    const data = payload(command);
    const binary = typeof data !== 'string';
    const parts = command.parts || 1;
    const bytes = Buffer.from(data);
    const step = Math.ceil(bytes.length / parts);
    for (let i = 0; i < parts; i++) {
      socket.send(bytes.subarray(i * step, (i + 1) * step), { binary, fin: i === parts - 1 });
    }
  },
  ping: ({ data }) => socket.ping(data),
  close: ({ code, reason }) => socket.close(code, reason),
});
