"""A real supervisor in a process of its own, with scripted children, and a channel over which a test talks to it."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import msgspec

from actors.control import SupervisorReply, SupervisorRequest
from config import log as log_setup
from linux import pidfd, procfs, unixsocket
from linux.prctl import set_child_subreaper, set_name, set_pdeathsig
from supervisor.events import Verb
from supervisor.inspect import Inspector
from supervisor.loop import Loop, Signals
from supervisor.processes import Supervisor
from supervisor.spec import Backoff, ChildSpec, Heartbeat, Tree
from supervisor.state import booted
from tests.support.wait import until
from wharfie.types.introspection import Server
from wharfie.types.supervisor import Actor, Actors, CrashReport, CrashReports, Inspection, Reloaded

FAST = Heartbeat(interval_s=0.1, misses=2, step_s=0.1)
SCRIPTED = "tests.support.child:main"


def scripted(name: str, *depends_on: str, **fields: Any) -> ChildSpec:
    """A child that does what `tests.support.child` understands; fast back-off, no heartbeat unless asked for."""
    defaults: dict[str, Any] = {
        "heartbeat": None,
        "backoff": Backoff(first_s=0.01, max_s=0.05),
        "shutdown": 1.0,
        "ready_timeout_s": 5.0,
    }
    return ChildSpec(id=name, start=SCRIPTED, depends_on=depends_on, **{**defaults, **fields})


class Supervised:
    """Start with `with`; at its end everything is stopped, and it is checked that nothing is left over."""

    def __init__(self, scripts: Mapping[str, str | list[str]], *specs: ChildSpec, log: str = "", **tree: Any) -> None:
        specs = specs or tuple(scripted(name) for name in scripts)
        self._tree = Tree(children=specs, **tree)
        self._scripts = scripts
        self._log = log or "/dev/null"
        self._next_id = 0
        self._parked: dict[int, SupervisorReply] = {}
        self.pid = 0
        self.pidfd = -1

    def __enter__(self) -> Self:
        self._sock, theirs = unixsocket.pair()
        self.pid = os.fork()
        if self.pid == 0:
            self._sock.close()
            code = 99
            try:
                code = _serve(self._tree, self._scripts, theirs, self._log)
            finally:
                os._exit(code)
        theirs.close()
        self.pidfd = os.pidfd_open(self.pid)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        descendants = [] if self.exited() else _descendants(self.pid)
        if not self.exited():
            os.kill(self.pid, signal.SIGTERM)
            if not pidfd.exited(self.pidfd, timeout_s=10):
                os.kill(self.pid, signal.SIGKILL)
        self._sock.close()
        os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)
        os.close(self.pidfd)
        left = [pid for pid, started in descendants if procfs.is_alive(pid, started=started)]
        if kind is None and left:
            with contextlib.suppress(AssertionError):
                until(lambda: not any(procfs.is_alive(pid) for pid in left), deadline_s=2)
            left = [pid for pid in left if procfs.is_alive(pid)]
            assert not left, f"processes left over: {left}"

    def exited(self) -> bool:
        return pidfd.exited(self.pidfd)

    def wait_exit(self, *, timeout_s: float = 10.0) -> int:
        """The exit code of the supervisor itself."""
        assert pidfd.exited(self.pidfd, timeout_s=timeout_s), "the supervisor still runs"
        found = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | os.WNOWAIT)
        assert found is not None
        return int(found.si_status)

    # --- asking ---------------------------------------------------------------------------------------------

    def send(self, method: str, *, key: str = "", **body: Any) -> int:
        self._next_id += 1
        packed = msgspec.msgpack.encode(body)
        request = SupervisorRequest(id=self._next_id, method=method, body=packed, key=key)
        unixsocket.send(self._sock, msgspec.msgpack.encode(request))
        return self._next_id

    def reply(self, id_: int, *, timeout_s: float = 10.0) -> SupervisorReply:
        end = time.monotonic() + timeout_s
        while id_ not in self._parked:
            readable, _, _ = select.select([self._sock], [], [], max(0.0, end - time.monotonic()))
            assert readable, "the supervisor did not answer"
            reply = msgspec.msgpack.decode(unixsocket.recv(self._sock)[0], type=SupervisorReply)
            self._parked[reply.id] = reply
        return self._parked.pop(id_)

    def raw(self, method: str, **body: Any) -> SupervisorReply:
        return self.reply(self.send(method, **body))

    def ask(self, method: str, kind: Any = Any, **body: Any) -> Any:
        reply = self.raw(method, **body)
        assert reply.error is None, reply.error
        return msgspec.msgpack.decode(reply.body, type=kind)

    def actors(self) -> dict[str, Actor]:
        return {actor.name: actor for actor in self.ask("supervisor.list", Actors).actors}

    def get(self, name: str) -> Inspection:
        found: Inspection = self.ask("supervisor.get", Inspection, name=name)
        return found

    def crashes(self, name: str = "") -> list[CrashReport]:
        reports: CrashReports = self.ask("supervisor.crash_reports", CrashReports, name=name)
        return reports.reports

    def resources(self) -> dict[str, int]:
        """Descriptors, threads, children (zombies too) and timers of the supervisor."""
        found: dict[str, int] = self.ask("test.resources")
        return found

    # --- waiting --------------------------------------------------------------------------------------------

    def wait_state(self, name: str, state: str, *, generation: int = 0, deadline_s: float = 10.0) -> Actor:
        def look() -> Actor | None:
            actor = self.actors()[name]
            return actor if actor.state == state and actor.generation >= generation else None

        found = until(look, deadline_s=deadline_s)
        assert found is not None
        return found

    def wait_booted(self) -> None:
        until(lambda: self.ask("test.booted"))


def _descendants(pid: int) -> list[tuple[int, int]]:
    found = []
    with contextlib.suppress(ProcessLookupError):
        for child in procfs.children(pid):
            with contextlib.suppress(ProcessLookupError):
                found.append((child, procfs.start_time(child)))
                found += _descendants(child)
    return found


def _serve(tree: Tree, scripts: Mapping[str, str | list[str]], sock: socket.socket, log: str) -> int:
    set_pdeathsig(signal.SIGKILL)
    set_name("wharfied-test")
    fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(fd, 2)
    log_setup.configure("debug", "text")
    set_child_subreaper()
    loop = Loop()
    supervisor = Supervisor(loop, tree, argument=scripts)
    inspector = Inspector(supervisor, server=_server, reload=lambda: Reloaded(applied=[], restart=[]))

    def on_signal(number: int) -> None:
        if number == signal.SIGCHLD:
            supervisor.reap()
        elif number == signal.SIGUSR1:
            inspector.dump(lambda _stacks: None)
        else:
            supervisor.command(Verb.SHUTDOWN, reason="asked by the test")

    signals = Signals(loop, (signal.SIGCHLD, signal.SIGTERM, signal.SIGUSR1), on_signal)

    def reply(answer: SupervisorReply) -> None:
        with contextlib.suppress(OSError):
            unixsocket.send(sock, msgspec.msgpack.encode(answer))

    def on_request() -> None:
        try:
            request = msgspec.msgpack.decode(unixsocket.recv(sock)[0], type=SupervisorRequest)
        except (EOFError, OSError):
            loop.unwatch(sock.fileno())
            return
        if request.method == "test.resources":
            body: Any = {
                "fds": len(os.listdir("/proc/self/fd")),
                "threads": len(os.listdir("/proc/self/task")),
                "children": len(procfs.children(os.getpid())),
                "timers": len(loop._timers),
            }
        elif request.method == "test.booted":
            body = booted(supervisor.state)
        else:
            inspector.handle(request, reply)
            return
        reply(SupervisorReply(id=request.id, body=msgspec.msgpack.encode(body)))

    loop.watch(sock.fileno(), on_request)
    supervisor.command(Verb.START, reason="boot")
    outcome = supervisor.run()
    supervisor.close()
    signals.close()
    return 1 if outcome.failed else 0


def _server() -> Server:
    return Server(uuid="", pid=os.getpid(), version="", root="", state="", address="", started_at_ns=0, uptime_s=0.0)
