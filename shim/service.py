"""What the shim does with a message: the methods of `protocol`, dispatched to containers."""

from __future__ import annotations

from collections.abc import Callable
from os import getpid
from time import time_ns
from typing import Any

import msgspec
from msgspec import MsgspecError

from shim.answer import Answer, remember
from shim.complaint import complain, complain_of_bug
from shim.connection import Connection, Door
from shim.container import Container
from shim.execution import ExecStart, add_exec, delete_exec
from shim.journal import Record
from shim.loop import Loop
from shim.process import Process
from shim.protocol import (
    VERSION,
    Ack,
    Body,
    Connected,
    Create,
    Event,
    Exec,
    Kill,
    Request,
    Target,
    decode_to_shim,
    encode,
)
from shim.runtime import Runtime
from shim.states import refusal

_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")

LONELY_S = 0.5
"""A shim without a living container and without a connection ends after this. Whoever asked for it connected before
it was born; should a restarted worker come too late for it, it makes another one.
"""

DESERTED_S = 0.05
"""The same after the last connection broke: its worker died, and with it the wish for a container."""

_CREATE = msgspec.msgpack.Decoder(Create).decode
_TARGET = msgspec.msgpack.Decoder(Target).decode
_EXEC = msgspec.msgpack.Decoder(Exec).decode
_BODY = msgspec.msgpack.Decoder(Body).decode
_KILL = msgspec.msgpack.Decoder(Kill).decode


