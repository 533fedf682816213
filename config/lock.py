"""The lock on the root directory: one daemon for one root.

flock(2) on `root/wharfied.lock` is the truth; the text in the file only says who holds it, so a stale text does no
harm. The lock belongs to the open file description, which a fork shares and O_CLOEXEC does not take away: a child
that kept it would hold the root after its parent's death. So every child calls `close_in_child` first of all.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from types import TracebackType
from typing import Self

LOCK_NAME = "wharfied.lock"

# A killed daemon's children close their copies within milliseconds of their fork; only for them is there a wait.
_ORPHAN_WAIT_S = 0.25
_ORPHAN_RETRY_S = 0.002


class LockHeld(Exception):
    """Another daemon holds the root. `pid` is 0 when the holder cannot be named (it is in another pid namespace)."""

    def __init__(self, pid: int, root: str) -> None:
        self.pid = pid
        self.root = root
        holder = f"by process {pid}" if pid else "by a process that cannot be named"
        super().__init__(
            f"root directory '{root}' is in use {holder}; stop that daemon, or give this one another --root"
        )


class Lock:
    """A held lock; leaving its context, or the end of every process that shares it, gives it up."""

    def __init__(self, fd: int, root: str) -> None:
        self.fd = fd
        self.root = root

    def release(self) -> None:
        """Give the lock up for all that share it. Idempotent. The file stays: removing it would let two in."""
        if self.fd >= 0:
            with contextlib.suppress(OSError):
                os.ftruncate(self.fd, 0)
            fcntl.flock(self.fd, fcntl.LOCK_UN)
            self.close_in_child()

    def close_in_child(self) -> None:
        """Close this process's copy; the parent goes on holding the lock. Idempotent."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def acquire(root: str | os.PathLike[str]) -> Lock:
    """Lock the root directory, which has to exist, or refuse at once.

    While the holder lives the refusal takes well under a millisecond. If the text names a process that is gone, the
    lock is in the hands of a child that is about to close it, or of a holder that has not written its name yet: then,
    and only then, this waits up to a quarter of a second.
    Raises: LockHeld; OSError naming the file.
    """
    root = os.fspath(root)
    fd = os.open(f"{root}/{LOCK_NAME}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    deadline_s = time.monotonic() + _ORPHAN_WAIT_S
    try:
        while not _try(fd):
            pid = _living_holder(fd)
            if pid or time.monotonic() > deadline_s:
                raise LockHeld(pid, root)
            time.sleep(_ORPHAN_RETRY_S)
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()} {_start_ticks(os.getpid())}\n".encode(), 0)
    except BaseException:
        os.close(fd)
        raise
    return Lock(fd, root)


def _try(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _living_holder(fd: int) -> int:
    """Return the pid that the file names if that very process lives, else 0."""
    words = os.pread(fd, 64, 0).split()
    if len(words) != 2 or not all(word.isdigit() for word in words):
        return 0
    pid = int(words[0])
    return pid if pid and _start_ticks(pid) == int(words[1]) else 0


def _start_ticks(pid: int) -> int:
    """Return when a process started, in clock ticks since boot, which tells a reused pid; 0 if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return 0
    # proc(5): field 22; the name in parentheses, which may hold anything, is field 2, and a zombie (Z) is gone.
    return 0 if fields[0] in {b"Z", b"X"} else int(fields[19])
