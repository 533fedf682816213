"""How much is there of a layer that is still arriving.

The file with its bytes grows while it is read. Who knows how far it is adds what has come to a counter of the kernel's
(eventfd); the reader waits there instead of meeting the end of the file. A counter is never full and loses nothing,
however slow its reader is.
"""

from __future__ import annotations

import os

from actors.transfer.unpack.errors import UnpackError
from wharfie.errors import Code

_WAKE = 1 << 62
"""Added by `stop`; no blob is that large."""


class Growth:
    """The reader's side of a counter, for one thread; only `stop` is for others. Does not own the descriptor.

    Args:
        fd: of the counter; it blocks.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._there = 0
        self._stopped = False

    def at_least(self, count: int) -> int:
        """Wait until so many bytes are there; returns how many are, maybe more.

        Raises:
            UnpackError: `aborted`, after `stop`.
        """
        while self._there < count:
            self._there += os.eventfd_read(self._fd)
            if self._stopped:
                raise UnpackError(Code.ABORTED, "the layer is not waited for any more")
        return self._there

    def stop(self) -> None:
        """Wake who waits, with an error. Idempotent."""
        if not self._stopped:
            self._stopped = True
            os.eventfd_write(self._fd, _WAKE)


def counter() -> int:
    """A new counter's descriptor; the caller closes it. Bytes that have come are added with `os.eventfd_write`."""
    return os.eventfd(0, os.EFD_CLOEXEC)
