"""Introspection: the version, the plugins and the server itself."""

from __future__ import annotations

from enum import StrEnum

from wharfie.types.base import Labels, Message


class GetVersion(Message, frozen=True, kw_only=True):
    """`version.get`, answered by the router itself."""


class Version(Message, frozen=True, kw_only=True):
    """The daemon's version and the protocol's."""

    version: str
    revision: str = ""
    protocol: str = "W1"


class PluginStatus(StrEnum):
    """How a plugin's start went."""

    OK = "ok"
    SKIP = "skip"
    ERROR = "error"


class Plugin(Message, frozen=True, kw_only=True):
    """One registration: (type, id), what it requires, where it runs and how it went."""

    type: str
    id: str
    worker: str = ""
    requires: list[str] = []
    status: PluginStatus = PluginStatus.OK
    reason: str = ""
    exports: Labels = {}
    capabilities: list[str] = []


class ListPlugins(Message, frozen=True, kw_only=True):
    """`introspection.plugins`: filters on `type, id`."""

    filters: list[str] = []


class Plugins(Message, frozen=True, kw_only=True):
    """Reply of `introspection.plugins`, in start order."""

    plugins: list[Plugin]


class GetServer(Message, frozen=True, kw_only=True):
    """`introspection.server`."""


class Server(Message, frozen=True, kw_only=True):
    """The running daemon."""

    uuid: str
    pid: int
    version: str
    root: str
    state: str
    address: str
    started_at_ns: int
    uptime_s: float
