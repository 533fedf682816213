"""Trees of files for tests: made from a table, described whole, and made into layers."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping

from actors.transfer.diff.compare import Comparison
from actors.transfer.diff.layerwriter import LayerWriter
from actors.transfer.diff.sink import Compression, Sink, Written
from actors.transfer.diff.treeside import TreeSide
from wharfie.types.diff import Kind

TIME_NS = 1_600_000_000_123_456_789

Plant = Mapping[str, bytes | str | int | None]
"""Path to: the bytes of a file, the target of a link (text), None for a directory, a type of node with device 1:3."""


def grow(root: str | os.PathLike[str], plan: Plant, *, time_ns: int = TIME_NS) -> None:
    """Make these below `root`, parents too, all with one time of change."""
    root = os.fspath(root)
    for path, what in plan.items():
        full = os.path.join(root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        if what is None:
            os.makedirs(full, exist_ok=True)
        elif isinstance(what, bytes):
            with open(full, "wb") as file:
                file.write(what)
        elif isinstance(what, str):
            os.symlink(what, full)
        else:
            os.mknod(full, what | 0o600, os.makedev(1, 3))
    settle(root, time_ns=time_ns)


def settle(root: str, *, time_ns: int = TIME_NS) -> None:
    """Give everything below `root` one time of change."""
    for parent, directories, files in os.walk(root, topdown=False):
        for name in (*files, *directories):
            os.utime(os.path.join(parent, name), ns=(time_ns, time_ns), follow_symlinks=False)


def described(root: str | os.PathLike[str]) -> dict[str, tuple[object, ...]]:
    """All that a layer keeps of the tree, by path; names of one file are told by the first of them."""
    root = os.fspath(root)
    found: dict[str, tuple[object, ...]] = {}
    inodes: dict[tuple[int, int], str] = {}
    for parent, directories, files in os.walk(root):
        directories.sort()  # in which they are walked, too
        for name in sorted((*directories, *files)):
            path = os.path.join(parent, name)
            status = os.stat(path, follow_symlinks=False)
            kind = stat.S_IFMT(status.st_mode)
            data: object = b""
            if kind == stat.S_IFREG:
                with open(path, "rb") as file:
                    data = file.read()
            elif kind == stat.S_IFLNK:
                data = os.readlink(path)
            relative = os.path.relpath(path, root)
            first = relative
            if kind == stat.S_IFREG and status.st_nlink > 1:
                first = inodes.setdefault((status.st_dev, status.st_ino), relative)
            xattrs = {
                key: os.getxattr(path, key, follow_symlinks=False)
                for key in os.listxattr(path, follow_symlinks=False)
                if not key.startswith("trusted.")
            }
            found[relative] = (
                kind,
                stat.S_IMODE(status.st_mode),
                status.st_uid,
                status.st_gid,
                status.st_rdev,
                status.st_mtime_ns,
                data,
                first,
                tuple(sorted(xattrs.items())),
            )
    return found


def changes(lower: str | None, upper: str, *, overlay: str = "") -> list[tuple[str, str]]:
    """What differs, as `docker diff` would say it."""
    with _Side(upper) as above, _Side(lower) as below:
        found = Comparison(below, above, overlay=overlay).changes() if above else []
        return [(str(Kind(change.kind)), os.fsdecode(change.path)) for change in found]


def layer(
    lower: str | None,
    upper: str,
    *,
    overlay: str = "",
    compression: Compression = Compression.NONE,
    latest_ns: int | None = None,
) -> tuple[bytes, Written]:
    """The difference as a layer."""
    with _Side(upper) as above, _Side(lower) as below, open(os.memfd_create("layer"), "r+b") as file:
        assert above is not None
        with Sink(file.fileno(), compression) as sink:
            LayerWriter(above, sink, latest_ns=latest_ns).write(Comparison(below, above, overlay=overlay).changes())
            written = sink.finish()
        file.seek(0)
        return file.read(), written


class _Side:
    def __init__(self, path: str | None) -> None:
        self._path = path
        self._side: TreeSide | None = None

    def __enter__(self) -> TreeSide | None:
        if self._path is not None:
            self._side = TreeSide(os.open(self._path, os.O_RDONLY | os.O_DIRECTORY))
        return self._side

    def __exit__(self, *_: object) -> None:
        if self._side is not None:
            self._side.leave()
            os.close(self._side.root_fd)
