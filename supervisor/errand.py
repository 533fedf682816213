"""Errands: what the daemon has done in a fork while it boots, because it might hang or run the code of others.

The result comes back as msgpack through a pipe. The loop goes on meanwhile, so that a boot can be interrupted.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from linux.prctl import set_pdeathsig
from supervisor import child
from supervisor.loop import Loop
from wharfie.errors import Internal, WharfieError, from_wire


def run(loop: Loop, function: Callable[[], Any], *, name: str, timeout_s: float) -> Any:
    """Return what `function` returns, as msgpack carries it.

    Raises: TimeoutError (the fork was killed); WharfieError that the function raised; Internal when it crashed; and
    what a callback of the loop raises, after the fork has been killed.
    """
    read, write = os.pipe2(os.O_CLOEXEC)
    chunks: list[bytes] = []
    pid = child.fork(partial(_body, function, write, os.getpid()))
    os.close(write)
    ended: list[bool] = []

    def on_readable() -> None:
        data = os.read(read, 65536)
        chunks.append(data)
        if not data:
            ended.append(True)

    loop.watch(read, on_readable)
    end_s = loop.now_s() + timeout_s
    try:
        while not ended:
            if loop.now_s() >= end_s:
                raise TimeoutError(f"{name} took longer than {timeout_s:g} s")
            loop.turn(end_s)
    finally:
        loop.unwatch(read)
        os.close(read)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return _result(b"".join(chunks), name)


def _body(function: Callable[[], Any], write: int, parent_pid: int) -> None:
    set_pdeathsig(signal.SIGKILL, parent_pid=parent_pid)
    child.reset_handlers()
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        answer = {"value": function()}
    except WharfieError as error:
        answer = {"error": error.to_wire()}
    with open(write, "wb") as pipe:
        pipe.write(msgspec.msgpack.encode(answer))


def _result(data: bytes, name: str) -> Any:
    if not data:
        raise Internal(f"{name} ended without a result; its traceback is in the log")
    answer = msgspec.msgpack.decode(data)
    if "error" in answer:
        raise from_wire(answer["error"])
    return answer["value"]
