"""An echo server on websockets. It listens on the port that is its first argument; with two more, the files of a
certificate and its key, it speaks TLS."""

import asyncio
import http
import ssl
import sys

from websockets.exceptions import ConnectionClosed
from websockets.legacy.server import serve

from lines import emit, obey

sessions = set()


async def health(path, _headers):
    """Answer what is no handshake; None goes on with the handshake."""
    if path == "/api/health":
        return http.HTTPStatus.OK, [], b""
    return None


async def session(socket):
    sessions.add(socket)
    names = [extension.name for extension in socket.extensions]
    emit(
        "session",
        path=socket.path,
        authorization=socket.request_headers.get("Authorization"),
        protocol=socket.subprotocol or "",
        deflate="permessage-deflate" in names,
    )
    try:
        while True:
            await socket.send(await socket.recv())
    except ConnectionClosed:
        pass
    finally:
        sessions.discard(socket)
        emit("close", code=socket.close_code, reason=socket.close_reason)


async def ping(command):
    for socket in list(sessions):
        await (await socket.ping(command["data"]))
        emit("pong", data=command["data"])


async def close(command):
    for socket in list(sessions):
        await socket.close(command["code"], command.get("reason", ""))


async def cut(_command):
    for socket in list(sessions):
        socket.transport.abort()


def tls():
    """Return what the last two arguments say, None without them."""
    if len(sys.argv) < 4:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2], sys.argv[3])
    return context


async def main():
    server = await serve(
        session,
        "127.0.0.1",
        int(sys.argv[1]),
        ssl=tls(),
        subprotocols=["chat.v1"],
        process_request=health,
        ping_interval=None,
        max_size=None,  # the default counts compressed bytes, and noise grows
    )
    emit("listening", port=server.sockets[0].getsockname()[1])
    await obey({"ping": ping, "close": close, "cut": cut})


asyncio.run(main())
