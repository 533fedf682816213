"""Reading the bytes of an archive that is pieces, from any place in it, and copying them into a file."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from actors.transfer.archivepieces import Piece
from wharfie.errors import DataLoss

_STEP_BYTES = 16 * 1024 * 1024
_CANNOT_COPY = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF, errno.EPERM}


class ArchiveReader:
    """The bytes of an archive in order; a context manager. For one thread at a time; each call may block on the disk.

    Args:
        pieces: of `archive`.
        open_blob: a descriptor of a blob, which is closed here.
        offset: where to begin.
    """

    def __init__(self, pieces: Sequence[Piece], open_blob: Callable[[str], int], *, offset: int = 0) -> None:
        self._pieces = pieces
        self._open = open_blob
        self._fd = -1
        self._number = 0
        self._within = offset
        self.position = offset
        while self._number < len(pieces) and self._within >= pieces[self._number].size:
            self._within -= pieces[self._number].size
            self._number += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def read(self, size: int) -> bytes:
        """The next bytes, less than `size` only at the end; empty there.

        Raises:
            NotFound: a blob is gone.
            DataLoss: a blob is shorter than it was.
        """
        parts: list[bytes] = []
        left = size
        while left and self._number < len(self._pieces):
            piece = self._pieces[self._number]
            wanted = min(left, piece.size - self._within)
            if piece.digest:
                data = os.pread(self._blob(piece), wanted, self._within)
                if not data:
                    raise _short(piece)
            else:
                data = piece.data[self._within : self._within + wanted]
            parts.append(data)
            left -= len(data)
            self._advance(len(data))
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def copy_some(self, target: int) -> int:
        """Append a bounded number of bytes to a file; returns how many, 0 at the end. Raises as `read`."""
        if self._number >= len(self._pieces):
            return 0
        piece = self._pieces[self._number]
        wanted = min(_STEP_BYTES, piece.size - self._within)
        if not piece.digest:
            done = os.write(target, piece.data[self._within : self._within + wanted])
        else:
            done = _copied(self._blob(piece), target, self._within, wanted)
            if not done:
                raise _short(piece)
        self._advance(done)
        return done

    def _blob(self, piece: Piece) -> int:
        if self._fd < 0:
            self._fd = self._open(piece.digest)
        return self._fd

    def _advance(self, done: int) -> None:
        self.position += done
        self._within += done
        if self._within == self._pieces[self._number].size:
            self._close()
            self._number += 1
            self._within = 0

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _copied(source: int, target: int, offset: int, size: int) -> int:
    """Copy within the kernel, sharing the blocks where the file system can."""
    try:
        return os.copy_file_range(source, target, size, offset)
    except OSError as error:
        if error.errno not in _CANNOT_COPY:
            raise
    with contextlib.suppress(OSError):
        return os.sendfile(target, source, offset, size)
    return os.write(target, os.pread(source, min(size, 1 << 20), offset))


def _short(piece: Piece) -> DataLoss:
    return DataLoss(
        f"blob '{piece.digest}' has fewer than its {piece.size} bytes; 'wharfie content check' repairs it",
        details={"digest": piece.digest},
    )
