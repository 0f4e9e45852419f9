"""As little of an HTTP server as Python can be: `python3 bare.py SOCKET`."""

import asyncio
import sys

BODY = b'{"greeting":"Hello from a function","count":12345,"tags":["alpha","beta","gamma"],"nested":{"ok":true,"ratio":0.75}}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


class Server(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
        self.rest = b""

    def data_received(self, data):
        self.rest += data
        while (end := self.rest.find(b"\r\n\r\n")) >= 0:
            self.rest = self.rest[end + 4 :]
            self.transport.write(ANSWER)


async def main():
    server = await asyncio.get_running_loop().create_unix_server(Server, sys.argv[1], backlog=1024)
    print("listening on", sys.argv[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
