"""The entry of a shim: what the supervisor's fork runs.

The process has its own session, no parent-death signal and only the descriptors that it was given. It ends by a granted
`shutdown`, or when it is killed; until then no error, no lost daemon and no ordinary signal ends it.
"""

from __future__ import annotations

import importlib
import os
from faulthandler import register as register_stack_dump
from gc import disable as disable_collector
from os import _exit, dup2
from os import close as close_fd
from os import open as open_fd
from typing import NoReturn

import msgspec

from linux.prctl import set_child_subreaper, set_name
from shim.complaint import complain_of_bug
from shim.protocol import ShimStart
from shim.rawsignal import SIGHUP, SIGINT, SIGPIPE, SIGTERM, SIGUSR1, ignore, set_mask
from shim.runtime import Runtime
from shim.service import Service

PROCESS_NAME = "wharfie-shim"

_MODULES = ("linux.openat2", "linux.overlay")
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
        # What this process makes is little and stays; a collection would only touch every page of its parent.
        disable_collector()
        start = _decode(args)
        _detach(start.log)
        service(start, fds[0]).run()
        code = 0
    except BaseException:  # the outermost frame: whatever it is, it is said and ends here
        complain_of_bug("the shim")
    finally:
        _exit(code)


def _detach(log: str) -> None:
    # To stop a container is to kill its process, never its shim.
    ignore(SIGHUP, SIGINT, SIGPIPE, SIGTERM)
    fd = open_fd(log, _LOG_FLAGS, 0o600)
    dup2(fd, 1)
    dup2(fd, 2)
    close_fd(fd)
    register_stack_dump(SIGUSR1, file=2)
    set_name(PROCESS_NAME)
    set_child_subreaper()
    set_mask(())


def service(start: ShimStart, listener: int) -> Service:
    """The service that a shim runs; `listener` is its socket and becomes the service's."""
    return Service(listener, Runtime(start.runtime, start.runtime_root, systemd_cgroup=start.systemd_cgroup))
