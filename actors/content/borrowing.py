"""Bytes that a local client lends instead of sending them: read from a file in memory that its process has open.

A payload frame is copied six times between a client and the disk, and passes three processes; lent bytes are copied
twice. The descriptor is one of the process that the kernel says is the peer, the file has to be that user's and the
one that the client means (by its inode: a forked client, or another process under the pid of one that is gone, has
others), and its bytes are read once, into memory of ours: what the client does with it meanwhile changes nothing that
was verified. Blocks.
"""

from __future__ import annotations

import os
import stat
import threading

from actors.call import Call
from wharfie.errors import FailedPrecondition, InvalidArgument
from wharfie.identifiers import check_count
from wharfie.types.content import Lent

LENT_MAX_BYTES = 16 << 20
"""In one write; what is read is in this process's memory."""

KEPT_BYTES = 2 << 20
"""Room that each thread keeps: what the client library lends at a time."""

_kept = threading.local()


def check(call: Call, lent: Lent) -> None:
    """Pass when the numbers can be those of lent bytes. Raises: InvalidArgument."""
    if call.payload:
        raise InvalidArgument("bytes are sent as a payload frame or lent, not both", details={"field": "lent"})
    for name in ("fd", "inode", "offset", "size"):
        check_count(getattr(lent, name), field=f"lent.{name}")
    if lent.size > LENT_MAX_BYTES:
        raise InvalidArgument(
            f"lent.size is {lent.size}, more than {LENT_MAX_BYTES}; lend it in several writes",
            details={"field": "lent.size"},
        )


def borrow(call: Call, lent: Lent) -> memoryview:
    """The bytes, until this thread borrows again.

    Raises:
        FailedPrecondition: they cannot be had this way, with `details["reason"]` `lent`; send them as a payload.
    """
    path = f"/proc/{call.pid}/fd/{lent.fd}"
    if call.pid <= 0:
        raise _refused(call, "the kernel does not say which process asks")
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise _refused(call, f"'{path}' cannot be opened: {error.strerror}") from None
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_ino != lent.inode or call.uid not in (0, found.st_uid):
            raise _refused(call, f"'{path}' is not the file that was lent")
        buffer = _buffer(lent.size)
        done = 0
        while done < lent.size:
            count = os.preadv(fd, [buffer[done:]], lent.offset + done)
            if not count:
                raise _refused(call, f"'{path}' ends at byte {lent.offset + done}")
            done += count
        return buffer
    finally:
        os.close(fd)


def _buffer(size: int) -> memoryview:
    """Room of this thread's own, used again and again: fresh memory costs more than the copy into it."""
    if size > KEPT_BYTES:
        return memoryview(bytearray(size))
    if not hasattr(_kept, "buffer"):
        _kept.buffer = memoryview(bytearray(KEPT_BYTES))
    room: memoryview = _kept.buffer[:size]
    return room


def _refused(call: Call, what: str) -> FailedPrecondition:
    return FailedPrecondition(
        f"the bytes that process {call.pid} lends cannot be read, {what}; send them as a payload frame",
        details={"reason": "lent"},
    )
