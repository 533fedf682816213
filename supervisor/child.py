"""What a fresh fork does to itself before it runs its target, and how it ends.

The fork is a bare one (`shim.rawfork`): the supervisor has one thread and holds no lock, so Python's own ceremony has
nothing to mend and would only dirty shared pages. The supervisor forks with all signals blocked; a child first
takes away what it must not share (handlers, the wake-up pipe, descriptors, the session), then lets signals through,
then imports and runs its target. It always ends in `os._exit`: neither the supervisor's `atexit` functions nor its
buffers are a child's business.

Exit codes: what the target's SystemExit says; 0 when it returns; 78 (EX_CONFIG) for FailedPrecondition and
InvalidArgument before it was ready; 70 (EX_SOFTWARE) for any other exception, whose traceback is in the log and in the
crash report.
"""

from __future__ import annotations

import faulthandler
import gc
import importlib
import logging
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from actors.control import Control, ControlClosed
from config import log as log_setup
from linux.descriptors import close_all_except
from linux.prctl import set_pdeathsig, set_title
from shim import rawfork
from supervisor.spec import EX_CONFIG
from wharfie.errors import FailedPrecondition, InvalidArgument

EX_SOFTWARE = 70
_ALL = signal.valid_signals()

log = logging.getLogger("supervisor")


def fork(body: Callable[[], object], *, stack_fd: int = 2) -> int:
    """Fork a process that runs `body` and ends; return its pid.

    Raises: OSError when the kernel refuses (memory, number of processes).
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _ALL)
    try:
        _note_handlers()
        pid = rawfork.fork()
        if pid == 0:
            _run(body, stack_fd)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return pid


_handled: list[int] = []
"""Signals that are not at their default in the supervisor; looked up before a fork, to dirty no memory after it."""


def _note_handlers() -> None:
    _handled[:] = [
        number
        for number in _ALL
        if callable(handler := signal.getsignal(number)) or (handler is signal.SIG_IGN and number is not signal.SIGPIPE)
    ]


def _run(body: Callable[[], object], stack_fd: int) -> NoReturn:
    code = EX_SOFTWARE
    try:
        body()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        if isinstance(stop.code, str):
            log.error("%s", stop.code)
    except ControlClosed:
        code = 0
    except BaseException:  # the outermost frame of the process: whatever it is, it is said and ends here
        log.exception("uncaught exception")
        if stack_fd != 2:
            _write(stack_fd, traceback.format_exc())
    finally:
        os._exit(code)


def _write(fd: int, text: str) -> None:
    # A pipe that nobody reads must not keep the process; what fits is enough.
    os.set_blocking(fd, False)
    try:
        os.write(fd, text.encode(errors="replace")[-60_000:])
    except OSError:
        return


def run_actor(
    *,
    name: str,
    generation: int,
    target: str,
    argument: Any,
    channel: socket.socket,
    stack_fd: int,
    parent_pid: int,
    group_procs: str = "",
) -> None:
    """The body of a worker or the router: `target(control, argument)`; `group_procs` names its control group."""
    set_pdeathsig(signal.SIGKILL, parent_pid=parent_pid)
    if group_procs:
        with open(group_procs, "w", encoding="ascii") as file:
            file.write(str(os.getpid()))
    _settle(name, keep=(channel.fileno(), stack_fd), stack_fd=stack_fd)
    log_setup.set_fields(actor=name, generation=generation)
    # The collector stays off until the child is ready (`Control.ready`): what it imports and builds is no garbage.
    control = Control(channel, name=name, generation=generation)
    try:
        resolve(target)(control, argument)
    except (FailedPrecondition, InvalidArgument) as error:
        if control.is_ready:
            raise
        # Said before it ever served: the configuration or the host does not fit, and the next attempt would not either.
        log.error("actor cannot start", extra={"error": error.message})
        _write(stack_fd, error.message)
        sys.exit(EX_CONFIG)


def run_job(*, name: str, target: str, args: bytes, fds: list[int], parent_pid: int) -> None:
    """The body of a job: `target(args, fds)`; it dies with the supervisor."""
    set_pdeathsig(signal.SIGKILL, parent_pid=parent_pid)
    _settle(name, keep=fds, stack_fd=2)
    log_setup.set_fields(job=name)
    gc.enable()
    resolve(target)(args, fds)


def run_shim(*, name: str, target: str, args: bytes, fds: list[int]) -> None:
    """The body of a shim: `target(args, fds)`; it outlives the supervisor and knows nothing of it."""
    set_pdeathsig(0)
    _settle(name, keep=fds, stack_fd=2)
    log_setup.set_fields(shim=os.getpid())
    gc.enable()
    resolve(target)(args, fds)


def resolve(target: str) -> Callable[..., object]:
    """The function that a dotted string "package.module:function" names; imports its module."""
    module, _, function = target.partition(":")
    found: Callable[..., object] = getattr(importlib.import_module(module), function)
    return found


def _settle(name: str, *, keep: Iterable[int], stack_fd: int) -> None:
    """Own session, own signals, only the descriptors named, own name, stack dumps on SIGUSR1."""
    os.setsid()
    null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    os.dup2(null, 0)
    close_all_except(keep)
    set_title(f"wharfie-{name}")
    reset_handlers()
    faulthandler.enable(file=stack_fd)
    faulthandler.register(signal.SIGUSR1, file=stack_fd)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def reset_handlers() -> None:
    """In a fork: the supervisor's handlers and its wake-up pipe are not ours. Signals stay blocked."""
    signal.set_wakeup_fd(-1)
    for number in _handled:
        signal.signal(number, signal.SIG_DFL)
