"""Directories that a layer uses without describing them: they look like those of the layers below.

A layer that has `usr/bin/tool` and no entry for `usr/bin` gets that directory made up. Put on others it would hide the
mode, owner and attributes that `usr/bin` has there, so these are copied before the layer is committed. Paths are
opened without following any link: a link there is not that directory.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Sequence

from linux.openat2 import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, openat2

_SKIPPED = ("trusted.overlay.", "user.overlay.")
"""Attributes that describe the layer and not the directory."""


def copy_attributes(target: str, lower: Sequence[str], paths: Sequence[bytes]) -> None:
    """Give each directory `paths` below `target` what its namesake in the nearest layer that has it looks like.

    Idempotent. A directory that no lower layer has stays as it is. Blocks.

    Args:
        target: root of the layer.
        lower: roots of the layers below, the nearest first.
        paths: relative.
    """
    with contextlib.ExitStack() as opened:
        roots = [_root(path, opened) for path in (target, *lower)]
        # The deepest first: writing below a directory would change its times again.
        for path in sorted(paths, key=lambda path: path.count(b"/"), reverse=True):
            with contextlib.ExitStack() as pair:
                ours = _directory(roots[0], path, pair)
                if ours is None:
                    continue
                for root in roots[1:]:
                    theirs = _directory(root, path, pair)
                    if theirs is not None:
                        _copy(theirs, ours)
                        break


def _root(path: str, opened: contextlib.ExitStack) -> int:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    opened.callback(os.close, fd)
    return fd


def _directory(root: int, path: bytes, opened: contextlib.ExitStack) -> int | None:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = openat2(path or b".", dir_fd=root, flags=flags, resolve=RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
            return None
        raise
    opened.callback(os.close, fd)
    return fd


def _copy(source: int, target: int) -> None:
    status = os.fstat(source)
    os.fchown(target, status.st_uid, status.st_gid)
    for name in os.listxattr(source):
        if not name.startswith(_SKIPPED):
            try:
                os.setxattr(target, name, os.getxattr(source, name))
            except OSError as error:
                if error.errno not in {errno.ENOTSUP, errno.EPERM}:
                    raise
    os.fchmod(target, stat.S_IMODE(status.st_mode))
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
