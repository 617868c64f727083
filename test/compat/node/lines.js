'use strict';

// The JSON lines that a peer reads and writes. package compat says what they mean.

const { createHash } = require('node:crypto');
const readline = require('node:readline');

// emit writes one event.
function emit(event) {
  process.stdout.write(JSON.stringify(event) + '\n');
}

// message writes what is kept of a message: a string is text, bytes are binary.
function message(data) {
  const text = typeof data === 'string';
  const bytes = Buffer.from(data);
  emit({
    event: 'message',
    kind: text ? 'text' : 'binary',
    size: bytes.length,
    sha256: createHash('sha256').update(bytes).digest('hex'),
  });
}

// payload is what a send command carries: a string for text, a Buffer for binary.
function payload(command) {
  return command.text !== undefined ? command.text : Buffer.from(command.base64, 'base64');
}

// obey calls the handler of each command. The end of the commands ends the process.
function obey(handlers) {
  const lines = readline.createInterface({ input: process.stdin });
  lines.on('line', (line) => {
    const command = JSON.parse(line);
    const handler = handlers[command.do];
    if (!handler) throw new Error(`this peer cannot ${command.do}`);
    handler(command);
  });
  lines.on('close', () => process.exit(0));
}

module.exports = { emit, message, payload, obey };
