"""Which of the things that this layer made are still there.

What is remembered about a path (the time of a directory, that it was implicit) is worthless once the path, or one above
it, was replaced. Searching for such paths at each replacement would be quadratic for an archive that replaces a lot;
here a replacement costs one entry, and a question the depth of its path.
"""

from __future__ import annotations

from actors.transfer.unpack import names


class Removals:
    """A clock that ticks with each thing made or removed, and the last removal of each path."""

    def __init__(self) -> None:
        self._clock = 0
        self._removed: dict[bytes, int] = {}

    def made(self) -> int:
        """Return the moment at which something is made, to be asked about later."""
        self._clock += 1
        return self._clock

    def note(self, path: bytes) -> None:
        """Remember that what was at `path` is gone, with all below it."""
        self._removed[path] = self.made()

    def is_there(self, path: bytes, moment: int) -> bool:
        """Say whether what was made at `path` at that moment has not been removed since."""
        if not self._removed:
            return True
        return all(self._removed.get(ancestor, 0) <= moment for ancestor in names.ancestors(path))
