'use strict';

// A client on faye-websocket, with its permessage-deflate when asked for.

const { Client } = require('faye-websocket');
const deflation = require('permessage-deflate');
const { emit, message, payload, obey } = require('./lines');

let socket;

obey({
  open({ url, protocols, headers, deflate }) {
    socket = new Client(url, protocols, { headers, extensions: deflate ? [deflation] : [] });
    const mine = socket;
    let opened = false;
    mine.on('open', () => {
      opened = true;
      const extensions = mine.headers['sec-websocket-extensions'] || '';
      emit({ event: 'open', protocol: mine.protocol, deflate: extensions.includes('permessage-deflate') });
    });
    mine.on('message', ({ data }) => message(data));
    mine.on('error', (event) => opened && console.error(event.message));
    mine.on('close', ({ code, reason }) => {
      emit(opened ? { event: 'close', code, reason } : { event: 'refused', status: mine.statusCode });
    });
  },
  send: (command) => socket.send(payload(command)),
  ping: ({ data }) => socket.ping(data, () => emit({ event: 'pong', data })),
  close: ({ code, reason }) => socket.close(code, reason),
});
