"""A quiet process that shims are forked from, so that they share their pages with one another and go on sharing them.

A fork shares every page with its parent until one of them writes to it. The supervisor's loop writes to some hundred
pages all the time, so each shim forked from it would soon be the only owner of their old contents. The nursery is
forked from the supervisor once, when the first shim is asked for, and then does nothing but wait and fork. Measured
with 50 shims: 0.4 MB less in each, for one process more.

A shim born here is the supervisor's own child all the same (CLONE_PARENT): who waits for it and what its pid means do
not change. The nursery ends with the supervisor. When it is killed or stuck, even in the middle of a birth, the shim is
forked by the supervisor itself, and the next one by a new nursery.
"""

from __future__ import annotations

import ctypes
import os
from _socket import socket as RawSocket  # noqa: N812
from os import _exit
from os import close as close_fd
from typing import Any, NoReturn

from linux import procfs, unixsocket
from linux.prctl import set_name, set_pdeathsig
from shim.birth import LISTENER, be_born, fork_shim, prepare
from shim.complaint import complain_of_bug
from shim.main import PROCESS_NAME as SHIM_NAME
from shim.rawfork import fork
from shim.rawsignal import ALL, SIGCHLD, SIGKILL, set_mask

PROCESS_NAME = "wharfie-nursery"

PATIENCE_S = 0.5
"""How long the supervisor waits for a birth, which takes a millisecond."""

_CLONE_PARENT = 0x8000
_SYS_CLONE = {"x86_64": 56, "aarch64": 220}.get(os.uname().machine, 0)
_PID_BYTES = 4
_syscall = ctypes.PyDLL(None, use_errno=True).syscall


class Nursery:
    """The supervisor's end. Owns the process and the socket to it."""

    def __init__(self) -> None:
        self._socket: Any = None
        self.pid = 0
        """Of the process; 0 when there is none."""

    def fork_shim(self, args: bytes, fds: list[int]) -> int:
        """As `shim.birth.fork_shim`: the shim is this process's child, and there is exactly one of it.

        Raises:
            OSError: no memory, or too many processes.

        """
        if not _SYS_CLONE:
            return fork_shim(args, fds)
        children = set(procfs.children(os.getpid()))
        try:
            if self._socket is None:
                self._open()
                children.add(self.pid)
            return self._ask(args, fds)
        except (OSError, EOFError, ValueError):
            self.close()
            _end_strays(children)
            return fork_shim(args, fds)

    def _ask(self, args: bytes, fds: list[int]) -> int:
        unixsocket.send(self._socket, args, fds)
        data, _ = unixsocket.recv(self._socket)
        pid = int.from_bytes(data, "little", signed=True)
        if pid <= 0:
            raise OSError("the nursery could not fork")
        return pid

    def _open(self) -> None:
        ours, theirs = unixsocket.pair()
        supervisor = os.getpid()
        mask = set_mask(ALL)
        try:
            pid = fork()
            if pid == 0:
                _wait_and_fork(theirs.fileno(), supervisor)
        finally:
            set_mask(mask)
            theirs.close()
        ours.settimeout(PATIENCE_S)
        self._socket, self.pid = ours, pid

    def close(self) -> None:
        """End the process and take its status; idempotent."""
        if self._socket is None:
            return
        self._socket.close()
        self._socket = None
        pid, self.pid = self.pid, 0
        try:
            os.kill(pid, SIGKILL)
            os.waitpid(pid, 0)
        except (ProcessLookupError, ChildProcessError):
            return


def _end_strays(known: set[int]) -> None:
    """End a shim that a nursery forked and did not live to tell of: two would listen on one socket."""
    for pid in set(procfs.children(os.getpid())) - known:
        try:
            if procfs.name(pid) in {PROCESS_NAME, SHIM_NAME}:
                os.kill(pid, SIGKILL)
        except ProcessLookupError:
            continue


def _wait_and_fork(fd: int, supervisor: int) -> NoReturn:
    code = 70
    try:
        set_pdeathsig(SIGKILL, parent_pid=supervisor)
        if fd != LISTENER:
            os.dup2(fd, LISTENER)
        os.closerange(LISTENER + 1, 1 << 20)
        prepare()
        set_name(PROCESS_NAME)
        sock = RawSocket(fileno=LISTENER)
        while True:
            args, fds = unixsocket.recv(sock)  # type: ignore[arg-type]
            pid = _syscall(_SYS_CLONE, _CLONE_PARENT | SIGCHLD, 0, 0, 0, 0)
            if pid == 0:
                be_born(args, fds)
            for one in fds:
                close_fd(one)
            sock.send(b"\0" + pid.to_bytes(_PID_BYTES, "little", signed=True))
    except EOFError:
        code = 0
    except BaseException:  # the outermost frame of the process
        complain_of_bug("the nursery")
    finally:
        _exit(code)