class Service:
    """All containers of this shim, and the connections that ask for them."""

    __slots__ = ("_answers", "_containers", "_door", "_farewell", "_loop", "_runtime")

    def __init__(self, listener: int, runtime: Runtime) -> None:
        self._runtime = runtime
        self._loop = Loop(self._on_orphan)
        self._containers: dict[str, Container] = {}
        self._answers: dict[str, Answer] = {}
        self._farewell: Answer | None = None
        """Of a shutdown that waits for the runtime to tidy up."""
        self._door = Door(listener, self._loop, self._on_message, self._on_empty)

    def run(self) -> None:
        """Serve until a `shutdown` is granted, or nobody is there who could ever ask for anything."""
        self._loop.later(LONELY_S, self._end_when_lonely)
        self._loop.run()

    def _on_empty(self) -> None:
        if self._is_tidy():
            self._loop.later(DESERTED_S, self._end_when_lonely)

    def _end_when_lonely(self) -> None:
        # Whoever had it forked died before it could connect, or before it could say that it is needed no more. Events
        # of a deleted container that were not acknowledged are in its journal, for who comes after.
        if not self._is_tidy():
            return
        if self._door.connections:
            self._loop.later(LONELY_S, self._end_when_lonely)
        else:
            self._loop.stop()

    def turn(self, limit_s: float) -> None:
        """Wait for one thing to happen, but not for ever, and handle it."""
        self._loop.turn(limit_s)

    def close(self) -> None:
        """Close what it opened itself."""
        self._door.close()
        self._loop.close()

    # --- messages ------------------------------------------------------------------------------------------------

    def _on_message(self, connection: Connection, data: bytes) -> None:
        try:
            message = decode_to_shim.decode(data)
        except (MsgspecError, UnicodeDecodeError, RecursionError) as error:
            # A request without a readable id cannot be answered, and its sender would wait for ever.
            complain(f"connection closed, its message is malformed: {error}")
            connection.close()
            return
        if isinstance(message, Ack):
            self._ack(message)
        elif message.method == "connect":
            self._connect(connection, message)
        else:
            self._on_request(connection, message)

    def _on_request(self, connection: Connection, request: Request) -> None:
        key = request.key
        if key and (earlier := self._answers.get(key)) is not None:
            earlier.repeat(request.id, connection)
            return
        answer = Answer(request.id, connection)
        method = _METHODS.get(request.method)
        if method is None:
            answer.fail("unimplemented", f"shim has no method '{request.method}'")
            return
        decode, handler = method
        try:
            body = decode(request.body)
        except (MsgspecError, UnicodeDecodeError, RecursionError) as error:
            answer.fail("invalid_argument", f"request of '{request.method}' does not fit: {error}")
            return
        if key:
            remember(self._answers, key, answer)
        try:
            handler(self, body, answer)
        except Exception as error:  # a bug in one request must not take the container's keeper away
            complain_of_bug(f"'{request.method}'")
            if not answer.is_given:
                answer.fail("internal", f"'{request.method}' failed in the shim: {type(error).__name__}: {error}")

    def _connect(self, connection: Connection, request: Request) -> None:
        states = [container.state() for container in self._containers.values()]
        answer = Answer(request.id, connection)
        answer.ok(Connected(shim_pid=getpid(), version=VERSION, containers=states))
        connection.is_subscribed = True
        for container in self._containers.values():
            for record in container.journal.unacknowledged:
                connection.send(_event(container, record))

    def _publish(self, container: Container, record: Record) -> None:
        message = b""
        # A copy: a connection that breaks takes itself off the list.
        for connection in self._door.connections[:]:
            if connection.is_subscribed:
                message = message or _event(container, record)
                connection.send(message)

    def _ack(self, ack: Ack) -> None:
        container = self._containers.get(ack.container_id)
        if container is None:
            return
        container.acknowledge(ack.seq)
        self._forget(container)

    def _on_tidy(self, container: Container) -> None:
        self._forget(container)
        if self._farewell is not None and self._is_tidy():
            self._end(self._farewell)
        elif not self._door.connections:
            self._on_empty()

    def _is_tidy(self) -> bool:
        return all(container.is_tidy for container in self._containers.values())

    def _forget(self, container: Container) -> None:
        """Let go of a container of which nothing is left to do or to tell."""
        if not container.is_tidy or container.journal.unacknowledged:
            return
        container.journal.close()
        del self._containers[container.id]
        if not self._containers:
            self._loop.later(LONELY_S, self._end_when_lonely)

    def _on_orphan(self, pid: int, status: int) -> None:
        """A child that nobody waits for: a container's process, one that is being started, or a stray of one."""
        now = time_ns()
        for container in self._containers.values():
            for process in container.processes():
                if process.pid == pid and not process.has_ended:
                    container.exited(process, status, now)
                    return
        for container in self._containers.values():
            if container.starting:
                container.early_exits[pid] = (status, now)

    # --- methods -------------------------------------------------------------------------------------------------

    def _create(self, body: Create, answer: Answer) -> None:
        if not _is_safe(body.container_id) or not body.bundle.startswith("/"):
            answer.fail("invalid_argument", f"task '{body.container_id}' has a malformed id or bundle")
            return
        if body.container_id in self._containers:
            answer.fail("already_exists", f"task '{body.container_id}' already exists")
            return
        try:
            container = Container(
                body, loop=self._loop, runtime=self._runtime, publish=self._publish, on_tidy=self._on_tidy
            )
        except FileExistsError:
            answer.fail("already_exists", f"bundle '{body.bundle}' already has a journal")
            return
        except OSError as error:
            answer.fail("failed_precondition", f"journal of '{body.container_id}' not made: {error}")
            return
        self._containers[container.id] = container
        container.create(answer)

    def _find(self, body: Target, answer: Answer) -> tuple[Container, Process] | None:
        container = self._containers.get(body.container_id)
        if container is None or container.is_gone:
            answer.fail("not_found", f"task '{body.container_id}' not found")
            return None
        process = container.execs.get(body.exec_id) if body.exec_id else container.init
        if process is None:
            answer.fail("not_found", f"exec '{body.exec_id}' not found in task '{body.container_id}'")
            return None
        return container, process

    def _start(self, body: Target, answer: Answer) -> None:
        if (found := self._find(body, answer)) is None:
            return
        container, process = found
        if process is container.init:
            container.start(answer)
        else:
            ExecStart(container, process, answer).begin(self._loop, self._runtime)

    def _state(self, body: Target, answer: Answer) -> None:
        if (found := self._find(body, answer)) is not None:
            answer.ok(found[1].state(found[0].id))

    def _exec(self, body: Exec, answer: Answer) -> None:
        if not _is_safe(body.exec_id):
            answer.fail("invalid_argument", f"exec '{body.exec_id}' has a malformed id")
            return
        if (found := self._find(Target(container_id=body.container_id), answer)) is not None:
            add_exec(found[0], body, answer)

    def _kill(self, body: Kill, answer: Answer) -> None:
        if (found := self._find(body, answer)) is not None:
            found[0].kill(found[1], body, answer)

    def _delete(self, body: Target, answer: Answer) -> None:
        if (found := self._find(body, answer)) is None:
            return
        container, process = found
        if process is container.init:
            container.delete(answer)
        else:
            delete_exec(container, process, answer)

    def _pids(self, body: Target, answer: Answer) -> None:
        if (found := self._find(body, answer)) is not None:
            found[0].pids(answer)

    def _close_io(self, body: Target, answer: Answer) -> None:
        if (found := self._find(body, answer)) is None:
            return
        container, process = found
        if (refused := refusal("close_io", process.phase)) is not None:
            answer.refuse(f"process of task '{container.id}'", refused)
            return
        if process.streams is not None:
            process.streams.close_stdin()
        process.is_stdin_closed = True
        answer.ok()

    def _shutdown(self, _body: Body, answer: Answer) -> None:
        for container in self._containers.values():
            if not container.is_gone:
                answer.fail("failed_precondition", f"shim still has the task '{container.id}', delete it first")
                return
        if self._is_tidy():
            self._end(answer)
        else:
            self._farewell = answer

    def _end(self, answer: Answer) -> None:
        answer.ok()
        self._loop.stop()


_METHODS: dict[str, tuple[Callable[[Any], Any], Callable[[Service, Any, Answer], None]]] = {
    "create": (_CREATE, Service._create),
    "start": (_TARGET, Service._start),
    "state": (_TARGET, Service._state),
    "exec": (_EXEC, Service._exec),
    "kill": (_KILL, Service._kill),
    "delete": (_TARGET, Service._delete),
    "pids": (_TARGET, Service._pids),
    "close_io": (_TARGET, Service._close_io),
    "shutdown": (_BODY, Service._shutdown),
}
"""How a request's body is decoded, and who handles it. Not made anew in each shim."""


def _event(container: Container, record: Record) -> bytes:
    return encode(
        Event(
            container_id=container.id,
            seq=record.seq,
            time_ns=record.time_ns,
            topic=record.topic,
            event=record.event,
        )
    )


def _is_safe(name: str) -> bool:
    """Whether a name can stand in a path; the worker has checked that it is an identifier."""
    return bool(name) and name[0] not in ".-" and len(name) <= 128 and _SAFE.issuperset(name)
