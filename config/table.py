"""The table of all settings, flattened from their declarations in `settings.py` and `timeout.py`.

One row for each key, in the order of the file. Whoever needs to know about keys in general (the reader, the writer,
the merge, the reload, the reference page, the flags of `wharfied`) asks here and knows no key by name.
"""

from __future__ import annotations

import typing
from collections.abc import Iterator
from functools import cache

import msgspec

from config.kind import Kind
from config.settings import Key, Section, Settings
from config.timeout import CONTAINERD_PREFIX, TIMEOUT_KIND, TIMEOUTS

# The two tables whose keys are open: a timeout of somebody's plugin, a plugin's own settings.
TIMEOUTS_SECTION = "timeouts"
PLUGINS_SECTION = "plugins"


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One row. `key` is `section.name`, or `name` alone at the top of the file."""

    key: str
    section: str
    name: str
    kind: Kind
    default: object
    help: str
    flag: str
    env: str
    reloadable: bool
    aliases: tuple[str, ...]


@cache
def table() -> dict[str, Setting]:
    """Return every setting by its key, in the order of the file; made once in each process, on first use."""
    return {row.key: row for row in (*_rows("", Settings), *_timeout_rows())}


@cache
def aliases() -> dict[str, str]:
    """Return containerd's names for our keys."""
    return {alias: row.key for row in table().values() for alias in row.aliases}


@cache
def sections() -> dict[str, type[Section]]:
    """Return the fixed sections of the file by name, without the top one, in the order of the file."""
    hints = typing.get_type_hints(Settings)
    return {name: hint for name, hint in hints.items() if isinstance(hint, type) and issubclass(hint, Section)}


def nearest(key: str, known: Iterator[str] | list[str]) -> str:
    """Return the known key that looks most like `key`, or an empty text."""
    import difflib  # a typing mistake is rare, the module's memory would be for ever

    found = difflib.get_close_matches(key, list(known), n=1, cutoff=0.6)
    return found[0] if found else ""


def _rows(section: str, owner: type[Section]) -> Iterator[Setting]:
    hints = typing.get_type_hints(owner, include_extras=True)
    defaults = dict(zip(owner.__struct_fields__, owner.__struct_defaults__, strict=True))
    for name, hint in hints.items():
        for extra in getattr(hint, "__metadata__", ()):
            if isinstance(extra, Key):
                yield Setting(
                    key=f"{section}.{name}" if section else name,
                    section=section,
                    name=name,
                    kind=extra.kind,
                    default=defaults[name],
                    help=extra.help,
                    flag=extra.flag,
                    env=extra.env,
                    reloadable=extra.reloadable,
                    aliases=extra.aliases,
                )
        if isinstance(hint, type) and issubclass(hint, Section):
            yield from _rows(name, hint)


def _timeout_rows() -> Iterator[Setting]:
    for name, entry in TIMEOUTS.items():
        yield Setting(
            key=f"{TIMEOUTS_SECTION}.{name}",
            section=TIMEOUTS_SECTION,
            name=name,
            kind=TIMEOUT_KIND,
            default=entry.default_s,
            help=entry.help,
            flag="",
            env="",
            reloadable=True,
            aliases=(f"{TIMEOUTS_SECTION}.{CONTAINERD_PREFIX}{name}",),
        )
