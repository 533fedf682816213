"""Writing changes down as a layer: a tar whose entries say what is new and what is gone.

Names of users are left out, times are as they are or not after a given one, sockets are skipped. Of a file with several
names the first in order has the data, the others are hard links to it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable

from actors.transfer.diff import tarheader
from actors.transfer.diff.compare import Change
from actors.transfer.diff.sink import Sink
from actors.transfer.diff.tarheader import Unrepresentable
from actors.transfer.diff.treeside import TreeSide
from actors.transfer.unpack import header, whiteouts
from actors.transfer.unpack.archive import Entry
from actors.transfer.unpack.errors import shown
from actors.transfer.unpack.names import join, split
from wharfie.errors import Aborted, FailedPrecondition

_CHUNK_BYTES = 1 << 20
_KINDS = {
    stat.S_IFREG: header.REGULAR,
    stat.S_IFDIR: header.DIRECTORY,
    stat.S_IFLNK: header.SYMLINK,
    stat.S_IFCHR: header.CHARACTER_DEVICE,
    stat.S_IFBLK: header.BLOCK_DEVICE,
    stat.S_IFIFO: header.FIFO,
}


class LayerWriter:
    """Writes one layer.

    Args:
        tree: the tree with the files.
        sink: where the tar goes.
        latest_ns: no time in the layer is after this one (SOURCE_DATE_EPOCH); None keeps all.
        progress: told how many bytes of files were read.
        owner: from the user and group in the tree to those in the layer.
    """

    def __init__(
        self,
        tree: TreeSide,
        sink: Sink,
        *,
        latest_ns: int | None,
        progress: Callable[[int], None] | None = None,
        owner: Callable[[int, int], tuple[int, int]] = lambda uid, gid: (uid, gid),
    ) -> None:
        self._tree = tree
        self._sink = sink
        self._latest_ns = latest_ns
        self._progress = progress
        self._owner = owner
        self._links: dict[tuple[int, int], bytes] = {}
        self._read_bytes = 0

    def write(self, changes: Iterable[Change]) -> None:
        """Write the changes and the end of the archive.

        Raises:
            FailedPrecondition: a file has a name or attributes that no layer can hold.
            Aborted: a file shrank while it was read.
        """
        for change in changes:
            parent, base = split(change.path)
            if base.startswith(whiteouts.PREFIX):
                raise FailedPrecondition(
                    f"'/{shown(change.path)}' cannot be in a layer: names that begin with '.wh.' mean deletions there;"
                    " rename or remove it",
                    details={"path": shown(change.path)},
                )
            if change.status is None:
                self._put(
                    Entry(
                        name=join(parent, whiteouts.PREFIX + base),
                        kind=header.REGULAR,
                        mode=0,
                        uid=0,
                        gid=0,
                        size=0,
                        mtime_ns=0,
                    )
                )
            else:
                self._entry(change.path, parent, base, change.status)
        self._tree.leave()
        self._sink.write(tarheader.END)

    def _entry(self, path: bytes, parent: bytes, base: bytes, status: os.stat_result) -> None:
        if stat.S_ISREG(status.st_mode):
            self._file(path)
            return
        if not self._tree.enter(parent):
            return
        now = self._tree.status(base)
        # What became something else meanwhile is left out, as what vanished is.
        if now is None or stat.S_IFMT(now.st_mode) != stat.S_IFMT(status.st_mode):
            return
        entry = self._described(path, now)
        entry.xattrs = self._tree.xattrs(base) or None
        if stat.S_ISLNK(now.st_mode):
            entry.link = self._tree.link(base)
            entry.mode = 0o777
        elif stat.S_ISCHR(now.st_mode) or stat.S_ISBLK(now.st_mode):
            entry.device_major, entry.device_minor = os.major(now.st_rdev), os.minor(now.st_rdev)
        self._put(entry)

    def _file(self, path: bytes) -> None:
        fd = self._tree.open(path)
        if fd is None:
            return
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                return
            entry = self._described(path, status)
            inode = (status.st_dev, status.st_ino)
            first = self._links.setdefault(inode, path) if status.st_nlink > 1 else path
            if first is not path:
                entry.kind, entry.link = header.HARDLINK, first
                self._put(entry)
                return
            entry.size = status.st_size
            entry.xattrs = self._tree.xattrs_of(fd) or None
            self._put(entry)
            self._data(fd, status.st_size, path)
        finally:
            os.close(fd)

    def _data(self, fd: int, size: int, path: bytes) -> None:
        left = size
        while left:
            data = os.read(fd, min(left, _CHUNK_BYTES))
            if not data:
                raise Aborted(
                    f"file '/{shown(path)}' shrank while it was read; stop the container, or try again",
                    details={"reason": "changed", "path": shown(path)},
                    retryable=True,
                )
            self._sink.write(data)
            left -= len(data)
            self._read_bytes += len(data)
            if self._progress is not None:
                self._progress(self._read_bytes)
        self._sink.write(tarheader.padding(size))

    def _described(self, path: bytes, status: os.stat_result) -> Entry:
        mtime_ns = status.st_mtime_ns
        uid, gid = self._owner(status.st_uid, status.st_gid)
        return Entry(
            name=path,
            kind=_KINDS[stat.S_IFMT(status.st_mode)],
            mode=stat.S_IMODE(status.st_mode),
            uid=uid,
            gid=gid,
            size=0,
            mtime_ns=mtime_ns if self._latest_ns is None else min(mtime_ns, self._latest_ns),
        )

    def _put(self, entry: Entry) -> None:
        try:
            self._sink.write(tarheader.encode(entry))
        except Unrepresentable as error:
            raise FailedPrecondition(
                f"'/{shown(entry.name)}' cannot be in a layer: {error}", details={"path": shown(entry.name)}
            ) from None
