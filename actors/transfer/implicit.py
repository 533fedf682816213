"""Directories that a layer uses without describing them: what they are in the layers below.

A layer that has `usr/bin/tool` and no entry for `usr/bin` gets that directory made up. Put on others it would hide the
mode, owner and attributes that `usr/bin` has there, so these are copied before the layer is committed. Where the layers
below have a symbolic link at `usr/bin`, the tool belongs where that leads; a layer that was unpacked without them
cannot know, so it has to be unpacked again, on top of them.

The layers below are looked at as overlayfs shows them, whiteouts and opaque directories included, and no link is
followed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Container, Iterator, Sequence
from typing import NamedTuple

from actors.transfer.unpack.names import split
from linux.openat2 import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, openat2

_SKIPPED = ("trusted.overlay.", "user.overlay.")
"""Attributes that describe the layer and not the directory."""

_OPAQUE = tuple(f"{prefix}opaque" for prefix in _SKIPPED)
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})


def settle(target: str, lower: Sequence[str], paths: Sequence[bytes]) -> bool:
    """Give each directory `paths` below `target` what its namesake in the layers below looks like.

    Returns False, and changes nothing, when one of them is a symbolic link there: then the layer must be unpacked on
    top of those layers. A directory that they do not have stays as it is. Idempotent. Blocks.

    Args:
        target: root of the layer.
        lower: roots of the layers below, the nearest first.
        paths: relative.
    """
    with contextlib.ExitStack() as opened:
        ours = _opened(target, opened)
        below = _Merged([_opened(path, opened) for path in lower])
        hidden = _Hidden(ours)
        found = {path: below.layer_of(path) for path in sorted(paths, key=_depth) if not hidden.is_below(path)}
        if _LINK in found.values():
            return False
        # The deepest first: writing below a directory would change its times again.
        for path, layer in reversed(found.items()):
            if layer >= 0:
                _copy_between(below.roots[layer], ours, path)
        return True


class Look(NamedTuple):
    """What a directory looks like."""

    mode: int
    uid: int
    gid: int
    mtime_ns: int
    has_xattrs: bool
    """It has some that belong to it and not to its layer."""


def looks(lower: Sequence[str], paths: Sequence[bytes]) -> dict[bytes, Look] | None:
    """What directories look like in the layers below; those that they do not have are left out.

    Returns None when one of them is a symbolic link there. For layers that are no directories. Blocks.

    Args:
        lower: roots of the layers, the nearest first.
        paths: relative.
    """
    found: dict[bytes, Look] = {}
    with contextlib.ExitStack() as opened:
        below = _Merged([_opened(path, opened) for path in lower])
        for path in sorted(paths, key=_depth):
            layer = below.layer_of(path)
            if layer == _LINK:
                return None
            if layer >= 0:
                with _inside(below.roots[layer], path) as fd:
                    status = os.fstat(fd)
                    has_xattrs = any(not name.startswith(_SKIPPED) for name in os.listxattr(fd))
                mode = stat.S_IMODE(status.st_mode)
                found[path] = Look(mode, status.st_uid, status.st_gid, status.st_mtime_ns, has_xattrs)
    return found


def _depth(path: bytes) -> int:
    return path.count(b"/")


def _opened(path: str, opened: contextlib.ExitStack) -> int:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    opened.callback(os.close, fd)
    return fd


_NOTHING = -1
_LINK = -2


class _Merged:
    """What stands at paths in a stack of layers, and in which of them."""

    def __init__(self, roots: Sequence[int]) -> None:
        self.roots = roots
        self._layers: dict[bytes, list[int]] = {b"": list(range(len(roots)))}
        self._links: set[bytes] = set()

    def layer_of(self, path: bytes) -> int:
        """The nearest layer that has a directory there; `_LINK` when a link stands there or on the way."""
        for unknown in _unknown(path, self._layers):
            self._layers[unknown] = self._look(unknown)
        if path in self._links:
            return _LINK
        layers = self._layers[path]
        return layers[0] if layers else _NOTHING

    def _look(self, path: bytes) -> list[int]:
        """The layers whose directories at `path` are seen as one, the nearest first; its parent is known."""
        parent, name = split(path)
        found: list[int] = []
        if parent in self._links:
            self._links.add(path)
        for layer in self._layers[parent]:
            with _inside(self.roots[layer], parent) as fd:
                status = _status(name, fd)
                if status is None:
                    continue
                if stat.S_ISLNK(status.st_mode) and not found:
                    self._links.add(path)
                if not stat.S_ISDIR(status.st_mode):
                    break
                found.append(layer)
                if _is_opaque(self.roots[layer], path):
                    break
        return found


class _Hidden:
    """Which directories of the layer hide what the layers below have there: opaque ones, and those in them."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._known = {b"": False}

    def is_below(self, path: bytes) -> bool:
        for unknown in _unknown(path, self._known):
            self._known[unknown] = self._known[split(unknown)[0]] or _is_opaque(self._root, unknown)
        return self._known[path]


def _unknown(path: bytes, known: Container[bytes]) -> list[bytes]:
    """The path and those above it up to one that is known, as the root always is; the uppermost first."""
    found = []
    while path not in known:
        found.append(path)
        path, _ = split(path)
    return found[::-1]


@contextlib.contextmanager
def _inside(root: int, path: bytes) -> Iterator[int]:
    fd = openat2(path or b".", dir_fd=root, flags=_DIRECTORY, resolve=RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)
    try:
        yield fd
    finally:
        os.close(fd)


def _status(name: bytes, fd: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=fd, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _is_opaque(root: int, path: bytes) -> bool:
    try:
        with _inside(root, path) as fd:
            for name in _OPAQUE:
                with contextlib.suppress(OSError):
                    return os.getxattr(fd, name) == b"y"
    except OSError as error:
        if error.errno not in _GONE:
            raise
    return False


def _copy_between(source: int, target: int, path: bytes) -> None:
    try:
        with _inside(source, path) as theirs, _inside(target, path) as ours:
            _copy(theirs, ours)
    except OSError as error:
        # Not a directory of the layer any more: a later entry took its place.
        if error.errno not in _GONE:
            raise


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
