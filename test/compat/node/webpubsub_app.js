'use strict';

// An app server on @azure/web-pubsub-express. It tells every event that it gets, with the names of the connections in the place of
// their ids, and answers as the story of webpubsub_story.js wants it.

const http = require('node:http');
const { WebPubSubEventHandler } = require('@azure/web-pubsub-express');
const { emit } = require('./lines');

// What is told of the sender of each event.
const sender = ({ context }) => ({ user: context.userId, hub: context.hub, states: context.states });

const handler = new WebPubSubEventHandler('story', {
  path: '/eventhandler',
  handleConnect(request, response) {
    const { queries, subprotocols, claims } = request;
    emit({ event: 'connect', ...sender(request), subprotocols, roles: claims.role, mood: queries.mood });
    if (queries.mood?.[0] === 'bad') {
      response.fail(401, 'not today');
      return;
    }
    response.setState('greeted', true);
    response.success({ groups: ['lobby'], roles: ['webpubsub.sendToGroup.lobby'] });
  },
  onConnected: (request) => emit({ event: 'connected', ...sender(request) }),
  handleUserEvent(request, response) {
    const { context, dataType, data } = request;
    emit({ event: 'user', name: context.eventName, ...sender(request), dataType, data: dataType === 'binary' ? data.toString('hex') : data });
    switch (context.eventName) {
      case 'echo':
        response.success(dataType === 'json' ? JSON.stringify(data) : data, dataType);
        break;
      case 'count':
        response.setState('count', (context.states.count ?? 0) + 1);
        response.success(JSON.stringify(context.states), 'json');
        break;
      case 'fail':
        response.fail(500, 'cannot');
        break;
      default:
        response.success();
    }
  },
  onDisconnected: (request) => emit({ event: 'disconnected', ...sender(request), reason: request.reason }),
});
const middleware = handler.getMiddleware();

// The middleware is made for Express, of which it uses no more than these two names.
const server = http.createServer((request, response) => {
  request.baseUrl = '';
  request.path = request.url.split('?')[0];
  middleware(request, response, (error) => {
    response.statusCode = error ? 500 : 404;
    response.end();
  });
});
server.listen(0, '127.0.0.1', () => emit({ event: 'listening', port: server.address().port }));
process.stdin.on('end', () => process.exit(0)).resume();
