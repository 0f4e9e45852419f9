"""Services: what the Execution Properties describe, and functions vend.

A property that is an object with a ``type`` is one. ``database`` is built in;
register_vendor adds others.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Tuple
from urllib.parse import parse_qsl, unquote, urlsplit

from .context import HTTPError

if TYPE_CHECKING:
    from .context import Context


class Vendor:
    """Something that functions are handed an item of, a request each.

    The methods may be called by any number of threads at a time.
    """

    #: The property's name; set by the host.
    name: str = ""

    def vend(self, ctx: "Context") -> Any:
        """An item for a request. What it raises is answered 503."""
        raise NotImplementedError

    def release(self, item: Any, success: bool) -> None:
        """Takes the item back. success: the function has returned, in time.

        What it raises after a success is answered 500.
        """

    def close(self) -> None:
        """Called once, when the process ends."""


#: Makes a Vendor: of the property's name, its value, and a logger.
Build = Callable[[str, Dict[str, Any], logging.Logger], Vendor]

_builds: Dict[str, Build] = {}

#: Seconds for which a connection that is not used is taken for alive.
TRUSTED = 0.5


def register_vendor(type: str, build: Build) -> None:
    """Has properties of that type be services. Modules call it when they are imported."""
    _builds[type] = build


class Services:
    """The services of a process."""

    def __init__(self, props: Dict[str, Any], concurrency: int):
        self.vendors: Dict[str, Vendor] = {}
        # Where async functions wait. Who ends a transaction must not wait for those who
        # wait for its end.
        self.vending = ThreadPoolExecutor(concurrency)
        self.releasing = ThreadPoolExecutor(4)
        logger = logging.getLogger("funcatron")
        problems: List[str] = []
        for name, value in props.items():
            if not isinstance(value, dict) or not isinstance(value.get("type"), str):
                continue
            build = _builds.get(value["type"])
            if build is None:
                logger.warning("property %r has the type %r, which is no service: there are %s", name, value["type"], ", ".join(sorted(_builds)))
                continue
            try:
                vendor = build(name, value, logger)
                vendor.name = name
                self.vendors[name] = vendor
            except Exception as e:
                problems.append(f"property {name!r}: {e}")
        if problems:
            self.close()
            raise ValueError("\n".join(problems))

    def names(self) -> List[str]:
        return sorted(self.vendors)

    def vend(self, name: str, ctx: "Context") -> Tuple[Vendor, Any]:
        vendor = self.vendors.get(name)
        if vendor is None:
            raise HTTPError(503, f'there is no service "{name}": the props have no property of that name with a type')
        try:
            return vendor, vendor.vend(ctx)
        except HTTPError:
            raise
        except Exception as e:
            if ctx.remaining() <= 0:  # it is the request that is over
                raise HTTPError(504, "The function did not answer in time.") from e
            raise HTTPError(503, f'the service "{name}" cannot be had: {e}') from e

    def close(self) -> None:
        for vendor in self.vendors.values():
            try:
                vendor.close()
            except Exception as e:
                logging.getLogger("funcatron").warning("service %s: %s", vendor.name, e)


class Database(Vendor):
    """Connections of a DB-API driver (PEP 249), each in a transaction of its request.

    Of the property it takes ``url``, ``username``, ``password``, and ``maxConnections``
    (16).
    """

    def __init__(self, name: str, props: Dict[str, Any], logger: logging.Logger):
        url = props.get("url")
        if not isinstance(url, str) or not url:
            raise ValueError("a database has a url")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ValueError("the url is none") from None  # without it: it may hold a password
        self.begin: Callable[[Any], None] = lambda connection: None
        #: What lets one transaction at a time in.
        self.turn: Any = None
        login = {
            "user": props.get("username") or unquote(parts.username or ""),
            "password": props.get("password") or unquote(parts.password or ""),
        }
        scheme = parts.scheme.partition("+")[0]
        if scheme == "sqlite":
            self.open = self.sqlite("/" + unquote(parts.path).lstrip("/"), dict(parse_qsl(parts.query)))
        elif scheme in ("postgres", "postgresql"):
            where = {"host": parts.hostname or "localhost", "port": port or 5432, "dbname": unquote(parts.path.lstrip("/"))}
            self.open = self.postgres({k: v for k, v in {**where, **login, **dict(parse_qsl(parts.query))}.items() if v})
        elif scheme in ("mysql", "mariadb"):
            where = {"host": parts.hostname or "localhost", "port": port or 3306, "database": unquote(parts.path.lstrip("/"))}
            self.open = self.mysql({k: v for k, v in {**where, **login}.items() if v})
        else:
            raise ValueError(f"there is no driver for a url that begins with {scheme}: but for sqlite, postgresql and mysql")
        self.idle: List[Tuple[Any, float]] = []  # and since when
        self.lock = threading.Lock()
        self.room = threading.BoundedSemaphore(int(props.get("maxConnections", 16)))

    def sqlite(self, path: str, options: Dict[str, str]) -> Callable[[], Any]:
        if path == "/":
            raise ValueError("the url names no file: sqlite:///path/of/file.db")
        timeout = float(options.get("busy_timeout", 5000)) / 1000  # ms, as SQLite has it
        # One writes at a time. In this process they take turns, others wait by polling.
        self.turn = threading.Lock()
        self.begin = lambda connection: connection.execute("BEGIN IMMEDIATE")

        def connect() -> Any:
            connection = sqlite3.connect(path, timeout=timeout, isolation_level=None, check_same_thread=False)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA foreign_keys = ON")
            return connection

        return connect

    def postgres(self, options: Dict[str, Any]) -> Callable[[], Any]:
        driver = first_of("psycopg", "psycopg2", "pg8000.dbapi")
        if driver.__name__ == "pg8000.dbapi":
            options["database"] = options.pop("dbname", None)
        return lambda: driver.connect(**options)

    def mysql(self, options: Dict[str, Any]) -> Callable[[], Any]:
        driver = first_of("pymysql", "MySQLdb")
        return lambda: driver.connect(charset="utf8mb4", **options)

    def vend(self, ctx: "Context") -> Any:
        if not self.room.acquire(timeout=ctx.remaining()):
            raise TimeoutError("all its connections are in use")
        connection = None
        taken = False
        try:
            if self.turn is not None:
                taken = self.turn.acquire(timeout=ctx.remaining())
                if not taken:
                    raise TimeoutError("another transaction takes too long")
            connection = self.connection()
            self.begin(connection)
            return connection
        except BaseException:
            if connection is not None:
                connection.close()
            if taken:
                self.turn.release()
            self.room.release()
            raise

    def connection(self) -> Any:
        while True:
            with self.lock:
                if not self.idle:
                    break
                connection, since = self.idle.pop()
            if self.turn is not None or time.monotonic() - since < TRUSTED or answers(connection):
                return connection
        return self.open()

    def release(self, item: Any, success: bool) -> None:
        try:
            if success:
                if not getattr(item, "in_transaction", True):  # sqlite3 says so
                    raise RuntimeError("the function ended its transaction itself: that is left to funcatron")
                item.commit()
            else:
                item.rollback()
        except BaseException:
            item.close()  # whatever it was in the middle of
            raise
        else:
            with self.lock:
                self.idle.append((item, time.monotonic()))
        finally:
            if self.turn is not None:
                self.turn.release()
            self.room.release()

    def close(self) -> None:
        with self.lock:
            idle, self.idle = self.idle, []
        for connection, _ in idle:
            connection.close()


def answers(connection: Any) -> bool:
    """Whether the database is still there; a connection that is not is closed."""
    try:
        connection.cursor().execute("SELECT 1")
        connection.rollback()
        return True
    except Exception:
        with contextlib.suppress(Exception):
            connection.close()
        return False


def first_of(*names: str) -> Any:
    """The first of these modules that is installed."""
    for name in names:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError:
            continue
    raise ValueError(f"none of its drivers is installed: {', '.join(names)}; name one in requirements.txt")


register_vendor("database", Database)
