"""The snapshotter's cases over overlayfs, native, btrfs and erofs, with real mounts on tmpfs and on a loop device."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator

import pytest

from linux import mount
from tests.conformance import snapshot_files, snapshot_names
from tests.conformance.snapshotter import Snapshotter
from wharfie import Client, Unimplemented

Case = Callable[[Snapshotter], None]

SUITE = [*snapshot_names.SUITE, *snapshot_files.SUITE]


@pytest.fixture
def place() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="wc-", dir="/dev/shm") as directory:
        yield directory
        assert mount.unmount_beneath(directory, flags=mount.MNT_DETACH) == []


def name_of(case: object) -> str:
    return getattr(case, "__name__", str(case))


@pytest.mark.parametrize("case", [*SUITE, *snapshot_files.REBASING], ids=name_of)
def test_overlayfs(case: Case, connect: Callable[[], Client], place: str) -> None:
    case(Snapshotter(connect(), "overlayfs", place, renames_directories=False))


@pytest.mark.parametrize("case", SUITE, ids=name_of)
def test_native(case: Case, connect: Callable[[], Client], place: str) -> None:
    case(Snapshotter(connect(), "native", place))


@pytest.mark.parametrize("case", SUITE, ids=name_of)
def test_btrfs(case: Case, connect: Callable[[], Client], place: str) -> None:
    case(Snapshotter(connect(), "btrfs", place))


@pytest.mark.parametrize("case", [*SUITE, *snapshot_files.REBASING], ids=name_of)
def test_erofs(case: Case, connect: Callable[[], Client], place: str) -> None:
    erofs = Snapshotter(connect(), "erofs", place, renames_directories=False, keeps_files=False)
    case(erofs)
    # Images are mounted for as long as they are there, and a test must leave no mount.
    erofs.remove_all()


def test_native_refuses_to_rebase_and_keeps_the_snapshot(connect: Callable[[], Client], place: str) -> None:
    native = Snapshotter(connect(), "native", place)
    native.layer("base", "", lambda _: None)
    native.prepare("loose")
    with pytest.raises(Unimplemented):
        native.commit("stacked", "loose", parent="base")
    native.commit("plain", "loose")
