"""A stream of chunks, read in the pieces that a reader wants: no byte is copied but those of headers."""

from __future__ import annotations

from collections.abc import Callable, Iterable

_NOTHING = memoryview(b"")


class ByteStream:
    """Reads from `next_chunk`, which returns chunks of any size and an empty one at the end."""

    __slots__ = ("_base", "_chunk", "_end", "_next_chunk", "_position", "_view")

    def __init__(self, next_chunk: Callable[[], bytes]) -> None:
        self._next_chunk = next_chunk
        self._chunk = b""
        self._view = _NOTHING
        self._position = 0
        self._end = 0
        self._base = 0

    @classmethod
    def of(cls, chunks: Iterable[bytes]) -> ByteStream:
        """Return a stream over these chunks; empty ones among them are skipped."""
        iterator = (chunk for chunk in chunks if chunk)
        return cls(lambda: next(iterator, b""))

    @property
    def offset(self) -> int:
        """The number of bytes read so far."""
        return self._base + self._position

    def _advance(self) -> bool:
        """Go to the next chunk; False at the end."""
        self._base += self._end
        self._chunk = self._next_chunk()
        self._view = memoryview(self._chunk)
        self._position = 0
        self._end = len(self._chunk)
        return self._end > 0

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes, fewer only at the end of the stream."""
        start = self._position
        end = start + size
        if end <= self._end:
            self._position = end
            return self._chunk[start:end]
        parts = []
        while size > 0:
            part = self.piece(size)
            if not part:
                break
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def piece(self, limit: int) -> memoryview:
        """Return what is at hand of the next `limit` bytes: at least one, none only at the end of the stream.

        The view stays valid for as long as it is kept.
        """
        start = self._position
        if start == self._end:
            if not self._advance():
                return _NOTHING
            start = 0
        end = min(start + limit, self._end)
        self._position = end
        return self._view[start:end]

    def skip(self, size: int) -> int:
        """Pass over `size` bytes and return how many there were, fewer only at the end of the stream."""
        left = size
        while left > 0:
            step = min(left, self._end - self._position)
            self._position += step
            left -= step
            if left and not self._advance():
                break
        return size - left

    def drain(self) -> int:
        """Pass over all that is left and return how much it was."""
        start = self.offset
        self._position = self._end
        while self._advance():
            self._position = self._end
        return self.offset - start
