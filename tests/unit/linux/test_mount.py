from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from linux import mount, mountinfo, mountoptions, namespaces, overlay
from linux.mount import Mount
from tests.support.fork import in_private_mounts


def mounted(directory: str) -> list[str]:
    return [entry.mountpoint for entry in mountinfo.beneath(mountinfo.read(), directory)]


def test_mount_and_umount_of_a_tmpfs(shm: str) -> None:
    def run() -> None:
        mount.mount("none", shm, fstype="tmpfs", data="size=64k,mode=0711")
        assert os.stat(shm).st_mode & 0o777 == 0o711
        mount.umount(shm)
        assert mounted(shm) == []

    in_private_mounts(run)


def test_a_failed_mount_names_target_and_source() -> None:
    with pytest.raises(FileNotFoundError) as caught:
        mount.mount("/no/source", "/no/target", flags=mount.MS_BIND)
    assert (caught.value.filename, caught.value.filename2) == ("/no/target", "/no/source")


def test_umount_of_no_mount_point_is_einval(shm: str) -> None:
    with pytest.raises(OSError, match="Invalid argument") as caught:
        mount.umount(shm)
    assert caught.value.errno == errno.EINVAL


def test_umount_does_not_follow_a_symbolic_link(shm: str) -> None:
    def run() -> None:
        os.mkdir(f"{shm}/real")
        mount.mount("none", f"{shm}/real", fstype="tmpfs")
        os.symlink("real", f"{shm}/link")
        with pytest.raises(OSError, match="Invalid argument"):
            mount.umount(f"{shm}/link")
        assert mounted(shm) == [f"{shm}/real"]

    in_private_mounts(run)


def test_a_read_only_bind_mount_really_is_read_only_and_its_source_is_not(shm: str) -> None:
    def run() -> None:
        os.mkdir(f"{shm}/from")
        os.mkdir(f"{shm}/to")
        options = ("bind", "ro", "nosuid", "noexec", "rprivate")
        mount.mount_one(f"{shm}/from", f"{shm}/to", fstype="bind", options=options)
        with pytest.raises(OSError, match="Read-only") as caught:
            Path(f"{shm}/to/file").touch()
        assert caught.value.errno == errno.EROFS
        Path(f"{shm}/from/file").touch()
        [entry] = [entry for entry in mountinfo.read() if entry.mountpoint == f"{shm}/to"]
        assert {"ro", "nosuid", "noexec"} <= set(entry.options)

    in_private_mounts(run)


def test_a_bind_mount_whose_second_step_fails_is_taken_down(shm: str) -> None:
    def run() -> None:
        mount.mount("none", shm, fstype="tmpfs", flags=mountoptions.MS_NOSUID)
        os.mkdir(f"{shm}/to")
        # Within a user namespace nosuid is locked, so a remount that leaves it out is refused.
        namespaces.unshare(namespaces.CLONE_NEWUSER | namespaces.CLONE_NEWNS)
        with pytest.raises(PermissionError):
            mount.mount_one(shm, f"{shm}/to", fstype="bind", options=("bind", "ro"))
        assert mounted(shm) == [shm]

    in_private_mounts(run)


def test_mount_all_mounts_an_overlay_and_what_stands_on_it(shm: str) -> None:
    def run() -> None:
        for name in ("low", "up", "work", "root", "data"):
            os.mkdir(f"{shm}/{name}")
        os.mkdir(f"{shm}/low/mnt")
        mounts = [
            Mount("overlay", "overlay", "", (f"lowerdir={shm}/low", f"upperdir={shm}/up", f"workdir={shm}/work")),
            Mount("bind", f"{shm}/data", "mnt", ("rbind", "rw")),
        ]
        mount.mount_all(mounts, root=f"{shm}/root")
        Path(f"{shm}/root/mnt/here").touch()
        assert os.listdir(f"{shm}/data") == ["here"]
        assert mount.unmount_beneath(f"{shm}/root") == [f"{shm}/root/mnt", f"{shm}/root"]

    in_private_mounts(run)


def test_mount_all_leaves_nothing_mounted_when_the_last_mount_fails(shm: str) -> None:
    def run() -> None:
        mounts = [("tmpfs", "none", shm, ()), ("tmpfs", "none", shm, ()), ("no-such-fs", "none", shm, ())]
        with pytest.raises(OSError, match="No such device"):
            mount.mount_all(mounts)
        assert mounted(shm) == []

    in_private_mounts(run)


def test_a_relative_target_cannot_leave_the_root_by_a_symbolic_link(shm: str) -> None:
    def run() -> None:
        os.makedirs(f"{shm}/root/etc")
        os.symlink("/etc", f"{shm}/root/link")
        os.symlink("../../../../../etc", f"{shm}/root/up")
        for target in ("link", "up"):
            mount.mount_all([("tmpfs", "none", target, ())], root=f"{shm}/root")
            assert mounted("/etc") == []
            assert mount.unmount_beneath(f"{shm}/root") == [f"{shm}/root/etc"]

    in_private_mounts(run)


