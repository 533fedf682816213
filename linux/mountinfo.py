"""What is mounted: /proc/PID/mountinfo, parsed.

`parse` is pure; `read` reads the file. Paths are `str` with surrogates for bytes that are not UTF-8, as `os`
gives them. Source of the format: proc_pid_mountinfo(5).
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

_ESCAPE = re.compile(rb"\\([0-7]{3})")


class MountInfo(NamedTuple):
    """One line of mountinfo."""

    mount_id: int
    parent_id: int
    device: str
    """`major:minor`."""
    root: str
    """The directory of the file system that is mounted here; not `/` for bind mounts."""
    mountpoint: str
    options: tuple[str, ...]
    """Options of this mount."""
    tags: tuple[str, ...]
    """Propagation: `shared:N`, `master:N`, …; empty for a private mount."""
    fstype: str
    source: str
    super_options: tuple[str, ...]
    """Options of the file system, shared by all its mounts."""


def _text(field: bytes) -> str:
    if b"\\" in field:
        field = _ESCAPE.sub(lambda match: bytes((int(match[1], 8) & 0xFF,)), field)
    return os.fsdecode(field)


def _parse_line(line: bytes) -> MountInfo:
    fields = line.split(b" ")
    # Between the sixth field and the hyphen stand any number of tags.
    hyphen = fields.index(b"-", 6)
    fstype, source, super_options = fields[hyphen + 1 : hyphen + 4]
    return MountInfo(
        mount_id=int(fields[0]),
        parent_id=int(fields[1]),
        device=fields[2].decode(),
        root=_text(fields[3]),
        mountpoint=_text(fields[4]),
        options=tuple(_text(fields[5]).split(",")),
        tags=tuple(tag.decode() for tag in fields[6:hyphen]),
        fstype=_text(fstype),
        source=_text(source),
        super_options=tuple(_text(super_options).split(",")),
    )


def parse(text: bytes) -> list[MountInfo]:
    """Return the mounts of a mountinfo file, in its order: what was mounted later stands later.

    Raises `ValueError` for a line that is none of mountinfo.
    """
    mounts = []
    for line in text.splitlines():
        try:
            mounts.append(_parse_line(line))
        except (ValueError, IndexError):
            raise ValueError(f"not a line of mountinfo: {line!r}") from None
    return mounts


def read(pid: int | str = "self") -> list[MountInfo]:
    """Return the mounts in the mount namespace of `pid`, as seen from its root directory."""
    with open(f"/proc/{pid}/mountinfo", "rb") as file:
        return parse(file.read())


def is_beneath(path: str, directory: str) -> bool:
    """Say whether `path` is `directory` or lies below it, both absolute and normalised. Pure."""
    return directory in (path, "/") or path.startswith(directory + "/")


def beneath(mounts: list[MountInfo], directory: str) -> list[MountInfo]:
    """Return the mounts at or below `directory` in an order in which they can be unmounted.

    Deeper ones come first, and of several on one mount point the uppermost.
    """
    found = [(index, mount) for index, mount in enumerate(mounts) if is_beneath(mount.mountpoint, directory)]
    found.sort(key=lambda item: (item[1].mountpoint.count("/"), item[0]), reverse=True)
    return [mount for _, mount in found]
