"""Control groups: where the groups of a process are, who is in them, and ending them.

Finding is pure, over the text of /proc/PID/mountinfo and /proc/PID/cgroup; both versions of cgroups and
machines that have both at once are known. Writing limits is the OCI runtime's business, not ours.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from collections.abc import Iterable
from enum import StrEnum

from linux import mountinfo
from linux.mountinfo import MountInfo

UNIFIED_NAME = ""
"""The key of the cgroup v2 hierarchy in what the functions here return."""

_POLL_INTERVAL_S = 0.002
_MAX_KILL_ROUNDS = 100


class Layout(StrEnum):
    """Which versions of cgroups a machine has mounted."""

    LEGACY = "legacy"
    """Controllers in v1 hierarchies only."""
    HYBRID = "hybrid"
    """Controllers in v1 hierarchies and a v2 hierarchy beside them."""
    UNIFIED = "unified"
    """v2 only."""
    ABSENT = "absent"


def layout(mounts: Iterable[MountInfo]) -> Layout:
    """Say which layout these mounts are. Pure."""
    types = {mount.fstype for mount in mounts}
    if "cgroup" in types:
        return Layout.HYBRID if "cgroup2" in types else Layout.LEGACY
    return Layout.UNIFIED if "cgroup2" in types else Layout.ABSENT


def parse_membership(text: str) -> dict[str, str]:
    """Return the path by controller from the text of /proc/PID/cgroup; v2 has the key `UNIFIED_NAME`.

    A named hierarchy has a key like `name=systemd`. Pure. Raises `ValueError` for a line that is none of that
    file.
    """
    paths = {}
    for line in text.splitlines():
        fields = line.split(":", 2)
        if len(fields) != 3:
            raise ValueError(f"not a line of /proc/PID/cgroup: {line!r}")
        for controller in fields[1].split(","):
            paths[controller] = fields[2]
    return paths


def directories(mounts: Iterable[MountInfo], membership: str) -> dict[str, str]:
    """Return the directory by controller of the process whose /proc/PID/cgroup reads `membership`. Pure.

    A group that lies outside of what is mounted here (seen from within a container) is left out.
    """
    paths = parse_membership(membership)
    found: dict[str, str] = {}
    for mount in mounts:
        if mount.fstype == "cgroup2":
            controllers = [UNIFIED_NAME]
        elif mount.fstype == "cgroup":
            controllers = [option for option in mount.super_options if option in paths]
        else:
            continue
        for controller in controllers:
            # The first mount wins: a later one of the same hierarchy is somebody's bind mount.
            if controller not in paths or controller in found:
                continue
            path = paths[controller]
            if not mountinfo.is_beneath(path, mount.root):
                continue
            inside = path if mount.root == "/" else path[len(mount.root) :]
            found[controller] = os.path.normpath(mount.mountpoint + "/" + inside.lstrip("/"))
    return found


def of_process(pid: int | str = "self") -> dict[str, str]:
    """Return the directory by controller of a process, seen through this process's mounts.

    Raises `ProcessLookupError` when there is no such process.
    """
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="surrogateescape") as file:
            membership = file.read()
    except FileNotFoundError:
        raise ProcessLookupError(errno.ESRCH, f"process {pid} not found") from None
    return directories(mountinfo.read(), membership)


def memory_directory(paths: dict[str, str]) -> str | None:
    """Return the one of `paths` with the memory controller's files; None where it is not enabled."""
    if "memory" in paths:
        return paths["memory"]
    unified = paths.get(UNIFIED_NAME)
    if unified is not None and os.path.exists(unified + "/memory.events"):
        return unified
    return None


def processes(directory: str, *, recursive: bool = False) -> list[int]:
    """Return the pids in a group (and its descendants); empty when the group is gone."""
    pids: list[int] = []
    for path in _tree(directory) if recursive else [directory]:
        try:
            with open(path + "/cgroup.procs", encoding="ascii") as file:
                pids.extend(map(int, file.read().split()))
        except OSError as error:
            # ENODEV: removed while open. EOPNOTSUPP: a threaded group of v2, whose processes stand in its
            # root.
            if error.errno not in (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP):
                raise
    return pids


def _tree(directory: str) -> list[str]:
    """Return a group and its descendants, each before those below it."""
    return [path for path, _, _ in os.walk(directory)]


def kill(directory: str) -> None:
    """Send SIGKILL to every process in a group and its descendants, those that fork meanwhile included.

    Idempotent; a group that is gone is an empty one. Does not wait for the processes to end. A frozen group
    is thawed, without which SIGKILL has no effect on v1.
    """
    if not _write(directory + "/cgroup.kill", b"1"):
        _kill_by_pid(directory)
    for path in _tree(directory):
        _write(path + "/freezer.state", b"THAWED")


def _write(path: str, text: bytes) -> bool:
    """Write to a file of a group; return False when there is no such file."""
    try:
        # Without O_CREAT, which cgroup file systems refuse with another error than ENOENT.
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        os.write(fd, text)
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise
    finally:
        os.close(fd)
    return True


def _kill_by_pid(directory: str) -> None:
    seen: set[int] = set()
    # Until a round finds nobody new: whoever was there before can have forked only while still alive.
    for _ in range(_MAX_KILL_ROUNDS):
        fresh = set(processes(directory, recursive=True)) - seen
        if not fresh:
            return
        for pid in fresh:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        seen |= fresh


def remove(directory: str, *, timeout_s: float = 0.0) -> None:
    """Remove a group and its descendants. Idempotent.

    Raises `OSError` EBUSY when processes are still in it after `timeout_s` (a killed one stays until it has
    ended).
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            for path in reversed(_tree(directory)):
                _rmdir(path)
            return
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() >= deadline:
                raise
        time.sleep(_POLL_INTERVAL_S)


def _rmdir(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(path)
