"""Log lines as the Runner reads them: a JSON object a line on standard output."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
import threading
from typing import Any, Dict

from .context import current

#: The longest line in bytes. The Runner cuts at 64 KiB, and a cut line is no JSON.
MAX_LINE = 60 << 10

#: Names that the Runner reads itself; a record's own of that name get a "_".
_READ = ("level", "msg", "op", "req", "time")

#: What every record has, and is no field of its own.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class Output(io.RawIOBase):
    """Standard output, one write at a time: what is printed breaks no log line."""

    def __init__(self, fd: int):
        self.fd = fd
        self.lock = threading.Lock()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.fd

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        with self.lock:
            written = 0
            while written < len(view):
                written += os.write(self.fd, view[written:])
        return written


class Handler(logging.Handler):
    def __init__(self, output: Any):
        super().__init__()
        self.output = output

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.output.write(line_of(record))
        except Exception:
            self.handleError(record)


def level_of(number: int) -> str:
    if number < logging.INFO:
        return "DEBUG"
    if number < logging.WARNING:
        return "INFO"
    return "WARN" if number < logging.ERROR else "ERROR"


def line_of(record: logging.LogRecord) -> bytes:
    """The line of a record, with what belongs to its request."""
    message = record.getMessage()
    if record.exc_info:
        message += "\n" + logging.Formatter().formatException(record.exc_info)
    if record.stack_info:
        message += "\n" + record.stack_info
    fields: Dict[str, Any] = {"level": level_of(record.levelno), "msg": message}
    ctx = current()
    if ctx is not None:
        fields["op"], fields["req"] = ctx.operation, ctx.request_id
    for name, value in record.__dict__.items():
        if name not in _STANDARD:
            fields[name + "_" if name in _READ else name] = value
    line = _dump(fields)
    if len(line) > MAX_LINE:
        short: Dict[str, Any] = {name: fields[name] for name in ("level", "op", "req") if name in fields}
        short["cut"] = len(line)
        short["msg"] = message[: MAX_LINE // 8]  # a character is six bytes in JSON at most, or two times six
        line = _dump(short)
    return line


def _dump(fields: Dict[str, Any]) -> bytes:
    return json.dumps(fields, default=str, separators=(",", ":")).encode() + b"\n"


def install() -> None:
    """Has logging, and print, write what the Runner reads."""
    sys.stdout.flush()
    output = Output(1)
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(output), encoding="utf-8", errors="backslashreplace", line_buffering=True)
    root = logging.getLogger()
    root.handlers[:] = [Handler(output)]
    if root.level in (logging.NOTSET, logging.WARNING):
        root.setLevel(logging.INFO)
    logging.captureWarnings(True)
