"""Mounts of a container: the kernel's file systems that every one gets, and volumes of the caller's.

A volume is `SRC:DST[:OPTIONS]` as on Docker's command line, with absolute paths only: there is no store of named
volumes, and a relative source would mean the daemon's directory.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from wharfie.errors import InvalidArgument

_PROPAGATION = frozenset({"private", "rprivate", "shared", "rshared", "slave", "rslave"})


class Volume(msgspec.Struct, frozen=True, kw_only=True):
    """A directory or file of the host inside the container."""

    source: str
    target: str
    readonly: bool = False
    propagation: str = "rprivate"


def parse_volume(text: str) -> Volume:
    """A volume from `SRC:DST[:ro|rw][,propagation]`.

    Raises:
        InvalidArgument: another form, a path that is not absolute, or `/` as the target.

    """
    parts = text.split(":")
    if len(parts) not in {2, 3} or not all(parts):
        raise _invalid(text, "wants SRC:DST or SRC:DST:ro")
    source, target = parts[0], parts[1]
    for path in (source, target):
        if not path.startswith("/") or "\0" in path:
            raise _invalid(text, f"needs absolute paths, '{path}' is not one")
    clean_target = posixpath.normpath(target).replace("//", "/")
    if clean_target == "/":
        raise _invalid(text, "may not replace the root")
    readonly, propagation = False, "rprivate"
    for option in parts[2].split(",") if len(parts) == 3 else ():
        if option in {"ro", "rw"}:
            readonly = option == "ro"
        elif option in _PROPAGATION:
            propagation = option
        else:
            raise _invalid(text, f"has an unknown option '{option}'")
    return Volume(source=source, target=clean_target, readonly=readonly, propagation=propagation)


def _invalid(text: str, why: str) -> InvalidArgument:
    return InvalidArgument(f"volume '{text}' {why}", details={"field": "volumes"})


def _mount(target: str, kind: str, source: str, options: str) -> dict[str, Any]:
    return {"destination": target, "type": kind, "source": source, "options": options.split()}


def system_mounts(*, writable: bool = False) -> list[dict[str, Any]]:
    """The file systems that programs expect, with the options that containerd gives them.

    Args:
        writable: mount `/sys` and `/sys/fs/cgroup` writable (a privileged container).

    """
    mode = "rw" if writable else "ro"
    return [
        _mount("/proc", "proc", "proc", "nosuid noexec nodev"),
        _mount("/dev", "tmpfs", "tmpfs", "nosuid strictatime mode=755 size=65536k"),
        _mount("/dev/pts", "devpts", "devpts", "nosuid noexec newinstance ptmxmode=0666 mode=0620 gid=5"),
        _mount("/dev/shm", "tmpfs", "shm", "nosuid noexec nodev mode=1777 size=65536k"),
        _mount("/dev/mqueue", "mqueue", "mqueue", "nosuid noexec nodev"),
        _mount("/sys", "sysfs", "sysfs", f"nosuid noexec nodev {mode}"),
        _mount("/sys/fs/cgroup", "cgroup", "cgroup", f"nosuid noexec nodev relatime {mode}"),
    ]


def volume_mounts(volumes: Iterable[Volume]) -> list[dict[str, Any]]:
    """Volumes as mounts, outer directories before inner ones so that none hides another.

    Raises:
        InvalidArgument: two volumes have one target.

    """
    chosen: dict[str, Volume] = {}
    for volume in volumes:
        if volume.target in chosen:
            raise InvalidArgument(f"two volumes have the target '{volume.target}'", details={"field": "volumes"})
        chosen[volume.target] = volume
    ordered = sorted(chosen.values(), key=lambda volume: volume.target.count("/"))
    return [
        _mount(
            volume.target,
            "bind",
            volume.source,
            f"rbind {volume.propagation} {'ro' if volume.readonly else 'rw'}",
        )
        for volume in ordered
    ]


def merge_mounts(system: Sequence[dict[str, Any]], volumes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """System mounts and then volumes; a volume on a system mount's place replaces it."""
    taken = {volume["destination"] for volume in volumes}
    return [mount for mount in system if mount["destination"] not in taken] + list(volumes)
