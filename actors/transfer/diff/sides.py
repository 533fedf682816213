"""Which mounts show the two trees of a difference, and whether one upper directory tells it all. Pure.

Mounts of a snapshot that is being written are turned into ones that only read: nothing is mounted twice for writing,
and what is written meanwhile by a container is seen or not, as with any copy of a running container.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from actors.transfer import targets
from wharfie.errors import Unimplemented
from wharfie.types.base import Mount

_OURS = ("upperdir=", "workdir=", "lowerdir=", "lowerdir+=")
_MAPPINGS = ("uidmap=", "gidmap=")
_FOR_WRITING = frozenset({"volatile", "rw", "sync", "dirsync"})


class Sides(msgspec.Struct, frozen=True, kw_only=True):
    """The trees to compare.

    Attributes:
        lower: shows the tree before; empty for none.
        upper: shows the tree after.
        upper_directory: the directory that holds all that is different, if there is one.
        prefix: how overlay's attributes in that directory begin.
        uids: how the trees' users are mapped (`INSIDE:OUTSIDE:SIZE,…`), and `gids` their groups; empty for not at all.
    """

    lower: list[Mount]
    upper: list[Mount]
    upper_directory: str = ""
    prefix: str = "trusted.overlay."
    uids: str = ""
    gids: str = ""

    def merged(self) -> Sides:
        """The same, told by both trees as they are seen, files of which only the attributes were copied included.

        Raises:
            Unimplemented: one mount cannot show the upper directory with its owners and those below with theirs mapped.
        """
        if self.uids:
            raise Unimplemented("snapshots with mapped owners cannot be compared where overlayfs has moved directories")
        return msgspec.structs.replace(
            self, upper_directory="", lower=[*map(_whole, self.lower)], upper=[*map(_whole, self.upper)]
        )


def sides(lower: Sequence[Mount], upper: Sequence[Mount], *, related: bool = False) -> Sides:
    """Find out how to compare.

    Args:
        lower: mounts of the tree before.
        upper: mounts of the tree after.
        related: the one is known to be the parent of the other; else that has to be seen from the mounts.
    """
    before, after = [_reading(one) for one in lower], [_reading(one) for one in upper]
    mapped = upper[-1] if upper else Mount(type="", source="")
    found = Sides(lower=before, upper=after, uids=_value(mapped, "uidmap="), gids=_value(mapped, "gidmap="))
    if not lower or not upper or upper[-1].type != "overlay":
        return found
    top, *below = _layers(after[-1:])
    if not related and (len(upper) > 1 or below != _layers(before)):
        return found
    prefix = "user.overlay." if "userxattr" in upper[-1].options else "trusted.overlay."
    return msgspec.structs.replace(found, upper_directory=top, prefix=prefix)


def below(mounts: Sequence[Mount], *, committed: bool = False) -> list[Mount] | None:
    """Mounts of a snapshot's parent, when those of the snapshot tell them.

    Args:
        mounts: of a snapshot that is being written, or with `committed` those of a view of it.
        committed: see `mounts`.
    """
    if len(mounts) != 1 or mounts[0].type != "overlay" or not (committed or _value(mounts[0], "upperdir=")):
        return None
    return [_stack(_layers([_reading(mounts[0])])[1:], mounts[0])]


def _layers(mounts: Sequence[Mount]) -> list[str]:
    return targets.layers(mounts)


def _value(mount: Mount, prefix: str) -> str:
    return next((option.removeprefix(prefix) for option in mount.options if option.startswith(prefix)), "")


def _reading(mount: Mount) -> Mount:
    """The same mount, only for reading."""
    upper = _value(mount, "upperdir=")
    if mount.type == "overlay" and upper:
        lower = _value(mount, "lowerdir=")
        return _overlay([*_quoted([upper]), *([lower] if lower else [])], mount)
    options = [option for option in mount.options if option not in _FOR_WRITING]
    return msgspec.structs.replace(mount, options=[*options, *([] if "ro" in options else ["ro"])])


def _whole(mount: Mount) -> Mount:
    """The same overlay, which also follows what points to a lower layer's data; those of user namespaces have none."""
    if mount.type != "overlay" or "userxattr" in mount.options or _value(mount, "metacopy="):
        return mount
    return msgspec.structs.replace(mount, options=["metacopy=on", *mount.options])


def _stack(directories: Sequence[str], like: Mount) -> Mount:
    """A mount that shows these directories, the uppermost first."""
    if len(directories) == 1:
        mapped = [option for option in like.options if option.startswith(_MAPPINGS)]
        return Mount(type="bind", source=directories[0], target=like.target, options=["ro", "rbind", *mapped])
    return _overlay(_quoted(directories), like)


def _quoted(directories: Sequence[str]) -> list[str]:
    return [directory.replace("\\", "\\\\").replace(":", "\\:") for directory in directories]


def _overlay(lower: Sequence[str], like: Mount) -> Mount:
    options = [option for option in like.options if option not in _FOR_WRITING and not option.startswith(_OURS)]
    if "ro" not in options:
        options.append("ro")
    return Mount(
        type="overlay", source=like.source, target=like.target, options=[*options, "lowerdir=" + ":".join(lower)]
    )
