"""The host as a Runner starts it: a process that serves a bundle on a Unix socket."""

import contextlib
import http.client
import http.server
import json
import os
import pathlib
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import unittest

PACKAGE = pathlib.Path(__file__).parent.parent
REQ = "db9d00abf61d9c67f4f0e755e96b8d0e"

APP = """
import asyncio, logging, os, sys, time
from dataclasses import dataclass
from typing import Optional
import funcatron
from funcatron import HTTPError, Response, Vendor, current, register_vendor

@dataclass
class Person:
    name: str
    age: int = 1

def nothing(): pass
def hello(ctx): return {"hello": ctx.params, "props": ctx.props.get("key"), "id": ctx.request_id, "op": ctx.operation, "services": ctx.services}
def person(ctx, body: Person): return body
def maybe(ctx, body: Optional[Person] = None): return {"none": body is None}
def anything(ctx, body): return {"type": type(body).__name__, "value": body if not isinstance(body, bytes) else len(body)}
def text(ctx, body: str): return body[::-1]
def answer(ctx): return Response([1], 418, {"X-A": ["1", "2"], "Content-Type": "application/x-test"})
def pieces(ctx): return (b"%d," % i for i in range(3))
N = 20000
def many(ctx):
    for i in range(N): yield "%7d\\n" % i
async def amany(ctx):
    for i in range(N):
        if i % 5000 == 0: await asyncio.sleep(0)
        yield "%7d\\n" % i
async def mixed(ctx): return many(ctx)
def demixed(ctx): return Response(amany(ctx), 203, {"Content-Type": "text/x"})
def breaks(ctx):
    yield bytes(100000)
    raise RuntimeError("broke off")
def breaks_early(ctx):
    yield b"a few"
    raise RuntimeError("broke early")
def stalls(ctx):
    try:
        yield bytes(100000)
        ctx.cancelled.wait(5)
        yield b"late"
    finally:
        print("closed the pieces", current() is ctx)
def streamed(ctx):
    db = rows(ctx.vend("db"))
    db.execute("INSERT INTO t VALUES (1)")
    yield bytes(100000)
    db.execute("INSERT INTO t VALUES (2)")
    if "fail" in ctx.query: raise RuntimeError("no")
    yield b"."
def ends(ctx): rows(ctx.vend("db")).commit()
def huge(ctx):
    print("made")
    return bytes(16 << 20)
def out(ctx): return ctx.headers_out()
def ask(ctx):
    with ctx.request(ctx.query["url"]) as r: return r.read()
def hog(ctx):
    while not ctx.cancelled.is_set(): pass
def smuggle(ctx): return Response(None, 200, {"X-A": "a\\r\\nX-B: b"})
def refuse(ctx): raise HTTPError(409, "there is one already", {"X-Why": "because"})
def fail(ctx): raise RuntimeError("secret of the function")
def leave(ctx): sys.exit(3)
async def afail(ctx): return 1 / 0
def nan(ctx): return float("nan")
def logs(ctx):
    logging.getLogger("any").warning("Grüße %s\\nline two", "x" * int(ctx.query.get("n", 0)), extra={"count": 3, "level": "mine"})
    print("printed", "text")
async def alogs(ctx):
    await asyncio.sleep(0)
    logging.info("async %s", current() is ctx)
def slow(ctx):
    ctx.cancelled.wait(5)
    print("cancelled", ctx.remaining() == 0)
async def aslow(ctx):
    try:
        await asyncio.sleep(5)
    except asyncio.CancelledError:
        print("acancelled")
        raise
def stuck(ctx):
    while True: time.sleep(0.01)
def nap(ctx):
    print("napping")
    time.sleep(0.3)
    return "done"
def pid(ctx): return os.getpid()

def rows(db):
    db.execute("CREATE TABLE IF NOT EXISTS t (x INTEGER)")
    return db
def insert(ctx):
    db = rows(ctx.vend("db"))
    assert ctx.vend("db") is db
    db.execute("INSERT INTO t VALUES (1)")
    if "fail" in ctx.query: raise RuntimeError("no")
    if "late" in ctx.query: ctx.cancelled.wait(5)
async def ainsert(ctx):
    db = rows(await ctx.avend("db"))
    db.execute("INSERT INTO t VALUES (1)")
    if "fail" in ctx.query: raise RuntimeError("no")
    if "late" in ctx.query: await asyncio.sleep(5)
def lacks(ctx): ctx.vend("nobody")

class Counter(Vendor):
    def __init__(self): self.log = []
    def vend(self, ctx): self.log.append("vend"); return self
    def release(self, item, success): self.log.append(success)
    def close(self): print("closed")
register_vendor("counter", lambda name, props, logger: Counter())
def counter(ctx): return [*ctx.vend("counter").log]

class Group:
    @staticmethod
    def member(ctx): return "of a class"
"""


