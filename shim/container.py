"""A container in the shim's care: created, started, watched, its exits told in order, deleted.

Every operation returns at once; what the OCI runtime takes its time for goes on by callbacks of the loop, so that a
slow runtime delays nobody else. The order of events is containerd's: a process's start precedes its exit even when it
died at once, and the first process's exit comes after those of all execs.

As soon as the first process's exit was told, the runtime's own state is deleted: by the time somebody asks for
`delete`, the slow part is usually done.
"""

from __future__ import annotations

from collections.abc import Callable
from os import kill, unlink
from time import time_ns
from typing import Any

from linux.cgroups import kill as kill_cgroup
from linux.cgroups import processes as cgroup_processes
from shim.answer import Answer
from shim.complaint import complain
from shim.hand import Hand
from shim.journal import Journal, Record
from shim.loop import Loop
from shim.oomguard import OomGuard
from shim.payloads import of_create as create_payload
from shim.payloads import of_end as end_payload
from shim.process import Process
from shim.protocol import ContainerState, Create, Kill, Pid, PidInfo, Pids
from shim.rawsignal import SIGKILL
from shim.removal import Removal
from shim.rootfs import mount as mount_rootfs
from shim.rootfs import unmount as unmount_rootfs
from shim.runtime import Runtime, RuntimeFailure, read_error, read_pid, spawn
from shim.states import CREATED, DELETING, RUNNING, STARTING, STOPPED, refusal
from shim.stdio import StdioError, Streams
from wharfie import failpoint

Publish = Callable[["Container", Record], None]
OnTidy = Callable[["Container"], None]


