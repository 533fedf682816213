"""Answers as frames: replies, items and errors of handlers, and what an exception becomes on the wire."""

from __future__ import annotations

import errno
import logging
import os
import time
import traceback
from typing import Any

import msgspec

from actors.call import Pass, Reply
from wharfie import errors, protocol
from wharfie.protocol import MAGIC

log = logging.getLogger("worker")


def frames_of(route: int, kind: str, value: Any) -> list[Any]:
    """A handler's value as a message: a struct, a `Reply` with payload, a `Pass`, or a body that is encoded already."""
    if isinstance(value, Pass):
        header = protocol.encode(protocol.Header(id=route, kind="pass", method=value.method))
        return [MAGIC, header, value.body if isinstance(value.body, bytes) else protocol.encode(value.body)]
    header = protocol.encode(protocol.Header(id=route, kind=kind))
    if isinstance(value, Reply):
        return [MAGIC, header, protocol.encode(value.body), *value.payload]
    if isinstance(value, bytes):
        return [MAGIC, header, value]
    return [MAGIC, header, protocol.encode(value)]


def error_frames(route: int, error: Exception, *, method: str, where: str) -> list[Any]:
    """An exception as a message."""
    coded = as_wharfie_error(error, method=method, where=where)
    header = protocol.encode(protocol.Header(id=route, kind="error"))
    return [MAGIC, header, protocol.encode(coded.to_wire())]


def with_id(header: bytes, route: int) -> bytes:
    """The same header for another request: one answer for all who asked the same."""
    return protocol.encode(msgspec.structs.replace(protocol.decode_header(header), id=route))


def as_wharfie_error(error: Exception, *, method: str, where: str) -> errors.WharfieError:
    """Any exception as one that may cross the wire; a bug is logged with its stack and named by a report id."""
    if isinstance(error, errors.WharfieError):
        return error
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return errors.ResourceExhausted(
            f"no space left for '{method}': {error}; free some or enlarge the file system",
            details={"reason": "disk_full"},  # not retryable: nobody waits for room that only a person can make
        )
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return errors.ResourceExhausted(f"out of file descriptors for '{method}'", retryable=True)
    report = f"{where}-{os.getpid()}-{time.monotonic_ns():x}"
    log.error("bug in '%s' (report %s)\n%s", method, report, "".join(traceback.format_exception(error)))
    return errors.Internal(
        f"'{method}' failed in worker '{where}': {type(error).__name__}: {error}; please report it",
        details={"report_id": report},
    )
