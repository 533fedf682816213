"""Which operation the state of a process allows; pure.

::

    init   creating → created → starting → running → stopped → deleting → (gone)
                         └──────────┴──────────────────↑
    exec                created → starting → running → stopped → (gone)

`stopped` can follow `created` (killed before it started) and `starting` (it died at once). The errors are containerd's,
with a code where containerd has only a text.
"""

from __future__ import annotations

from typing import NamedTuple

CREATING = "creating"
CREATED = "created"
STARTING = "starting"
RUNNING = "running"
STOPPED = "stopped"
DELETING = "deleting"

PHASES = (CREATING, CREATED, STARTING, RUNNING, STOPPED, DELETING)
VERBS = ("start", "kill", "delete", "exec", "close_io")

_STATUS = {CREATING: "created", STARTING: "created", DELETING: "stopped"}


class Refusal(NamedTuple):
    """Why an operation is not possible: an error code of `wharfie.errors`, and a sentence about the process."""

    code: str
    reason: str


def status_of(phase: str) -> str:
    """The status that others see: `created`, `running` or `stopped`."""
    return _STATUS.get(phase, phase)


def refusal(verb: str, phase: str, *, is_exec: bool = False, init_phase: str = RUNNING) -> Refusal | None:
    """Why `verb` is not possible now, or None when it is.

    Args:
        verb: one of `VERBS`; `exec` is asked of the init process.
        phase: of the process.
        is_exec: the process is an exec; then `init_phase` counts, too.
        init_phase: of the container's first process.

    """
    if verb == "start":
        return _start(phase, is_exec=is_exec, init_phase=init_phase)
    if verb == "kill":
        return _kill(phase, is_exec=is_exec)
    if verb == "delete":
        return _delete(phase, is_exec=is_exec)
    if verb == "exec":
        return _exec(phase)
    if phase in {STOPPED, DELETING}:
        return Refusal("failed_precondition", "has ended")
    return None


def _start(phase: str, *, is_exec: bool, init_phase: str) -> Refusal | None:
    if is_exec and init_phase != RUNNING:
        state = "has ended" if init_phase in {STOPPED, DELETING} else "is not running"
        return Refusal("failed_precondition", f"cannot start, the container's first process {state}")
    if phase == CREATED:
        return None
    if phase in {STOPPED, DELETING}:
        return Refusal("failed_precondition", "cannot start, it has ended")
    if phase == CREATING:
        return Refusal("failed_precondition", "cannot start, it is being created")
    return Refusal("failed_precondition", "cannot start twice")


def _kill(phase: str, *, is_exec: bool) -> Refusal | None:
    if phase in {STOPPED, DELETING}:
        return Refusal("not_found", "has already finished")
    if phase == CREATING or (is_exec and phase in {CREATED, STARTING}):
        return Refusal("failed_precondition", "has not been started")
    return None


def _delete(phase: str, *, is_exec: bool) -> Refusal | None:
    if phase in {STOPPED, CREATED}:
        return None
    if phase == DELETING:
        return Refusal("not_found", "is being deleted")
    if phase == CREATING:
        return Refusal("failed_precondition", "cannot be deleted while it is being created")
    kind = "exec" if is_exec else "task"
    return Refusal("failed_precondition", f"cannot be deleted while it runs, stop the {kind} first")


def _exec(phase: str) -> Refusal | None:
    if phase in {STOPPED, DELETING}:
        return Refusal("failed_precondition", "cannot execute in it, its first process has ended")
    if phase == CREATING:
        return Refusal("failed_precondition", "cannot execute in it, it is being created")
    return None
