'use strict';

// What the scripts about Web PubSub have in common: clients whose events can be awaited, and a transcript that is the same wherever
// the story is played.

const { WebPubSubClient, WebPubSubJsonProtocol, WebPubSubJsonReliableProtocol } = require('@azure/web-pubsub-client');
const { emit } = require('./lines');

const names = new Map(); // of connection ids

// named puts names in the place of connection ids.
function named(value) {
  if (typeof value === 'string') return names.get(value) ?? value;
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return { hex: Buffer.from(value).toString('hex') };
  if (Array.isArray(value)) return value.map(named);
  if (value && typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, named(one)]));
  return value;
}

// tell writes one line of the transcript.
const tell = (who, what, more = {}) => emit({ who, what, ...named(more) });

// A Player is a client and the events that it has seen and nobody has waited for.
class Player {
  constructor(name, url, { reliable, ...options } = {}) {
    this.name = name;
    this.waiting = [];
    this.seen = [];
    const protocol = reliable ? WebPubSubJsonReliableProtocol() : WebPubSubJsonProtocol();
    this.client = new WebPubSubClient({ getClientAccessUrl: url }, { protocol, ...options });
    this.client.on('connected', ({ connectionId, userId }) => {
      this.id = connectionId;
      names.set(connectionId, `${name}'s id`);
      this.event('connected', { connectionId, userId });
    });
    this.client.on('disconnected', ({ message }) => this.event('disconnected', { message: message?.message }));
    this.client.on('stopped', () => this.event('stopped'));
    this.client.on('rejoin-group-failed', ({ group }) => this.event('rejoin-group-failed', { group }));
    this.client.on('server-message', ({ message }) => this.event('server-message', { dataType: message.dataType, data: message.data }));
    this.client.on('group-message', ({ message }) => {
      const { group, fromUserId, dataType, data } = message;
      this.event('group-message', { group, fromUserId, dataType, data });
    });
  }

  event(what, more) {
    const waiter = this.waiting.shift();
    if (waiter) waiter([what, more]);
    else this.seen.push([what, more]);
  }

  // next waits for an event and writes it down.
  async next() {
    const [what, more] = this.seen.shift() ?? (await new Promise((resolve) => this.waiting.push(resolve)));
    tell(this.name, what, more);
    return more;
  }

  // does calls a method of the client and writes down how that went.
  async does(method, ...args) {
    try {
      const result = await this.client[method](...args);
      tell(this.name, `${method} done`, result && { duplicated: result.isDuplicated, dataType: result.dataType, data: result.data });
    } catch (error) {
      tell(this.name, `${method} failed`, { error: error.errorDetail?.name ?? error.name });
    }
  }
}

// play plays a story. What the clients have left behind does not keep the process alive.
function play(story) {
  story().then(
    () => process.stdout.write('', () => process.exit(0)),
    (error) => {
      console.error(error);
      process.exit(1);
    },
  );
}

module.exports = { Player, play, tell };
