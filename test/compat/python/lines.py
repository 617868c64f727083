"""The JSON lines that a peer reads and writes. Package compat says what they mean."""

import asyncio
import base64
import hashlib
import json
import sys

# A command carries at most one message, in base64.
LONGEST_LINE = 16 << 20


def emit(event, **fields):
    """Write one event."""
    print(json.dumps({"event": event, **fields}), flush=True)


def message(data):
    """Write what is kept of a message: a string is text, bytes are binary."""
    raw = data.encode() if isinstance(data, str) else bytes(data)
    kind = "text" if isinstance(data, str) else "binary"
    emit("message", kind=kind, size=len(raw), sha256=hashlib.sha256(raw).hexdigest())


def parts(command):
    """The fragments that a send command asks for: strings for text, bytes for binary."""
    data = command["text"] if "text" in command else base64.b64decode(command["base64"])
    step = max(1, -(-len(data) // command.get("parts", 1)))
    return [data[i : i + step] for i in range(0, len(data), step)] or [data]


async def obey(handlers):
    """Await the handler of each command until there are no more."""
    reader = asyncio.StreamReader(limit=LONGEST_LINE)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        command = json.loads(line)
        await handlers[command.pop("do")](command)
