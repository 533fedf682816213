"""The erofs back-end by itself: its mounts as data, its images, what is mounted when."""

from __future__ import annotations

import os
import shutil

import pytest

from actors.plugins.context import SkipPlugin
from actors.snapshot.erofs.backend import Erofs
from actors.snapshot.idmaps import IdMaps
from linux import mount, mountinfo
from tests.support import erofsimages, tars
from wharfie.errors import DataLoss, FailedPrecondition
from wharfie.types.base import Mount
from wharfie.types.snapshots import Kind


def bind(source: str, access: str) -> list[Mount]:
    return [Mount(type="bind", source=source, options=[access, "rbind"])]


def mounted_in(root: str) -> list[str]:
    return sorted(entry.mountpoint.removeprefix(root) for entry in mountinfo.beneath(mountinfo.read(), root))


def committed(backend: Erofs, number: int, text: str) -> None:
    """A committed snapshot with one file of this name and content."""
    backend.prepare(number, [], Kind.ACTIVE)
    with open(f"{backend.files(number)}/{text}", "w") as file:
        file.write(text)
    backend.commit(number)


def test_mounts_have_nothing_but_directories_in_them(shm: str) -> None:
    backend = Erofs(shm)
    assert backend.mounts(1, [], Kind.ACTIVE) == bind(f"{shm}/1/fs", "rw")
    assert backend.mounts(1, [], Kind.VIEW) == bind(f"{shm}/1/fs", "ro")
    assert backend.mounts(2, [1], Kind.VIEW) == bind(f"{shm}/1/layer", "ro")
    [active] = backend.mounts(3, [2, 1], Kind.ACTIVE)
    assert active.options == [
        "index=off",
        f"workdir={shm}/3/work",
        f"upperdir={shm}/3/fs",
        f"lowerdir={shm}/2/layer:{shm}/1/layer",
    ]


def test_starting_leaves_nothing(shm: str) -> None:
    Erofs(shm)
    assert os.listdir(shm) == []


