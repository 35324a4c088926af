# SPDX-License-Identifier: Apache-2.0 OR MIT
"""An asyncio server that says hello: on port 7000, or on the socket systemd hands it."""

import asyncio
import os
import socket


async def greet(reader, writer):
    writer.write(b"hello\n")
    try:
        await writer.drain()
        await reader.read()
    except ConnectionError:
        pass
    writer.close()


async def main():
    if os.environ.get("LISTEN_PID") == str(os.getpid()):
        server = await asyncio.start_server(greet, sock=socket.socket(fileno=3))
    else:
        server = await asyncio.start_server(greet, "0.0.0.0", 7000)
    await server.serve_forever()


asyncio.run(main())
