"""The scriptable child of supervision tests: does what its script says, word by word, and misbehaves on demand.

The argument of the tree is a dict from a child's name to its script, or to a list of scripts, one for each generation
(the last one goes for all later ones). Words:

    ready          say so
    serve          beat, and obey Stop: the loop of a well-behaved worker
    deaf           beat, and obey nothing, neither Stop nor SIGTERM
    mute           read the channel for ever without a beat and without having said anything more
    hang           block for ever in a system call
    busy           burn a processor for ever
    exit=N         leave with this code
    raise          leave with an exception
    signal=N       send this signal to itself
    delay=MS       block so long
    leak=N         open so many descriptors
    grandchild     fork a process that sleeps, in the own process group; its pid is in `info`
    session        the same in a session of its own
    job=SCRIPT     have a job forked; its pid is in `info`; words of its script are separated by "+"
    shim=SCRIPT    the same with a shim
    eat=MIB        touch so much memory
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import time
from typing import Any

from actors.control import Control, ForkJob, ForkShim, JobStarted, ShimStarted, Stop

BEAT_S = 0.02


def main(control: Control, scripts: Any) -> None:
    if not isinstance(scripts, dict):  # the actors of a whole daemon get its settings
        scripts = json.loads(os.environ["WHARFIE_TEST_SCRIPTS"])
    script: str | list[str] = scripts[control.name]
    if isinstance(script, list):
        script = script[min(control.generation, len(script)) - 1]
    _Child(control).run(script.split())


def job(args: bytes, fds: list[int]) -> None:
    for fd in fds:
        os.write(fd, f"{os.getpid()} {sorted(map(int, os.listdir('/proc/self/fd')))}\n".encode())
    _Child(None).run(args.decode().split("+"))


class _Child:
    def __init__(self, control: Control | None) -> None:
        self._control = control
        self._info: dict[str, Any] = {}

    @property
    def control(self) -> Control:
        assert self._control is not None
        return self._control

    def run(self, words: list[str]) -> None:
        for word in words:
            name, _, argument = word.partition("=")
            getattr(self, f"do_{name}")(argument)

    def do_ready(self, _: str) -> None:
        self.control.ready(pid=os.getpid(), sigmask=len(signal.pthread_sigmask(signal.SIG_BLOCK, ())), **self._info)

    def do_serve(self, _: str) -> None:
        self._loop(deaf=False)

    def do_deaf(self, _: str) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self._loop(deaf=True)

    def _loop(self, *, deaf: bool) -> None:
        handled = 0
        while True:
            self.control.beat(queue=1, in_flight=2, handled=handled)
            handled += 1
            for message, fds in self._receive(BEAT_S):
                for fd in fds:
                    os.close(fd)
                if isinstance(message, Stop) and not deaf:
                    sys.exit(0)

    def _receive(self, timeout_s: float | None) -> list[Any]:
        select.select([self.control], [], [], timeout_s)
        return self.control.receive()

    def do_mute(self, _: str) -> None:
        while True:
            self._receive(None)

    def do_hang(self, _: str) -> None:
        read, _write = os.pipe()
        os.read(read, 1)

    def do_busy(self, _: str) -> None:
        while True:
            pass

    def do_exit(self, code: str) -> None:
        sys.exit(int(code))

    def do_raise(self, _: str) -> None:
        raise RuntimeError("told to raise")

    def do_signal(self, number: str) -> None:
        os.kill(os.getpid(), int(number))

    def do_delay(self, ms: str) -> None:
        time.sleep(int(ms) / 1000)

    def do_leak(self, count: str) -> None:
        for _ in range(int(count)):
            os.open("/dev/null", os.O_RDONLY)

    def do_grandchild(self, _: str, *, session: bool = False) -> None:
        pid = os.fork()
        if pid == 0:
            if session:
                os.setsid()
            while True:
                signal.pause()
        self._info["grandchild"] = pid

    def do_session(self, _: str) -> None:
        self.do_grandchild("", session=True)

    def do_job(self, script: str) -> None:
        self.control.send(ForkJob(id=1, target="tests.support.child:job", args=script.encode(), name="unpack"))
        self._info["job"] = self._started(JobStarted)

    def do_shim(self, script: str) -> None:
        self.control.send(ForkShim(id=2, target="tests.support.child:job", args=script.encode(), name="shim"))
        self._info["shim"] = self._started(ShimStarted)

    def _started(self, kind: type[Any]) -> int:
        while True:
            for message, fds in self._receive(None):
                for fd in fds:
                    with contextlib.closing(os.fdopen(fd, "rb")):
                        pass
                if isinstance(message, kind):
                    return int(message.pid)

    def do_eat(self, mib: str) -> None:
        self._info["eaten"] = len(bytearray(int(mib) << 20).replace(b"\0", b"x"))
