"""Reading configuration files: the main one, and what it imports.

Imports are followed breadth-first in the order in which they are listed, each merged over what was read before it. A
pattern's matches come in the order of their names; a file that was read already is not read again, so cycles end.
"""

from __future__ import annotations

import glob
import os

import msgspec

from config.document import Document, Findings, parse
from config.merge import merge
from config.table import table

# A configuration is written by people; anything larger is not one (a device, a database named by mistake).
MAX_FILE_BYTES = 1 << 20


class Collected(msgspec.Struct, frozen=True):
    """The merged document of all files, and their paths in the order they were read."""

    document: Document
    files: tuple[str, ...]


def collect(path: str, *, explicit: bool, findings: Findings) -> Collected:
    """Read `path` and what it imports, and merge it all; problems and warnings go to `findings`.

    A main file that does not exist is a problem only if it was named (`explicit`); without it the default imports
    are read all the same, so that a drop-in works on its own. Reads each file at most once. Never raises.
    """
    path = os.path.abspath(path)
    document = Document()
    files: list[str] = []
    seen: set[str] = set()
    if explicit or os.path.lexists(path):
        main = _read_document(path, "it was named as the configuration file", findings)
        seen.add(os.path.realpath(path))
        files.append(path)
        document = main or document
    pending = _imports(document, path, main=True)
    while pending:
        importer, pattern = pending.pop(0)
        for found in _matches(importer, pattern, findings):
            real = os.path.realpath(found)
            if real in seen:
                continue
            seen.add(real)
            imported = _read_document(found, f"it is imported by {importer}", findings)
            files.append(found)
            if imported is None:
                continue
            document, dropped = merge(document, imported)
            for key in dropped:
                findings.warn(
                    found,
                    key,
                    "an imported file cannot reset a value to empty, zero or false; write it in the main file",
                )
            pending += _imports(imported, found, main=False)
    return Collected(document, tuple(files))


def _imports(document: Document, path: str, *, main: bool) -> list[tuple[str, str]]:
    default = table()["imports"].default if main else ()
    patterns = document.values.get("imports", default)
    assert isinstance(patterns, tuple)
    return [(path, pattern) for pattern in patterns]


def _matches(importer: str, pattern: str, findings: Findings) -> list[str]:
    full = os.path.join(os.path.dirname(importer), pattern)
    if glob.has_magic(pattern):
        return sorted(match for match in glob.glob(full) if not os.path.isdir(match))
    if not os.path.lexists(full):
        findings.problem(importer, "imports", f'"{full}" does not exist; create it, or take it out of the list')
        return []
    return [full]


def _read_document(path: str, why: str, findings: Findings) -> Document | None:
    import tomli  # only the supervisor reads files, and only once

    try:
        with open(path, "rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            findings.problem(path, "", f"is larger than {MAX_FILE_BYTES} bytes; name a configuration file")
            return None
        return parse(tomli.loads(content.decode()), path, findings)
    except OSError as error:
        findings.problem(path, "", f"cannot be read: {(error.strerror or 'unknown error').lower()} ({why})")
    except UnicodeDecodeError as error:
        findings.problem(path, "", f"is not UTF-8 at byte {error.start}; save it as UTF-8")
    except tomli.TOMLDecodeError as error:
        findings.problem(path, "", f"is not valid TOML: {str(error)[:1].lower()}{str(error)[1:]}")
    except RecursionError:
        findings.problem(path, "", "is nested too deeply; write fewer tables within tables")
    return None
