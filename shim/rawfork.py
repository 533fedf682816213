"""A fork without Python's own ceremony.

`os.fork` makes the child run every hook that any module registered (new seeds, new locks, a fresh import lock): 0.5 MB
of pages that a shim would otherwise share. None of it is needed in a process that has one thread and holds no lock,
which is what both the supervisor and a shim are.
"""

from __future__ import annotations

import ctypes
import os

_fork = ctypes.PyDLL(None, use_errno=True).fork


def fork() -> int:
    """Fork: 0 in the child, else its pid. Only in a process with a single thread.

    Raises:
        OSError: no memory, or too many processes.

    """
    pid: int = _fork()
    if pid < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return pid
