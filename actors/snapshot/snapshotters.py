"""The snapshotters of this worker, by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from actors.snapshot.backend import Backend
from wharfie.errors import InvalidArgument


class Snapshotters:
    """Those that work here.

    Args:
        backends: by name.
        skipped: those that do not work here, with the reason.
        default: which one a request that names none gets.
    """

    def __init__(self, backends: Mapping[str, Backend], *, skipped: Mapping[str, str], default: str) -> None:
        self._backends = backends
        self._skipped = skipped
        self._default = default

    def __iter__(self) -> Iterator[Backend]:
        return iter(self._backends.values())

    def find(self, name: str) -> Backend | None:
        """The one of that very name, if it works here."""
        return self._backends.get(name)

    def get(self, name: str) -> Backend:
        """The one that a request names, or the default one. Raises: InvalidArgument."""
        name = name or self._default
        backend = self._backends.get(name)
        if backend is None:
            reason = self._skipped.get(name)
            said = f"does not work here: {reason}" if reason else f"is unknown; there are {', '.join(self._backends)}"
            raise InvalidArgument(f"snapshotter '{name}' {said}", details={"field": "snapshotter"})
        return backend
