'use strict';

// A crowd of the vendor's clients of SignalR with automatic reconnect as it is by default. Commands:
//
//   join   count clients come, whose users are named prefix and number. Each negotiates at negotiate, tells when it is connected,
//          disconnected and stopped, and what the server says.
//   event  the user sends a text to the app server.

const signalR = require('@microsoft/signalr');
const { emit, obey } = require('./lines');

const clients = new Map();

function join(user, negotiate) {
  const tell = (event) => emit({ event, user, at: Date.now() });
  const connection = new signalR.HubConnectionBuilder()
    .withUrl(`${negotiate}/?hub=crowd&userId=${user}`, { transport: signalR.HttpTransportType.WebSockets })
    .withAutomaticReconnect()
    .configureLogging(signalR.LogLevel.None)
    .build();
  clients.set(user, connection);
  connection.on('news', (text) => emit({ event: 'message', user, text }));
  connection.onreconnecting(() => tell('disconnected'));
  connection.onreconnected(() => tell('connected'));
  connection.onclose(() => tell('stopped'));
  connection.start().then(
    () => tell('connected'),
    (error) => emit({ event: 'stopped', user, text: String(error) }),
  );
}

obey({
  join({ count, prefix, negotiate }) {
    for (let i = 0; i < count; i++) join(`${prefix}${i}`, negotiate);
  },
  event: ({ user, text }) => void clients.get(user).send('note', text),
});
