"""The reference page docs/configuration.md, made from the table; a test compares the two.

python -m config.reference > docs/configuration.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from config.render import literal
from config.settings import DEFAULT_FILE, VERSION
from config.table import TIMEOUTS_SECTION, Setting, sections, table
from config.timeout import CONTAINERD_PREFIX

_HEAD = f"""\
# Configuration

<!-- Made by `python -m config.reference`; a change belongs into config/settings.py or config/timeout.py. -->

`wharfied` reads `{DEFAULT_FILE}` if it exists. `--config FILE` names another file, which then has to exist.
`wharfied config default` prints a file with every key, its meaning and its default; `config dump` prints what is in
force and where each value comes from; `config check` names every mistake and every unknown key.

What stands later wins: the default, the file, an environment variable, a flag.

## Values

- A **duration** is a number of seconds, or a text of numbers with units `h m s ms us ns`: `"5s"`, `"1m30s"`, `"300ms"`.
- A **size** is a number of bytes, or a text with the unit `KiB`, `MiB`, `GiB` or `TiB`: `"16MiB"`.
- A **mode** is octal: `0o660`, or `"0660"`.
- A **path** is absolute, where the table does not say otherwise.

A value that is not of its type, or out of its range, is an error: the daemon does not start, and the error names the
file, the section, the key, what was expected and what stood there. A key that is not known is a warning, with the
nearest known key.

## More than one file

`imports` lists further files and patterns, relative to the directory of the file that lists them. They are merged over
it, in that order, and may import others; a file is read once, so that a cycle ends. Without a main file the default
pattern is read all the same. The rules of the merge are those of containerd:

- A value that is not empty overrides; an empty text or array, zero and `false` never do. So an imported file cannot
  reset a value; such a line is a warning. In the main file every line counts.
- Arrays are united: first the entries of the file that imports, nothing twice.
- A timeout is replaced by name.
- The tables of plugins are merged key by key, at any depth.

`version` is {VERSION}, and means {VERSION} when it is left out; a file with a higher one is refused.

## Coming from containerd

These names of containerd are accepted for ours, and its timeouts with their long names
(`"{CONTAINERD_PREFIX}shim.load"`):

"""

_PLUGINS = """
## `[plugins."TYPE.ID"]`

A plugin's own settings, in a table with its full id, its type before it. What may stand there is the plugin's to say.
"""

_TIMEOUTS = """
## `[timeouts]`

The longest that each stage may take. Each is more than zero and at most a week. All of them can be reloaded.
A name that no stage has is a warning.

| key | default | bounds |
|---|---|---|
"""


def reference_page() -> str:
    """Return the whole page."""
    return "".join(_page())


def _page() -> Iterator[str]:
    yield _HEAD
    yield "| containerd | here |\n|---|---|\n"
    for row in table().values():
        if row.section != TIMEOUTS_SECTION:
            yield from (f"| `{alias}` | `{row.key}` |\n" for alias in row.aliases)
    yield "\n## Reloading\n\nOn SIGHUP the files are read again. A faulty file changes nothing.\n"
    yield "These keys take effect at once, all others at the next start; the log says which changed:\n\n"
    reloadable = [row for row in table().values() if row.reloadable and row.section != TIMEOUTS_SECTION]
    yield from (f"- `{row.key}`\n" for row in reloadable)
    yield "- every key of `[timeouts]`\n"
    yield from _section("", "The top of the file", "Keys before the first section.")
    for name, owner in sections().items():
        yield from _section(name, f"`[{name}]`", (owner.__doc__ or "").partition("\n")[0])
    yield _TIMEOUTS
    for row in table().values():
        if row.section == TIMEOUTS_SECTION:
            yield f"| `{row.name}` | `{literal(row, row.default)}` | {row.help} |\n"
    yield _PLUGINS


def _section(name: str, title: str, text: str) -> Iterator[str]:
    yield f"\n## {title}\n\n{text}\n\n| key | what it is | unit | default | meaning |\n|---|---|---|---|---|\n"
    for row in table().values():
        if row.section == name:
            default = f"`{literal(row, row.default)}`"
            yield f"| `{row.name}` | {row.kind.expected} | {row.kind.unit} | {default} | {_meaning(row)} |\n"


def _meaning(row: Setting) -> str:
    ways = [f"flag `{row.flag}`" if row.flag else "", f"variable `{row.env}`" if row.env else ""]
    ways = [way for way in ways if way]
    return row.help + (f" ({', '.join(ways)})" if ways else "")


if __name__ == "__main__":
    sys.stdout.write(reference_page())
