"""Running a piece of a test in a process of its own: what it does to itself ends with it."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable
from typing import NoReturn

from linux.namespaces import unshare_mounts
from linux.prctl import set_pdeathsig


def in_fork(function: Callable[[], object]) -> None:
    """Run `function` in a fork and fail the test with its traceback when it raises."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read_end)
        _run(function, write_end)
    os.close(write_end)
    with open(read_end, encoding="utf-8") as pipe:
        report = pipe.read()
    _, status = os.waitpid(pid, 0)
    if report or status:
        raise AssertionError(f"in the fork (wait status {status}):\n{report}")


def in_private_mounts(function: Callable[[], object]) -> None:
    """Run `function` in a fork with a mount namespace of its own: all that it mounts is gone afterwards."""

    def isolated() -> None:
        unshare_mounts()
        function()

    in_fork(isolated)


def _run(function: Callable[[], object], write_end: int) -> NoReturn:
    code = 1
    try:
        set_pdeathsig(signal.SIGKILL)
        function()
        code = 0
    except BaseException:
        os.write(write_end, traceback.format_exc().encode())
    finally:
        os._exit(code)
