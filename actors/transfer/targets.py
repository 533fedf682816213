"""Where a layer is written: the directory behind a list of mounts, without mounting anything. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from wharfie.errors import Unimplemented
from wharfie.types.base import Mount


class Target(NamedTuple):
    """A directory, and whether deletions in it are written as overlay's whiteouts or done at once."""

    directory: str
    overlay: bool


def of(mounts: Sequence[Mount], *, rebases: bool) -> Target:
    """The directory to unpack into.

    Args:
        mounts: of an active snapshot.
        rebases: it will be put on others, so what it deletes there must be written down.

    Raises:
        Unimplemented: only mounting shows it.
    """
    if len(mounts) == 1:
        mount = mounts[0]
        if mount.type == "bind" or {"bind", "rbind"} & set(mount.options):
            return Target(mount.source, rebases)
        upper = _options(mount, "upperdir=") if mount.type == "overlay" else []
        if upper:
            return Target(upper[0], True)
    kinds = ", ".join(mount.type for mount in mounts) or "none"
    raise Unimplemented(f"cannot unpack into mounts of types {kinds}; one bind or overlay mount is needed")


def layers(mounts: Sequence[Mount]) -> list[str]:
    """The directories that a view shows, the uppermost first."""
    if len(mounts) == 1 and mounts[0].type == "overlay":
        lower = "".join(_options(mounts[0], "lowerdir="))
        return [re.sub(r"\\(.)", r"\1", part) for part in re.split(r"(?<!\\):", lower)]
    return [mount.source for mount in mounts]


def _options(mount: Mount, prefix: str) -> list[str]:
    return [option.removeprefix(prefix) for option in mount.options if option.startswith(prefix)]