def test_unmount_beneath_takes_stacked_and_nested_mounts_and_can_spare_the_top(shm: str) -> None:
    def run() -> None:
        mount.mount("none", shm, fstype="tmpfs")
        os.mkdir(f"{shm}/a")
        mount.mount("none", f"{shm}/a", fstype="tmpfs")
        mount.mount("none", f"{shm}/a", fstype="tmpfs")
        os.mkdir(f"{shm}/a/b")
        mount.mount("none", f"{shm}/a/b", fstype="tmpfs")
        assert mount.unmount_beneath(shm, include_self=False) == [f"{shm}/a/b", f"{shm}/a", f"{shm}/a"]
        assert mount.unmount_beneath(shm) == [shm]
        assert mount.unmount_beneath(shm) == []

    in_private_mounts(run)


def test_unmount_beneath_says_when_a_mount_is_in_use_and_can_detach_it(shm: str) -> None:
    def run() -> None:
        mount.mount("none", shm, fstype="tmpfs")
        with open(f"{shm}/file", "wb"):
            with pytest.raises(OSError, match="busy"):
                mount.unmount_beneath(shm)
            assert mount.unmount_beneath(shm, flags=mount.MNT_DETACH) == [shm]

    in_private_mounts(run)


def test_is_mountpoint_knows_bind_mounts_of_the_same_file_system(shm: str) -> None:
    def run() -> None:
        os.mkdir(f"{shm}/a")
        os.symlink("a", f"{shm}/link")
        assert not mount.is_mountpoint(f"{shm}/a")
        mount.mount(shm, f"{shm}/a", flags=mount.MS_BIND)
        assert mount.is_mountpoint(f"{shm}/a")
        assert not mount.is_mountpoint(f"{shm}/link")

    in_private_mounts(run)


def test_is_mountpoint_of_nothing_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        mount.is_mountpoint("/no/such/path")


def layers(shm: str, count: int, *, name_size: int = 60) -> list[str]:
    """Make lower directories, the first uppermost, each with a file of its own and one they all have."""
    paths = []
    for index in range(count):
        path = f"{shm}/{index:04d}-{'x' * name_size}/fs"
        os.makedirs(path)
        Path(f"{path}/own-{index}").write_text(str(index))
        Path(f"{path}/common").write_text(str(index))
        paths.append(path)
    return paths


def options_of(shm: str, lower: list[str]) -> tuple[str, ...]:
    for name in ("up", "work", "root"):
        os.mkdir(f"{shm}/{name}")
    return (f"lowerdir={':'.join(lower)}", f"upperdir={shm}/up", f"workdir={shm}/work", "index=off")


def check_layers(root: str, count: int) -> None:
    assert Path(f"{root}/common").read_text() == "0"
    assert len(os.listdir(root)) == count + 1
    Path(f"{root}/common").write_text("new")


def test_an_overlay_of_128_layers_mounts(shm: str) -> None:
    def run() -> None:
        options = options_of(shm, layers(shm, 128))
        mount.mount_one("overlay", f"{shm}/root", fstype="overlay", options=options)
        check_layers(f"{shm}/root", 128)
        assert Path(f"{shm}/up/common").read_text() == "new"

    in_private_mounts(run)


def test_a_long_read_only_overlay_without_an_upper_directory_keeps_its_flags(shm: str) -> None:
    def run() -> None:
        options = options_of(shm, layers(shm, 128))[0]
        mount.mount_one("overlay", f"{shm}/root", fstype="overlay", options=(options, "ro", "nodev"))
        with pytest.raises(OSError, match="Read-only"):
            Path(f"{shm}/root/new").touch()
        [entry] = [entry for entry in mountinfo.read() if entry.mountpoint == f"{shm}/root"]
        assert {"ro", "nodev"} <= set(entry.options)

    in_private_mounts(run)


def test_128_layers_mount_on_a_kernel_without_fsopen_too(shm: str) -> None:
    def run() -> None:
        options = options_of(shm, layers(shm, 128))
        overlay._mount_by_descriptors("overlay", f"{shm}/root", flags=0, options=options)
        check_layers(f"{shm}/root", 128)

    in_private_mounts(run)


def test_lower_directories_with_paths_longer_than_fsconfig_takes_mount(shm: str) -> None:
    def run() -> None:
        options = options_of(shm, layers(shm, 20, name_size=245))
        mount.mount_one("overlay", f"{shm}/root", fstype="overlay", options=options)
        check_layers(f"{shm}/root", 20)

    in_private_mounts(run)


def test_a_long_overlay_with_a_missing_layer_fails_and_stays_unmounted(shm: str) -> None:
    def run() -> None:
        options = options_of(shm, [*layers(shm, 128), f"{shm}/missing"])
        with pytest.raises(FileNotFoundError) as caught:
            mount.mount_one("overlay", f"{shm}/root", fstype="overlay", options=options)
        assert caught.value.filename is not None
        assert mounted(shm) == []

    in_private_mounts(run)


@pytest.mark.parametrize(
    ("value", "directories"),
    [("/a", ["/a"]), ("/a:/b", ["/a", "/b"]), (r"/a\:b:/c", ["/a:b", "/c"]), (r"/a\\:/c", ["/a\\", "/c"])],
)
def test_lowerdir_is_split_at_colons_that_are_not_escaped(value: str, directories: list[str]) -> None:
    assert overlay.split_lowerdir(value) == directories