def document(operations):
    return {"swagger": "2.0", "paths": {f"/{name}": {"get": {"operationId": name, "responses": {}}} for name in operations}}


class Process:
    """A started bundle. Use with "with"."""

    def __init__(self, files, operations, props=None, command=None, **env):
        self.dir = tempfile.TemporaryDirectory()
        root = pathlib.Path(self.dir.name)
        bundle = root / "bundle"
        for name, text in files.items():
            path = bundle / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))
        (root / "swagger.json").write_text(json.dumps(document(operations)))
        self.database = root / "x.db"
        (root / "props.json").write_text(json.dumps({"key": "value", "db": {"type": "database", "url": f"sqlite://{self.database}"}, **(props or {})}))
        self.socket = str(root / "s")
        self.process = subprocess.Popen(
            command or [sys.executable, str(PACKAGE / "serve.py")], cwd=bundle, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "HOME": str(root), "FUNCATRON_SOCKET": self.socket, "FUNCATRON_PROPS_FILE": str(root / "props.json"),
                 "FUNCATRON_SWAGGER_FILE": str(root / "swagger.json"), "PYTHONUNBUFFERED": "1", **env},
        )
        self.out = self.err = b""
        self.readers = [threading.Thread(target=self.read, args=(name,)) for name in ("out", "err")]
        for r in self.readers:
            r.start()

    def read(self, name):
        stream = getattr(self.process, "std" + name)
        while data := stream.read1(1 << 16):
            setattr(self, name, getattr(self, name) + data)

    def __enter__(self):
        self.until(lambda: self.process.poll() is not None or self.accepts(), "a socket")
        assert self.process.poll() is None, self.err.decode()
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.wait()
        self.dir.cleanup()

    def wait(self):
        self.process.wait(20)
        for r in self.readers:
            r.join(20)
        self.process.stdout.close()
        self.process.stderr.close()
        return self.process.returncode

    def until(self, there, what):
        end = time.monotonic() + 20
        while not there():
            assert time.monotonic() < end, f"no {what}: {self.out.decode()} {self.err.decode()}"
            threading.Event().wait(0.005)

    def says(self, text):
        self.until(lambda: text in self.out.decode(), repr(text))

    def accepts(self):
        try:
            self.connect().close()
        except OSError:
            return False
        return True

    def connect(self):
        c = http.client.HTTPConnection("x")
        c.sock = socket.socket(socket.AF_UNIX)
        c.sock.settimeout(20)
        try:
            c.sock.connect(self.socket)
        except OSError:
            c.sock.close()
            raise
        return c

    def ask(self, operation, query="", body=None, method="GET", params=None, timeout=10000, **headers):
        with contextlib.closing(self.connect()) as c:
            headers = {k.replace("_", "-"): v for k, v in headers.items()}
            c.request(method, f"/base/{operation}{query}", body, {
                "X-Funcatron-Operation": operation, "X-Request-Id": REQ, "X-Funcatron-Timeout-Ms": str(timeout),
                "X-Funcatron-Params": json.dumps(params or {}), **headers}, encode_chunked=headers.get("Transfer-Encoding") == "chunked")
            r = c.getresponse()
            return r.status, r.headers, r.read()

    def lines(self):
        return [json.loads(line) for line in self.out.decode().splitlines() if line.startswith("{")]

    def count(self):
        with contextlib.closing(sqlite3.connect(self.database)) as db:
            return db.execute("SELECT count(*) FROM t").fetchone()[0]


NAMES = ["nothing", "hello", "person", "maybe", "anything", "text", "answer", "pieces", "many", "amany", "mixed", "demixed", "breaks", "breaks_early", "stalls", "streamed", "ends", "huge", "out", "ask", "hog", "smuggle", "refuse", "fail", "leave", "afail", "nan", "logs", "alogs", "slow", "aslow",
         "stuck", "nap", "pid", "insert", "ainsert", "lacks", "counter", "Group.member"]


def app(**options):
    return Process({"pkg/app.py": APP}, ["pkg.app." + n for n in NAMES], **options)


