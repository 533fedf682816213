"""How a snapshot's owners are mapped for a container in a user namespace: two of its labels, containerd's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from linux import idmap
from wharfie.errors import InvalidArgument

UID_LABEL = "containerd.io/snapshot/uidmapping"
GID_LABEL = "containerd.io/snapshot/gidmapping"


class IdMaps(NamedTuple):
    """The mappings of users and of groups, as `linux.idmap` writes them."""

    uids: str
    gids: str

    def options(self) -> list[str]:
        """As options of a mount."""
        return [f"uidmap={self.uids}", f"gidmap={self.gids}"]

    def owner(self, uid: int, gid: int) -> tuple[int, int]:
        """As whom an owner is seen."""
        return idmap.outside(uid, idmap.parse(self.uids)), idmap.outside(gid, idmap.parse(self.gids))


def of(labels: Mapping[str, str]) -> IdMaps | None:
    """The mappings that a snapshot's labels ask for. Pure.

    Raises:
        InvalidArgument: only one of the two labels is there, or one cannot be read.
    """
    if UID_LABEL not in labels and GID_LABEL not in labels:
        return None
    for name in (UID_LABEL, GID_LABEL):
        try:
            idmap.parse(labels.get(name, ""))
        except ValueError as error:
            raise InvalidArgument(
                f"label '{name}' does not map ids: {error}; users and groups are mapped together",
                details={"field": f"labels.{name}"},
            ) from None
    return IdMaps(labels[UID_LABEL], labels[GID_LABEL])
