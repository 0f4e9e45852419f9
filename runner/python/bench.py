"""Requests a second on a Unix socket: `python3 bench.py [SECONDS]`.

The host, with functions that answer a small dict, beside an asyncio protocol that
answers the same bytes to whatever comes, and beside uvicorn where it is installed
(with uvloop and httptools where those are). Each server runs in a process of its own,
and the generator in this one: it wants two cores. The servers take turns, and the
median of three rounds counts.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import pathlib
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Dict, Iterator, List

PACKAGE = pathlib.Path(__file__).parent
CONNECTIONS = (16, 64)
ROUNDS = 3

BARE = """
import asyncio, sys
BODY = b'{"hello":"world","n":42}'
ANSWER = b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: %d\\r\\n\\r\\n%s" % (len(BODY), BODY)

class Bare(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(ANSWER)

async def main():
    server = await asyncio.get_running_loop().create_unix_server(Bare, sys.argv[1], backlog=1024)
    await server.serve_forever()

asyncio.run(main())
"""

ASGI = """
import json, sys, uvicorn

async def app(scope, receive, send):
    await receive()
    body = json.dumps({"hello": "world", "n": 42}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})

uvicorn.run(app, uds=sys.argv[1], lifespan="off", access_log=False, log_level="error")
"""

APP = """
import logging
def sync(ctx): return {"hello": "world", "n": ctx.path_params["n"]}
async def asynchronous(ctx): return {"hello": "world", "n": ctx.path_params["n"]}
def logs(ctx):
    logging.info("a line")
    return {"hello": "world", "n": ctx.path_params["n"]}
"""

#: What is measured: the name of a server, and of a function of it.
SUBJECTS = [("bare", ""), ("host", "asynchronous"), ("host", "sync"), ("host", "logs"), ("uvicorn", "")]


def request(operation: str) -> bytes:
    """As a Runner sends it."""
    return (
        "GET /base/hello/42?cool=yes HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: bench\r\nAccept: application/json\r\n"
        "X-Request-Id: db9d00abf61d9c67f4f0e755e96b8d0e\r\ntraceparent: 00-db9d00abf61d9c67f4f0e755e96b8d0e-00f067aa0ba902b7-01\r\n"
        f"X-Funcatron-Operation: app.{operation}\r\nX-Funcatron-Timeout-Ms: 29999\r\n"
        'X-Funcatron-Params: {"path":{"n":42},"query":{},"header":{},"form":{}}\r\n\r\n'
    ).encode()


def rate(path: str, connections: int, text: bytes, seconds: float) -> float:
    """Answers a second, a request at a time on each connection."""
    poll = select.epoll()
    sockets: Dict[int, socket.socket] = {}
    with contextlib.ExitStack() as closing:
        closing.enter_context(poll)
        for _ in range(connections):
            s = closing.enter_context(socket.socket(socket.AF_UNIX))
            s.connect(path)
            poll.register(s.fileno(), select.EPOLLIN)
            sockets[s.fileno()] = s
            s.send(text)
        count = 0
        began = time.perf_counter()
        end = began + seconds
        while time.perf_counter() < end:
            for fd, _ in poll.poll():
                answer = sockets[fd].recv(65536)
                while answer.startswith(b"HTTP/1.1 200") and not answer.endswith(b"}") and (more := sockets[fd].recv(65536)):
                    answer += more  # uvicorn writes head and body apart
                if not answer.startswith(b"HTTP/1.1 200") or not answer.endswith(b"}"):
                    raise RuntimeError(f"not what was asked for: {answer!r}")
                count += 1
                sockets[fd].send(text)
        return count / (time.perf_counter() - began)


@contextlib.contextmanager
def serving(name: str, folder: pathlib.Path) -> Iterator[str]:
    """A server in a process of its own, and the path of its socket."""
    path = str(folder / f"{name}.sock")
    env = {**os.environ, "FUNCATRON_SOCKET": path, "FUNCATRON_PROPS_FILE": str(folder / "props.json"), "FUNCATRON_SWAGGER_FILE": str(folder / "swagger.json")}
    code = {"bare": ["-c", BARE, path], "uvicorn": ["-c", ASGI, path], "host": [str(PACKAGE / "serve.py")]}[name]
    process = subprocess.Popen([sys.executable, *code], cwd=folder, env=env, stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 20
        while True:
            with socket.socket(socket.AF_UNIX) as s:
                if s.connect_ex(path) == 0:
                    break
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{name} does not come up")
            time.sleep(0.01)
        yield path
    finally:
        process.terminate()
        process.wait(20)


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0
    subjects = [s for s in SUBJECTS if s[0] != "uvicorn" or importlib.util.find_spec("uvicorn")]
    results: Dict[object, List[float]] = {}
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = pathlib.Path(name)
        (folder / "app.py").write_text(APP)
        (folder / "props.json").write_text("{}")
        paths = {f"/{n}": {"get": {"operationId": f"app.{n}"}} for s, n in subjects if s == "host"}
        (folder / "swagger.json").write_text(json.dumps({"swagger": "2.0", "paths": paths}))
        sockets = {s: stack.enter_context(serving(s, folder)) for s in dict(subjects)}
        for _ in range(ROUNDS):
            for connections in CONNECTIONS:
                for server, operation in subjects:
                    text = request(operation)
                    rate(sockets[server], connections, text, seconds / 4)
                    results.setdefault((server, operation, connections), []).append(rate(sockets[server], connections, text, seconds))
    print(f"Python {sys.version.split()[0]}")
    for connections in CONNECTIONS:
        bare = statistics.median(results["bare", "", connections])
        for server, operation in subjects:
            got = statistics.median(results[server, operation, connections])
            print(f"{connections:3} connections  {server + ' ' + operation:18} {got:9,.0f}/s  {got / bare:5.2f} of bare")


if __name__ == "__main__":
    main()
