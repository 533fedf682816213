"""All tasks that this worker knows, by namespace and container id."""

from __future__ import annotations

from collections.abc import Iterator

from actors.runtime.entry import Entry
from wharfie import errors


class Table:
    """The tasks. An entry stands here from the moment its bundle is being made until the bundle is gone."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], Entry] = {}

    def find(self, namespace: str, container_id: str) -> Entry | None:
        """The entry, or None."""
        return self._entries.get((namespace, container_id))

    def get(self, namespace: str, container_id: str) -> Entry:
        """The entry.

        Raises:
            NotFound: there is no task.
        """
        entry = self._entries.get((namespace, container_id))
        if entry is None:
            raise errors.NotFound(f"task of container '{container_id}' not found in namespace '{namespace}'")
        return entry

    def put(self, entry: Entry) -> None:
        """Add an entry."""
        self._entries[entry.namespace, entry.id] = entry

    def drop(self, entry: Entry) -> None:
        """Take an entry out and wake who waits for its name. Idempotent."""
        if self._entries.get((entry.namespace, entry.id)) is entry:
            del self._entries[entry.namespace, entry.id]
        entry.gone.set()
        entry.changed()

    def of_namespace(self, namespace: str) -> list[Entry]:
        """The entries of a namespace, by id."""
        return [entry for (name, _), entry in sorted(self._entries.items()) if name == namespace]

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self._entries.values()))
