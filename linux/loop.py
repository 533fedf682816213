"""Loop devices: a file as a block device, for file systems that cannot be mounted from a file.

Every device made here goes away by itself when nobody has it open or mounted any more (LO_FLAGS_AUTOCLEAR). Source:
loop(4) and the kernel's uapi/linux/loop.h.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
from collections.abc import Iterator

LOOP_CTL_GET_FREE = 0x4C82
LOOP_CONFIGURE = 0x4C0A
LOOP_SET_FD = 0x4C00
LOOP_SET_STATUS64 = 0x4C04
LOOP_CLR_FD = 0x4C01

LO_FLAGS_READ_ONLY = 1
LO_FLAGS_AUTOCLEAR = 4

CONTROL = "/dev/loop-control"
_NAME_BYTES = 64
# struct loop_info64, and struct loop_config around it.
_INFO = struct.Struct("<QQQQQIIII64s64s32sQQ")
_CONFIG_HEAD = struct.Struct("<II")
_CONFIG_RESERVED = bytes(64)
_TRIES = 64
"""Somebody else may take the device that was free a moment ago."""


@contextlib.contextmanager
def attached(fd: int, *, name: str = "") -> Iterator[str]:
    """The path of a read-only device that shows the file; mount it inside, the mount then keeps it.

    Args:
        fd: of the file; may be closed afterwards.
        name: shown by losetup(8).

    Raises:
        OSError: ENOENT, EPERM, ENXIO without loop devices, EBUSY when all that were tried were taken.
    """
    path, device = _attach(fd, name)
    try:
        yield path
    finally:
        os.close(device)


def _attach(fd: int, name: str) -> tuple[str, int]:
    """Take a free device; returns its path and it open, since it would go away otherwise."""
    info = _INFO.pack(
        *(0, 0, 0, 0, 0, 0, 0, 0),
        LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR,
        *(os.fsencode(name)[-(_NAME_BYTES - 1) :], b"", b"", 0, 0),
    )
    control = os.open(CONTROL, os.O_RDWR | os.O_CLOEXEC)
    try:
        for _ in range(_TRIES):
            path = f"/dev/loop{fcntl.ioctl(control, LOOP_CTL_GET_FREE)}"
            device = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                _configure(device, fd, info)
            except OSError as error:
                os.close(device)
                if error.errno != errno.EBUSY:
                    error.filename = path
                    raise
            else:
                return path, device
    finally:
        os.close(control)
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), CONTROL)


def _configure(device: int, fd: int, info: bytes) -> None:
    try:
        fcntl.ioctl(device, LOOP_CONFIGURE, _CONFIG_HEAD.pack(fd, 0) + info + _CONFIG_RESERVED)
    except OSError as error:
        # Before Linux 5.8 it takes two calls.
        if error.errno not in (errno.EINVAL, errno.ENOTTY):
            raise
        fcntl.ioctl(device, LOOP_SET_FD, fd)
        try:
            fcntl.ioctl(device, LOOP_SET_STATUS64, info)
        except OSError:
            fcntl.ioctl(device, LOOP_CLR_FD)
            raise
