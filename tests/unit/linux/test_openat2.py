from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from linux import openat2 as o
from linux.openat2 import openat2


@pytest.fixture
def root(shm: str) -> Iterator[int]:
    os.makedirs(f"{shm}/root/etc/deep")
    Path(f"{shm}/root/etc/file").write_text("inside")
    Path(f"{shm}/secret").write_text("outside")
    os.symlink("/etc", f"{shm}/root/absolute")
    os.symlink("../../../../../../etc", f"{shm}/root/up")
    os.symlink("/proc/self/root", f"{shm}/root/magic")
    fd = os.open(f"{shm}/root", os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def read(path: str | bytes, root: int, resolve: int = o.RESOLVE_IN_ROOT) -> str:
    with open(openat2(path, dir_fd=root, flags=os.O_RDONLY | os.O_CLOEXEC, resolve=resolve), encoding="ascii") as file:
        return file.read()


@pytest.mark.parametrize("path", ["etc/file", "/etc/file", "../../etc/file", "absolute/file", "up/file", b"etc/file"])
def test_in_root_every_path_stays_inside(root: int, path: str | bytes) -> None:
    assert read(path, root) == "inside"


@pytest.mark.parametrize("path", ["../secret", "absolute/../../secret"])
def test_in_root_nothing_outside_is_found(root: int, path: str) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        read(path, root)
    assert caught.value.filename == path


@pytest.mark.parametrize(
    ("path", "resolve", "code"),
    [
        ("../secret", o.RESOLVE_BENEATH, errno.EXDEV),
        ("absolute/file", o.RESOLVE_BENEATH, errno.EXDEV),
        ("absolute/file", o.RESOLVE_NO_SYMLINKS, errno.ELOOP),
    ],
)
def test_other_ways_to_resolve_refuse(root: int, path: str, resolve: int, code: int) -> None:
    with pytest.raises(OSError, match=r".") as caught:
        read(path, root, resolve)
    assert caught.value.errno == code


def test_a_file_is_created_with_its_mode_and_the_descriptor_is_close_on_exec(root: int, shm: str) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    fd = openat2("up/new", dir_fd=root, flags=flags, mode=0o640)
    assert not os.get_inheritable(fd)
    os.close(fd)
    assert os.stat(f"{shm}/root/etc/new").st_mode & 0o777 == 0o640


def test_a_null_byte_is_refused_and_does_not_cut_the_path(root: int) -> None:
    with pytest.raises(ValueError, match="null"):
        openat2(b"etc/file\0x", dir_fd=root, flags=os.O_RDONLY)
