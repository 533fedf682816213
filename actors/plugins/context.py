"""What a plugin's init function gets: its configuration, where it may keep things, and the plugins it builds on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from wharfie.errors import FailedPrecondition, NotFound
from wharfie.types.introspection import Plugin, PluginStatus


class SkipPlugin(Exception):
    """Raised by an init function: this plugin cannot work here, and that is no fault. Its text is the reason."""


class Properties(msgspec.Struct, frozen=True, kw_only=True):
    """Where a plugin may keep things, and the daemon's socket.

    Attributes:
        root: a directory of its own for what outlives a reboot; the plugin makes it.
        state: the same for what does not.
        address: the clients' socket.
    """

    root: str
    state: str
    address: str


class InitContext:
    """The view of one plugin at its start.

    Attributes:
        plugin: its record.
        config: its table of the configuration: an instance of the struct that it registered, or a map.
        exports, capabilities: to be filled by the plugin, shown by `introspection.plugins`.
    """

    def __init__(
        self,
        plugin: Plugin,
        *,
        properties: Properties,
        config: Any,
        records: list[Plugin],
        instances: Mapping[tuple[str, str], Any],
    ) -> None:
        self.plugin = plugin
        self.properties = properties
        self.config = config
        self.exports: dict[str, str] = {}
        self.capabilities: list[str] = []
        self._records = records
        self._instances = instances

    def get_single(self, kind: str) -> Any:
        """The one instance of a type.

        Raises:
            NotFound: no plugin of this type is loaded.
            FailedPrecondition: several are, or it runs in another worker.
        """
        loaded = [record for record in self._records if record.type == kind and record.status is PluginStatus.OK]
        if not loaded:
            raise NotFound(f"no plugin of type '{kind}' is loaded", details={"type": kind})
        if len(loaded) > 1:
            ids = ", ".join(record.id for record in loaded)
            raise FailedPrecondition(
                f"several plugins of type '{kind}' are loaded ({ids}); ask by id", details={"type": kind}
            )
        return self.get_by_id(kind, loaded[0].id)

    def get_by_id(self, kind: str, plugin_id: str) -> Any:
        """The instance of a plugin.

        Raises:
            NotFound: it is not registered, or it did not load.
            FailedPrecondition: it runs in another worker.
        """
        if (kind, plugin_id) in self._instances:
            return self._instances[kind, plugin_id]
        record = next((record for record in self._records if (record.type, record.id) == (kind, plugin_id)), None)
        uri = f"{kind}.{plugin_id}"
        if record is None or record.status is not PluginStatus.OK:
            reason = f": {record.reason}" if record is not None and record.reason else ""
            raise NotFound(f"plugin '{uri}' is not loaded{reason}", details={"uri": uri})
        raise FailedPrecondition(
            f"plugin '{uri}' runs in worker '{record.worker}'; call its methods through the router",
            details={"uri": uri, "worker": record.worker},
        )

    def get_by_type(self, kind: str) -> dict[str, Any]:
        """Id to instance of all plugins of a type that are loaded in this worker."""
        return {plugin_id: found for (type_, plugin_id), found in self._instances.items() if type_ == kind}

    def get_all(self) -> list[Plugin]:
        """The records of all plugins that come before this one, with how their start went.

        One of another worker counts as loaded: its worker is ready before this one starts.
        """
        return list(self._records)
