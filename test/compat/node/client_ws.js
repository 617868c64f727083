'use strict';

// A client on ws, the usual library of Node.js.

const WebSocket = require('ws');
const { emit, message, payload, obey } = require('./lines');

let socket;

obey({
  open({ url, protocols, headers, deflate }) {
    socket = new WebSocket(url, protocols, { headers, perMessageDeflate: deflate && { threshold: 0 } });
    const mine = socket;
    let refused = false;
    mine.on('unexpected-response', (request, response) => {
      refused = true;
      request.destroy();
      emit({ event: 'refused', status: response.statusCode });
    });
    mine.on('open', () => emit({ event: 'open', protocol: mine.protocol, deflate: mine.extensions.includes('permessage-deflate') }));
    mine.on('message', (data, binary) => message(binary ? data : data.toString()));
    mine.on('pong', (data) => emit({ event: 'pong', data: data.toString() }));
    mine.on('error', (error) => refused || console.error(error));
    mine.on('close', (code, reason) => refused || emit({ event: 'close', code, reason: reason.toString() }));
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
