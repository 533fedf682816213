"""Further processes in a container: registered, started by the runtime's `exec`, deleted."""

from __future__ import annotations

from os import unlink

from shim.answer import Answer
from shim.container import Container
from shim.loop import Loop
from shim.process import Process
from shim.protocol import Exec, Pid
from shim.runtime import Runtime, RuntimeFailure, read_error, read_pid, spawn
from shim.states import CREATED, RUNNING, STARTING, STOPPED, refusal
from shim.stdio import StdioError, Streams
from wharfie import failpoint


def add_exec(container: Container, body: Exec, answer: Answer) -> None:
    """Register a process under its id; its `process` object lies in the bundle."""
    if (refused := refusal("exec", container.init.phase)) is not None:
        answer.refuse(f"task '{container.id}'", refused)
        return
    if body.exec_id in container.execs:
        answer.fail("already_exists", f"exec '{body.exec_id}' already exists in task '{container.id}'")
        return
    container.execs[body.exec_id] = Process(body.exec_id, body.stdio)
    container.emit("/tasks/exec-added", {"exec_id": body.exec_id})
    answer.ok()


class ExecStart:
    """One start under way, from the request to the answer."""

    __slots__ = ("_answer", "_container", "_process")

    def __init__(self, container: Container, process: Process, answer: Answer) -> None:
        self._container = container
        self._process = process
        self._answer = answer

    def begin(self, loop: Loop, runtime: Runtime) -> None:
        """Open the streams and have the runtime start it."""
        container, process = self._container, self._process
        refused = refusal("start", process.phase, is_exec=True, init_phase=container.init.phase)
        if refused is not None:
            self._answer.refuse(f"exec '{process.exec_id}'", refused)
            return
        process.phase = STARTING
        failpoint.hit("shim.exec.before-runc")
        try:
            streams = process.streams = Streams(process.stdio)
            pid = spawn(runtime.exec(container.id, process.exec_id, container.bundle), streams.fds)
        except StdioError as error:
            # As if it had not been asked for: the next try may find the FIFO.
            process.phase = CREATED
            process.close_streams()
            self._answer.fail(error.code, f"exec '{process.exec_id}' not started: {error}")
            container.settle_exits()
            return
        except OSError as error:
            self._failed(RuntimeFailure("failed_precondition", f"{error}", "runtime_failed"))
            return
        container.starting += 1
        loop.on_exit(pid, self._ran)

    def _ran(self, _pid: int, status: int) -> None:
        failpoint.hit("shim.exec.after-runc")
        container, process = self._container, self._process
        assert process.streams is not None
        process.streams.release()
        if process.is_stdin_closed:
            process.streams.close_stdin()
        process.pid = read_pid(f"{container.bundle}/{process.exec_id}.pid")
        if status != 0 or process.pid == 0:
            process.pid = 0
            self._failed(read_error(f"{container.bundle}/{process.exec_id}.log.json"))
        else:
            process.phase = RUNNING
            container.emit("/tasks/exec-started", {"exec_id": process.exec_id, "pid": process.pid})
            self._answer.ok(Pid(pid=process.pid))
            container.settle_early_exit(process)
        container.start_is_over()

    def _failed(self, failure: RuntimeFailure) -> None:
        """It never ran; it stays until it is deleted, and cannot be started again."""
        process = self._process
        process.phase = STOPPED
        process.exit_status = 127 if failure.reason == "executable_not_found" else 126
        process.close_streams()
        self._answer.runtime_failed(f"exec '{process.exec_id}' not started", failure)
        self._container.settle_exits()


def delete_exec(container: Container, process: Process, answer: Answer) -> None:
    """Forget an exec that has ended or never started, and its files."""
    if (refused := refusal("delete", process.phase, is_exec=True)) is not None:
        answer.refuse(f"exec '{process.exec_id}'", refused)
        return
    process.close_streams()
    del container.execs[process.exec_id]
    for suffix in ("pid", "process.json", "log.json"):
        try:
            unlink(f"{container.bundle}/{process.exec_id}.{suffix}")
        except FileNotFoundError:
            continue
    answer.ok(process.exit())
