'use strict';

// A story of SignalR in serverless mode, played with the vendor's client over its three transports: messages to all, groups, users and
// connections, invocations both ways, close. Its argument is a connection string; what it writes does not depend on it. The app
// server that negotiates and calls the REST API is part of the script, as there is no vendor's client for that in Node.js.

const crypto = require('node:crypto');
const http = require('node:http');
const { once } = require('node:events');
const signalR = require('@microsoft/signalr');
const { emit } = require('./lines');

const settings = Object.fromEntries(
  process.argv[2].split(';').filter(Boolean).map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]),
);
const endpoint = settings.Endpoint;
const names = new Map(); // of connection ids

function tell(who, what, more = {}) {
  emit({ who, what, ...JSON.parse(JSON.stringify(more), (key, value) => names.get(value) ?? value) });
}

// mint signs a token as the SDK of the service does: for its host without the port.
function mint(path, claims = {}) {
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const audience = `${new URL(endpoint).protocol}//${new URL(endpoint).hostname}${path}`;
  const text = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode({ aud: audience, exp: Math.floor(Date.now() / 1000) + 3600, ...claims })}`;
  return `${text}.${crypto.createHmac('sha256', settings.AccessKey).update(text).digest('base64url')}`;
}

// rest makes a call and writes down how that went.
async function rest(what, method, path, body) {
  const [bare, query] = path.split('?');
  const version = bare.startsWith('/api/v1/') ? '' : 'api-version=2024-12-01';
  const response = await fetch(`${endpoint}${bare}?${[version, query].filter(Boolean).join('&')}`, {
    method,
    headers: { authorization: `Bearer ${mint(bare)}`, ...(body && { 'content-type': 'application/json' }) },
    body: body && JSON.stringify(body),
  });
  const text = await response.text();
  tell('service', what, { status: response.status, ...(response.status === 200 && text && { answer: JSON.parse(text) }) });
}

// A Player is a client and the events that it has seen and nobody has waited for.
class Player {
  constructor(name, negotiate, transport, reconnect) {
    this.name = name;
    this.waiting = [];
    this.seen = [];
    const builder = new signalR.HubConnectionBuilder().withUrl(`${negotiate}/?user=${name}`, { transport }).configureLogging(signalR.LogLevel.None);
    if (reconnect) builder.withAutomaticReconnect([0, 100, 500]);
    this.connection = builder.build();
    this.connection.on('news', (...args) => this.event('news', { args }));
    this.connection.on('ask', (question) => {
      this.event('asked', { question });
      if (question === 'impossible') throw new Error('no idea');
      return `${question}? yes`;
    });
    this.connection.onreconnecting((error) => this.event('reconnecting', { error: error?.message }));
    this.connection.onreconnected((id) => {
      names.set(id, `${name}'s id`);
      this.event('reconnected', { id });
    });
    this.connection.onclose((error) => this.event('closed', { error: error?.message }));
  }

  get id() {
    return this.connection.connectionId;
  }

  event(what, more) {
    const waiter = this.waiting.shift();
    if (waiter) waiter([what, more]);
    else this.seen.push([what, more]);
  }

  async start() {
    await this.connection.start();
    names.set(this.id, `${this.name}'s id`);
    tell(this.name, 'started', { id: this.id });
  }

  async next() {
    const [what, more] = this.seen.shift() ?? (await new Promise((resolve) => this.waiting.push(resolve)));
    tell(this.name, what, more);
  }

  async invokes(...args) {
    try {
      tell(this.name, `invoked ${args[0]}`, { result: (await this.connection.invoke(...args)) ?? null });
    } catch (error) {
      tell(this.name, `invoked ${args[0]}`, { error: error.message });
    }
  }
}

