"""One configuration file's content: checked key by key against the table, in our own names.

Pure. A document holds only what a file says; defaults come later. What is wrong becomes problems (all of them, not
only the first), what is merely unknown becomes warnings: a file written for a newer or older version still loads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from config.error import BadValue, Problem, bracketed, shown
from config.kind import Kind, duration
from config.settings import VERSION
from config.table import PLUGINS_SECTION, TIMEOUTS_SECTION, aliases, nearest, sections, table
from config.timeout import TIMEOUT_KIND, short_name

# containerd has timeouts for which zero means for ever; ours never do, and those it has beyond ours do nothing here.
_ANY_DURATION = duration(0)


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """What one file says, or several merged ones.

    `values` has the fixed keys, `timeouts` seconds by short name, `plugins` the free tables by plugin id, and
    `sources` tells for each key (`section.name`, `timeouts.NAME`, `plugins.ID`) which file set it.
    """

    values: dict[str, object] = {}
    timeouts: dict[str, float] = {}
    plugins: dict[str, dict[str, object]] = {}
    sources: dict[str, str] = {}


class Findings(msgspec.Struct, frozen=True):
    """What came to light on the way; the lists grow."""

    problems: list[Problem] = msgspec.field(default_factory=list)
    warnings: list[str] = msgspec.field(default_factory=list)

    def problem(self, where: str, key: str, text: str) -> None:
        self.problems.append(Problem(where=where, key=key, text=text))

    def warn(self, where: str, key: str, text: str) -> None:
        self.warnings.append(f"{where}: {bracketed(key)}: {text}")


def parse(raw: Mapping[str, object], where: str, findings: Findings) -> Document:
    """Return what the decoded file `raw` says; `where` names it in `findings`."""
    document = Document(values={}, timeouts={}, plugins={}, sources={})
    if not _version_is_ours(raw.get("version", 1), where, findings):
        return document
    spelled: dict[str, str] = {}
    for key, value in _fixed_keys(raw, where, findings):
        _take(document, spelled, key=key, value=value, where=where, findings=findings)
    _parse_timeouts(raw.get(TIMEOUTS_SECTION, {}), document, where, findings)
    _parse_plugins(raw.get(PLUGINS_SECTION, {}), document, where, findings)
    return document


def parse_value(kind: Kind, value: object) -> object:
    """Return the typed value. Raises: BadValue whose text says what was expected, what stood there and what to do."""
    try:
        return kind.read(value)
    except BadValue as error:
        raise BadValue(f"expected {kind.expected}, got {shown(value)}; {error}") from None


def _version_is_ours(version: object, where: str, findings: Findings) -> bool:
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        findings.problem(
            where,
            "version",
            f"expected an integer from 1 to {VERSION}, got {shown(version)}; write version = {VERSION}",
        )
        return False
    if version > VERSION:
        findings.problem(
            where,
            "version",
            f"{version} is newer than {VERSION}, the newest that this wharfied reads;"
            f" install a newer wharfied, or write the file anew for version = {VERSION}",
        )
        return False
    return True


def _fixed_keys(raw: Mapping[str, object], where: str, findings: Findings) -> Iterator[tuple[str, object]]:
    """Yield `section.name` and value for all that is neither version, nor timeout, nor plugin."""
    alias_sections = {alias.partition(".")[0] for alias in aliases()}
    for key, value in raw.items():
        if key in {"version", TIMEOUTS_SECTION, PLUGINS_SECTION}:
            continue
        if key not in sections() and key not in alias_sections:
            yield key, value
        elif isinstance(value, dict):
            yield from ((f"{key}.{name}", inner) for name, inner in value.items())
        else:
            findings.problem(where, key, f"expected a table, got {shown(value)}; write [{key}] on a line of its own")


def _take(
    document: Document, spelled: dict[str, str], *, key: str, value: object, where: str, findings: Findings
) -> None:
    own = aliases().get(key, key)
    row = table().get(own)
    if row is None:
        findings.warn(
            where, key, f"unknown {'section' if isinstance(value, dict) else 'key'} is ignored{_hint(key, value)}"
        )
        return
    if own in spelled:
        findings.problem(where, key, f"is set twice, as {bracketed(spelled[own])} too; keep one of them")
        return
    spelled[own] = key
    try:
        document.values[own] = parse_value(row.kind, value)
    except BadValue as error:
        findings.problem(where, key, str(error))
        return
    document.sources[own] = where


def _hint(key: str, value: object) -> str:
    if isinstance(value, dict) and "." not in key:
        found = nearest(key, [*sections(), TIMEOUTS_SECTION, PLUGINS_SECTION])
        return f"; did you mean [{found}]?" if found else ""
    name = key.rpartition(".")[2]
    section = key.rpartition(".")[0]
    same = [row.key for row in table().values() if row.section == section]
    by_name = {row.name: row.key for row in reversed(table().values())}
    found = nearest(key, same) or by_name.get(name, "") or by_name.get(nearest(name, list(by_name)), "")
    return f"; did you mean {bracketed(found)}?" if found else ""


def _parse_timeouts(raw: object, document: Document, where: str, findings: Findings) -> None:
    if not isinstance(raw, dict):
        findings.problem(
            where, TIMEOUTS_SECTION, f"expected a table, got {shown(raw)}; write [timeouts] on a line of its own"
        )
        return
    for written, value in _flat(raw):
        name = short_name(written)
        key = f"{TIMEOUTS_SECTION}.{name}"
        spelled = f"{TIMEOUTS_SECTION}.{written}"
        if name in document.timeouts:
            findings.problem(where, spelled, "is set twice in this file; keep one of them")
            continue
        try:
            seconds = parse_value(TIMEOUT_KIND if key in table() else _ANY_DURATION, value)
        except BadValue as error:
            findings.problem(where, spelled, str(error))
            continue
        if key not in table():
            known = [row.name for row in table().values() if row.section == TIMEOUTS_SECTION]
            found = nearest(name, known)
            hint = f'; did you mean "{found}"?' if found else ""
            findings.warn(where, spelled, f"no stage of this wharfied has this timeout{hint}")
        assert isinstance(seconds, float)
        document.timeouts[name] = seconds
        document.sources[key] = where


def _flat(raw: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield dotted names: TOML reads `shim.load = "5s"` without quotes as a table in a table."""
    for name, value in raw.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _parse_plugins(raw: object, document: Document, where: str, findings: Findings) -> None:
    if not isinstance(raw, dict):
        findings.problem(
            where,
            PLUGINS_SECTION,
            f'expected a table, got {shown(raw)}; write [plugins."TYPE.ID"] on a line of its own',
        )
        return
    for name, value in raw.items():
        key = f"{PLUGINS_SECTION}.{name}"
        if "." not in name.strip("."):
            findings.problem(
                where, key, f'"{name}" is not a full id; write the plugin\'s type and id in quotes: [plugins."TYPE.ID"]'
            )
        elif not isinstance(value, dict):
            findings.problem(
                where, key, f'expected a table, got {shown(value)}; write [plugins."{name}"] on a line of its own'
            )
        else:
            document.plugins[name] = value
            document.sources[key] = where
