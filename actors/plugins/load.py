"""Initialising the plugins of one worker in the order of the graph.

A plugin that fails is recorded and logged; the daemon goes on without it, and what requires it is skipped with a
reason. Only a plugin that the configuration calls required, or one whose table there is wrong, stops the start.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from actors.plugins.context import InitContext, Properties, SkipPlugin
from actors.plugins.graph import start_order
from actors.plugins.registration import Registration, canonical, names
from actors.plugins.registry import Registry
from config.settings import Settings
from wharfie.errors import FailedPrecondition, InvalidArgument
from wharfie.types.introspection import Plugin, PluginStatus

log = logging.getLogger("plugins")

DISABLED = "disabled by the configuration"

REPORTER = "metadata"
"""The worker that also reports additions which could not be read: everything else depends on it."""

Init = Callable[[InitContext], Any]


class Loaded:
    """What came of it.

    Attributes:
        plugins: the records of this worker, in start order, for the `ready` message.
        instances: (type, id) to what its init function returned.
        failures: full id to the exception of a plugin whose status is `error`.
    """

    def __init__(self) -> None:
        self.plugins: list[Plugin] = []
        self.instances: dict[tuple[str, str], Any] = {}
        self.failures: dict[str, BaseException] = {}

    def ready_info(self) -> dict[str, Any]:
        """What a worker's `start` returns, for the supervisor's `introspection.plugins`."""
        return {"plugins": msgspec.to_builtins(self.plugins)}


def load(registry: Registry, *, worker: str, settings: Settings, inits: Mapping[str, Init] | None = None) -> Loaded:
    """Initialise the plugins of `worker`.

    Args:
        registry: all plugins of the daemon; those of other workers count as loaded.
        worker: the process at hand.
        settings: which plugins are required and disabled, and their tables.
        inits: full id to the init function of plugins whose registration has none.

    Raises:
        FailedPrecondition: a required plugin did not load or is not registered; requirements go in a circle.
        InvalidArgument: a plugin's table of the configuration does not fit.
    """
    loaded = Loaded()
    _check_required_exist(registry, settings.required_plugins)
    # Disabled plugins are absent from the graph, but shown.
    records = [
        _record(registration, PluginStatus.SKIP, DISABLED)
        for registration in registry
        if names(settings.disabled_plugins, registration)
    ]
    enabled = [registration for registration in registry if not names(settings.disabled_plugins, registration)]
    for registration in start_order(enabled):
        if registration.worker != worker:
            records.append(_record(registration))
            continue
        missing = _missing(registration, registry, records)
        if missing:
            record = _record(registration, PluginStatus.SKIP, missing)
            log.info("plugin '%s' is skipped: %s", registration.uri, missing)
        else:
            record = _initialise(registration, loaded, records, settings, (inits or {}).get(registration.uri))
        records.append(record)
        if record.status is not PluginStatus.OK and names(settings.required_plugins, registration):
            raise FailedPrecondition(
                f"required plugin '{registration.uri}' did not load: {record.reason}",
                details={"uri": registration.uri, "status": str(record.status)},
            )
    loaded.plugins = [record for record in records if record.worker == worker]
    if worker == REPORTER:
        loaded.plugins += registry.failures
    return loaded


def _check_required_exist(registry: Registry, required: tuple[str, ...]) -> None:
    missing = [uri for uri in required if registry.find(uri) is None]
    if missing:
        raise FailedPrecondition(
            f"required plugins are not included: {', '.join(missing)}; install them, or take them off the list",
            details={"missing": missing},
        )


def _missing(registration: Registration, registry: Registry, records: list[Plugin]) -> str:
    """Why a plugin cannot start: of a type that it requires there are plugins, and none of them is loaded."""
    for kind in registration.requires:
        provided = [record for record in records if record.type == kind]
        if registry.of_type(kind) and not any(record.status is PluginStatus.OK for record in provided):
            reasons = "; ".join(f"{record.type}.{record.id}: {record.reason or record.status}" for record in provided)
            return f"requires {kind}, and none of it is loaded ({reasons})"
    return ""


def _initialise(
    registration: Registration, loaded: Loaded, records: list[Plugin], settings: Settings, init: Init | None
) -> Plugin:
    context = InitContext(
        _record(registration),
        properties=Properties(
            root=f"{settings.root}/plugins/{registration.uri}",
            state=f"{settings.state}/plugins/{registration.uri}",
            address=settings.router.address,
        ),
        config=_config(registration, settings.plugins),
        records=records,
        instances=loaded.instances,
    )
    try:
        function = init or _resolve(registration.init)
        instance = function(context) if function is not None else None
    except SkipPlugin as skip:
        log.info("plugin '%s' is skipped: %s", registration.uri, skip)
        return _record(registration, PluginStatus.SKIP, str(skip))
    except (Exception, SystemExit) as error:  # whatever a plugin raises: it concerns the plugin, not the daemon
        log.warning("plugin '%s' did not load: %s", registration.uri, error, exc_info=error)
        loaded.failures[registration.uri] = error
        return _record(registration, PluginStatus.ERROR, str(error) or type(error).__name__)
    if instance is not None:
        loaded.instances[registration.type, registration.id] = instance
    return msgspec.structs.replace(
        _record(registration), exports=dict(context.exports), capabilities=list(context.capabilities)
    )


def _config(registration: Registration, tables: Mapping[str, Mapping[str, object]]) -> Any:
    wanted = canonical(registration.uri)
    table = next((dict(table) for uri, table in tables.items() if canonical(uri) == wanted), {})
    if registration.config is None:
        return table
    try:
        return msgspec.convert(table, registration.config)
    except msgspec.ValidationError as error:
        raise InvalidArgument(
            f"configuration of plugin '{registration.uri}' does not fit: {error}", details={"uri": registration.uri}
        ) from None


def _resolve(init: str | Init | None) -> Init | None:
    if not isinstance(init, str):
        return init
    module, _, function = init.partition(":")
    found: Init = getattr(importlib.import_module(module), function)
    return found


def _record(registration: Registration, status: PluginStatus = PluginStatus.OK, reason: str = "") -> Plugin:
    return Plugin(
        type=registration.type,
        id=registration.id,
        worker=registration.worker,
        requires=list(registration.requires),
        status=status,
        reason=reason,
    )
