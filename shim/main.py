"""The entry of a shim, in a process that `shim.birth` has made one.

It ends by a granted `shutdown`, when nobody ever gave it a container, or when it is killed; until then no error, no
lost daemon and no ordinary signal ends it.
"""

from __future__ import annotations

import importlib
import os
from os import _exit, dup2
from os import close as close_fd
from os import open as open_fd
from typing import NoReturn

import msgspec

from linux.prctl import set_child_subreaper, set_name
from shim.complaint import complain, complain_of_bug
from shim.protocol import ShimStart
from shim.runtime import Runtime
from shim.service import Service

PROCESS_NAME = "wharfie-shim"

_MODULES = ("shim.nursery", "shim.rehearsal", "linux.openat2", "linux.overlay")
"""What is needed at run time beyond what this module imports."""

_LOG_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC

_decode = msgspec.msgpack.Decoder(ShimStart).decode


def preload() -> None:
    """Import all that a shim will ever need, in the supervisor, so that the pages are shared. Idempotent."""
    for module in _MODULES:
        importlib.import_module(module)


def main(args: bytes, fds: list[int]) -> NoReturn:
    """Serve containers until shut down; never returns.

    Args:
        args: a `ShimStart`.
        fds: the listening socket, and nothing else.

    """
    code = 70
    try:
        start = _decode(args)
        _open_log(start.log)
        set_name(PROCESS_NAME)
        set_child_subreaper()
        service(start, fds[0]).run()
        code = 0
    except BaseException:  # the outermost frame: whatever it is, it is said and ends here
        complain_of_bug("the shim")
    finally:
        _exit(code)


def _open_log(path: str) -> None:
    try:
        fd = open_fd(path, _LOG_FLAGS, 0o600)
    except FileNotFoundError:
        complain(f"bundle of '{path}' is gone: whoever asked for this shim has given up")
        _exit(1)
    dup2(fd, 1)
    dup2(fd, 2)
    close_fd(fd)


def service(start: ShimStart, listener: int) -> Service:
    """The service that a shim runs; `listener` is its socket and becomes the service's."""
    return Service(listener, Runtime(start.runtime, start.runtime_root, systemd_cgroup=start.systemd_cgroup))
