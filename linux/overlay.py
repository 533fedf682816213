"""Overlay mounts whose options do not fit the one page that mount(2) takes.

Two ways, the first that the kernel knows is used: `fsconfig` with one `lowerdir+` a layer (Linux 6.7), which
shows the real paths in mountinfo; else mount(2) with `/proc/self/fd/N` in place of each path, which holds
some 200 layers. Neither changes the working directory, so both are safe in a process with threads.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
from collections.abc import Iterator, Sequence

from linux.mountoptions import MS_NOATIME, MS_NODEV, MS_NODIRATIME, MS_NOEXEC, MS_NOSUID, MS_RDONLY
from linux.syscall import libc, syscall

_PAGE_SIZE = 4096
_FSCONFIG_STRING_SIZE = 256
_FSOPEN_CLOEXEC = 1
_FSMOUNT_CLOEXEC = 1
_FSCONFIG_SET_FLAG = 0
_FSCONFIG_SET_STRING = 1
_FSCONFIG_CMD_CREATE = 6
_MOVE_MOUNT_F_EMPTY_PATH = 4
_AT_FDCWD = -100

_MOUNT_ATTR = {
    MS_RDONLY: 0x1,
    MS_NOSUID: 0x2,
    MS_NODEV: 0x4,
    MS_NOEXEC: 0x8,
    MS_NOATIME: 0x10,
    MS_NODIRATIME: 0x80,
}


def is_long(options: Sequence[str]) -> bool:
    """Say whether these options are too long for mount(2), which cuts them off without a word."""
    return sum(len(os.fsencode(option)) + 1 for option in options) >= _PAGE_SIZE


def split_lowerdir(value: str) -> list[str]:
    r"""Return the directories of a `lowerdir=` value; `\:` and `\\` stand for the characters themselves."""
    directories = [""]
    characters = iter(value)
    for character in characters:
        if character == "\\":
            directories[-1] += next(characters, "\\")
        elif character == ":":
            directories.append("")
        else:
            directories[-1] += character
    return directories


def mount_long(source: str, target: str, *, flags: int, options: Sequence[str]) -> None:
    """Mount an overlay with any number of lower directories that the kernel allows (500).

    Nothing stays mounted on failure. Raises `OSError` naming `target`.
    """
    try:
        _mount_by_fsconfig(source, target, flags=flags, options=options)
    except OSError as error:
        # ENOSYS: no fsopen; EINVAL: overlay without `lowerdir+`.
        if error.errno not in (errno.ENOSYS, errno.EINVAL):
            raise
        _mount_by_descriptors(source, target, flags=flags, options=options)


def _mount_by_fsconfig(source: str, target: str, *, flags: int, options: Sequence[str]) -> None:
    with contextlib.ExitStack() as stack:
        context = syscall("fsopen", b"overlay", _FSOPEN_CLOEXEC, path=target)
        stack.callback(os.close, context)

        def setting(command: int, key: bytes | None, value: bytes | None) -> None:
            syscall("fsconfig", context, command, key, value, 0, path=target)

        def text(key: str, value: str) -> None:
            if key != "source" and len(os.fsencode(value)) >= _FSCONFIG_STRING_SIZE:
                value = stack.enter_context(_short_path(value))
            setting(_FSCONFIG_SET_STRING, key.encode(), os.fsencode(value))

        text("source", source)
        for option in options:
            key, equals, value = option.partition("=")
            if key == "lowerdir":
                for directory in split_lowerdir(value):
                    text("lowerdir+", directory)
            elif equals:
                text(key, value)
            else:
                setting(_FSCONFIG_SET_FLAG, key.encode(), None)
        if flags & MS_RDONLY:
            setting(_FSCONFIG_SET_FLAG, b"ro", None)
        setting(_FSCONFIG_CMD_CREATE, None, None)
        attributes = sum(attribute for flag, attribute in _MOUNT_ATTR.items() if flags & flag)
        tree = syscall("fsmount", context, _FSMOUNT_CLOEXEC, attributes, path=target)
        stack.callback(os.close, tree)
        syscall("move_mount", tree, b"", _AT_FDCWD, os.fsencode(target), _MOVE_MOUNT_F_EMPTY_PATH, path=target)


@contextlib.contextmanager
def _short_path(path: str) -> Iterator[str]:
    fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)


def _mount_by_descriptors(source: str, target: str, *, flags: int, options: Sequence[str]) -> None:
    with contextlib.ExitStack() as stack:
        short = []
        for option in options:
            key, _, value = option.partition("=")
            if key == "lowerdir":
                paths = [stack.enter_context(_short_path(path)) for path in split_lowerdir(value)]
                short.append("lowerdir=" + ":".join(paths))
            else:
                short.append(option)
        if is_long(short):
            raise OSError(errno.E2BIG, "too many lower directories for one overlay mount on this kernel", target)
        data = os.fsencode(",".join(short))
        if libc.mount(os.fsencode(source), os.fsencode(target), b"overlay", ctypes.c_ulong(flags), data) < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), target)
