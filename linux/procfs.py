"""What /proc tells about a process.

Every function raises `ProcessLookupError` when the process is gone.
"""

from __future__ import annotations

import errno
import os
import re

_PSS = re.compile(rb"^Pss:\s+(\d+) kB", re.MULTILINE)


def _read(pid: int, name: str) -> bytes:
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            return file.read()
    except OSError as error:
        # ESRCH: it ended between open and read.
        if error.errno in (errno.ENOENT, errno.ESRCH):
            raise ProcessLookupError(errno.ESRCH, f"process {pid} not found") from None
        raise


def _stat(pid: int) -> list[bytes]:
    # After the name, which stands in parentheses and may contain anything; so [0] is field 3 of
    # proc_pid_stat(5).
    return _read(pid, "stat").rpartition(b")")[2].split()


def start_time(pid: int) -> int:
    """Return when the process started, in clock ticks since boot: pid and time name one process for good."""
    return int(_stat(pid)[19])


def state(pid: int) -> str:
    """Return the state letter: `R`, `S`, `D`, `T`, `Z` and so on."""
    return _stat(pid)[0].decode()


def parent(pid: int) -> int:
    """Return the pid of the parent."""
    return int(_stat(pid)[1])


def is_alive(pid: int, *, started: int | None = None) -> bool:
    """Say whether the process runs; a zombie does not, nor does another process that has the pid by now."""
    try:
        fields = _stat(pid)
    except ProcessLookupError:
        return False
    return fields[0] not in (b"Z", b"X") and (started is None or int(fields[19]) == started)


def name(pid: int) -> str:
    """Return what /proc/PID/comm says."""
    return os.fsdecode(_read(pid, "comm").removesuffix(b"\n"))


def command_line(pid: int) -> list[str]:
    """Return the arguments; empty for a zombie or a kernel thread."""
    text = _read(pid, "cmdline").rstrip(b"\0")
    return [os.fsdecode(argument) for argument in text.split(b"\0")] if text else []


def pss_bytes(pid: int) -> int:
    """Return the proportional set size in bytes: its own pages, and its share of those it shares."""
    found = _PSS.search(_read(pid, "smaps_rollup"))
    return int(found[1]) * 1024 if found else 0


def children(pid: int) -> list[int]:
    """Return the pids of the children, in the order of their start; those of all its threads."""
    found: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except FileNotFoundError:
        raise ProcessLookupError(errno.ESRCH, f"process {pid} not found") from None
    for thread in threads:
        try:
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found.extend(map(int, file.read().split()))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found