async function main() {
  const app = http.createServer((request, response) => {
    const user = new URL(request.url, endpoint).searchParams.get('user');
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ url: `${endpoint}/client/?hub=story`, accessToken: mint('/client/?hub=story', { 'asrs.s.uid': user }), availableTransports: [] }));
  });
  app.listen(0, '127.0.0.1');
  await once(app, 'listening');
  const negotiate = `http://127.0.0.1:${app.address().port}`;

  const ann = new Player('ann', negotiate, signalR.HttpTransportType.WebSockets, true);
  const bob = new Player('bob', negotiate, signalR.HttpTransportType.ServerSentEvents, true);
  const cat = new Player('cat', negotiate, signalR.HttpTransportType.LongPolling, false);
  const all = [ann, bob, cat];
  for (const one of all) await one.start();

  const news = (...args) => ({ target: 'news', arguments: args });
  await rest('to all', 'POST', '/api/hubs/story/:send', news('all', { a: [1, null, 'ü'] }));
  for (const one of all) await one.next();
  await rest('to all but one', 'POST', `/api/v1/hubs/story?excluded=${bob.id}`, news('not bob'));
  await ann.next();
  await cat.next();
  await rest('add ann', 'PUT', `/api/hubs/story/groups/room/connections/${ann.id}`);
  await rest('add user cat', 'PUT', '/api/hubs/story/users/cat/groups/room');
  await rest('add nobody', 'PUT', '/api/hubs/story/groups/room/connections/nobody');
  await rest('to group', 'POST', '/api/hubs/story/groups/room/:send', news('room'));
  await ann.next();
  await cat.next();
  await rest('to group, old', 'POST', `/api/v1/hubs/story/groups/room?excluded=${ann.id}`, news('room, old'));
  await cat.next();
  await rest('to user', 'POST', '/api/hubs/story/users/bob/:send', news('bob'));
  await bob.next();
  await rest('to connection', 'POST', `/api/hubs/story/connections/${cat.id}/:send`, news('cat'));
  await cat.next();
  await rest('cat in room', 'HEAD', '/api/hubs/story/users/cat/groups/room');
  await rest('remove cat', 'DELETE', '/api/hubs/story/users/cat/groups/room');
  await rest('cat in room', 'HEAD', '/api/hubs/story/users/cat/groups/room');
  await rest('remove ann', 'DELETE', `/api/hubs/story/groups/room/connections/${ann.id}`);
  await rest('room exists', 'HEAD', '/api/hubs/story/groups/room');
  await rest('bob exists', 'HEAD', '/api/v1/hubs/story/users/bob');
  await rest('dan exists', 'HEAD', '/api/v1/hubs/story/users/dan');

  for (const one of all) {
    await one.invokes('add', 1, 2);
    await one.invokes('fail');
    await one.invokes('nothing');
    await one.connection.send('note', one.name);
    await rest(`ask ${one.name}`, 'POST', `/api/hubs/story/connections/${one.id}/:invoke`, { target: 'ask', arguments: ['really'] });
    await one.next();
  }
  await rest('ask too much', 'POST', `/api/hubs/story/connections/${ann.id}/:invoke`, { target: 'ask', arguments: ['impossible'] });
  await ann.next();

  // A close makes those come again who are set up for it.
  await rest('close ann', 'DELETE', `/api/hubs/story/connections/${ann.id}?reason=go`);
  await ann.next();
  await ann.next();
  await rest('close the others', 'POST', `/api/hubs/story/:closeConnections?reason=all&excluded=${ann.id}`);
  await bob.next();
  await bob.next();
  await cat.next();
  await rest('to all', 'POST', '/api/hubs/story/:send', news('welcome back'));
  await ann.next();
  await bob.next();
  for (const one of [ann, bob]) {
    await one.connection.stop();
    await one.next();
  }
  await cat.start();
  await cat.connection.stop();
  await cat.next();
  await rest('cat exists', 'HEAD', '/api/hubs/story/users/cat');
  tell('story', 'done');
}

main().then(
  () => process.stdout.write('', () => process.exit(0)),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
