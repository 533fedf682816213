"""Finding plugins: our own, those of installed packages (entry points), those of `plugin_dir`.

An entry point of group `wharfie.plugins` names a `Registration`, several in a list, or a function that gets the
`Registry`. A file of `plugin_dir` defines such a function, `register(registry)`. One that cannot be read is recorded
as a plugin with status `error` and disturbs nothing else.

Looking at all installed packages takes longer than a worker's whole start, so their `entry_points.txt` are searched for
the group's name first, and nothing is imported when no package has it.
"""

from __future__ import annotations

import logging
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from actors.plugins.builtin import BUILTIN
from actors.plugins.registration import Registration
from actors.plugins.registry import Registry
from wharfie.errors import InvalidArgument, PermissionDenied
from wharfie.types.introspection import Plugin, PluginStatus

log = logging.getLogger("plugins")

GROUP = "wharfie.plugins"
ENTRY_POINT = "entry_point"
PLUGIN_DIR = "plugin_dir"


def discover(plugin_dir: str = "", *, search: Iterable[str] | None = None) -> Registry:
    """All plugins of this daemon. Imports what others wrote; never fails because of it.

    Args:
        plugin_dir: a directory of `*.py` files, read in the order of their names; empty: none.
        search: directories that hold installed packages; None: `sys.path`.
    """
    registry = Registry(BUILTIN)
    if any(_names_group(path) for path in (sys.path if search is None else search)):
        _from_entry_points(registry)
    if plugin_dir:
        _from_directory(registry, plugin_dir)
    return registry


def _names_group(path: str) -> bool:
    """Whether a package installed below `path` has entry points of our group."""
    try:
        found = [entry.path for entry in os.scandir(path) if entry.name.endswith((".dist-info", ".egg-info"))]
    except OSError:
        return False
    return any(GROUP.encode() in _read(f"{metadata}/entry_points.txt") for metadata in found)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def _from_entry_points(registry: Registry) -> None:
    from importlib.metadata import entry_points

    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        _add(registry, ENTRY_POINT, point.name, point.load)


def _from_directory(registry: Registry, directory: str) -> None:
    for path in _files(registry, directory):
        name = os.path.basename(path)
        _add(registry, PLUGIN_DIR, name, lambda path=path: _register_of(path))  # type: ignore[misc]


def _files(registry: Registry, directory: str) -> Iterator[str]:
    try:
        yield from (f"{directory}/{name}" for name in sorted(os.listdir(directory)) if name.endswith(".py"))
    except OSError as error:
        _fail(registry, PLUGIN_DIR, directory, error)


def _register_of(path: str) -> Any:
    from importlib.util import module_from_spec, spec_from_file_location

    found = os.stat(path)
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) or found.st_uid not in (0, os.geteuid()):
        raise PermissionDenied(f"plugin file '{path}' can be written by others than root; take their permission away")
    spec = spec_from_file_location(f"wharfie_plugin_{os.path.basename(path)[:-3]}", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    # Registered, so that structs and pickles of the file find their module again.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module.register


def _add(registry: Registry, kind: str, name: str, read: Callable[[], Any]) -> None:
    try:
        found = read()
        if isinstance(found, Registration):
            registry.register(found)
        elif isinstance(found, (list, tuple)):
            for registration in found:
                registry.register(registration)
        elif callable(found):
            found(registry)
        else:
            raise InvalidArgument(f"'{name}' is neither a registration nor a function that registers")
    except (Exception, SystemExit) as error:  # whatever others' code raises: it concerns their plugin, not the daemon
        _fail(registry, kind, name, error)


def _fail(registry: Registry, kind: str, name: str, error: BaseException) -> None:
    log.warning("plugins of %s '%s' could not be read: %s", kind, name, error)
    reason = str(error) or type(error).__name__
    registry.failures.append(Plugin(type=kind, id=name, status=PluginStatus.ERROR, reason=reason))
