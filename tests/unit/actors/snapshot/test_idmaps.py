"""Snapshots whose owners are mapped for a user namespace: by the kernel, and by copying."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator

import pytest

from actors.snapshot import idmaps
from actors.snapshot.idmaps import GID_LABEL, UID_LABEL, IdMaps
from actors.snapshot.overlayfs import Overlayfs
from linux import mount
from wharfie.errors import FailedPrecondition, InvalidArgument
from wharfie.types.base import Mount
from wharfie.types.snapshots import Kind

IDS = IdMaps("0:100000:65536", "0:200000:65536")
CAPABILITY = "security.capability"


class Incapable(Overlayfs):
    """As in a kernel that cannot map the owners of layers."""

    shows_mapped = False


@pytest.mark.parametrize(
    ("labels", "found"),
    [({}, None), ({"a": "b"}, None), ({UID_LABEL: "0:1:2", GID_LABEL: "0:3:4"}, IdMaps("0:1:2", "0:3:4"))],
)
def test_labels_are_read(labels: dict[str, str], found: IdMaps | None) -> None:
    assert idmaps.of(labels) == found


@pytest.mark.parametrize(
    "labels", [{UID_LABEL: "0:1:2"}, {GID_LABEL: "0:1:2"}, {UID_LABEL: "0:1", GID_LABEL: "0:1:2"}, {UID_LABEL: ""}]
)
def test_labels_that_cannot_be_read_are_refused(labels: dict[str, str]) -> None:
    with pytest.raises(InvalidArgument, match="mapped together"):
        idmaps.of(labels)


@pytest.fixture
def place(root: str) -> Iterator[str]:
    os.mkdir(f"{root}/place")
    yield f"{root}/place"
    mount.unmount_beneath(f"{root}/place")
    os.rmdir(f"{root}/place")


def see(mounts: list[Mount], place: str) -> None:
    mount.mount_all([(m.type, m.source, m.target, tuple(m.options)) for m in mounts], root=place)


def layered(backend: Overlayfs) -> None:
    """Two layers: a program with a capability, a setuid one, a file of somebody, a file that the upper one removes."""
    backend.prepare(1, [], Kind.ACTIVE)
    files = backend.files(1)
    for name, owner, mode in (("ping", 0, 0o755), ("su", 0, 0o4755), ("mine", 1000, 0o600), ("gone", 0, 0o644)):
        with open(f"{files}/{name}", "w") as file:
            file.write(name)
        os.chown(f"{files}/{name}", owner, owner)
        os.chmod(f"{files}/{name}", mode)
    # cap_net_raw=ep: the kernel's struct vfs_cap_data, revision 2.
    os.setxattr(f"{files}/ping", CAPABILITY, struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0))
    backend.commit(1)
    backend.prepare(2, [1], Kind.ACTIVE)
    os.mknod(f"{backend.files(2)}/gone", stat.S_IFCHR, 0)
    os.chmod(backend.files(2), 0o750)
    backend.commit(2)


def owners(place: str) -> dict[str, tuple[int, int, int]]:
    found = {name: os.stat(f"{place}/{name}") for name in [".", *sorted(os.listdir(place))]}
    return {name: (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) for name, status in found.items()}


EXPECTED = {
    ".": (100000, 200000, 0o750),
    "mine": (101000, 201000, 0o600),
    "ping": (100000, 200000, 0o755),
    "su": (100000, 200000, 0o4755),
}


@pytest.mark.parametrize("kind", [Kind.ACTIVE, Kind.VIEW])
@pytest.mark.parametrize("backend_class", [Overlayfs, Incapable])
def test_a_mapped_snapshot_shows_other_owners(
    root: str, place: str, backend_class: type[Overlayfs], kind: Kind
) -> None:
    backend = backend_class(f"{root}/snapshots", slow_chown=True)
    layered(backend)
    backend.prepare(3, [2, 1], kind, IDS)
    mounts = backend.mounts(3, [2, 1], kind, IDS)
    assert mounts == backend.mounts(3, [2, 1], kind, IDS)
    see(mounts, place)
    assert owners(place) == EXPECTED
    if kind is Kind.ACTIVE:
        os.chmod(f"{place}/su", 0o4711)
        # What root of the user namespace makes belongs to the same as before.
        assert os.stat(f"{place}/su").st_uid == 100000
    else:
        with pytest.raises(OSError, match="Read-only"):
            os.chmod(f"{place}/su", 0o4711)
    # The capability counts in the user namespace and not outside.
    value = os.getxattr(f"{place}/ping", CAPABILITY)
    assert (value[3], int.from_bytes(value[20:24], "little")) == (3, 100000)


@pytest.mark.parametrize("kind", [Kind.ACTIVE, Kind.VIEW])
def test_a_view_of_one_layer_is_mapped_too(root: str, place: str, kind: Kind) -> None:
    backend = Overlayfs(f"{root}/snapshots", slow_chown=True)
    layered(backend)
    backend.prepare(3, [1], kind, IDS)
    see(backend.mounts(3, [1], kind, IDS), place)
    assert owners(place)["mine"] == (101000, 201000, 0o600)


def test_without_a_parent_only_the_root_is_somebody_elses(root: str, place: str) -> None:
    backend = Overlayfs(f"{root}/snapshots")
    backend.prepare(1, [], Kind.ACTIVE, IDS)
    see(backend.mounts(1, [], Kind.ACTIVE, IDS), place)
    assert owners(place) == {".": (100000, 200000, 0o755)}


def test_files_are_not_copied_unless_that_is_allowed(root: str) -> None:
    backend = Incapable(f"{root}/snapshots")
    layered(backend)
    with pytest.raises(FailedPrecondition, match=r"snapshot\.slow_chown"):
        backend.prepare(3, [2, 1], Kind.ACTIVE, IDS)
    assert sorted(os.listdir(f"{root}/snapshots")) == ["1", "2"]
