"""Single steps of the boot: the server's id, leftovers of an earlier run, and what the plugins ask for."""

from __future__ import annotations

import logging
import os
import uuid
from functools import partial
from typing import Any

from config.settings import Settings
from linux import mount, mountinfo
from supervisor import errand
from supervisor.loop import Loop
from wharfie.errors import FailedPrecondition

log = logging.getLogger("supervisor")


def server_id(path: str) -> str:
    """The id of this root, made at its first boot. Atomic: a power cut leaves none or a whole one."""
    try:
        with open(path, encoding="ascii") as file:
            return str(uuid.UUID(file.read().strip()))
    except (FileNotFoundError, ValueError):
        made = str(uuid.uuid4())
    with open(f"{path}.new", "w", encoding="ascii") as file:
        file.write(f"{made}\n")
        file.flush()
        os.fsync(file.fileno())
    os.rename(f"{path}.new", path)
    return made


def unmount_leftovers(loop: Loop, directory: str, *, timeout_s: float) -> None:
    """Unmount everything below a directory, deepest first, with a warning each; what stays is a warning, too.

    In a fork, because a dead server behind a mount may hang the call for ever.
    """
    directory = os.path.realpath(directory)
    left = [entry.mountpoint for entry in mountinfo.beneath(mountinfo.read(), directory)]
    left = [mountpoint for mountpoint in left if mountpoint != directory]
    if not left:
        return
    try:
        failures: dict[str, str] = errand.run(
            loop, partial(_unmount, left), name="unmounting of leftovers", timeout_s=timeout_s
        )
    except TimeoutError as error:
        log.warning("leftovers of an earlier run stay mounted", extra={"directory": directory, "error": str(error)})
        return
    for mountpoint in left:
        if mountpoint in failures:
            extra = {"mountpoint": mountpoint, "error": failures[mountpoint]}
            log.warning("leftover of an earlier run stays mounted", extra=extra)
        else:
            log.warning("leftover of an earlier run unmounted", extra={"mountpoint": mountpoint})


def _unmount(mountpoints: list[str]) -> dict[str, str]:
    failures: dict[str, str] = {}
    for mountpoint in mountpoints:
        try:
            mount.umount(mountpoint)
        except OSError as error:
            failures[mountpoint] = error.strerror or str(error)
    return failures


def plugin_graph(settings: Settings) -> dict[str, Any]:
    """Which worker needs which, and which workers have a plugin that the configuration requires.

    Imports the plugins of others, so it runs in an errand: what they do to their process is not our parent's concern.
    Raises: FailedPrecondition for a circle or for a required plugin that does not exist.
    """
    from actors.plugins import discover, graph
    from actors.plugins.registration import names

    registry = discover.discover(settings.plugin_dir)
    missing = [uri for uri in settings.required_plugins if registry.find(uri) is None]
    if missing:
        raise FailedPrecondition(
            f"required plugins are not included: {', '.join(missing)}; install them, or take them off the list",
            details={"missing": missing},
        )
    enabled = [plugin for plugin in registry if not names(settings.disabled_plugins, plugin)]
    graph.start_order(enabled)
    required = {plugin.worker for plugin in registry if names(settings.required_plugins, plugin)}
    return {"requires": graph.worker_requires(enabled), "required_workers": sorted(required)}
