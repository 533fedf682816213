"""The snapshotter's cases over overlayfs, native, btrfs and erofs, with real mounts on tmpfs and on a loop device."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator

import pytest

from actors.snapshot.erofs.backend import Erofs
from actors.snapshot.local import LocalBackend
from actors.snapshot.native import Native
from actors.snapshot.overlayfs import Overlayfs
from linux import mount
from tests.conformance import snapshot_files, snapshot_names
from tests.conformance.snapshotter import Snapshotter, tree, write
from tests.support import loopfs
from wharfie import Client, Unimplemented
from wharfie.types.snapshots import Kind

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
    loopfs.need("btrfs")
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


@pytest.mark.parametrize("backend_class", [Overlayfs, Native, Erofs])
def test_closing_a_snapshotter_twice_is_no_error(backend_class: type[LocalBackend], place: str) -> None:
    backend = backend_class(f"{place}/snapshots")
    backend.prepare(1, [], Kind.ACTIVE)
    write(f"{backend.files(1)}/file", "text")
    backend.commit(1)
    backend.prepare(2, [1], Kind.ACTIVE)
    backend.close()
    backend.close()
    # Who opens it next finds everything.
    again = backend_class(f"{place}/snapshots")
    again.prepare(3, [1], Kind.VIEW)
    [view] = again.mounts(3, [1], Kind.VIEW)
    assert tree(view.source) == {"file": "text"}
    again.close()
