"""Merging documents by containerd's rules: a file that is imported stands over the file that imports it.

- A value that is not empty overrides; an empty text or array, a zero and a false never do.
- Arrays are united: the base's entries first, nothing twice.
- A timeout is replaced as a whole, by name.
- The tables of plugins are merged key by key, at any depth, by the same rules.
"""

from __future__ import annotations

from collections.abc import Mapping

from config.document import Document
from config.table import PLUGINS_SECTION, TIMEOUTS_SECTION, table


def merge(base: Document, over: Document) -> tuple[Document, tuple[str, ...]]:
    """Return both merged, and the keys of `over` that could not override because they are empty, zero or false.

    Pure: neither argument changes, and the result shares no table with them.
    """
    sources = dict(base.sources)
    dropped: list[str] = []

    def note(key: str) -> None:
        if key in over.sources:
            sources[key] = over.sources[key]

    values = dict(base.values)
    for key, value in over.values.items():
        if value:
            values[key] = _united(values.get(key), value)
            note(key)
        elif values[key] if key in values else _default(key):
            dropped.append(key)
    for name in over.timeouts:
        note(f"{TIMEOUTS_SECTION}.{name}")
    plugins = {name: _copied(own) for name, own in base.plugins.items()}
    for name, own in over.plugins.items():
        key = f"{PLUGINS_SECTION}.{name}"
        plugins[name] = merge_tables(plugins.get(name, {}), own, path=key, dropped=dropped)
        note(key)
    merged = Document(values=values, timeouts={**base.timeouts, **over.timeouts}, plugins=plugins, sources=sources)
    return merged, tuple(dropped)


def merge_tables(
    base: Mapping[str, object], over: Mapping[str, object], *, path: str = "", dropped: list[str] | None = None
) -> dict[str, object]:
    """Return two free tables merged at every depth; the paths of values that could not override go to `dropped`."""
    merged = _copied(base)
    for name, value in over.items():
        where = f"{path}.{name}" if path else name
        present = merged.get(name)
        if isinstance(value, dict) and (present is None or isinstance(present, dict)):
            merged[name] = merge_tables(present or {}, value, path=where, dropped=dropped)
        elif value:
            merged[name] = _united(present, value)
        elif name not in merged:
            merged[name] = value
        elif present and dropped is not None:
            dropped.append(where)
    return merged


def _default(key: str) -> object:
    row = table().get(key)
    return row.default if row is not None else None


def _united(base: object, over: object) -> object:
    if isinstance(base, tuple) and isinstance(over, tuple):
        return tuple(dict.fromkeys((*base, *over)))
    if isinstance(base, list) and isinstance(over, list):
        # Entries of a free array may be tables, which do not hash.
        return [
            *base,
            *(entry for position, entry in enumerate(over) if entry not in base and entry not in over[:position]),
        ]
    return over


def _copied(tree: Mapping[str, object]) -> dict[str, object]:
    return {name: _copied(value) if isinstance(value, dict) else value for name, value in tree.items()}
