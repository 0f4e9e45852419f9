import asyncio
import pathlib
import random
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

from funcatron.protocol import Connection


class Wire:
    """A connection, what it handed on, and what it wrote."""

    def __init__(self):
        self.written = b""
        self.requests = []
        self.closed = False
        self.is_gone = False
        self.connection = Connection(self.handle, lambda _: setattr(self, "is_gone", True), lambda _: None)
        self.connection.connection_made(self)

    def handle(self, connection, request):
        self.requests.append((request.method, request.target, dict(request.headers), request.body))
        connection.answer(200, [("X-A", "1")], b"ok")

    # What a transport has.
    def write(self, data):
        self.written += data

    def close(self):
        self.closed = True

    def pause_reading(self):
        pass

    resume_reading = pause_reading


def run(test):
    def wrapped(self):
        async def main():
            await test(self)

        asyncio.run(main())

    return wrapped


PIPELINE = (
    b"GET /a?b=c HTTP/1.1\r\nHost: x\r\nX-Two: 1\r\nx-two:  2 \r\n\r\n"
    b"POST /p HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"
    b"POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\n"
    b"HEAD /h HTTP/1.1\r\n\r\n"
    b"GET /last HTTP/1.1\r\nConnection: close\r\n\r\n"
)


class Requests(unittest.TestCase):
    def check(self, wire):
        self.assertEqual([(m, t, b) for m, t, _, b in wire.requests], [
            ("GET", "/a?b=c", b""), ("POST", "/p", b"hello"), ("POST", "/c", b"abc0123456789"), ("HEAD", "/h", b""), ("GET", "/last", b""),
        ])
        self.assertEqual(wire.requests[0][2], {"host": "x", "x-two": "1, 2"})
        self.assertEqual(wire.written.count(b"HTTP/1.1 200 OK\r\n"), 5)
        self.assertEqual(wire.written.count(b"\r\n\r\nok"), 4)  # none for HEAD
        self.assertTrue(wire.closed)

    @run
    async def test_split_anywhere(self):
        random.seed(7)
        for _ in range(300):
            wire = Wire()
            rest = PIPELINE
            while rest:
                n = random.choice([1, 2, 3, random.randrange(1, len(PIPELINE))])
                wire.connection.data_received(rest[:n])
                rest = rest[n:]
            while wire.connection.buffer and not wire.closed:
                await asyncio.sleep(0)
            self.check(wire)

    @run
    async def test_one_at_a_time(self):
        wire = Wire()
        held = []
        wire.connection.handle = lambda connection, request: held.append(request)
        wire.connection.data_received(b"GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n")
        self.assertEqual([r.target for r in held], ["/1"])
        wire.connection.answer(204, [], b"")
        await asyncio.sleep(0)
        self.assertEqual([r.target for r in held], ["/1", "/2"])
        self.assertNotIn(b"Content-Length", wire.written)
        wire.connection.end()
        self.assertFalse(wire.closed)
        wire.connection.answer(200, [], b"x")
        self.assertTrue(wire.closed)
        self.assertIn(b"Connection: close", wire.written)

    @run
    async def test_refused(self):
        for bad in [
            b"hello\r\n\r\n",
            b"GET /\r\n\r\n",
            b"GET / HTTP/2\r\n\r\n",
            b"GET  HTTP/1.1\r\n\r\n",
            b"G@T / HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
            b"GET / HTTP/1.1\r\n: x\r\n\r\n",
            b"GET / HTTP/1.1\r\nX : x\r\n\r\n",
            b"GET / HTTP/1.1\r\n folded\r\n\r\n",
            b"GET / HTTP/1.1\r\nX: a\nY: b\r\n\r\n",
            b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
            b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
            b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            b"POST / HTTP/1.1\r\nContent-Length: 999999999999\r\n\r\n",
            b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n",
        ]:
            with self.subTest(bad=bad):
                wire = Wire()
                wire.connection.data_received(bad)
                self.assertEqual(wire.requests, [])
                self.assertTrue(wire.written.startswith(b"HTTP/1.1 400 "), wire.written)
                self.assertTrue(wire.closed)

    @run
    async def test_garbage(self):
        random.seed(11)
        words = [b"GET ", b"POST ", b"/", b" HTTP/1.1", b"\r\n", b"\r\n\r\n", b"Content-Length: ", b"Transfer-Encoding: chunked", b"0", b"5", b":", b"\0", b"\xff", b"abc"]
        for _ in range(3000):
            wire = Wire()
            for _ in range(random.randrange(12)):
                if not wire.closed:
                    wire.connection.data_received(random.choice(words))
                    await asyncio.sleep(0)
            wire.connection.connection_lost(None)
            self.assertTrue(wire.is_gone)
            self.assertEqual(wire.written.count(b"HTTP/1.1 400 "), 1 if wire.closed and wire.written.rstrip().rfind(b" 400 ") >= 0 else 0)


if __name__ == "__main__":
    unittest.main()
