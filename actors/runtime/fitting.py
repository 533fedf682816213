"""Facts of this host, and of an image's files, for fitting specifications. Reads; changes nothing."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from typing import NamedTuple

from linux import openat2
from linux.cgroups import Layout, layout
from linux.mount import is_mountpoint, mount_all
from linux.mountinfo import MountInfo
from wharfie.oci.capabilities import names_of_mask
from wharfie.oci.devices import Device
from wharfie.oci.host import HostFacts
from wharfie.oci.user import User, resolve_user
from wharfie.types.base import Json, Mount

MAX_FILE_BYTES = 4 * 1024 * 1024
_SKIPPED = ("/dev/pts", "/dev/shm", "/dev/mqueue", "/dev/fd", "/dev/.lxc", "/dev/.udev", "/dev/console")


def host_facts(mounts: Iterable[MountInfo]) -> HostFacts:
    """What the daemon knows of its host; the devices are read when a privileged container asks (`with_devices`)."""
    return HostFacts(
        capabilities=names_of_mask(_bounding()),
        unified_cgroups=layout(mounts) is Layout.UNIFIED,
    )


def _bounding() -> int:
    """The mask of what this process, and so any container, can have (proc_pid_status(5), CapBnd)."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        return next((int(line.split()[1], 16) for line in file if line.startswith("CapBnd:")), 0)


def with_devices(facts: HostFacts) -> HostFacts:
    """The facts with every device node below /dev."""
    found: list[Device] = []
    for directory, names, files in os.walk("/dev"):
        names[:] = [name for name in names if f"{directory}/{name}" not in _SKIPPED]
        for name in files:
            path = f"{directory}/{name}"
            if path in _SKIPPED:
                continue
            try:
                info = os.lstat(path)
            except OSError:
                continue
            kind = "c" if stat.S_ISCHR(info.st_mode) else "b" if stat.S_ISBLK(info.st_mode) else ""
            if kind:
                found.append(
                    Device(
                        path=path,
                        type=kind,
                        major=os.major(info.st_rdev),
                        minor=os.minor(info.st_rdev),
                        mode=stat.S_IMODE(info.st_mode),
                        uid=info.st_uid,
                        gid=info.st_gid,
                    )
                )
    return HostFacts(capabilities=facts.capabilities, unified_cgroups=facts.unified_cgroups, devices=tuple(found))


def user_of_image(text: str, mounts: list[Mount]) -> User:
    """A user named by the image's own files.

    Raises:
        InvalidArgument: it has no such user or group, or a number is out of range.
    """
    layers = layers_of(mounts)
    return resolve_user(text, passwd=_read("etc/passwd", layers), group=_read("etc/group", layers))


def user_of_root(text: str, root: str) -> User:
    """A user named by the files of a mounted root file system (a running container's, for an exec)."""
    return resolve_user(text, passwd=_read("etc/passwd", [root]), group=_read("etc/group", [root]))


def layers_of(mounts: list[Mount]) -> list[str]:
    """The directories that a root file system is made of, the topmost first. Pure."""
    layers: list[str] = []
    for mount in mounts:
        if mount.type != "overlay":
            layers.append(mount.source)
            continue
        options = dict(option.partition("=")[::2] for option in mount.options)
        if "upperdir" in options:
            layers.append(options["upperdir"])
        layers.extend(options.get("lowerdir", "").split(":"))
    return layers


def _read(path: str, layers: list[str]) -> bytes:
    """A file of the topmost layer that has it, never outside of that layer; empty when none has, or it was removed."""
    for layer in layers:
        root = os.open(layer, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fd = openat2.openat2(path, dir_fd=root, flags=os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            if _hidden(path, root):
                return b""
            continue
        finally:
            os.close(root)
        with open(fd, "rb", closefd=True) as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return b""
            return file.read(MAX_FILE_BYTES)
    return b""


def _hidden(path: str, root: int) -> bool:
    """Whether a layer says that a file of the layers below is removed (an overlay whiteout: device 0, 0)."""
    try:
        info = os.stat(path, dir_fd=root, follow_symlinks=False)
    except OSError:
        return False
    return stat.S_ISCHR(info.st_mode) and info.st_rdev == 0


def mount_quickly(mounts: list[Mount], root: str) -> bool:
    """Mount what cannot hang here and now, so that the shim needs no fork for it: one overlay or bind mount.

    Idempotent. False: nothing was done, and the shim mounts (anything that may wait for a network or another process).

    Raises:
        OSError: it cannot be mounted.
    """
    if len(mounts) != 1 or mounts[0].type not in ("overlay", "bind") or mounts[0].target:
        return False
    if not is_mountpoint(root):
        one = mounts[0]
        mount_all([(one.type, one.source, "", tuple(one.options))], root=root)
    return True


def has_private_pids(spec: Json) -> bool:
    """Whether a container has a pid namespace of its own, so that nothing survives its first process."""
    return any(one.get("type") == "pid" and not one.get("path") for one in spec.get("linux", {}).get("namespaces", ()))


class Hierarchies(NamedTuple):
    """Where control groups are mounted: the one with the memory controller, one to list processes in, and all."""

    memory: str
    processes: str
    every: tuple[str, ...]


def hierarchies(mounts: Iterable[MountInfo]) -> Hierarchies:
    """Sort the mounts of a machine; empty texts where there is none. Pure."""
    memory = processes = unified = ""
    every = []
    for mount in mounts:
        if mount.fstype not in ("cgroup", "cgroup2"):
            continue
        every.append(mount.mountpoint)
        if mount.fstype == "cgroup2":
            unified = unified or mount.mountpoint
        elif "memory" in mount.super_options:
            memory = memory or mount.mountpoint
        elif "pids" in mount.super_options:
            processes = processes or mount.mountpoint
    return Hierarchies(memory or unified, processes or memory or unified, tuple(every))


class Groups(NamedTuple):
    """A container's control groups: directories, empty where unknown.

    Attributes:
        memory: to watch for out-of-memory kills.
        processes: with the pids of all its processes.
        every: all of them.
        is_plain: removing them, and the runtime's state, is all that has to be done in the end.
    """

    memory: str = ""
    processes: str = ""
    every: tuple[str, ...] = ()
    is_plain: bool = False


def groups_of(spec: Json, found: Hierarchies) -> Groups:
    """The control groups that a specification names. Pure. Only for the cgroupfs driver's absolute paths."""
    path = str(spec.get("linux", {}).get("cgroupsPath", ""))
    if not path.startswith("/"):
        return Groups()
    return Groups(
        memory=found.memory and f"{found.memory}{path}",
        processes=found.processes and f"{found.processes}{path}",
        every=tuple(f"{mountpoint}{path}" for mountpoint in found.every),
        is_plain=not (spec.get("hooks") or {}).get("poststop"),
    )
