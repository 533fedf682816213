"""Settings as TOML: the commented default file, and the effective file of `config dump` and `config migrate`.

Both walk the table; no key is named here. What they write is read back by `load` to the same settings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from config.duration import format_duration
from config.load import Loaded, Origin
from config.reload import flatten
from config.settings import DEFAULT_FILE, Settings
from config.table import PLUGINS_SECTION, TIMEOUTS_SECTION, Setting, sections, table

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


def default_toml() -> str:
    """Return the default configuration as a file in which every key stands with its help and its default."""
    head = [
        f"# The configuration of wharfied: {DEFAULT_FILE}, unless --config names another file.",
        "# Every key stands here with its default; a line that is left out means the same.",
        '# A duration is a number of seconds or a text such as "1m30s",',
        '# a size is a number of bytes or a text such as "16MiB".',
        "",
    ]
    lines = [*head, *_lines(flatten(Settings()), lambda row: (f"# {row.help}",))]
    return "\n".join([*lines, "", *_plugins_example(), ""])


def dump_toml(loaded: Loaded) -> str:
    """Return the effective settings as one file, each value that is no default with the place it comes from.

    The output stands for all the files that were merged: they are named at its top, and imported no more.
    """

    def origin(row: Setting) -> tuple[str, ...]:
        source = loaded.sources[row.key]
        return () if source.origin is Origin.DEFAULT or row.key == "imports" else (f"# {source}",)

    head = ["# The effective configuration of wharfied" + (", merged from" if loaded.files else "")]
    head += [f"#   {name}" for name in loaded.files]
    lines = [*head, *_lines(flatten(loaded.settings) | {"imports": ()}, origin)]
    for name, entries in loaded.settings.plugins.items():
        lines += ["", f"# {loaded.sources[f'{PLUGINS_SECTION}.{name}']}", _free_table(name, entries)]
    return "\n".join([*lines, ""])


def literal(row: Setting, value: object) -> str:
    """Return a value as TOML, in the form that its kind prefers."""
    return row.kind.write(value) if row.kind.write is not None else _plain(value)


def _lines(values: Mapping[str, object], comments: Callable[[Setting], tuple[str, ...]]) -> Iterator[str]:
    section = ""
    for row in table().values():
        if row.section != section:
            section = row.section
            yield from ("", *_heading(section), f"[{section}]")
        yield from comments(row)
        yield f"{_key(row.name)} = {literal(row, values[row.key])}"
    # The timeouts are the table's last section: those of nobody that we know of stand after them.
    for key in values.keys() - table().keys():
        if key.startswith(f"{TIMEOUTS_SECTION}."):
            seconds = values[key]
            assert isinstance(seconds, float)
            yield f'{_key(key.removeprefix(f"{TIMEOUTS_SECTION}."))} = "{format_duration(seconds)}"'


def _heading(section: str) -> tuple[str, ...]:
    owner = sections().get(section)
    text = (owner.__doc__ or "").partition("\n")[0] if owner is not None else "The longest that each stage may take."
    return (f"# {text}",)


def _plugins_example() -> tuple[str, ...]:
    return ("# A plugin's own settings stand in a table with its full id, its type before it:", '# [plugins."TYPE.ID"]')


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else _plain(name)


def _plain(value: object) -> str:
    import tomli_w  # only `config default` and `config dump` write TOML

    if isinstance(value, tuple):
        return f"[{', '.join(_plain(entry) for entry in value)}]"
    return tomli_w.dumps({"x": value}).removeprefix("x = ").rstrip("\n")


def _free_table(name: str, entries: Mapping[str, object]) -> str:
    import tomli_w

    text = tomli_w.dumps({PLUGINS_SECTION: {name: dict(entries)}}).rstrip("\n")
    header = f"[{PLUGINS_SECTION}.{_plain(name)}]"
    return text if text.startswith(header) else f"{header}\n{text}"
