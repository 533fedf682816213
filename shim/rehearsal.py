"""A shim's life played through before the first shim is forked.

CPython 3.11 rewrites a function's bytecode once it has run a few times, and fills caches on the way. Whatever of this
happens in a shim dirties pages that it shares with the supervisor and all other shims, again in each of them; what has
happened in the supervisor before the fork is shared. So the supervisor runs the real code a dozen times, against
stand-ins for containers and the `true` program in the place of the OCI runtime. Measured with 50 shims: 1 MB less in
each.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time

import msgspec

from linux import cgroups, unixsocket
from shim import protocol
from shim.main import service
from shim.protocol import Ack, Event, Exec, Kill, Request, ShimStart, Target, encode
from shim.rawfork import fork
from shim.rawsignal import SIGKILL, set_mask
from shim.service import Service

ROUNDS = 8
"""A function is rewritten at its eighth call."""

PATIENCE_S = 2.0
"""What one step may take; a boot does not hang on a rehearsal."""

_PROGRAM = ("/bin/true", "/usr/bin/true")
_SCENE = "rehearsal"


def rehearse(directory: str) -> bool:
    """Play some lives; tell whether it was possible. Leaves no file, process, descriptor or signal mask behind.

    Only before the first fork: a child of the caller's that ends meanwhile is reaped here, and its status is lost.

    Raises:
        OSError: a file, a process or a socket cannot be made; TimeoutError among them.

    Args:
        directory: where a few files may be made and removed.

    """
    program = next((path for path in _PROGRAM if os.access(path, os.X_OK)), "")
    if not program:
        return False
    stage = f"{directory}/{_SCENE}"
    shutil.rmtree(stage, ignore_errors=True)
    os.mkdir(stage, 0o700)
    mask = set_mask(())
    try:
        for _ in range(ROUNDS):
            with contextlib.closing(_Life(stage, program)) as life:
                life.play()
    finally:
        set_mask(mask)
        shutil.rmtree(stage)
    return True


class _Life:
    """One shim's life, both sides of its socket in this process."""

    def __init__(self, stage: str, program: str) -> None:
        self._bundle = f"{stage}/bundle"
        shutil.rmtree(self._bundle, ignore_errors=True)
        os.makedirs(f"{self._bundle}/rootfs")
        start = ShimStart(namespace=_SCENE, id=_SCENE, runtime=program, runtime_root=stage, log=f"{stage}/log")
        path = f"{stage}/s"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        listener = unixsocket.listen(path)
        self._service: Service = service(start, listener.detach())
        self._worker = unixsocket.connect(path, timeout_s=1.0)
        self._worker.setblocking(False)
        self._standins: list[int] = []
        self._next_id = 0

    def play(self) -> None:
        """From `connect` to `shutdown`."""
        target, in_exec = Target(container_id=_SCENE), Target(container_id=_SCENE, exec_id=_SCENE)
        self._ask("connect")
        self._stand_in("init.pid")
        memory = cgroups.memory_directory(cgroups.of_process()) or ""
        body = protocol.Create(container_id=_SCENE, bundle=self._bundle, memory_cgroup=memory)
        self._ask("create", body, key="create")
        self._ask("start", target, key="start")
        self._ask("state", target)
        self._ask("exec", Exec(container_id=_SCENE, exec_id=_SCENE), key="exec")
        self._stand_in(f"{_SCENE}.pid")
        self._ask("start", in_exec, key="start exec")
        self._ask("kill", Kill(container_id=_SCENE, exec_id=_SCENE, signal=SIGKILL), key="kill exec")
        self._await("/tasks/exit")
        self._ask("delete", in_exec, key="delete exec")
        self._ask("kill", Kill(container_id=_SCENE, signal=SIGKILL), key="kill")
        self._await("/tasks/exit")
        self._ask("delete", target, key="delete")
        self._ask("shutdown")

    def _stand_in(self, pid_file: str) -> None:
        """A process in the place of a container's, with the pid file that the runtime would have written."""
        pid = fork()
        if pid == 0:
            set_mask(())
            while True:
                os.read(os.pipe()[0], 1)
        self._standins.append(pid)
        with open(f"{self._bundle}/{pid_file}", "w", encoding="ascii") as file:
            file.write(str(pid))

    def _ask(self, method: str, body: msgspec.Struct | None = None, *, key: str = "") -> None:
        self._next_id += 1
        raw = msgspec.Raw(encode(body)) if body is not None else msgspec.Raw(b"\x80")
        unixsocket.send(self._worker, encode(Request(id=self._next_id, method=method, key=key, body=raw)))
        self._await("")

    def _await(self, topic: str) -> None:
        """Let the shim turn until an answer (no topic) or an event of a topic is here; acknowledge events."""
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                data, _ = unixsocket.recv(self._worker)
            except BlockingIOError:
                if time.monotonic() > deadline_s:
                    raise TimeoutError(f"the rehearsed shim did not answer within {PATIENCE_S:g} s") from None
                self._service.turn(PATIENCE_S)
                continue
            message = protocol.decode_from_shim.decode(data)
            if isinstance(message, Event):
                unixsocket.send(self._worker, encode(Ack(container_id=message.container_id, seq=message.seq)))
            if topic == (message.topic if isinstance(message, Event) else ""):
                return

    def close(self) -> None:
        """End everything of this life."""
        self._worker.close()
        self._service.close()
        for pid in self._standins:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, SIGKILL)
                os.waitpid(pid, 0)
