"""HTTP/1.1 as the Runner speaks it (RFC 9112), on asyncio."""

from __future__ import annotations

import asyncio
import http
from typing import Callable, Dict, Iterable, Optional, Tuple

#: Bytes of a request's head. X-Funcatron-Params has a form's fields.
MAX_HEAD = 16 << 20
#: Bytes of a request's body; the gateway lets no larger one in.
MAX_BODY = 64 << 20
#: Bytes of the next request that are read while one is worked on.
MAX_AHEAD = 1 << 20

Headers = Iterable[Tuple[str, str]]

_STATUS_LINES = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\n".encode() for s in http.HTTPStatus}


class BadRequest(Exception):
    """What is no HTTP/1.1."""


class Request:
    __slots__ = ("body", "chunked", "headers", "keep_alive", "length", "method", "target")

    def __init__(self, method: str, target: str, headers: Dict[str, str], keep_alive: bool):
        self.method = method
        self.target = target
        self.headers = headers  # by lower-case names; values are Latin-1
        self.keep_alive = keep_alive
        self.body = b""
        self.length, self.chunked = framing(headers)


def parse_head(head: bytes) -> Request:
    """Reads a request's head, without the empty line at its end."""
    lines = head.decode("latin-1").split("\r\n")
    parts = lines[0].split(" ")
    if len(parts) != 3 or parts[2] not in ("HTTP/1.1", "HTTP/1.0") or not parts[0].isalpha() or not parts[1]:
        raise BadRequest("the request line is none")
    headers: Dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip() or "\n" in line or "\r" in line or "\0" in line:
            raise BadRequest("a header line is none")
        name, value = name.lower(), value.strip(" \t")
        if name in headers:
            value = headers[name] + ("; " if name == "cookie" else ", ") + value
        headers[name] = value
    connection = headers.get("connection", "").lower()
    return Request(parts[0], parts[1], headers, "close" not in connection if parts[2] == "HTTP/1.1" else "keep-alive" in connection)


def framing(headers: Dict[str, str]) -> Tuple[int, bool]:
    """The length of the body, and whether it is chunked."""
    coding, length = headers.get("transfer-encoding"), headers.get("content-length")
    if coding is not None:
        if coding.lower() != "chunked" or length is not None:
            raise BadRequest("the body's length is ambiguous")
        return 0, True
    if length is None:
        return 0, False
    if not (length.isascii() and length.isdigit()) or len(length) > 15:
        raise BadRequest("Content-Length is no number")
    if int(length) > MAX_BODY:
        raise BadRequest("the body is too large")
    return int(length), False


class Chunks:
    """Takes a chunked body out of a buffer, as it comes (RFC 9112, 7.1)."""

    __slots__ = ("body", "left")

    def __init__(self) -> None:
        self.body = bytearray()
        self.left = -1  # bytes of the chunk that are to come, with its CRLF; -1: its size is to come

    def take(self, buffer: bytearray) -> bool:
        """Says whether the body is whole."""
        while True:
            if self.left > 0:
                if len(buffer) < self.left:
                    return False
                if buffer[self.left - 2 : self.left] != b"\r\n":
                    raise BadRequest("a chunk is longer than it said")
                self.body += buffer[: self.left - 2]
                del buffer[: self.left]
                self.left = -1
            elif self.left == 0:  # trailers, which nobody wants
                end = buffer.find(b"\r\n")
                if end < 0:
                    return self.wait(buffer)
                del buffer[: end + 2]
                if end == 0:
                    return True
            else:
                end = buffer.find(b"\r\n")
                if end < 0:
                    return self.wait(buffer)
                size = bytes(buffer[:end]).partition(b";")[0].strip(b" \t")
                if not size or len(size) > 8 or size.strip(b"0123456789abcdefABCDEF"):
                    raise BadRequest("a chunk has no size")
                del buffer[: end + 2]
                n = int(size, 16)
                if n + len(self.body) > MAX_BODY:
                    raise BadRequest("the body is too large")
                self.left = n + 2 if n else 0

    @staticmethod
    def wait(buffer: bytearray) -> bool:
        if len(buffer) > 64 << 10:
            raise BadRequest("a line of a chunked body is too long")
        return False


