'use strict';

// Clients on socket.io-client. The arguments: the URL, how many, and their transports; without any the default ones.
// Each that has reached a server, and has been upgraded if it will be, tells so, again after each reconnect.

const { randomBytes } = require('node:crypto');
const { io } = require('socket.io-client');
const { emit, obey } = require('./lines');

const [url, count, ...transports] = process.argv.slice(2);

// greet has messages echoed, text and binary, small and large.
async function greet(socket) {
  for (const data of ['hello', 'ü'.repeat(50_000), randomBytes(10), randomBytes(300_000)]) {
    const back = await socket.timeout(20_000).emitWithAck('echo', data);
    const same = typeof data === 'string' ? back === data : data.equals(Buffer.from(back));
    if (!same) throw new Error('the echo is another message');
  }
}

for (let i = 0; i < Number(count); i++) {
  const socket = io(url, {
    forceNew: true,
    reconnectionDelay: 50,
    reconnectionDelayMax: 200,
    ...(transports.length > 0 && { transports }),
  });
  socket.on('name', async (name) => {
    try {
      const engine = socket.io.engine;
      await greet(socket);
      if (transports.length === 0 && engine.transport.name === 'polling') {
        await new Promise((resolve) => engine.once('upgrade', resolve));
      }
      await greet(socket);
      emit({ event: 'open', path: name, kind: engine.transport.name });
    } catch (error) {
      if (socket.connected) console.error(`client ${i}:`, error);
    }
  });
  socket.on('all', (data) => emit({ event: 'message', data }));
  socket.on('connect_error', (error) => emit({ event: 'refused', reason: String(error.description ?? error.message) }));
  socket.on('disconnect', (reason) => emit({ event: 'close', reason }));
}

obey({});
