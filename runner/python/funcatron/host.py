"""Serves the functions of a bundle."""

from __future__ import annotations

import asyncio
import collections
import collections.abc
import contextvars
import functools
import gc
import http
import importlib
import inspect
import json
import logging
import os
import signal
import sys
import threading
import time
import traceback
import types
import typing
from typing import Any, AsyncIterator, Awaitable, Callable, Deque, Dict, Iterator, List, Mapping, Optional, Set, Tuple, Union

from . import convert, logs
from .context import Context, HTTPError, Response, _current
from .protocol import Connection, Request
from .services import Services

#: Seconds that requests have to finish after SIGTERM; SIGKILL comes after 10.
FINISH = 9.0

#: Seconds of a request that does not say how long it has.
NO_TIMEOUT = 3600.0

log = logging.getLogger("funcatron")

Functions = Union[None, types.ModuleType, Mapping[str, Callable[..., Any]]]

#: Status, headers and body.
Answer = Tuple[int, List[Tuple[str, str]], bytes]

#: Bytes of a body of pieces that are sent at once. One that ends before goes with its
#: length, and what fails before is still answered 500.
BLOCK = 32 << 10

#: Seconds between two looks at the jobs that wait for a thread.
LOOK = 0.001


class Function:
    """A callable, and how it is called."""

    def __init__(self, call: Callable[..., Any]):
        self.call = call
        self.is_async = any(map(is_async, (call, getattr(call, "__call__", None))))
        self.takes, self.body = self.signature(call)

    @staticmethod
    def signature(call: Callable[..., Any]) -> Tuple[int, Optional[Callable[[Context], Any]]]:
        """How many arguments it takes, and what makes the second of a request's body."""
        try:
            parameters = list(inspect.signature(call).parameters.values())
        except (TypeError, ValueError):  # written in C
            return 1, None
        positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        required = [p for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        if len(required) > 2 or any(p not in positional for p in required):
            raise TypeError("it takes more than the context and the body")
        if len(positional) < 2:
            return (1 if any(p.kind is p.VAR_POSITIONAL for p in parameters) else len(positional)), None
        body = positional[1]
        try:
            hints = typing.get_type_hints(call if hasattr(call, "__annotations__") else call.__call__)  # type: ignore[operator]
        except Exception as e:
            raise TypeError(f"its annotations cannot be read: {e}") from None
        optional = body.default is not body.empty
        return 2, body_of(hints.get(body.name, body.empty), optional)

    def arguments(self, ctx: Context) -> Tuple[Any, ...]:
        if self.body is not None:
            return ctx, self.body(ctx)
        return (ctx,) if self.takes else ()


def is_async(call: Any) -> bool:
    return inspect.iscoroutinefunction(call) or inspect.isasyncgenfunction(call)


def body_of(annotation: Any, optional: bool) -> Callable[[Context], Any]:
    """What makes a body one of the annotated type."""
    if annotation is inspect.Parameter.empty:
        return untyped
    if annotation is bytes:
        return lambda ctx: ctx.body
    if annotation is str:
        return text_of
    decode = convert.decoder_of(annotation)
    optional = optional or type(None) in typing.get_args(annotation)

    def typed(ctx: Context) -> Any:
        if not ctx.body and optional:
            return None
        try:
            return decode(parse(ctx), "")
        except convert.Mismatch as e:
            raise HTTPError(400, str(e)) from None

    return typed


def untyped(ctx: Context) -> Any:
    """JSON and text as what they are, another body as bytes, none as None."""
    media = ctx.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not ctx.body:
        return None
    if media == "application/json" or media.endswith("+json"):
        return parse(ctx)
    return text_of(ctx) if media.startswith("text/") else ctx.body


def text_of(ctx: Context) -> str:
    _, _, charset = ctx.headers.get("content-type", "").lower().partition("charset=")
    try:
        return ctx.body.decode(charset.partition(";")[0].strip('" ') or "utf-8")
    except (UnicodeDecodeError, LookupError) as e:
        raise HTTPError(400, f"the body is no text: {e}") from None


def parse(ctx: Context) -> Any:
    if not ctx.body:
        raise HTTPError(400, "the body is missing")
    try:
        return json.loads(ctx.body, parse_constant=no_constant)
    except (ValueError, RecursionError) as e:
        raise HTTPError(400, f"the body is not JSON: {e}") from None


def no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def answer_of(result: Any) -> Tuple[int, List[Tuple[str, str]], Any]:
    """What a function returned, as an answer; its body may be an iterator of pieces yet."""
    if not isinstance(result, Response):
        result = Response(result, 204 if result is None else 200)
    body, media = encode(result.body)
    headers: List[Tuple[str, str]] = []
    for name, values in result.headers.items():
        for value in [values] if isinstance(values, str) else values:
            if any(c in name + value for c in "\r\n\0"):
                raise ValueError(f"header {name!r} has a line break")
            if name.lower() == "content-type":
                media = value
            elif name.lower() not in ("content-length", "transfer-encoding", "connection"):
                headers.append((name, value))
    if media and result.status not in (204, 304):
        headers.append(("Content-Type", media))
    return result.status, headers, body


def encode(body: Any) -> Tuple[Any, str]:
    if body is None:
        return b"", ""
    if isinstance(body, (bytes, bytearray, memoryview)):
        return bytes(body), "application/octet-stream"
    if isinstance(body, str):
        return body.encode("utf-8", "replace"), "text/plain; charset=utf-8"
    if isinstance(body, (collections.abc.Iterator, collections.abc.AsyncIterator)):
        return body, "application/octet-stream"
    return convert.to_json(body), "application/json"


def piece_of(piece: Any) -> bytes:
    if isinstance(piece, str):
        return piece.encode("utf-8", "replace")
    if isinstance(piece, (bytes, bytearray, memoryview)):
        return bytes(piece)
    raise TypeError(f"a piece of the body is a {type(piece).__name__}, not bytes or str")


def gather(pieces: Iterator[Any]) -> bytes:
    """The next BLOCK bytes, or somewhat more; less is the end."""
    block = bytearray()
    for piece in pieces:
        block += piece_of(piece)
        if len(block) >= BLOCK:
            break
    return bytes(block)


async def gather_async(pieces: AsyncIterator[Any]) -> bytes:
    block = bytearray()
    async for piece in pieces:
        block += piece_of(piece)
        if len(block) >= BLOCK:
            break
    return bytes(block)


def problem(status: int, detail: str, ctx: Context, headers: Mapping[str, str] = {}) -> Answer:
    """An error as RFC 9457 has it."""
    try:
        title = http.HTTPStatus(status).phrase
    except ValueError:
        title = "Error"
    members = {"title": title, "status": status, "detail": detail, "requestId": ctx.request_id}
    return status, [("Content-Type", "application/problem+json"), *headers.items()], convert.to_json(members)


def failure(error: BaseException, ctx: Context) -> Answer:
    """The answer to what a function raised; what is not the client's to know is logged."""
    if isinstance(error, HTTPError):
        if error.status >= 500:
            log.error("%s", error.message or error, exc_info=error.__cause__)
        return problem(error.status, error.message, ctx, error.headers)
    log.error("%s: %s", type(error).__name__, error, exc_info=(type(error), error, error.__traceback__))
    return problem(500, "The function failed; its log says why.", ctx)


class Job:
    """A request that is worked on. Whoever claims it first answers it."""

    __slots__ = ("_claim", "begun", "connection", "ctx", "function", "kept", "lost", "running", "task", "timer")

    def __init__(self, connection: Connection, ctx: Context, function: Function):
        self.connection = connection
        self.ctx = ctx
        self.function = function
        self.timer: Optional[asyncio.TimerHandle] = None
        self.task: Optional["asyncio.Task[None]"] = None
        self.begun = False  # the answer's head has left
        self.kept = False  # what the function did is
        self.running = False  # in a thread; with lost, guarded by Workers.lock
        self.lost = False
        self._claim = threading.Lock()

    def claim(self) -> bool:
        return self._claim.acquire(blocking=False)


class Workers:
    """Threads for functions that are not async.

    Of threads that compute one can run at a time, and each that is awake besides costs
    the others a switch at every system call. So a job wakes one only where none is
    awake, and while jobs wait, look says whether more would help: they do where nothing
    gets done, or where the processor has nothing to do since the functions wait.
    """

    def __init__(self, most: int, run: Callable[[Job], None], loop: asyncio.AbstractEventLoop):
        self.most = most
        self.run = run
        self.loop = loop
        self.jobs: Deque[Job] = collections.deque()
        self.lock = threading.Lock()
        # Guarded by lock:
        self.awake = 0  # of those that count: one whose function goes on after its time does not
        self.asleep: List[threading.Lock] = []  # each held until its thread is to wake
        self.done = 0  # since the last look
        self.looking = False
        self.seen = (0.0, 0.0)

    def submit(self, job: Job) -> None:
        with self.lock:
            self.jobs.append(job)
            if self.awake == 0:
                self.wake(1)
            elif not self.looking:
                self.looking = True
                self.look_later()

    def look_later(self) -> None:
        self.done = 0
        self.seen = (time.monotonic(), time.process_time())
        self.loop.call_later(LOOK, self.look)

    def look(self) -> None:
        with self.lock:
            if not self.jobs:
                self.looking = False
                return
            began, spent = self.seen
            if time.process_time() - spent < (time.monotonic() - began) / 2:
                self.wake(len(self.jobs))
            elif self.done == 0:
                self.wake(max(self.awake, 1))
            self.look_later()

    def wake(self, n: int) -> None:
        for _ in range(min(n, len(self.jobs), self.most - self.awake)):
            self.awake += 1
            if self.asleep:
                self.asleep.pop().release()
            else:
                threading.Thread(target=self.work, daemon=True).start()

    def lose(self, job: Job) -> None:
        """A job's time is over: a thread that still runs it is replaced."""
        with self.lock:
            if job.running:
                job.lost = True
                self.awake -= 1
                self.wake(1)

    def work(self) -> None:
        bed = threading.Lock()
        bed.acquire()
        while True:
            with self.lock:
                job = self.jobs.popleft() if self.jobs else None
                if job is not None:
                    job.running = True
                else:
                    self.awake -= 1
                    self.asleep.append(bed)
            if job is None:
                bed.acquire()
                continue
            self.run(job)
            with self.lock:
                job.running = False
                self.done += 1
                if job.lost:
                    return


class Host:
    """Calls functions for requests."""

    def __init__(self, functions: Dict[str, Function], props: Dict[str, Any], services: Services, concurrency: int):
        self.functions = functions
        self.props = props
        self.services = services
        self.loop = asyncio.get_running_loop()
        self.workers = Workers(concurrency, self.run, self.loop)
        self.jobs: Set[Job] = set()
        self.connections: "Set[Connection]" = set()
        self.finished: "collections.deque[Tuple[Job, Answer]]" = collections.deque()
        self.waking = False
        self.ending = False
        self.ended = asyncio.Event()  # all connections are

    def connect(self) -> Connection:
        return Connection(self.handle, self.gone, self.made)

    def made(self, connection: Connection) -> None:
        # Not in connect: what is accepted while the server closes is never made, nor lost.
        self.connections.add(connection)
        if self.ending:
            connection.end()

    async def end(self) -> None:
        """Ends the connections, each when what it is worked on for is answered, and sent."""
        self.ending = True
        for connection in list(self.connections):
            connection.end()
        if self.connections:
            await self.ended.wait()

    def handle(self, connection: Connection, request: Request) -> None:
        try:
            left = float(request.headers.get("x-funcatron-timeout-ms", "")) / 1000
        except ValueError:
            left = NO_TIMEOUT
        ctx = Context(self.services, self.props, request.method, request.target, request.headers, request.body, time.monotonic() + left)
        function = self.functions.get(ctx.operation)
        if function is None:
            connection.answer(*problem(501, f"this bundle does not serve operation {ctx.operation!r}", ctx))
            return
        job = Job(connection, ctx, function)
        connection.job = job
        self.jobs.add(job)
        job.timer = self.loop.call_later(max(left, 0), self.expire, job)
        if function.is_async:
            job.task = self.loop.create_task(self.run_async(job))
        else:
            self.workers.submit(job)

    def gone(self, connection: Connection) -> None:
        """The Runner closed the connection: nobody waits for the answer any more."""
        self.connections.discard(connection)
        job = connection.job
        if isinstance(job, Job):
            self.expire(job)
        if self.ending and not self.connections:
            self.ended.set()

    def expire(self, job: Job) -> None:
        if not job.claim():
            return
        job.ctx._cancel()
        if job.task is not None:
            job.task.cancel()
        else:
            self.workers.lose(job)
        self.answer(job, problem(504, "The function did not answer in time.", job.ctx))

    def answer(self, job: Job, answer: Answer) -> None:
        self.jobs.discard(job)
        if job.timer is not None:
            job.timer.cancel()
        job.connection.job = None
        if not job.begun:
            job.connection.answer(*answer)
        elif job.kept:
            job.connection.finish(answer[2])
        else:
            job.connection.break_off()

    # Bodies that come in pieces. A transaction lasts until the last was made, and the
    # end of the body leaves after the commit.

    async def send(self, job: Job, status: int, headers: List[Tuple[str, str]], block: bytes) -> None:
        if job not in self.jobs:
            raise ConnectionAbortedError("nobody waits for the answer any more")
        if not job.begun:
            job.begun = True
            job.connection.begin(status, headers)
        await job.connection.send(block)

    def pour(self, job: Job, status: int, headers: List[Tuple[str, str]], pieces: Any) -> Answer:
        """Sends all but the rest of a body, which it returns. In a thread of Workers."""
        elsewhere = isinstance(pieces, collections.abc.AsyncIterator)
        try:
            while True:
                block = self.on_loop(job.ctx, gather_async(pieces)) if elsewhere else gather(pieces)
                if len(block) < BLOCK:
                    return status, headers, block
                self.on_loop(job.ctx, self.send(job, status, headers, block))
                if job.ctx.method == "HEAD":
                    return status, headers, b""
        finally:
            if hasattr(pieces, "aclose"):
                self.on_loop(job.ctx, pieces.aclose())
            elif hasattr(pieces, "close"):
                pieces.close()

    async def pour_async(self, job: Job, status: int, headers: List[Tuple[str, str]], pieces: Any) -> Answer:
        """pour, for a function that is async."""
        elsewhere = not isinstance(pieces, collections.abc.AsyncIterator)
        try:
            while True:
                block = await (self.in_thread(gather, pieces) if elsewhere else gather_async(pieces))
                if len(block) < BLOCK:
                    return status, headers, block
                await self.send(job, status, headers, block)
                if job.ctx.method == "HEAD":
                    return status, headers, b""
        finally:
            if hasattr(pieces, "aclose"):
                await pieces.aclose()
            elif hasattr(pieces, "close"):
                await self.in_thread(pieces.close)

    def on_loop(self, ctx: Context, call: Awaitable[Any]) -> Any:
        """Has the loop do it, while this thread waits."""

        async def run() -> Any:
            _current.set(ctx)  # of the task's own
            return await call

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result()

    def in_thread(self, call: Callable[..., Any], *arguments: Any) -> Awaitable[Any]:
        return self.loop.run_in_executor(self.services.vending, functools.partial(contextvars.copy_context().run, call, *arguments))

    def run(self, job: Job) -> None:
        """Calls a function that is not async, in a thread of Workers."""
        ctx = job.ctx
        token = _current.set(ctx)
        answer: Optional[Answer] = None
        success = False
        try:
            try:
                if not ctx._over:
                    answer = answer_of(job.function.call(*job.function.arguments(ctx)))
                    if not isinstance(answer[2], bytes):
                        answer = self.pour(job, *answer)
                    success = True
            except BaseException as e:  # SystemExit too, which ends no process from a thread
                answer = None if ctx._over else failure(e, ctx)
            answer = self.settle(job, answer, success)
            if answer is not None:
                self.finish(job, answer)
        finally:
            _current.reset(token)

    def finish(self, job: Job, answer: Answer) -> None:
        """Has the loop answer. What finishes until it does wakes it no second time."""
        self.finished.append((job, answer))
        if not self.waking:
            self.waking = True
            self.loop.call_soon_threadsafe(self.flush)

    def flush(self) -> None:
        self.waking = False  # first: who comes later wakes again, who came before is in the queue
        while self.finished:
            self.answer(*self.finished.popleft())

    async def run_async(self, job: Job) -> None:
        ctx = job.ctx
        _current.set(ctx)  # of the task's own
        answer: Optional[Answer] = None
        success = False
        try:
            result = job.function.call(*job.function.arguments(ctx))
            answer = answer_of(await result if inspect.isawaitable(result) else result)
            if not isinstance(answer[2], bytes):
                answer = await self.pour_async(job, *answer)
            success = True
        except BaseException as e:
            answer = None if ctx._over else failure(e, ctx)
        if ctx._items:  # to commit may take its time
            settle = self.loop.run_in_executor(self.services.releasing, contextvars.copy_context().run, self.settle, job, answer, success)
            while True:
                try:
                    answer = await asyncio.shield(settle)
                    break
                except asyncio.CancelledError:  # the deadline: what was begun goes on to its end
                    if settle.done():
                        raise
        else:
            answer = self.settle(job, answer, success)
        if answer is not None:
            self.answer(job, answer)

    def settle(self, job: Job, answer: Optional[Answer], success: bool) -> Optional[Answer]:
        """Ends the transactions, and says what is to be answered: None where it was already.

        Nothing is committed once the request is over: who asks again must not find the
        work done already.
        """
        ctx = job.ctx
        mine = answer is not None and job.claim()
        late = ctx.remaining() <= 0 and bool(ctx._items)
        try:
            ctx._release(success and mine and not late)
            job.kept = success and mine and not late
        except Exception as e:
            answer = failure(e, ctx)
        if not mine:
            return None
        if success and late:
            return problem(504, "The function did not answer in time.", ctx)
        return answer


def load(names: List[str], given: Functions) -> Dict[str, Function]:
    """Finds the functions of these operations. ValueError names all that is missing."""
    found: Dict[str, Function] = {}
    problems: List[str] = []
    for name in names:
        try:
            found[name] = Function(find(name, given))
        except (LookupError, TypeError) as e:
            problems.append(f"operation {name}: {e}")
    if problems:
        raise ValueError("\n".join(problems))
    return found


def find(name: str, given: Functions) -> Callable[..., Any]:
    if isinstance(given, Mapping):
        if name not in given:
            raise LookupError("no function was given for it")
        found: Any = given[name]
    else:
        found = attribute(name, given)
    if not callable(found):
        raise LookupError(f"{name} is a {type(found).__name__}, and cannot be called")
    return found  # type: ignore[no-any-return]


def attribute(name: str, module: Optional[types.ModuleType]) -> Any:
    """What a dotted name names: the longest beginning that is a module, and of that the rest."""
    words = name.split(".")
    if module is not None and hasattr(module, words[-1]) and (len(words) == 1 or words[:-1] == module.__name__.split(".") or module.__name__ == "__main__"):
        return getattr(module, words[-1])
    if len(words) < 2:
        raise LookupError("an operationId names a function as module.function")
    for n in range(len(words) - 1, 0, -1):
        path = ".".join(words[:n])
        try:
            found: Any = importlib.import_module(path)
        except ModuleNotFoundError as e:
            if e.name is not None and (path == e.name or path.startswith(e.name + ".")):
                continue
            raise LookupError(f"{path} cannot be imported: {e}") from None
        except BaseException as e:
            where = traceback.extract_tb(e.__traceback__)[-1]
            raise LookupError(f"{path} cannot be imported: {type(e).__name__}: {e} ({os.path.basename(where.filename)}, line {where.lineno})") from None
        for word in words[n:]:
            try:
                found = getattr(found, word)
            except AttributeError:
                raise LookupError(f"{path} has no {'.'.join(words[n:])}") from None
        return found
    raise LookupError(f"there is no module {'.'.join(words[:-1])}")


def operations(document: Dict[str, Any]) -> List[str]:
    """The names of a Swagger document's operations; one without goes by METHOD path."""
    names: Dict[str, None] = {}
    for path, item in (document.get("paths") or {}).items():
        for method, operation in item.items() if isinstance(item, dict) else ():
            if method in ("get", "put", "post", "delete", "options", "head", "patch") and isinstance(operation, dict):
                names[operation.get("operationId") or f"{method.upper()} {path}"] = None
    return list(names)


def read_json(variable: str) -> Any:
    path = os.environ.get(variable)
    if not path:
        raise ValueError(f"{variable} is not set: a Runner starts this")
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError) as e:
        raise ValueError(f"{variable}: {e}") from None


