# Made from wharfie/_async/introspection.py by scripts/unasync.py; change that file and run it again.
"""`client.plugins`: what the daemon is made of."""

from __future__ import annotations

from collections.abc import Sequence

from wharfie import errors
from wharfie._sync.base import UNSET, Service
from wharfie.types import introspection as t


class Plugins(Service):
    """The plugins and how their start went."""

    def list(self, filters: Sequence[str] = (), *, timeout_s: float | None = UNSET) -> list[t.Plugin]:
        """All plugins that match any filter (`type`, `id`), in start order."""
        request = t.ListPlugins(filters=[*filters])
        return (self._caller.call("introspection.plugins", request, t.Plugins, timeout_s=timeout_s)).plugins

    def get(self, type_: str, id_: str, *, timeout_s: float | None = UNSET) -> t.Plugin:
        """One plugin.

        Raises:
            NotFound: none is registered so.
        """
        for plugin in self.list(timeout_s=timeout_s):
            if (plugin.type, plugin.id) == (type_, id_):
                return plugin
        raise errors.NotFound(f"plugin '{type_}.{id_}' is not registered")
