"""Loading the settings: defaults, then the files, then the environment, then the flags; checked and completed.

The supervisor does this once before its first fork (and again for a reload); its children inherit the result.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from enum import StrEnum
from types import MappingProxyType

import msgspec

from config.complete import complete
from config.constraints import violations
from config.document import Document, Findings, parse_value
from config.error import BadValue, ConfigError, Problem
from config.files import Collected, collect
from config.settings import VERSION, Settings
from config.table import PLUGINS_SECTION, TIMEOUTS_SECTION, Setting, sections, table


class Origin(StrEnum):
    """What kind of place a value comes from."""

    DEFAULT = "default"
    DERIVED = "derived"
    FILE = "file"
    ENVIRONMENT = "environment"
    FLAG = "flag"


class Source(msgspec.Struct, frozen=True):
    """Where a value comes from: the origin, and the file, variable, flag or key by its name."""

    origin: Origin
    name: str = ""

    def __str__(self) -> str:
        return f"{self.origin} {self.name}" if self.name else str(self.origin)


_DEFAULT = Source(Origin.DEFAULT)


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a load.

    `sources` has the origin of every key (`section.name`, `timeouts.NAME`, `plugins.ID`), `files` the files that were
    read, in order, and `warnings` whole sentences for the log.
    """

    settings: Settings
    sources: Mapping[str, Source]
    files: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def load(
    path: str | os.PathLike[str] | None,
    *,
    explicit: bool = False,
    flags: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Loaded:
    """Return the effective settings.

    `path` is the main file; None reads no file at all, not even the default imports. A file that does not exist is an
    error only if it is `explicit`. `flags` holds values by key (`{"root": …, "log.level": …}`), a None standing for a
    flag that was not given; `environ` is os.environ unless given. Nothing is created or changed.
    Raises: ConfigError with every problem found.
    """
    findings = Findings()
    collected = Collected(Document(), ())
    if path is not None:
        collected = collect(os.fspath(path), explicit=explicit, findings=findings)
    values = dict(collected.document.values)
    sources = {row.key: _DEFAULT for row in table().values()}
    sources.update({key: Source(Origin.FILE, file) for key, file in collected.document.sources.items()})
    for row, value, source in _given(flags or {}, os.environ if environ is None else environ):
        try:
            values[row.key] = parse_value(row.kind, value)
        except BadValue as error:
            findings.problem(str(source), "", str(error))
            continue
        if value == "":
            findings.problem(str(source), "", f"is empty; give it {row.kind.expected}, or leave it out")
        sources[row.key] = source
    if findings.problems:
        raise ConfigError(*findings.problems, warnings=tuple(findings.warnings))
    settings, derived = complete(_assembled(collected.document, values))
    sources.update({key: Source(Origin.DERIVED, f"from {base}") for key, base in derived.items()})
    problems = [Problem(where=_place(sources[key]), key=key, text=text) for key, text in violations(settings)]
    if problems:
        raise ConfigError(*problems, warnings=tuple(findings.warnings))
    return Loaded(
        settings=settings,
        sources=MappingProxyType(sources),
        files=collected.files,
        warnings=tuple(findings.warnings),
    )


def _given(flags: Mapping[str, object], environ: Mapping[str, str]) -> Iterator[tuple[Setting, object, Source]]:
    """Yield what stands over the files, weakest first."""
    for row in table().values():
        if row.env and environ.get(row.env):
            yield row, environ[row.env], Source(Origin.ENVIRONMENT, row.env)
    for key, value in flags.items():
        if value is not None:
            row = table()[key]
            yield row, value, Source(Origin.FLAG, row.flag or key)


def _assembled(document: Document, values: Mapping[str, object]) -> Settings:
    """Return the typed tree; every value was checked by its kind before."""
    fields: dict[str, object] = {
        row.name: values.get(row.key, row.default) for row in table().values() if not row.section
    }
    for section, owner in sections().items():
        rows = [row for row in table().values() if row.section == section]
        fields[section] = owner(**{row.name: values.get(row.key, row.default) for row in rows})
    fields[TIMEOUTS_SECTION] = MappingProxyType({**Settings().timeouts, **document.timeouts})
    fields[PLUGINS_SECTION] = MappingProxyType(dict(document.plugins))
    fields["version"] = VERSION
    return Settings(**fields)  # type: ignore[arg-type]


def _place(source: Source) -> str:
    """Return where to look for a value that breaks a rule: the file, the variable or the flag."""
    return source.name if source.origin is Origin.FILE else str(source)