def serve(functions: Functions = None) -> None:
    """Serves the bundle's operations until the Runner ends the process.

    functions: where they are found: a module, or a dict of operationId to callable.
    None imports each by its operationId, ``module.function``. A zipapp calls this in
    its ``__main__``; a bundle that is none needs not.
    """
    logs.install()
    try:
        names = operations(read_json("FUNCATRON_SWAGGER_FILE"))
        props = read_json("FUNCATRON_PROPS_FILE")
        found = load(names, functions)
        concurrency = int(os.environ.get("FUNCATRON_CONCURRENCY", "64"))
        services = Services(props, concurrency)
    except ValueError as e:
        print(f"the bundle cannot be served:\n{e}", file=sys.stderr)
        sys.exit(1)
    gc.collect()
    gc.freeze()  # what is loaded stays: it need not be looked at again and again
    # A thread that computes keeps the loop, which reads and answers, for so long.
    sys.setswitchinterval(0.002)
    try:
        asyncio.run(_serve(found, props, services, concurrency))
    finally:
        services.close()
    # Threads whose functions never return would keep the process.
    sys.stdout.flush()
    os._exit(0)


async def _serve(functions: Dict[str, Function], props: Dict[str, Any], services: Services, concurrency: int) -> None:
    loop = asyncio.get_running_loop()
    host = Host(functions, props, services, concurrency)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    socket, port = os.environ.get("FUNCATRON_SOCKET"), os.environ.get("PORT")
    if socket:
        server = await loop.create_unix_server(host.connect, socket, backlog=1024)
    else:
        server = await loop.create_server(host.connect, "127.0.0.1", int(port or 0), backlog=1024)
    await ended.wait()
    server.close()
    try:
        await asyncio.wait_for(host.end(), FINISH)
    except asyncio.TimeoutError:
        log.warning("%d requests did not finish", len(host.jobs))
