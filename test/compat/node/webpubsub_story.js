'use strict';

// A story of Web PubSub, played with the vendor's clients for servers and for browsers: join, leave, send to groups, users and
// connections, acks, events, permissions, close. Its argument is a connection string; what it writes does not depend on it.

const { WebPubSubServiceClient, odata } = require('@azure/web-pubsub');
const WebSocket = require('ws');
const { Player, play, tell } = require('./webpubsub_clients');

const service = new WebPubSubServiceClient(process.argv[2], 'story', { allowInsecureConnection: true });
const group = service.group('room');

const access = (options, query = '') => async () => (await service.getClientAccessToken(options)).url + query;

// check writes down what the service says.
async function check(what, promise) {
  try {
    tell('service', what, { answer: (await promise) ?? null });
  } catch (error) {
    tell('service', what, { status: error.statusCode, code: error.code });
  }
}

async function main() {
  // A client that the app server refuses.
  const eve = new Player('eve', access({ userId: 'eve' }, '&mood=bad'));
  await eve.does('start');

  const ann = new Player('ann', access({ userId: 'ann', roles: ['webpubsub.joinLeaveGroup', 'webpubsub.sendToGroup'] }), { reliable: true });
  await ann.does('start');
  await ann.next();
  const bob = new Player('bob', access({ userId: 'bob', groups: ['room'], roles: ['webpubsub.joinLeaveGroup.room'] }), {
    messageRetryOptions: { maxRetries: 0 }, // what is forbidden stays so
  });
  await bob.does('start');
  await bob.next();

  // Groups, by the clients themselves.
  await ann.does('joinGroup', 'room');
  await ann.does('sendToGroup', 'room', { hello: ['wörld', 1.5, null] }, 'json');
  await ann.next();
  await bob.next();
  await ann.does('sendToGroup', 'room', 'no echo', 'text', { noEcho: true });
  await bob.next();
  await ann.does('sendToGroup', 'room', new Uint8Array([0, 255, 7]).buffer, 'binary', { noEcho: true });
  await bob.next();
  await ann.does('sendToGroup', 'room', 'forgotten', 'text', { fireAndForget: true, noEcho: true });
  await bob.next();
  await bob.does('sendToGroup', 'room', 'not allowed', 'text');
  await bob.does('joinGroup', 'other');
  await bob.does('sendToGroup', 'lobby', 'the app server lets me', 'text', { noEcho: true });
  await ann.next();
  await bob.does('leaveGroup', 'room');
  await ann.does('sendToGroup', 'room', 'once', 'text', { ackId: 77 });
  await ann.next();
  await ann.does('sendToGroup', 'room', 'twice', 'text', { ackId: 77 });

  // Events for the app server.
  await ann.does('sendEvent', 'echo', { a: 1 }, 'json');
  await ann.next();
  await bob.does('sendEvent', 'echo', 'text', 'text');
  await bob.next();
  await bob.does('sendEvent', 'echo', new Uint8Array([1, 2, 3]).buffer, 'binary');
  await bob.next();
  await bob.does('sendEvent', 'silent', 1, 'json');
  await bob.does('sendEvent', 'count', 1, 'json');
  await bob.next();
  await bob.does('sendEvent', 'count', 1, 'json');
  await bob.next();
  await bob.does('invokeEvent', 'echo', [1, 2], 'json');

  // What an app server sends.
  await service.sendToAll({ to: 'all' });
  await ann.next();
  await bob.next();
  await service.sendToAll('plain', { contentType: 'text/plain', excludedConnections: [bob.id] });
  await ann.next();
  await service.sendToAll('filtered', { contentType: 'text/plain', filter: odata`userId eq ${'bob'} and not (${'room'} in groups)` });
  await bob.next();
  await service.sendToUser('ann', new Uint8Array([9, 8]).buffer);
  await ann.next();
  await service.sendToConnection(bob.id, 'only you', { contentType: 'text/plain' });
  await bob.next();
  await group.sendToAll({ to: 'room' });
  await ann.next();
  await check('bad filter', service.sendToAll('x', { filter: 'userId eq' }));

  // What an app server asks and does.
  await check('ann exists', service.userExists('ann'));
  await check('carl exists', service.userExists('carl'));
  await check('room exists', service.groupExists('room'));
  await check('bob is there', service.connectionExists(bob.id));
  await check('bob may send', service.hasPermission(bob.id, 'sendToGroup', { targetName: 'room' }));
  await check('bob is granted', service.grantPermission(bob.id, 'sendToGroup', { targetName: 'room' }));
  await check('bob may send', service.hasPermission(bob.id, 'sendToGroup', { targetName: 'room' }));
  await bob.does('sendToGroup', 'room', 'allowed now', 'text');
  await ann.next();
  await check('bob is revoked', service.revokePermission(bob.id, 'sendToGroup', { targetName: 'room' }));
  await bob.does('sendToGroup', 'room', 'no more', 'text');
  await check('bob is added', group.addConnection(bob.id));
  await check('nobody is added', group.addConnection('nobody'));
  const members = [];
  for await (const { userId } of await group.listConnections({ maxPageSize: 1 })) members.push(userId);
  tell('service', 'members', { users: members.sort() });
  await check('ann is removed', group.removeUser('ann'));
  await group.sendToAll('who is left', { contentType: 'text/plain' });
  await bob.next();
  await check('ann is added by filter', service.addConnectionsToGroups(['room', 'east'], "userId eq 'ann'"));
  await group.sendToAll('ann again', { contentType: 'text/plain', excludedConnections: [bob.id] });
  await ann.next();
  await check('all leave east', service.removeConnectionsFromGroups(['east'], ''));
  await check('east exists', service.groupExists('east'));
  await check('bob leaves all', service.removeConnectionFromAllGroups(bob.id));
  await check('ann leaves all', service.removeUserFromAllGroups('ann'));
  await check('room exists', service.groupExists('room'));

  // A client without a subprotocol.
  const { url } = await service.getClientAccessToken({ userId: 'raw' });
  const raw = new WebSocket(url);
  const frames = [];
  let woken = () => {};
  const note = (frame) => (frames.push(frame), woken());
  raw.on('message', (data, binary) => note(binary ? { hex: data.toString('hex') } : { text: data.toString() }));
  raw.on('close', (code, reason) => note({ code, reason: reason.toString() }));
  const frame = async () => {
    while (!frames.length) await new Promise((resolve) => (woken = resolve));
    tell('raw', 'frame', frames.shift());
  };
  await new Promise((resolve) => raw.on('open', resolve));
  raw.send('hello');
  await service.sendToUser('raw', { json: true });
  await frame();
  await service.sendToUser('raw', new Uint8Array([5, 6]).buffer);
  await frame();
  await check('raw is closed', service.closeUserConnections('raw', { reason: 'enough' }));
  await frame();

  // The ends: a close makes clients come again, unless they do not want to.
  await check('bob is closed', service.closeConnection(bob.id, { reason: 'go' }));
  await bob.next();
  await bob.next();
  await service.sendToUser('bob', 'welcome back', { contentType: 'text/plain' });
  await bob.next();
  await check('all but bob are closed', service.closeAllConnections({ reason: 'all', excluded: [bob.id] }));
  await ann.next();
  await ann.next();
  await bob.does('sendEvent', 'fail', 1, 'json', { fireAndForget: true });
  await bob.next();
  await bob.next();
  for (const one of [ann, bob]) {
    one.client.stop();
    await one.next();
    await one.next();
  }
  // The service has said good-bye a moment before it forgets.
  while (await service.userExists('ann')) await new Promise((resolve) => setTimeout(resolve, 20));
  tell('story', 'done');
}

play(main);
