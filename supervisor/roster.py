"""Who the daemon's actors are, as specifications made from the settings; and what is imported before they are forked.

The router depends on nobody and nobody on it, so that it starts at once: what comes before its workers are ready waits
in it. Which worker needs which follows from the plugins that run in them (`actors.plugins.graph`).
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Mapping

from config.settings import Settings
from supervisor.spec import EX_CONFIG, EX_PERMANENT, Backoff, ChildSpec, ChildType, Heartbeat, Tree

log = logging.getLogger("supervisor")

ROUTER = "router"
WORKERS: dict[str, str] = {
    "metadata": "actors.metadata.main:main",
    "content": "actors.content.main:main",
    "snapshot": "actors.snapshot.main:main",
    "runtime": "actors.runtime.main:main",
    "transfer": "actors.transfer.main:main",
}
"""Name to target, in the order in which independent ones are forked."""

PRELOAD = (
    *(target.partition(":")[0] for target in WORKERS.values()),
    "supervisor.router.loop",
    "actors.plugins.discover",
    "actors.plugins.load",
    "actors.snapshot.overlayfs",
    "actors.snapshot.native",
    "actors.runtime.service",
    "actors.runtime.entry",
    "actors.runtime.launch",
    "actors.transfer.job",
    "actors.transfer.unpack.layer",
    "actors.transfer.unpack.sandbox",
    "concurrent.futures.thread",
    "shim.main",
    "shim.service",
    "linux.openat2",
    "linux.overlay",
)
"""Modules imported once, before the first fork.

Measured with six actors: importing them here and not in each child makes the way from SIGKILL to the next `ready` 6 to
13 ms instead of 23 to 47, and costs no memory, since the pages are shared. What only a rare request needs is left to
the process that gets it. Importing sqlite3 is safe to fork after; a connection is not.
"""


def preload() -> None:
    """Import what the children share. Raises: RuntimeError when a module has started a thread."""
    # asyncio binds OpenSSL when it finds it, a megabyte that no process of ours uses: none speaks TLS through a loop.
    hidden: dict[str, object] = {"ssl": None}
    if "ssl" not in sys.modules and "asyncio" not in sys.modules:
        sys.modules.update(hidden)  # type: ignore[arg-type]
        importlib.import_module("asyncio")
        del sys.modules["ssl"]
    for name in PRELOAD:
        try:
            importlib.import_module(name)
        except Exception as error:  # the child that needs it fails with the same, and is reported
            log.warning("module not preloaded", extra={"name_of_module": name, "error": str(error)})
    importlib.import_module("actors.rehearsal").rehearse()
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:
        raise RuntimeError(f"a preloaded module has started a thread ({threads} run); a fork would not be safe")


def rehearse_shims(state: str) -> None:
    """Play a shim's life through here, so that what it writes to shared pages is written before the first fork.

    Args:
        state: directory for a few files, removed again.
    """
    from shim.rehearsal import rehearse

    try:
        if not rehearse(state):
            log.info("shims not rehearsed: no 'true' program; each takes a megabyte more")
    except OSError as error:
        log.warning("shims not rehearsed", extra={"error": str(error)})


def tree(settings: Settings, requires: Mapping[str, tuple[str, ...]]) -> Tree:
    """The daemon's tree; `requires` has for each worker those that have to be ready before it.

    Raises: SpecError for workers that would wait for each other.
    """
    supervisor, timeouts = settings.supervisor, settings.timeouts
    backoff = Backoff(
        first_s=supervisor.backoff_first_s,
        factor=supervisor.backoff_factor,
        max_s=max(supervisor.backoff_max_s, supervisor.backoff_first_s),
        jitter=supervisor.backoff_jitter,
        reset_after_s=supervisor.backoff_reset_after_s,
    )
    heartbeat = Heartbeat(
        interval_s=supervisor.heartbeat_interval_s,
        misses=supervisor.heartbeat_misses,
        step_s=timeouts["hang.step"],
    )

    def actor(name: str, target: str, type_: ChildType, needs: tuple[str, ...]) -> ChildSpec:
        is_router = type_ is ChildType.ROUTER
        kind = "router" if is_router else "worker"
        return ChildSpec(
            id=name,
            start=target,
            type=type_,
            depends_on=needs,
            shutdown=timeouts[f"stop.{kind}"],
            ready_timeout_s=timeouts[f"boot.{kind}"],
            backoff=backoff,
            heartbeat=heartbeat,
            memory_max_bytes=supervisor.memory_max_bytes,
            # Without the router nobody can be told anything, so it is tried until the intensity says enough.
            permanent_exit_codes=() if is_router else (EX_CONFIG, EX_PERMANENT),
        )

    children = [actor(ROUTER, "supervisor.router:main", ChildType.ROUTER, ())]
    for name, target in WORKERS.items():
        needs = tuple(need for need in requires.get(name, ()) if need in WORKERS)
        children.append(actor(name, target, ChildType.WORKER, needs))
    return Tree(children=tuple(children), intensity=supervisor.intensity, period_s=supervisor.period_s)
