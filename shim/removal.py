"""Having the OCI runtime forget a container: early, on nobody's time, and again with force if that did not do."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from shim.loop import Loop
from shim.runtime import Runtime, RuntimeFailure, read_error, spawn

Then = Callable[["RuntimeFailure | None"], None]


class Removal:
    """The removal of one container's runtime state; `begin` as soon as possible, `finish` when it has to be true."""

    __slots__ = ("_bundle", "_id", "_is_done", "_is_forced", "_is_running", "_loop", "_runtime", "_then")

    def __init__(self, container_id: str, bundle: str, *, loop: Loop, runtime: Runtime) -> None:
        self._id = container_id
        self._bundle = bundle
        self._loop = loop
        self._runtime = runtime
        self._is_running = False
        self._is_forced = False
        self._is_done = False
        self._then: Then | None = None

    def begin(self, cgroups: Sequence[str]) -> None:
        """Delete a stopped container's state; a failure waits for `finish`.

        Args:
            cgroups: see `Create`.

        """
        self._is_done = self._is_done or self._runtime.forget(self._id, cgroups)
        if not self._is_running and not self._is_done:
            self._run(force=False)

    def finish(self, then: Then) -> None:
        """Call `then` with None when the state is gone, or with what the runtime said when even force did not help."""
        if self._is_done:
            then(None)
            return
        self._then = then
        if not self._is_running:
            self._run(force=True)

    def _run(self, *, force: bool) -> None:
        try:
            pid = spawn(self._runtime.delete(self._id, self._bundle, force=force))
        except OSError as error:
            self._ended(force=force, failure=RuntimeFailure("failed_precondition", f"{error}", "runtime_failed"))
            return
        self._is_running = True
        self._is_forced = force
        self._loop.on_exit(pid, self._on_exit)

    def _on_exit(self, _pid: int, _status: int) -> None:
        self._ended(force=self._is_forced, failure=None)

    def _ended(self, *, force: bool, failure: RuntimeFailure | None) -> None:
        self._is_running = False
        # Not its exit status: a runtime that says "does not exist" has done its work.
        self._is_done = not self._runtime.knows(self._id)
        if self._then is None:
            return
        if not self._is_done and not force:
            self._run(force=True)
            return
        then, self._then = self._then, None
        then(None if self._is_done else failure or read_error(f"{self._bundle}/log.json"))
