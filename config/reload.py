"""What a reload (SIGHUP) may change, and what has to wait for the next start."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from config.settings import Section, Settings
from config.table import PLUGINS_SECTION, TIMEOUTS_SECTION, sections, table


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome: the settings now in force, the keys that took effect, and those that need a restart."""

    settings: Settings
    applied: tuple[str, ...]
    restart: tuple[str, ...]


def reload(old: Settings, new: Settings) -> Changes:
    """Compare two complete sets of settings and take over what may change while the daemon runs.

    Pure. `settings` has the new value of each key in `applied` and the old value of everything else, so that what
    the daemon believes stays what it does.
    """
    before, after = flatten(old), flatten(new)
    changed = [key for key in before | after if before.get(key) != after.get(key)]
    applied = [key for key in changed if _is_reloadable(key)]
    # The list of imported files changes nothing by itself: what they say is in the other keys already.
    restart = [key for key in changed if key not in applied and key != "imports"]
    replaced: dict[str, object] = {"imports": new.imports, TIMEOUTS_SECTION: new.timeouts}
    replaced.update({key: after[key] for key in applied if "." not in key})
    for section in sections():
        mine: Section = getattr(old, section)
        fields = {key.removeprefix(f"{section}."): after[key] for key in applied if key.startswith(f"{section}.")}
        replaced[section] = msgspec.structs.replace(mine, **fields)
    return Changes(settings=msgspec.structs.replace(old, **replaced), applied=tuple(applied), restart=tuple(restart))


def flatten(settings: Settings) -> dict[str, object]:
    """Return every value by key: the table's rows in their order, then other timeouts, then a key for each plugin."""
    values: dict[str, object] = {}
    for row in table().values():
        if row.section != TIMEOUTS_SECTION:
            owner = getattr(settings, row.section) if row.section else settings
            values[row.key] = getattr(owner, row.name)
    values.update(_prefixed(TIMEOUTS_SECTION, settings.timeouts))
    values.update(_prefixed(PLUGINS_SECTION, settings.plugins))
    return values


def _prefixed(section: str, entries: Mapping[str, object]) -> dict[str, object]:
    return {f"{section}.{name}": value for name, value in entries.items()}


def _is_reloadable(key: str) -> bool:
    row = table().get(key)
    return row.reloadable if row is not None else key.startswith(f"{TIMEOUTS_SECTION}.")
