"""The entry of a shim: what the supervisor's fork runs.

The process has its own session, no parent-death signal and only the descriptors that it was given. It ends by a granted
`shutdown`, or when it is killed; until then no error, no lost daemon and no ordinary signal ends it.
"""

from __future__ import annotations

import faulthandler
import gc
import importlib
import os
from typing import NoReturn

import msgspec

from linux import prctl
from shim import rawsignal
from shim.complaint import complain_of_bug
from shim.protocol import ShimStart
from shim.rawsignal import SIGHUP, SIGINT, SIGPIPE, SIGTERM, SIGUSR1
from shim.runtime import Runtime

PROCESS_NAME = "wharfie-shim"

# To stop a container is to kill its process, never its shim.
_IGNORED_SIGNALS = (SIGHUP, SIGINT, SIGPIPE, SIGTERM)

_MODULES = ("shim.service", "linux.openat2", "linux.overlay")
"""The rest comes with these."""

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
        gc.disable()
        start = _decode(args)
        _detach(start)
        _serve(start, fds[0])
        code = 0
    except BaseException:  # the outermost frame: whatever it is, it is said and ends here
        complain_of_bug("the shim")
    finally:
        os._exit(code)


def _detach(start: ShimStart) -> None:
    for number in _IGNORED_SIGNALS:
        rawsignal.ignore(number)
    log = os.open(start.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    faulthandler.register(SIGUSR1, file=2)
    prctl.set_name(PROCESS_NAME)
    prctl.set_child_subreaper()


def _serve(start: ShimStart, listener: int) -> None:
    from shim.service import Service

    runtime = Runtime(start.runtime, start.runtime_root, start.systemd_cgroup)
    Service(listener, runtime).run()