class Serving(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.process = app(props={"counter": {"type": "counter"}, "other": {"type": "unheard of"}})
        cls.process.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.process.__exit__()

    def ask(self, name, *args, **kw):
        return self.process.ask("pkg.app." + name, *args, **kw)

    def test_answers(self):
        for name, status, media, body in [
            ("nothing", 204, None, b""),
            ("answer", 418, "application/x-test", b"[1]"),
            ("pieces", 200, "application/octet-stream", b"0,1,2,"),
            ("Group.member", 200, "text/plain; charset=utf-8", b"of a class"),
        ]:
            with self.subTest(name):
                got, headers, text = self.ask(name)
                self.assertEqual((got, headers["Content-Type"], text), (status, media, body))
        self.assertEqual(self.ask("answer")[1].get_all("X-A"), ["1", "2"])
        status, headers, body = self.ask("Group.member", method="HEAD")
        self.assertEqual((status, headers["Content-Length"], body), (200, "10", b""))

    def test_context(self):
        params = {"path": {"n": 9223372036854775807, "both": "path"}, "query": {"limit": 10, "both": "query"}}
        _, _, body = self.ask("hello", "?other=%C3%BC&limit=10&r=1&r=2", params=params)
        self.assertEqual(json.loads(body), {
            "hello": {"n": 9223372036854775807, "both": "path", "limit": 10, "other": "ü", "r": ["1", "2"]},
            "props": "value", "id": REQ, "op": "pkg.app.hello", "services": ["counter", "db"]})

    def test_bodies(self):
        for name, body, media, want in [
            ("person", b'{"name":"Ann"}', "application/json", {"name": "Ann", "age": 1}),
            ("maybe", None, "application/json", {"none": True}),
            ("anything", b"[1]", "application/json; charset=utf-8", {"type": "list", "value": [1]}),
            ("anything", "ü".encode("latin-1"), "text/plain; charset=iso-8859-1", {"type": "str", "value": "ü"}),
            ("anything", bytes(range(256)), "application/octet-stream", {"type": "bytes", "value": 256}),
            ("anything", bytes(8 << 20), "application/octet-stream", {"type": "bytes", "value": 8 << 20}),
            ("anything", None, "", {"type": "NoneType", "value": None}),
        ]:
            with self.subTest(name=name, media=media):
                status, _, text = self.ask(name, "", body, "POST", Content_Type=media)
                self.assertEqual((status, json.loads(text)), (200, want))
        status, _, text = self.ask("text", "", iter([b"ab", b"cd"]), "POST", Transfer_Encoding="chunked")
        self.assertEqual((status, text), (200, b"dcba"))

    def test_bodies_that_are_refused(self):
        for body, want in [(b"{", "not JSON"), (b"", "missing"), (b'{"age":1}', "name: is missing"), (b'{"name":"x","age":"y"}', "age: want an integer"), (b'{"name":"x","age":NaN}', "NaN is no number"), (b"[" * 100000, "not JSON")]:
            status, headers, text = self.ask("person", "", body, "POST", Content_Type="application/json")
            answer = json.loads(text)
            self.assertEqual((status, headers["Content-Type"], answer["title"], answer["requestId"]), (400, "application/problem+json", "Bad Request", REQ))
            self.assertIn(want, answer["detail"])

    def test_pieces(self):
        want = b"".join(b"%7d\n" % i for i in range(20000))
        for name, status, media in [("many", 200, "application/octet-stream"), ("amany", 200, "application/octet-stream"),
                                    ("mixed", 200, "application/octet-stream"), ("demixed", 203, "text/x")]:
            with self.subTest(name):
                got, headers, body = self.ask(name)
                self.assertEqual((got, headers["Content-Type"], headers["Transfer-Encoding"], headers["Content-Length"]), (status, media, "chunked", None))
                self.assertEqual(body, want)
        with contextlib.closing(self.process.connect()) as c:  # the next answer on the connection is found
            for method, body in [("GET", want), ("HEAD", b""), ("GET", want)]:
                c.request(method, "/", headers={"X-Funcatron-Operation": "pkg.app.amany"})
                self.assertEqual(c.getresponse().read(), body)

    def test_pieces_that_break_off(self):
        self.assertEqual(self.ask("breaks_early")[0], 500)
        for name, timeout, word in [("breaks", 9000, "broke off"), ("stalls", 300, "closed the pieces True")]:
            with self.subTest(name):
                with self.assertRaises((http.client.IncompleteRead, ConnectionError)):
                    self.ask(name, timeout=timeout)
                self.process.says(word)

    def test_outgoing(self):
        trace = f"00-{REQ}-00f067aa0ba902b7-01"
        self.assertEqual(json.loads(self.ask("out", traceparent=trace)[2]), {"X-Request-Id": REQ, "traceparent": trace})
        heard = {}

        class Other(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                heard.update(self.headers)
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"hi")

            def log_message(self, *_):
                pass

        with http.server.HTTPServer(("127.0.0.1", 0), Other) as other:
            t = threading.Thread(target=other.handle_request)
            t.start()
            got = self.ask("ask", f"?url=http://127.0.0.1:{other.server_port}/", traceparent=trace)
            t.join(20)
        heard = {name.lower(): value for name, value in heard.items()}
        self.assertEqual((got[2], heard["x-request-id"], heard["traceparent"]), (b"hi", REQ, trace))

    def test_parameters_that_are_no_json(self):
        self.assertEqual(self.ask("hello", X_Funcatron_Params="{")[0], 400)

    def test_errors(self):
        status, headers, text = self.ask("refuse")
        self.assertEqual((status, headers["X-Why"], json.loads(text)["detail"]), (409, "because", "there is one already"))
        for name, logged in [("fail", "secret of the function"), ("afail", "division by zero"), ("nan", "not JSON compliant"), ("leave", "SystemExit: 3"), ("smuggle", "line break")]:
            with self.subTest(name):
                status, headers, text = self.ask(name)
                self.assertEqual((status, headers["Content-Type"]), (500, "application/problem+json"))
                self.assertNotIn(logged, text.decode())
                self.process.says(logged)
                line = next(x for x in self.process.lines() if logged in x["msg"])
                self.assertEqual((line["level"], line["op"], line["req"]), ("ERROR", "pkg.app." + name, REQ))
                self.assertIn("Traceback", line["msg"])
        self.assertEqual(self.ask("lacks")[0], 503)
        self.assertEqual(self.process.ask("pkg.app.unknown")[0], 501)

    def test_logs(self):
        self.ask("logs", "?n=100000")
        self.ask("logs")
        self.ask("alogs")
        self.process.says("printed text\n")
        self.process.says("async True")
        lines = [x for x in self.process.lines() if x["msg"].startswith("Grüße")]
        self.assertEqual(lines[1], {"level": "WARN", "msg": "Grüße \nline two", "op": "pkg.app.logs", "req": REQ, "count": 3, "level_": "mine"})
        self.assertEqual((lines[0]["req"], lines[0]["cut"] > 100000, len(json.dumps(lines[0])) < 61440), (REQ, True, True))

    def test_deadline(self):
        for name, word in [("slow", "cancelled True"), ("aslow", "acancelled"), ("stuck", "")]:
            with self.subTest(name):
                began = time.monotonic()
                status, _, text = self.ask(name, timeout=200)
                self.assertEqual((status, json.loads(text)["requestId"]), (504, REQ))
                self.assertLess(time.monotonic() - began, 4)
                self.process.says(word)
        self.assertEqual(self.ask("nap")[2], b"done")

    def test_client_that_leaves(self):
        with contextlib.closing(self.process.connect()) as c:
            c.request("GET", "/", headers={"X-Funcatron-Operation": "pkg.app.aslow", "X-Funcatron-Timeout-Ms": "9000"})
        before = self.process.out.count(b"acancelled")
        self.process.until(lambda: self.process.out.count(b"acancelled") > before or before > 0, "cancellation")

    def test_services(self):
        for _ in range(2):
            before = json.loads(self.ask("counter")[2])
        self.assertEqual(before[-2:], [True, "vend"])

    def test_functions_that_compute_keep_nobody(self):
        hogs = [threading.Thread(target=self.ask, args=("hog",), kwargs={"timeout": 2000}) for _ in range(3)]
        for t in hogs:
            t.start()
        for _ in range(5):
            self.assertEqual(self.ask("Group.member")[2], b"of a class")
        self.assertTrue(all(t.is_alive() for t in hogs))
        for t in hogs:
            t.join()

    def test_many_at_once(self):
        results = []
        threads = [threading.Thread(target=lambda: results.append(self.ask("nap")[2])) for _ in range(32)]
        began = time.monotonic()
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(results, [b"done"] * 32)
        self.assertLess(time.monotonic() - began, 32 * 0.3 / 2)


class Database(unittest.TestCase):
    def test_transactions(self):
        with app() as p:
            for name in ("insert", "ainsert"):
                before = 0 if name == "insert" else p.count()
                self.assertEqual(p.ask(f"pkg.app.{name}")[0], 204)
                self.assertEqual(p.ask(f"pkg.app.{name}", "?fail=1")[0], 500)
                self.assertEqual(p.ask(f"pkg.app.{name}", "?late=1", timeout=200)[0], 504)
                self.assertEqual(p.ask(f"pkg.app.{name}")[0], 204)  # waits for the late one's end
                self.assertEqual(p.count() - before, 2)
            results = []
            threads = [threading.Thread(target=lambda n=n: results.append(p.ask(f"pkg.app.{n}")[0])) for n in ("insert", "ainsert") * 10]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            self.assertEqual((results, p.count()), ([204] * 20, 24))

    def test_pieces_are_of_the_transaction(self):
        with app() as p:
            self.assertEqual(len(p.ask("pkg.app.streamed")[2]), 100001)
            self.assertEqual(p.count(), 2)
            with self.assertRaises((http.client.IncompleteRead, ConnectionError)):
                p.ask("pkg.app.streamed", "?fail=1")
            self.assertEqual(p.ask("pkg.app.insert")[0], 204)
            self.assertEqual(p.count(), 3)

    def test_a_transaction_that_the_function_ended(self):
        with app() as p:
            self.assertEqual(p.ask("pkg.app.ends")[0], 500)
            p.says("ended its transaction itself")
            self.assertEqual(p.ask("pkg.app.insert")[0], 204)

    def test_properties_that_are_wrong(self):
        for url, word in [("oracle://x/y", "no driver"), (None, "has a url"), ("sqlite:", "names no file"), ("postgresql://u:pass@h:port/d", "the url is none")]:
            with self.subTest(url):
                p = app(props={"bad": {"type": "database", "url": url}})
                self.assertEqual(p.wait(), 1)
                self.assertIn("property 'bad': ", p.err.decode())
                self.assertIn(word, p.err.decode())
                self.assertNotIn("pass@", p.err.decode())
                p.dir.cleanup()


class Starting(unittest.TestCase):
    def test_all_that_is_missing_is_named(self):
        p = Process({"a.py": "x = 1\ndef f(ctx, body, more): pass", "broken.py": "import nowhere", "worse.py": "1/0"},
                    ["a.g", "a.x", "a.f", "b.f", "plain", "broken.f", "worse.f", "GET /x"])
        self.assertEqual(p.wait(), 1)
        for text in ["operation a.g: a has no g", "operation a.x: a.x is a int", "operation a.f: it takes more", "operation b.f: there is no module b", "operation plain: an operationId names",
                     "operation broken.f: broken cannot be imported: No module named 'nowhere'", "worse.f: worse cannot be imported: ZeroDivisionError", "operation GET /x:"]:
            self.assertIn(text, p.err.decode())
        p.dir.cleanup()

    def test_zipapp(self):
        for main in ("import app, funcatron; funcatron.serve(app)", "import app, funcatron; funcatron.serve({'app.f': app.f})"):
            with Process({"app.py": "def f(ctx): return 'f'", "__main__.py": main}, ["app.f"],
                         command=[sys.executable, "."], PYTHONPATH=str(PACKAGE)) as p:
                self.assertEqual(p.ask("app.f")[2], b"f")

    def test_tcp(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        p = Process({"app.py": "def f(ctx): return 'f'"}, ["app.f"], FUNCATRON_SOCKET="", PORT=str(port))
        try:
            def answers():
                try:
                    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as c:
                        c.request("GET", "/", headers={"X-Funcatron-Operation": "app.f"})
                        return c.getresponse().read() == b"f"
                except OSError:
                    return False
            p.until(answers, "answer")
        finally:
            p.__exit__()


class Ending(unittest.TestCase):
    def test_what_runs_is_finished(self):
        with app(props={"counter": {"type": "counter"}}) as p:
            got = []
            t = threading.Thread(target=lambda: got.append(p.ask("pkg.app.nap")[2]))
            t.start()
            p.says("napping")
            p.process.send_signal(signal.SIGTERM)
            t.join()
            self.assertEqual((got, p.wait()), ([b"done"], 0))
            self.assertIn("closed", p.out.decode())

    def test_what_is_sent_is_sent_whole(self):
        with app() as p, contextlib.closing(p.connect()) as c, contextlib.closing(p.connect()):  # one of them idle
            c.request("GET", "/", headers={"X-Funcatron-Operation": "pkg.app.huge"})
            p.says("made")
            p.process.send_signal(signal.SIGTERM)
            # Read only when no other connection is let in: the answer is larger than what a socket holds.
            p.until(lambda: not p.accepts(), "end of listening")
            self.assertEqual(len(c.getresponse().read()), 16 << 20)
            self.assertEqual(p.wait(), 0)
            self.assertNotIn("did not finish", p.out.decode())

    def test_threads_that_never_return_keep_nothing(self):
        with app() as p:
            self.assertEqual(p.ask("pkg.app.stuck", timeout=50)[0], 504)
            p.process.send_signal(signal.SIGTERM)
            self.assertEqual(p.wait(), 0)


if __name__ == "__main__":
    unittest.main()
