"""The Python sample of Funcatron: what the announcement's Java and Scala samples do,
a guest book in a database, and one function for each thing that functions in every
language can do. The samples in other languages have the same API.

Each operationId of funcatron.yaml names a function of this module.
"""

import asyncio
import logging
import random
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import List, Optional

from funcatron import Context, HTTPError, Response

log = logging.getLogger(__name__)


@dataclass
class Data:
    name: str
    age: int


@dataclass
class Visitor:
    name: str


@dataclass
class Visit:
    id: int
    name: str
    time: str  # RFC 3339, UTC


@dataclass
class Record:
    id: int
    text: str
    ratio: float
    tags: List[str]


def simple_get(ctx: Context):
    log.info("In Python 'SimpleGet... yay!")
    answer = {
        "query-params": ctx.query,
        "time": datetime.now(timezone.utc).strftime("%a %b %d %H:%M:%S UTC %Y"),
        "bools": True,
        "numero": random.random(),
    }
    if "num" in ctx.path_params:
        answer["num-param"] = ctx.path_params["num"]
    return answer


def post_or_delete(ctx: Context, data: Optional[Data] = None):
    count = ctx.path_params["cnt"]  # the document has it required
    if ctx.method == "POST":
        return [Data(f"{data.name}{i}", data.age + i) for i in range(1, count + 1)]
    if ctx.method == "DELETE":
        return Data(f"Deleted {count}", count)
    return Response(f"Expecting a POST or DELETE, but got {ctx.method}", 400, {"Content-Type": "text/plain"})


# The guest book is in the database that the property "db" describes:
#
#     {"db": {"type": "database", "url": "sqlite:///var/lib/visits.db"}}
#
# Each request gets a connection in a transaction, which is committed when the
# function returns in time, and rolled back when it raises or is late.


def visits(ctx: Context):
    db = ctx.vend("db")
    db.execute("CREATE TABLE IF NOT EXISTS visits (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, time TEXT NOT NULL)")
    return db


def add_visit(ctx: Context, visitor: Visitor):
    """Writes first and counts then: a visit too many is taken back by the rollback."""
    most = ctx.props.get("maxVisits", 1000)
    db = visits(ctx)
    time = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    written = db.execute("INSERT INTO visits (name, time) VALUES (?, ?)", (visitor.name, time)).lastrowid
    (count,) = db.execute("SELECT count(*) FROM visits WHERE name = ?", (visitor.name,)).fetchone()
    if count > most:
        raise HTTPError(409, f"{visitor.name} has visited {most} times already")
    ctx.cancelled.wait(ctx.query_params["sleep"] / 1000)  # no longer than the request has
    log.info("visited", extra={"visitor": visitor.name, "count": count})
    return Response(Visit(written, visitor.name, time), 201)


def list_visits(ctx: Context):
    name = ctx.query_params.get("name")
    rows = visits(ctx).execute(
        "SELECT id, name, time FROM visits WHERE name = ?1 OR ?1 IS NULL ORDER BY id DESC LIMIT ?2", (name, ctx.query_params["limit"])
    )
    return [Visit(*row) for row in rows]


def echo(ctx: Context, body: bytes):
    headers = {"X-Sample-Length": str(len(body))}
    if "content-type" in ctx.headers:
        headers["Content-Type"] = ctx.headers["content-type"]
    return Response(body, headers=headers)


def record(ctx: Context, body: Record) -> Record:
    return body


def params(ctx: Context):
    return {name: ctx.params[name] for name in ("id", "name", "limit", "on", "tags")}


def status(ctx: Context):
    code = ctx.path_params["code"]
    headers = {"X-Sample-Status": str(code)}
    if 300 <= code <= 399:
        headers["Location"] = "/elsewhere"
    if code in (204, 304):
        return Response(None, code, headers)
    return Response(f"status {code}", code, {**headers, "Content-Type": "text/plain"})


def fail(ctx: Context):
    if ctx.path_params["how"] == "refuse":
        raise HTTPError(422, "the sample refuses on purpose")
    raise RuntimeError("the sample fails on purpose")


def log_text(ctx: Context):
    text = ctx.query_params["text"]
    log.info(text)
    log.warning(text)
    return {"requestId": ctx.request_id}


async def sleep(ctx: Context):
    ms = ctx.path_params["ms"]
    await asyncio.sleep(ms / 1000)  # cancelled when its time is up
    return {"slept": ms}
