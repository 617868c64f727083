'use strict';

// A crowd of the vendor's clients of Web PubSub, and an app server on the vendor's SDK; its argument is the connection string of the
// latter. Commands:
//
//   join      count clients come, whose users are named prefix and number. Each asks negotiate for its URL, or the app server if that
//             is not given, and tells when it is connected, disconnected and stopped, and what the server says.
//   event     the user sends an event with a text.
//   sendToAll the app server does, and tells the status and what the router says of those who did not get it.

const { WebPubSubServiceClient } = require('@azure/web-pubsub');
const { WebPubSubClient, WebPubSubJsonProtocol, WebPubSubJsonReliableProtocol } = require('@azure/web-pubsub-client');
const { emit, obey } = require('./lines');

const service = new WebPubSubServiceClient(process.argv[2], 'crowd', { allowInsecureConnection: true });
const clients = new Map();

async function negotiated(negotiate, user) {
  const response = await fetch(`${negotiate}/negotiate?hub=crowd&userId=${user}`, { method: 'POST' });
  if (!response.ok) throw new Error(`negotiate: ${response.status}`);
  return (await response.json()).url;
}

function join(user, { reliable, negotiate }) {
  const protocol = reliable ? WebPubSubJsonReliableProtocol() : WebPubSubJsonProtocol();
  const url = async () => (negotiate ? negotiated(negotiate, user) : (await service.getClientAccessToken({ userId: user })).url);
  const client = new WebPubSubClient({ getClientAccessUrl: url }, { protocol });
  clients.set(user, client);
  for (const what of ['connected', 'disconnected', 'stopped']) client.on(what, () => emit({ event: what, user, at: Date.now() }));
  client.on('server-message', ({ message }) => emit({ event: 'message', user, text: message.data }));
  client.start().catch((error) => emit({ event: 'stopped', user, text: String(error) }));
}

obey({
  join({ count, prefix, ...how }) {
    for (let i = 0; i < count; i++) join(`${prefix}${i}`, how);
  },
  event: ({ user, text }) => void clients.get(user).sendEvent('note', text, 'text', { fireAndForget: true }),
  async sendToAll({ text }) {
    let response;
    try {
      await service.sendToAll(text, { contentType: 'text/plain', onResponse: (raw) => (response = raw) });
      emit({ event: 'sent', status: response.status, partial: response.headers.get('x-pointsman-partial') });
    } catch (error) {
      emit({ event: 'sent', status: error.statusCode, text: String(error) });
    }
  },
});
