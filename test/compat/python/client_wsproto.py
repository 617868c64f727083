"""A client on wsproto, which brings no sockets of its own."""

import asyncio
from urllib.parse import urlsplit

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Message,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.extensions import PerMessageDeflate

from lines import emit, message, obey, parts

READ_SIZE = 64 << 10


class Client:
    protocol = writer = reading = None

    async def open(self, command):
        url = urlsplit(command["url"])
        reader, self.writer = await asyncio.open_connection(
            url.hostname, url.port, ssl=url.scheme == "wss" or None
        )
        self.protocol = WSConnection(ConnectionType.CLIENT)
        await self.say(
            Request(
                host=url.netloc,
                target=(url.path or "/") + ("?" + url.query if url.query else ""),
                subprotocols=command.get("protocols") or [],
                extra_headers=[(k.encode(), v.encode()) for k, v in (command.get("headers") or {}).items()],
                extensions=[PerMessageDeflate()] if command.get("deflate") else [],
            )
        )
        self.reading = asyncio.create_task(self.read(reader, self.writer, self.protocol))

    async def say(self, event):
        self.writer.write(self.protocol.send(event))
        await self.writer.drain()

    async def read(self, reader, writer, protocol):
        """Handle what comes until the connection ends."""
        opened = told = False
        kept = []
        while True:
            data = await reader.read(READ_SIZE)
            if data or not told:
                protocol.receive_data(data or None)
            for event in protocol.events():
                if isinstance(event, AcceptConnection):
                    opened = True
                    names = [extension.name for extension in event.extensions]
                    emit("open", protocol=event.subprotocol or "", deflate="permessage-deflate" in names)
                elif isinstance(event, RejectConnection):
                    told = True
                    emit("refused", status=event.status_code)
                elif isinstance(event, (TextMessage, BytesMessage)):
                    kept.append(event.data)
                    if event.message_finished:
                        empty = "" if isinstance(event, TextMessage) else b""
                        message(empty.join(kept))
                        kept = []
                elif isinstance(event, Ping):
                    await self.say(event.response())
                elif isinstance(event, Pong):
                    emit("pong", data=bytes(event.payload).decode())
                elif isinstance(event, CloseConnection) and opened and not told:
                    told = True
                    if data and protocol.state.name == "REMOTE_CLOSING":
                        await self.say(event.response())
                    emit("close", code=int(event.code), reason=event.reason or "")
            if not data:
                writer.close()
                return

    async def send(self, command):
        fragments = parts(command)
        for i, fragment in enumerate(fragments, start=1):
            await self.say(Message(data=fragment, message_finished=i == len(fragments)))

    async def ping(self, command):
        await self.say(Ping(payload=command["data"].encode()))

    async def close(self, command):
        await self.say(CloseConnection(code=command["code"], reason=command.get("reason", "")))


async def main():
    client = Client()
    await obey({"open": client.open, "send": client.send, "ping": client.ping, "close": client.close})


asyncio.run(main())
