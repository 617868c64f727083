'use strict';

// Clients on @microsoft/signalr. The arguments: the URL of the hub, how many, and the transport. Each that has reached a
// server tells which, again after each reconnect.

const signalR = require('@microsoft/signalr');
const { emit, obey } = require('./lines');

const [url, count, transport] = process.argv.slice(2);
const retries = Array.from({ length: 100 }, (_, i) => (i === 0 ? 0 : 100));

async function greet(connection) {
  for (const data of ['hello', 'ü'.repeat(20_000)]) {
    if ((await connection.invoke('echo', data)) !== data) throw new Error('the echo is another message');
  }
  emit({ event: 'open', path: await connection.invoke('name'), kind: transport });
}

for (let i = 0; i < Number(count); i++) {
  const connection = new signalR.HubConnectionBuilder()
    .withUrl(url, { transport: signalR.HttpTransportType[transport] })
    .withAutomaticReconnect(retries)
    .configureLogging(signalR.LogLevel.None)
    .build();
  connection.serverTimeoutInMilliseconds = 10_000;
  connection.keepAliveIntervalInMilliseconds = 2_000;
  const report = (error) => emit({ event: 'refused', reason: String(error) });
  connection.onreconnected(() => greet(connection).catch(report));
  connection.onclose((error) => emit({ event: 'close', reason: String(error) }));
  connection.start().then(() => greet(connection)).catch(report);
}

obey({});
