"""How a shim comes into being: a fork of the supervisor that keeps nothing of it but its pages.

The supervisor calls `fork_shim`; whatever a fork of its own would do first (Python's hooks, its signal handlers, its
name, its descriptors) is done here in the way that leaves most pages shared.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from os import close as close_fd
from os import closerange, dup2, setsid
from os import open as open_fd
from typing import NoReturn

from shim.main import main
from shim.rawfork import fork
from shim.rawsignal import ALL, SIGALRM, SIGCHLD, SIGQUIT, SIGUSR1, SIGUSR2, reset, set_mask

_NULL_FLAGS = os.O_RDONLY | os.O_CLOEXEC
_LISTENER = 3
_LAST = 1 << 20


def fork_shim(args: bytes, fds: Sequence[int]) -> int:
    """Fork a shim and return its pid; it is a child of this process, with a session of its own.

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
            _be_born(args, fds)
    finally:
        set_mask(mask)
    return pid


def _be_born(args: bytes, fds: Sequence[int]) -> NoReturn:
    reset(SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGCHLD)
    setsid()
    if fds[0] != _LISTENER:
        dup2(fds[0], _LISTENER)
    closerange(_LISTENER + 1, _LAST)
    null = open_fd("/dev/null", _NULL_FLAGS)
    dup2(null, 0)
    close_fd(null)
    # What it inherits as ignored it ignores anyway; the rest of its signals are `main`'s.
    main(args, [_LISTENER])