class Connection(asyncio.Protocol):
    """One connection: its requests one after the other, each answered before the next.

    handle is called with a request, and answers it by answer(). gone is called when
    the connection is no more, whether or not that was answered; made before all else.
    """

    def __init__(
        self, handle: Callable[["Connection", Request], None], gone: Callable[["Connection"], None], made: Callable[["Connection"], None]
    ):
        self.handle = handle
        self.gone = gone
        self.made = made
        self.job: object = None  # handle's
        self.busy = False
        self.closing = False
        self.held = False  # reading is
        self.bodiless = False  # the answer is
        self.room = asyncio.Event()  # to write more
        self.room.set()
        self.transport: Optional[asyncio.Transport] = None
        self.buffer = bytearray()
        self.searched = 0
        self.request: Optional[Request] = None  # whose body is to come
        self.chunks: Optional[Chunks] = None
        self.loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.made(self)

    def connection_lost(self, exc: Optional[Exception]) -> None:
        self.transport = None
        self.room.set()
        self.gone(self)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not self.busy:
            self.advance()
        elif len(self.buffer) > MAX_AHEAD and self.transport is not None and not self.held:
            self.held = True
            self.transport.pause_reading()

    def advance(self) -> None:
        """Hands the next request on, once it is whole."""
        try:
            request = self.next()
        except BadRequest as e:
            self.request, self.busy = None, True
            self.answer(400, (("Content-Type", "text/plain"),), str(e).encode(), close=True)
            return
        if request is not None:
            self.request, self.busy = request, True
            self.handle(self, request)

    def next(self) -> Optional[Request]:
        request = self.request
        if request is None:
            end = self.buffer.find(b"\r\n\r\n", self.searched)
            if end < 0:
                if len(self.buffer) > MAX_HEAD:
                    raise BadRequest("the head is too long")
                self.searched = max(len(self.buffer) - 3, 0)
                return None
            request = parse_head(bytes(self.buffer[:end]))
            del self.buffer[: end + 4]
            self.searched = 0
            self.request = request
            self.chunks = Chunks() if request.chunked else None
        if self.chunks is not None:
            if not self.chunks.take(self.buffer):
                if len(self.chunks.body) + len(self.buffer) > MAX_BODY:
                    raise BadRequest("the body is too large")
                return None
            request.body, self.chunks = bytes(self.chunks.body), None
        elif request.length:
            if len(self.buffer) < request.length:
                return None
            request.body = bytes(self.buffer[: request.length])
            del self.buffer[: request.length]
        return request

    def answer(self, status: int, headers: Headers, body: bytes, close: bool = False) -> None:
        """Answers the request that was handed on, in one write: head and body apart cost a client 40 ms on TCP."""
        if self.transport is None:
            return
        self.closing = self.closing or close
        text = self.head(status, headers, "" if status in (204, 304) else f"Content-Length: {len(body)}\r\n")
        self.transport.write(text if self.bodiless else text + body)
        self.answered()

    def head(self, status: int, headers: Headers, framing: str) -> bytes:
        request = self.request
        self.bodiless = status in (204, 304) or (request is not None and request.method == "HEAD")
        if request is None or not request.keep_alive:
            self.closing = True
        lines = [f"{name}: {value}\r\n" for name, value in headers]
        if self.closing:
            lines.append("Connection: close\r\n")
        lines.append(framing)
        lines.append("\r\n")
        text = _STATUS_LINES.get(status) or f"HTTP/1.1 {status} Unknown\r\n".encode()
        return text + "".join(lines).encode("latin-1", "replace")

    def answered(self) -> None:
        self.request, self.busy = None, False
        if self.transport is None:
            return
        if self.closing:
            self.transport.close()
            return
        if self.held:
            self.held = False
            self.transport.resume_reading()
        if self.buffer:
            self.loop.call_soon(self.resume)

    # An answer whose length is not known before its end: begin, send, finish.

    def begin(self, status: int, headers: Headers) -> None:
        if self.transport is not None:
            self.transport.write(self.head(status, headers, "" if status in (204, 304) else "Transfer-Encoding: chunked\r\n"))

    async def send(self, block: bytes) -> None:
        """Sends a part of the body, and waits while the Runner is slower than that."""
        if self.transport is not None and block and not self.bodiless:
            self.transport.write(b"%x\r\n%b\r\n" % (len(block), block))
            await self.room.wait()

    def finish(self, block: bytes) -> None:
        if self.transport is not None and not self.bodiless:
            self.transport.write((b"%x\r\n%b\r\n0\r\n\r\n" % (len(block), block)) if block else b"0\r\n\r\n")
        self.answered()

    def break_off(self) -> None:
        """Ends the connection, so that half an answer is not taken for a whole one."""
        if self.transport is not None:
            self.transport.abort()

    def pause_writing(self) -> None:
        self.room.clear()

    def resume_writing(self) -> None:
        self.room.set()

    def resume(self) -> None:
        if not self.busy and self.transport is not None:
            self.advance()

    def end(self) -> None:
        """Closes the connection, once what is worked on is answered."""
        self.closing = True
        if not self.busy and self.transport is not None:
            self.transport.close()
