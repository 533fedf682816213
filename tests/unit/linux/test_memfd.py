from __future__ import annotations

import os

import pytest

from linux import memfd


def test_content_comes_back_and_cannot_be_changed() -> None:
    data = os.urandom(3_000_000)
    fd = memfd.create_sealed("test", data)
    assert memfd.is_sealed(fd)
    assert not os.get_inheritable(fd)
    with pytest.raises(PermissionError):
        os.pwrite(fd, b"x", 0)
    with pytest.raises(PermissionError):
        os.ftruncate(fd, 1)
    assert memfd.read_sealed(fd, max_size=len(data)) == data
    os.close(fd)


def test_an_empty_file_is_fine() -> None:
    fd = memfd.create_sealed("test", b"")
    assert memfd.read_sealed(fd, max_size=0) == b""
    os.close(fd)


def test_a_file_that_somebody_could_still_change_is_refused() -> None:
    fd = os.memfd_create("open", os.MFD_ALLOW_SEALING)
    with pytest.raises(ValueError, match="sealed"):
        memfd.read_sealed(fd, max_size=10)
    os.close(fd)


def test_what_is_no_memory_file_is_refused() -> None:
    with open("/dev/null", "rb") as file, pytest.raises(ValueError, match="sealed"):
        memfd.read_sealed(file.fileno(), max_size=10)


def test_more_than_allowed_is_refused() -> None:
    fd = memfd.create_sealed("test", b"x" * 11)
    with pytest.raises(ValueError, match="11 bytes, at most 10"):
        memfd.read_sealed(fd, max_size=10)
    os.close(fd)
