"""Images of directories that were written to, as at the commit of an active snapshot."""

from __future__ import annotations

import os
import socket
import stat

from actors.snapshot.erofs.upper import write_image
from linux import mount
from tests.support import erofsimages


def image_of(directory: str, path: str) -> None:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        write_image(directory, fd, uuid=bytes(16))
    finally:
        os.close(fd)
    erofsimages.check(path)


def test_everything_of_a_tree_is_kept(shm: str) -> None:
    root = f"{shm}/tree"
    os.makedirs(f"{root}/d/e")
    for number, size in enumerate((0, 1, 4000, 4033, 4096, 300_000)):
        with open(f"{root}/d/{number}", "wb") as file:
            file.write(os.urandom(size))
        os.chown(f"{root}/d/{number}", 70_000, number)
    os.link(f"{root}/d/1", f"{root}/d/e/hard")
    os.symlink("x" * 300, f"{root}/link")
    os.mknod(f"{root}/null", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    os.mkfifo(f"{root}/pipe")
    os.mknod(f"{root}/gone", stat.S_IFCHR, 0)
    os.mknod(f"{root}/gone-too", stat.S_IFCHR, 0)
    os.setxattr(f"{root}/d", erofsimages.OPAQUE, b"y")
    os.setxattr(f"{root}/d/1", "user.x", b"y")
    os.chmod(f"{root}/d/e", 0o2750)
    os.chmod(f"{root}", 0o1711)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{root}/socket")
    os.utime(f"{root}/d/2", ns=(-5_000_000_001, -5_000_000_001))
    image_of(root, f"{shm}/image")
    with erofsimages.mounted(f"{shm}/image") as place:
        assert erofsimages.described(place) == erofsimages.described(root)
        assert stat.S_IMODE(os.stat(place).st_mode) == 0o1711


def test_holes_stay_holes(shm: str) -> None:
    os.mkdir(f"{shm}/tree")
    with open(f"{shm}/tree/sparse", "wb") as file:
        file.truncate(1 << 32)
        file.seek(1 << 31)
        file.write(b"middle")
    image_of(f"{shm}/tree", f"{shm}/image")
    assert os.stat(f"{shm}/image").st_blocks * 512 < 1 << 20
    with erofsimages.mounted(f"{shm}/image") as place, open(f"{place}/sparse", "rb") as sparse:
        assert os.fstat(sparse.fileno()).st_size == 1 << 32
        sparse.seek((1 << 31) - 2)
        assert sparse.read(10) == b"\0\0middle\0\0"


def test_what_overlay_notes_about_places_is_left_out(shm: str) -> None:
    for name in ("lower/d", "upper", "work", "merged"):
        os.makedirs(f"{shm}/{name}")
    with open(f"{shm}/lower/d/f", "w") as file:
        file.write("f")
    data = f"lowerdir={shm}/lower,upperdir={shm}/upper,workdir={shm}/work"
    mount.mount("overlay", f"{shm}/merged", fstype="overlay", data=data)
    try:
        os.chmod(f"{shm}/merged/d/f", 0o600)
        os.mkdir(f"{shm}/merged/new")
    finally:
        mount.umount(f"{shm}/merged")
    assert "trusted.overlay.origin" in os.listxattr(f"{shm}/upper/d/f")
    image_of(f"{shm}/upper", f"{shm}/image")
    with erofsimages.mounted(f"{shm}/image") as place:
        assert os.listxattr(f"{place}/d/f") == []
        assert os.listxattr(f"{place}/d") == []
        with open(f"{place}/d/f") as file:
            assert file.read() == "f"
