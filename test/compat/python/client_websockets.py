"""A client on websockets."""

import asyncio
import sys

from websockets.exceptions import ConnectionClosed, InvalidStatusCode
from websockets.legacy.client import connect

from lines import emit, message, obey, parts


class Client:
    socket = None
    reading = None

    async def open(self, command):
        try:
            self.socket = await connect(
                command["url"],
                subprotocols=command.get("protocols"),
                extra_headers=command.get("headers"),
                compression="deflate" if command.get("deflate") else None,
                ping_interval=None,
                max_size=None,
            )
        except InvalidStatusCode as refusal:
            emit("refused", status=refusal.status_code)
            return
        except Exception as error:
            print(error, file=sys.stderr)
            emit("refused")
            return
        names = [extension.name for extension in self.socket.extensions]
        emit("open", protocol=self.socket.subprotocol or "", deflate="permessage-deflate" in names)
        self.reading = asyncio.create_task(self.read(self.socket))

    async def read(self, socket):
        try:
            while True:
                message(await socket.recv())
        except ConnectionClosed:
            emit("close", code=socket.close_code, reason=socket.close_reason)

    async def send(self, command):
        fragments = parts(command)
        # Given a list, the library sends a fragment for each.
        await self.socket.send(fragments if len(fragments) > 1 else fragments[0])

    async def ping(self, command):
        await (await self.socket.ping(command["data"]))
        emit("pong", data=command["data"])

    async def close(self, command):
        await self.socket.close(command["code"], command.get("reason", ""))


async def main():
    client = Client()
    await obey({"open": client.open, "send": client.send, "ping": client.ping, "close": client.close})


asyncio.run(main())