class Container:
    """One container and its processes. Owns its journal, its mounts and its watch for out-of-memory kills."""

    __slots__ = (
        "_answer",
        "_body",
        "_deletion",
        "_gate",
        "_is_exit_due",
        "_loop",
        "_mounts",
        "_on_tidy",
        "_oom",
        "_publish",
        "_removal",
        "_runtime",
        "bundle",
        "early_exits",
        "execs",
        "id",
        "init",
        "is_gone",
        "is_tidy",
        "journal",
        "starting",
    )

    def __init__(self, body: Create, *, loop: Loop, runtime: Runtime, publish: Publish, on_tidy: OnTidy) -> None:
        self.id = body.container_id
        self.bundle = body.bundle
        self.init = Process("", body.stdio)
        self.execs: dict[str, Process] = {}
        self.is_gone = False
        """Deleted, for everybody who asks."""
        self.is_tidy = False
        """Nothing is left of it but its journal, which waits for acknowledgements."""
        self.starting = 0
        """Starts under way: exits of unknown processes may be theirs."""
        self.early_exits: dict[int, tuple[int, int]] = {}
        self.journal = Journal(body.bundle)
        self._body = body
        self._loop = loop
        self._runtime = runtime
        self._publish = publish
        self._on_tidy = on_tidy
        self._oom = OomGuard(loop, self._on_oom)
        self._removal = Removal(self.id, self.bundle, loop=loop, runtime=runtime)
        self._answer: Answer | None = None
        """Of the create or the start under way; there is never more than one."""
        self._gate = -1
        """While a start without a program is under way."""
        self._mounts = 0
        self._is_exit_due = False
        self._deletion: Answer | None = None

    def processes(self) -> list[Process]:
        """All of them, the first one first."""
        return [self.init, *self.execs.values()]

    def state(self) -> ContainerState:
        """Itself, for the worker."""
        return ContainerState(
            container_id=self.id,
            bundle=self.bundle,
            seq=self.journal.seq,
            processes=[] if self.is_gone else [process.state(self.id) for process in self.processes()],
        )

    def emit(self, topic: str, event: dict[str, Any], time: int = 0) -> None:
        """Record an event, then tell it; `time` is in nanoseconds, by default now."""
        event["container_id"] = self.id
        record = self.journal.append(time or time_ns(), topic, event)
        failpoint.hit("shim.event.after-journal")
        self._publish(self, record)

    def acknowledge(self, seq: int) -> None:
        """Events up to `seq` are stored elsewhere."""
        self.journal.acknowledge(seq, () if self.is_gone else {self.id, *self.execs})

    # --- create ------------------------------------------------------------------------------------------------

    def create(self, answer: Answer) -> None:
        """Mount, open the streams, have the runtime create it. A failure leaves nothing and publishes nothing."""
        failpoint.hit("shim.create.before-mount")
        body = self._body
        self._mounts = len(body.rootfs)
        self._answer = answer
        if body.mounted or not body.rootfs:
            self._mounted("")
            return
        try:
            Hand(self._loop, mount_rootfs, body, self._mounted)
        except OSError as error:
            self._undo_create(RuntimeFailure("failed_precondition", f"{error}"))

    def _mounted(self, failure: str) -> None:
        failpoint.hit("shim.create.after-mount")
        if failure:
            self._undo_create(RuntimeFailure("failed_precondition", f"root file system not mounted: {failure}"))
            return
        body = self._body
        try:
            streams = self.init.streams = Streams(body.stdio)
            command = self._runtime.create(
                self.id, self.bundle, no_pivot=body.no_pivot, no_new_keyring=body.no_new_keyring
            )
            pid = spawn(command, streams.fds)
        except StdioError as error:
            self._undo_create(RuntimeFailure(error.code, f"{error}"))
            return
        except OSError as error:
            self._undo_create(RuntimeFailure("failed_precondition", f"{error}"))
            return
        self.starting += 1
        self._loop.on_exit(pid, self._created)

    def _created(self, _pid: int, status: int) -> None:
        failpoint.hit("shim.create.after-runc")
        init = self.init
        assert init.streams is not None
        init.streams.release()
        pid = read_pid(f"{self.bundle}/init.pid")
        if status != 0 or pid == 0:
            self.start_is_over()
            self._undo_create(read_error(f"{self.bundle}/log.json"))
            return
        init.pid = pid
        init.phase = CREATED
        if self._body.memory_cgroup:
            self._oom.watch(self._body.memory_cgroup)
        self.emit("/tasks/create", create_payload(self._body, pid))
        # It does not change any more and may be long.
        self._body.rootfs = []
        failpoint.hit("shim.create.before-answer")
        self._take_answer().ok(Pid(pid=pid))
        self.settle_early_exit(init)
        self.start_is_over()

    def _take_answer(self) -> Answer:
        answer, self._answer = self._answer, None
        assert answer is not None
        return answer

    def _undo_create(self, failure: RuntimeFailure) -> None:
        self.init.phase = DELETING
        self.init.close_streams()
        if self._runtime.knows(self.id):
            self._removal.finish(lambda _failure: self._forget_create(failure))
        else:
            self._forget_create(failure)

    def _forget_create(self, failure: RuntimeFailure) -> None:
        self._unmount()
        try:
            unlink(f"{self.bundle}/journal")
        except OSError as error:
            complain(f"journal of '{self.id}' stays: {error}")
        self.is_gone = True
        self.is_tidy = True
        self._on_tidy(self)
        self._take_answer().runtime_failed(f"task '{self.id}' not created", failure)

    # --- start and exits ---------------------------------------------------------------------------------------

    def start(self, answer: Answer) -> None:
        """Let the first process run."""
        if (refused := refusal("start", self.init.phase)) is not None:
            answer.refuse(f"task '{self.id}'", refused)
            return
        self.init.phase = STARTING
        self._answer = answer
        failpoint.hit("shim.start.before-runc")
        self._gate = self._runtime.open_gate(self.id)
        if self._gate >= 0:
            self._loop.add(self._gate, self._on_gate)
            return
        try:
            pid = spawn(self._runtime.start(self.id, self.bundle))
        except OSError as error:
            self._not_started(RuntimeFailure("failed_precondition", f"{error}"))
            return
        self._loop.on_exit(pid, self._started)

    def _on_gate(self, _events: int = 0) -> None:
        gate, self._gate = self._gate, -1
        self._loop.remove(gate)
        if self._runtime.close_gate(self.id, gate):
            self._started(0, 0)
        else:
            self._not_started(RuntimeFailure("failed_precondition", "its first process has ended", "runtime_failed"))

    def _started(self, _pid: int, status: int) -> None:
        failpoint.hit("shim.start.after-runc")
        if status != 0:
            self._not_started(read_error(f"{self.bundle}/log.json"))
            return
        self.init.phase = RUNNING
        self.emit("/tasks/start", {"pid": self.init.pid})
        self._take_answer().ok(Pid(pid=self.init.pid))
        self.settle_early_exit(self.init)

    def _not_started(self, failure: RuntimeFailure) -> None:
        self.init.phase = CREATED
        self._take_answer().runtime_failed(f"task '{self.id}' not started", failure)
        self.settle_early_exit(self.init)

    def settle_early_exit(self, process: Process) -> None:
        """Deliver the exit of a process that ended before its start was told."""
        found = self.early_exits.pop(process.pid, None) or process.early_exit
        if found is not None:
            process.early_exit = None
            self.exited(process, found[0], found[1])

    def start_is_over(self) -> None:
        """One start fewer is under way."""
        self.starting -= 1
        if self.starting == 0:
            self.early_exits.clear()

    def exited(self, process: Process, status: int, time: int) -> None:
        """A process of this container has been reaped; `time` is in nanoseconds."""
        if process.phase == STARTING:
            process.early_exit = (status, time)
            if process is self.init and self._gate >= 0:
                # It may have passed the gate and ended, and we were told of the end first.
                self._on_gate()
            return
        failpoint.hit("shim.exit.before-journal")
        process.phase = STOPPED
        process.exit_status = status
        process.exited_at_ns = time
        process.close_streams()
        self._oom.check()
        process.oom = self._oom.count > 0
        if process is self.init:
            self._is_exit_due = True
            if not self._body.private_pids and self._body.cgroup:
                self._kill_rest()
        else:
            self._emit_exit(process)
        self.settle_exits()

    def _emit_exit(self, process: Process) -> None:
        self.emit("/tasks/exit", end_payload(self.id, process), process.exited_at_ns)

    def settle_exits(self) -> None:
        """Tell the first process's exit, unless an exec is still on its way out."""
        if not self._is_exit_due:
            return
        for process in self.execs.values():
            if process.phase in {STARTING, RUNNING}:
                return
        self._is_exit_due = False
        self._emit_exit(self.init)
        self._oom.close()
        self._removal.begin(self._body.cgroups)
        if self._deletion is not None:
            self._delete()

    def _kill_rest(self) -> None:
        try:
            kill_cgroup(self._body.cgroup)
        except OSError as error:
            complain(f"processes of '{self.id}' were left running: {error}")

    def _on_oom(self) -> None:
        self.emit("/tasks/oom", {})

    # --- kill, pids --------------------------------------------------------------------------------------------

    def kill(self, process: Process, body: Kill, answer: Answer) -> None:
        """Send a signal. The pid cannot be another process's: it is our child until it is reaped."""
        is_exec = process is not self.init
        phase = STOPPED if process.early_exit is not None else process.phase
        refused = refusal("kill", phase, is_exec=is_exec)
        if refused is not None:
            answer.refuse(f"{'exec' if is_exec else 'task'} '{process.exec_id or self.id}'", refused)
            return
        try:
            if not body.all or not self._body.cgroup:
                kill(process.pid, body.signal)
            elif body.signal == SIGKILL:
                kill_cgroup(self._body.cgroup)
            else:
                _signal_all(self._body.cgroup, body.signal)
        except ProcessLookupError:
            answer.fail("not_found", f"process {process.pid} of '{self.id}' has already finished")
        except OSError as error:
            answer.fail("invalid_argument", f"signal {body.signal} cannot be sent to '{self.id}': {error.strerror}")
        else:
            answer.ok()

    def pids(self, answer: Answer) -> None:
        """All processes of the container."""
        by_pid = {one.pid: one.exec_id for one in self.execs.values() if one.pid}
        found = cgroup_processes(self._body.cgroup, recursive=True) if self._body.cgroup else [self.init.pid]
        answer.ok(Pids(processes=[PidInfo(pid=pid, exec_id=by_pid.get(pid, "")) for pid in found]))

    # --- delete ------------------------------------------------------------------------------------------------

    def delete(self, answer: Answer) -> None:
        """Remove it, once it has stopped; one that never started is killed first.

        Told and answered when nothing of it can be used any more and its root file system is unmounted. What the
        runtime has to tidy up goes on; until that is done, `is_tidy` is false and the shim does not end.
        """
        if (refused := refusal("delete", self.init.phase)) is not None:
            answer.refuse(f"task '{self.id}'", refused)
            return
        if self._deletion is not None:
            answer.fail("not_found", f"task '{self.id}' is being deleted")
            return
        self._deletion = answer
        if self.init.phase == CREATED:
            # Its exit is told first, as any other; then it goes on. A child that we have not reaped can be signalled.
            kill(self.init.pid, SIGKILL)
        elif not self._is_exit_due:
            self._delete()

    def _delete(self) -> None:
        assert self._deletion is not None
        deletion, self._deletion = self._deletion, None
        self.init.phase = DELETING
        failpoint.hit("shim.delete.before-unmount")
        self._unmount()
        for process in self.processes():
            process.close_streams()
        self.execs.clear()
        self.emit("/tasks/delete", end_payload(self.id, self.init))
        self.is_gone = True
        deletion.ok(self.init.exit())
        self._removal.finish(self._runtime_forgot)

    def _runtime_forgot(self, failure: RuntimeFailure | None) -> None:
        failpoint.hit("shim.delete.after-runc")
        if failure is not None:
            complain(f"the runtime did not forget '{self.id}': {failure.message}")
        self.is_tidy = True
        self._on_tidy(self)

    def _unmount(self) -> None:
        if self._mounts:
            unmount_rootfs(self.bundle, self._mounts)
            self._mounts = 0


def _signal_all(cgroup: str, number: int) -> None:
    for pid in cgroup_processes(cgroup, recursive=True):
        try:
            kill(pid, number)
        except ProcessLookupError:
            continue
