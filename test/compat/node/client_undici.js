'use strict';

// A client on undici's WebSocket, which is also the one that newer Node.js has
// built in: the interface of browsers, without pings and with their limits.

const { WebSocket } = require('undici');
const { emit, message, payload, obey } = require('./lines');

let socket;

obey({
  open({ url, protocols, headers }) {
    socket = new WebSocket(url, { protocols, headers });
    socket.binaryType = 'arraybuffer';
    const mine = socket;
    let opened = false;
    let refused = false;
    mine.onopen = () => {
      opened = true;
      emit({ event: 'open', protocol: mine.protocol, deflate: mine.extensions.includes('permessage-deflate') });
    };
    mine.onmessage = ({ data }) => message(data);
    mine.onerror = (event) => {
      if (opened) return console.error(event.error);
      // Browsers do not say why there was no session, and a close event may or may not follow.
      if (!refused) emit({ event: 'refused' });
      refused = true;
    };
    mine.onclose = ({ code, reason }) => refused || emit({ event: 'close', code, reason });
  },
  send: (command) => socket.send(payload(command)),
  close: ({ code, reason }) => socket.close(code, reason),
});
