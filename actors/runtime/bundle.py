"""A task's bundle: `state/tasks/<namespace>/<id>/`, 0700. Blocking; called in the thread pool or for a few small files.

config.json    the OCI specification, fitted to this host
task.json      what a restarted worker has to know (`TaskFile`); a bundle without it was never used
shim.pid       which process the shim is (`note_shim`)
rootfs/        mount point; mounted by this worker or by the shim, unmounted by the shim
journal        the shim's events; log.json, init.pid and others are the shim's, too
"""

from __future__ import annotations

import contextlib
import os
import shutil

import msgspec

from wharfie.types.base import Json
from wharfie.types.tasks import Stdio


class TaskFile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a bundle says of its task.

    Attributes:
        incarnation: random; tells events of this task from those of an earlier one of the same name.
        key: idempotency key of the create.
        socket: of the shim.
    """

    namespace: str
    id: str
    incarnation: str
    socket: str
    runtime: str
    runtime_root: str
    key: str = ""
    stdio: Stdio = Stdio()


def begin(path: str, task: TaskFile) -> None:
    """Make a bundle without its specification, whole or not at all.

    Raises:
        FileExistsError: there is one.
        OSError: the disk is full; nothing is left.
    """
    os.makedirs(os.path.dirname(path), mode=0o711, exist_ok=True)
    os.mkdir(path, 0o700)
    try:
        os.mkdir(f"{path}/rootfs", 0o711)
        _write(f"{path}/task.json", msgspec.json.encode(task))
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise


def write_spec(path: str, spec: Json) -> None:
    """The specification, for the runtime and for who comes after."""
    _write(f"{path}/config.json", msgspec.json.encode(spec))


def note_shim(path: str, pid: int, start_time: int) -> None:
    """Which process the shim is, for who has to end it without being able to ask it."""
    _write(f"{path}/shim.pid", f"{pid} {start_time}".encode())


def read_shim(path: str) -> tuple[int, int]:
    """The shim's pid and start time; zeros when they were not noted."""
    try:
        with open(f"{path}/shim.pid", "rb") as file:
            pid, start_time = file.read().split()
            return int(pid), int(start_time)
    except (FileNotFoundError, ValueError):
        return 0, 0


def has_spec(path: str) -> bool:
    """Whether a bundle has its specification, so that its container may have been made."""
    return os.path.exists(f"{path}/config.json")


def read_task(path: str) -> TaskFile | None:
    """What a bundle says; None when it is not complete."""
    try:
        with open(f"{path}/task.json", "rb") as file:
            return msgspec.json.decode(file.read(), type=TaskFile)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def write_process(path: str, exec_id: str, process: Json) -> None:
    """The OCI process object of an exec, for the shim."""
    _write(f"{path}/{exec_id}.process.json", msgspec.json.encode(process))


def read_spec(path: str) -> Json:
    """The specification of a bundle."""
    with open(f"{path}/config.json", "rb") as file:
        return msgspec.json.decode(file.read(), type=Json)


def remove(path: str) -> None:
    """Remove a bundle whose root file system is unmounted. Idempotent: what a killed remove left goes, too.

    The name is free at once; a mount that is still there keeps its directory and nothing below it is touched.
    """
    directory, name = os.path.split(path)
    hidden = f"{directory}/.{name}"
    with contextlib.suppress(FileNotFoundError):
        os.rename(path, hidden)
    with contextlib.suppress(OSError):
        # Not rmtree: were the root file system mounted after all, its files are not ours to delete.
        os.rmdir(f"{hidden}/rootfs")
    if not os.path.isdir(f"{hidden}/rootfs"):
        shutil.rmtree(hidden, ignore_errors=True)


def all_bundles(tasks: str) -> list[tuple[str, str, str]]:
    """(namespace, id, path) of every bundle; half-removed ones are removed on the way."""
    found: list[tuple[str, str, str]] = []
    for namespace in _names(tasks):
        if namespace.startswith("."):
            continue
        for name in _names(f"{tasks}/{namespace}"):
            path = f"{tasks}/{namespace}/{name}"
            if name.startswith("."):
                remove(f"{tasks}/{namespace}/{name[1:]}") if not os.path.exists(path[: -len(name)] + name[1:]) else None
            else:
                found.append((namespace, name, path))
    return found


def _names(path: str) -> list[str]:
    try:
        return sorted(os.listdir(path))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _write(path: str, data: bytes) -> None:
    with open(path, "xb" if path.endswith(("config.json", "task.json")) else "wb") as file:
        file.write(data)