def test_a_kernel_without_erofs_is_a_reason_to_skip(shm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = mount.mount

    def without_erofs(source: str, target: str, *, fstype: str = "", flags: int = 0, data: str = "") -> None:
        # What a kernel says that has no such file system: this one is asked for one that it does not have.
        before(source, target, fstype="erofs-that-is-not" if fstype == "erofs" else fstype, flags=flags, data=data)

    monkeypatch.setattr(mount, "mount", without_erofs)
    with pytest.raises(SkipPlugin, match="this kernel has no erofs"):
        Erofs(shm)
    assert os.listdir(shm) == []


def test_images_are_mounted_when_something_is_prepared_on_them_and_until_they_are_removed(shm: str) -> None:
    backend = Erofs(shm)
    committed(backend, 1, "one")
    committed(backend, 2, "two")
    assert mounted_in(shm) == []
    backend.prepare(3, [2, 1], Kind.ACTIVE)
    assert mounted_in(shm) == ["/1/layer", "/2/layer"]
    backend.prepare(3, [2, 1], Kind.ACTIVE)
    backend.prepare(4, [1], Kind.VIEW)
    assert mounted_in(shm) == ["/1/layer", "/2/layer"]
    for number in (3, 2):
        backend.remove(number)
    assert mounted_in(shm) == ["/1/layer"]
    # A crash keeps mounts; who comes after it finds them.
    again = Erofs(shm)
    again.prepare(5, [1], Kind.VIEW)
    assert mounted_in(shm) == ["/1/layer"]
    assert again.cleanup([4, 5], 5) == 1
    again.sweep()
    assert mounted_in(shm) == []
    assert sorted(os.listdir(shm)) == ["4", "5"]


def test_an_orderly_end_unmounts_all_and_disturbs_no_container(shm: str) -> None:
    backend = Erofs(f"{shm}/snapshots")
    committed(backend, 1, "one")
    backend.prepare(2, [1], Kind.ACTIVE)
    os.mkdir(f"{shm}/rootfs")
    [overlay] = backend.mounts(2, [1], Kind.ACTIVE)
    mount.mount_one(overlay.source, f"{shm}/rootfs", fstype=overlay.type, options=overlay.options)
    try:
        backend.close()
        assert mounted_in(shm) == ["/rootfs"]
        with open(f"{shm}/rootfs/one") as file:
            assert file.read() == "one"
        # Nobody can take the place of an image that is not mounted for an empty layer.
        assert not os.path.exists(backend.layer(1))
    finally:
        mount.umount(f"{shm}/rootfs")
    backend.prepare(2, [1], Kind.ACTIVE)
    assert mounted_in(shm) == ["/snapshots/1/layer"]
    backend.close()


def test_what_an_image_was_made_from_goes_when_something_is_put_on_it(shm: str) -> None:
    backend = Erofs(shm)
    committed(backend, 1, "one")
    # Not yet: metadata may refuse the commit, and then it is written to again.
    assert sorted(os.listdir(f"{shm}/1")) == ["fs", "layer.erofs", "work"]
    with open(f"{shm}/1/fs/more", "w"):
        pass
    backend.commit(1)
    backend.prepare(2, [1], Kind.VIEW)
    assert sorted(os.listdir(f"{shm}/1")) == ["layer", "layer.erofs"]
    assert sorted(os.listdir(f"{shm}/1/layer")) == ["more", "one"]
    backend.close()


def test_an_image_that_is_gone_or_broken_is_told(shm: str) -> None:
    backend = Erofs(shm)
    with pytest.raises(DataLoss, match=r"7/layer\.erofs' is gone"):
        os.mkdir(f"{shm}/7")
        backend.prepare(8, [7], Kind.ACTIVE)
    with open(f"{shm}/7/layer.erofs", "wb") as image:
        image.write(bytes(8192))
    with pytest.raises(DataLoss, match="broken"):
        backend.prepare(8, [7], Kind.ACTIVE)
    with pytest.raises(DataLoss, match="broken"):
        backend.usage(7)
    assert not os.path.exists(f"{shm}/8")


def test_files_that_have_no_room_in_an_image_are_told_and_the_snapshot_stays(shm: str) -> None:
    backend = Erofs(shm)
    backend.prepare(1, [], Kind.ACTIVE)
    with open(f"{shm}/1/fs/f", "w") as file:
        os.setxattr(file.fileno(), "user.large", bytes(1 << 16))
    with pytest.raises(FailedPrecondition, match="no room in an image"):
        backend.commit(1)
    assert sorted(os.listdir(f"{shm}/1")) == ["fs", "work"]
    os.removexattr(f"{shm}/1/fs/f", "user.large")
    assert backend.commit(1).inodes == 2


def test_owners_can_be_mapped(shm: str) -> None:
    backend = Erofs(f"{shm}/snapshots")
    if not backend.shows_mapped:
        pytest.skip("this kernel maps no owners of layers here")
    committed(backend, 1, "one")
    ids = IdMaps("0:100000:65536", "0:200000:65536")
    backend.prepare(2, [1], Kind.ACTIVE, ids)
    os.mkdir(f"{shm}/rootfs")
    [overlay] = backend.mounts(2, [1], Kind.ACTIVE, ids)
    mount.mount_one(overlay.source, f"{shm}/rootfs", fstype=overlay.type, options=overlay.options)
    try:
        for path in ("", "/one"):
            status = os.stat(f"{shm}/rootfs{path}")
            assert (status.st_uid, status.st_gid) == (100_000, 200_000)
    finally:
        mount.umount(f"{shm}/rootfs")
        backend.close()


def test_a_snapshot_whose_image_is_cut_off_is_lost_and_can_be_made_again(shm: str) -> None:
    backend = Erofs(shm)
    for number in (1, 2, 3):
        committed(backend, number, f"file-{number}")
    assert backend.intact() == [1, 2, 3]
    os.truncate(backend.image(1), 0)
    os.unlink(backend.image(2))
    assert backend.intact() == [3]
    assert backend.numbers() == [1, 2, 3]
    for number, lost in ((4, 1), (5, 2)):
        committed(backend, number, f"again-{lost}")
        backend.restore(number, lost)
    assert backend.intact() == [1, 2, 3]
    backend.prepare(6, [2, 1], Kind.VIEW)
    assert (os.listdir(backend.layer(1)), os.listdir(backend.layer(2))) == (["again-1"], ["again-2"])
    committed(backend, 7, "other")
    with pytest.raises(FileExistsError):
        backend.restore(7, 3)
    backend.close()


def test_the_directory_of_an_active_snapshot_counts_for_who_looks_for_orphans(shm: str) -> None:
    backend = Erofs(shm)
    committed(backend, 1, "file")
    backend.prepare(2, [], Kind.ACTIVE)
    assert (backend.numbers(), backend.intact()) == ([1, 2], [1])
    backend.close()


def test_a_layer_that_came_as_an_image_is_committed_as_it_is(shm: str) -> None:
    backend = Erofs(shm)
    backend.prepare(1, [], Kind.ACTIVE)
    # As the job leaves it.
    shutil.rmtree(backend.files(1))
    erofsimages.make(f"{shm}/1/layer.erofs", tars.tar([tars.file("a"), tars.file("b", b"x" * 9000)]))
    usage = backend.commit(1)
    assert usage.inodes == 3
    assert usage.size == os.stat(backend.image(1)).st_blocks * 512
    assert backend.usage(1) == usage
