"""The log: one line for each record on standard error, as key=value pairs or as JSON, with the fields of the record.

A module logs with `logging.getLogger(__name__)` and passes what belongs to the record as `extra={"container": …}`;
each field becomes a key of the line. Promises:
- one write(2) for a line of up to 4 KiB, so that lines of several processes never mix within a line;
- a reader that stands still does not stop the daemon: lines that do not fit are dropped and counted, and the next
  line that does fit says how many;
- a field whose name says that it is secret, and a password in a URL, are never written.
"""

from __future__ import annotations

import logging
import os
import re
import select
import time
import traceback
from collections.abc import Mapping
from typing import Any

import msgspec

TRACE = 5

LEVELS: Mapping[str, int] = {
    "trace": TRACE,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
    "panic": logging.CRITICAL,
}

_NAMES = {TRACE: "trace", 10: "debug", 20: "info", 30: "warn", 40: "error", 50: "fatal"}
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_PLAIN = re.compile(r"[A-Za-z0-9_./:@+,%#~^*<>()\[\]{}|-]+", re.ASCII)
_SECRET = re.compile(r"passw|secret|token|credential|authorization|private_?key|cookie", re.IGNORECASE)
_URL_PASSWORD = re.compile(r"(://[^/\s:@]*):[^/\s@]+@")
_HIDDEN = "[hidden]"
_WAIT_MS = 100


class Formatter(logging.Formatter):
    """Turns a record into a line; `fields` are those of the process, such as its name and generation."""

    def __init__(self, *, json: bool, fields: Mapping[str, object]) -> None:
        super().__init__()
        self.json = json
        self.fields = fields

    def format(self, record: logging.LogRecord) -> str:
        pairs = self._pairs(record)
        if self.json:
            return msgspec.json.encode(pairs, enc_hook=_text).decode()
        return " ".join(f"{key}={_quoted(value)}" for key, value in pairs.items())

    def _pairs(self, record: logging.LogRecord) -> dict[str, object]:
        whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        pairs: dict[str, object] = {
            "time": f"{whole}.{int(record.created % 1 * 1_000_000):06d}Z",
            "level": _NAMES.get(record.levelno, record.levelname.lower()),
            "msg": _clean(record.getMessage()),
            "logger": record.name,
            **self.fields,
        }
        for key, value in vars(record).items():
            if key not in _STANDARD:
                pairs[key if key not in pairs else f"{key}_"] = _HIDDEN if _SECRET.search(key) else _clean(value)
        if record.exc_info and record.exc_info[1] is not None:
            pairs["error"] = _clean(str(record.exc_info[1]) or type(record.exc_info[1]).__name__)
            pairs["stack"] = _clean("".join(traceback.format_exception(*record.exc_info)))
        elif record.stack_info:
            pairs["stack"] = _clean(record.stack_info)
        return pairs


class Handler(logging.Handler):
    """Writes lines to a descriptor that it does not own; never raises and never waits longer than 100 ms."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self.fd = fd
        self.dropped = 0
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception as error:  # a field's own __str__ may raise; a record must not cost the caller its work
            line = self._own_line(logging.ERROR, "log record cannot be formatted", error=type(error).__name__)
        if self.dropped and self._write(self._own_line(logging.WARNING, "log lines dropped", count=self.dropped)):
            self.dropped = 0
        if self.dropped or not self._write(line):
            self.dropped += 1

    def _own_line(self, level: int, message: str, **fields: object) -> str:
        return self.format(logging.makeLogRecord({"name": __name__, "levelno": level, "msg": message, **fields}))

    def _write(self, line: str) -> bool:
        """Write a line in pieces that a pipe takes whole. A broken descriptor counts as written: nobody reads it."""
        data = line.encode() + b"\n"
        try:
            for start in range(0, len(data), select.PIPE_BUF):
                # Who waited in vain once does not wait again until there is room.
                if not self._poll.poll(0 if self.dropped else _WAIT_MS):
                    return False
                os.write(self.fd, data[start : start + select.PIPE_BUF])
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True


def configure(level: str, format: str, *, fd: int = 2) -> None:  # noqa: A002 - the setting's own name
    """Set up logging for this process and those it forks; again replaces what was set up before.

    Raises: KeyError for a level that is not in LEVELS.
    """
    logging.addLevelName(TRACE, "TRACE")
    logging.raiseExceptions = False
    handler = Handler(fd)
    handler.setFormatter(Formatter(json=format == "json", fields={}))
    root = logging.getLogger()
    for old in root.handlers[:]:
        if isinstance(old, Handler):
            root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(LEVELS[level])


def set_level(level: str) -> None:
    """Change the least severe level that is logged, at once. Raises: KeyError for a level that is not in LEVELS."""
    logging.getLogger().setLevel(LEVELS[level])


def level_name() -> str:
    """Return the level now in force, as the configuration names it."""
    return _NAMES.get(logging.getLogger().level, "info")


def set_format(format: str) -> None:  # noqa: A002 - the setting's own name
    """Change between "text" and "json", at once."""
    for formatter in _formatters():
        formatter.json = format == "json"


def set_fields(**fields: Any) -> None:
    """Give every further line of this process these fields, `actor="content", generation=3`; none removes them."""
    for formatter in _formatters():
        formatter.fields = fields


def _formatters() -> list[Formatter]:
    found = (handler.formatter for handler in logging.getLogger().handlers)
    return [formatter for formatter in found if isinstance(formatter, Formatter)]


def _clean(value: object) -> object:
    if isinstance(value, str):
        if not value.isprintable():  # file names may hold bytes that are not UTF-8: lone surrogates
            value = value.encode(errors="backslashreplace").decode()
        return _URL_PASSWORD.sub(rf"\1:{_HIDDEN}@", value) if "://" in value else value
    if isinstance(value, Mapping):
        return {str(key): _HIDDEN if _SECRET.search(str(key)) else _clean(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(inner) for inner in value]
    return value


def _quoted(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    text = value if isinstance(value, str) else _text(value)
    return text if _PLAIN.fullmatch(text) else msgspec.json.encode(text).decode()


def _text(value: object) -> str:
    if isinstance(value, (dict, list)):
        return msgspec.json.encode(value, enc_hook=_text).decode()
    return str(_clean(str(value))) or type(value).__name__
