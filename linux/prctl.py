"""Attributes of this process: its name, what happens when its parent dies, whose orphans it gets.

All of it is inherited by nobody unless said otherwise, so a fork sets its own.
"""

from __future__ import annotations

import ctypes
import functools
import os

from linux.syscall import check, libc

PR_SET_PDEATHSIG = 1
PR_GET_DUMPABLE = 3
PR_SET_DUMPABLE = 4
PR_SET_NAME = 15
PR_GET_NAME = 16
PR_SET_CHILD_SUBREAPER = 36
PR_GET_CHILD_SUBREAPER = 37
PR_SET_NO_NEW_PRIVS = 38
PR_GET_NO_NEW_PRIVS = 39

NAME_SIZE = 15
"""The longest name in bytes; the kernel cuts off what is longer."""

_prctl = libc.prctl
_prctl.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)


def prctl(option: int, value: int = 0) -> int:
    """Set or get one attribute by its number."""
    return check(_prctl(option, value, 0, 0, 0))


def set_name(name: str) -> None:
    """Set what /proc/PID/comm, `top` and `pgrep` show; call it in the main thread.

    Cut to `NAME_SIZE` bytes.
    """
    check(_prctl(PR_SET_NAME, name.encode()[:NAME_SIZE], 0, 0, 0))


def set_title(title: str) -> None:
    """Set the name as `set_name` does, and what `ps` shows as the command line.

    The command line is overwritten where the kernel put it at exec, so a title longer than the original
    command line is cut. The environment behind it is not touched: libc still reads it. Python works on copies
    of both.
    """
    set_name(title)
    start, end = command_line_area()
    size = end - start
    if start == 0 or size < 2:
        return
    # The last byte stays zero: if it is not, the kernel goes on reading into the environment.
    text = title.encode()[: size - 1]
    ctypes.memset(start, 0, size)
    ctypes.memmove(start, text, len(text))


@functools.cache
def command_line_area() -> tuple[int, int]:
    """Return the addresses between which the kernel put the command line at exec.

    The same in every fork, so who forks asks once before: reading it there would dirty memory in each child.
    """
    with open("/proc/self/stat", "rb") as file:
        # Fields 48 and 49, counted after the name, which may contain blanks and parentheses.
        fields = file.read().rpartition(b")")[2].split()
    return int(fields[45]), int(fields[46])


def set_pdeathsig(signal: int, *, parent_pid: int | None = None) -> None:
    """Have this process get `signal` when the thread that forked it ends; 0 switches it off.

    Cleared by a fork and by exec of a set-user-id program. With `parent_pid`, a parent that died before the
    call is noticed too: raises `ProcessLookupError`, so no orphan can slip through.
    """
    prctl(PR_SET_PDEATHSIG, signal)
    if parent_pid is not None and os.getppid() != parent_pid:
        raise ProcessLookupError(f"parent process {parent_pid} is gone")


def set_child_subreaper(enabled: bool = True) -> None:
    """Become the parent of descendants whose own parent ended; kept across exec, not by forks."""
    prctl(PR_SET_CHILD_SUBREAPER, int(enabled))


def set_dumpable(enabled: bool) -> None:
    """Allow or forbid core dumps and ptrace by processes without privilege."""
    prctl(PR_SET_DUMPABLE, int(enabled))


def set_no_new_privs() -> None:
    """Let no exec from here on gain a privilege; inherited by forks and never undone."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)
