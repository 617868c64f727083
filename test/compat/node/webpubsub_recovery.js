'use strict';

// A reliable client and a plain one, while their sockets are cut and while the service is replaced. Arguments: a connection string, and
// the URL of the emulator's controls.

const { WebPubSubServiceClient } = require('@azure/web-pubsub');
const { Player, play, tell } = require('./webpubsub_clients');

const [connectionString, control] = process.argv.slice(2);
const service = new WebPubSubServiceClient(connectionString, 'story', { allowInsecureConnection: true, retryOptions: { maxRetries: 0 } });

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// say sends to the group as soon as the service takes it.
async function say(text) {
  for (;;) {
    try {
      await service.group('room').sendToAll(text, { contentType: 'text/plain' });
      return;
    } catch (error) {
      if (error.code !== 'ECONNREFUSED' && error.code !== 'ECONNRESET') throw error;
      await pause(20);
    }
  }
}

async function main() {
  const access = (userId) => async () => (await service.getClientAccessToken({ userId, roles: ['webpubsub.joinLeaveGroup'] })).url;
  const quick = { reconnectRetryOptions: { retryDelayInMs: 20 } };
  const ann = new Player('ann', access('ann'), { reliable: true, ...quick });
  const bob = new Player('bob', access('bob'), quick);
  for (const one of [ann, bob]) {
    await one.does('start');
    await one.next();
    await one.does('joinGroup', 'room');
  }

  // Cut in the middle: the reliable client sees nothing of it and misses nothing.
  for (let i = 0; i < 40; i++) {
    if (i % 10 === 5) {
      // The plain client is there to be cut each time.
      while (bob.seen.filter(([what]) => what === 'connected').length < (i - 5) / 10) await pause(5);
      const cut = await fetch(`${control}/control/refuse?sessions=cut&for=50ms`, { method: 'POST' });
      if (!cut.ok) throw new Error(`cut: ${cut.status}`);
    }
    await say(String(i));
  }
  const got = [];
  while (got.length < 40) {
    const [what, more] = ann.seen.shift() ?? (await new Promise((resolve) => ann.waiting.push(resolve)));
    got.push(what === 'group-message' ? more.data : what);
  }
  tell('ann', 'messages', { got: got.join(' ') });

  // The plain client has to connect anew each time.
  const events = [];
  while (events.filter((what) => what === 'connected').length < 4) {
    const [what] = bob.seen.shift() ?? (await new Promise((resolve) => bob.waiting.push(resolve)));
    if (what !== 'group-message') events.push(what);
  }
  tell('bob', 'events', { events: events.join(' ') });

  // Another service in the place of this one knows neither of them.
  tell('story', 'replace the service');
  await ann.next();
  await ann.next();
  for (let what = ''; what !== 'connected'; ) {
    [what] = bob.seen.shift() ?? (await new Promise((resolve) => bob.waiting.push(resolve)));
  }
  for (const user of ['ann', 'bob']) tell('service', `${user} exists`, { answer: await service.userExists(user) });
  // Groups are joined again before the event; the answers need not have come.
  while (!(await service.groupExists('room'))) await pause(20);
  for (let heard = false; !heard; await pause(20)) {
    await say('again');
    heard = ann.seen.some(([what, { data }]) => what === 'group-message' && data === 'again');
  }
  tell('ann', 'heard again');
  tell('story', 'done');
}

play(main);
