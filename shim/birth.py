"""How a fork becomes a shim, and the plain way to make one.

Two steps, because most of it can be done once, in the process that many shims are forked from (`shim.nursery`), and is
then shared by all of them: `prepare` there, `be_born` in each.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from faulthandler import register as register_stack_dump
from gc import disable as disable_collector
from os import closerange, dup2, setsid
from typing import NoReturn

from shim.main import main
from shim.rawfork import fork
from shim.rawsignal import ALL, SIGHUP, SIGINT, SIGPIPE, SIGTERM, SIGUSR1, ignore, reset_all, set_mask

LISTENER = 3
"""The descriptor of a shim's listening socket."""

_LAST = 1 << 20


def fork_shim(args: bytes, fds: Sequence[int]) -> int:
    """Fork a shim from this process and return its pid; it is a child of this process, with a session of its own.

    Args:
        args: a packed `ShimStart`.
        fds: the listening socket; it stays open here and is the caller's.

    Raises:
        OSError: no memory, or too many processes.

    """
    # With every signal blocked: a handler of the parent's must not run in the child.
    mask = set_mask(ALL)
    try:
        pid = fork()
        if pid == 0:
            prepare()
            be_born(args, fds)
    finally:
        set_mask(mask)
    return pid


def prepare() -> None:
    """Signals, standard streams and the collector, as a shim wants them. In a fresh fork with all signals blocked."""
    reset_all()
    # To stop a container is to kill its process, never its shim.
    ignore(SIGHUP, SIGINT, SIGPIPE, SIGTERM)
    # Onto descriptor 2, whatever that will be: a shim's log.
    register_stack_dump(SIGUSR1, file=2)
    # What a shim makes is little and stays; a collection would only touch every page of its parent.
    disable_collector()
    null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    dup2(null, 0)
    os.close(null)
    set_mask(())


def be_born(args: bytes, fds: Sequence[int]) -> NoReturn:
    """Become a shim; the process, or the one it was forked from, is prepared."""
    setsid()
    if fds[0] != LISTENER:
        dup2(fds[0], LISTENER)
    closerange(LISTENER + 1, _LAST)
    main(args, [LISTENER])
