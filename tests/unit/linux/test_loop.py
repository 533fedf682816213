"""Loop devices that go away by themselves."""

from __future__ import annotations

import os
import tempfile

import pytest

from linux import loop
from tests.support.wait import until


def backing_of(device: str) -> str:
    """The file that the device shows; empty when it shows none."""
    try:
        with open(f"/sys/block/{os.path.basename(os.path.realpath(device))}/loop/backing_file") as file:
            return file.read().strip()
    except FileNotFoundError:
        return ""


def test_a_device_shows_the_file_read_only_and_is_gone_afterwards() -> None:
    with tempfile.NamedTemporaryFile(dir="/dev/shm", prefix="wharfie-loop-") as file:
        file.write(b"content".ljust(8192, b"."))
        file.flush()
        with loop.attached(file.fileno(), name=file.name) as device:
            assert backing_of(device) == file.name
            fd = os.open(device, os.O_RDONLY)
            try:
                assert os.pread(fd, 7, 0) == b"content"
            finally:
                os.close(fd)
            with open(f"/sys/block/{os.path.basename(device)}/ro") as flag:
                assert flag.read().strip() == "1"
        until(lambda: backing_of(device) != file.name)


def test_what_is_no_file_is_refused_and_leaves_no_device() -> None:
    fd = os.open("/dev/shm", os.O_RDONLY | os.O_DIRECTORY)
    try:
        with pytest.raises(OSError), loop.attached(fd):
            pass
    finally:
        os.close(fd)
