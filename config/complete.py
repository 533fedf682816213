"""Settings whose empty default stands for a place that depends on another setting."""

from __future__ import annotations

import msgspec

from config.settings import Settings

SOCKET_NAME = "wharfie.sock"
SHIM_SOCKETS_NAME = "s"
RUNC_ROOT_NAME = "runc"


def complete(settings: Settings) -> tuple[Settings, dict[str, str]]:
    """Return the settings with every derived place filled in, and from which key each was derived.

    Pure and idempotent. What has a value keeps it; all three places lie in the state directory.
    """
    derived: dict[str, str] = {}

    def place(key: str, value: str, name: str) -> str:
        if value:
            return value
        derived[key] = "state"
        return f"{settings.state}/{name}"

    router = msgspec.structs.replace(
        settings.router, address=place("router.address", settings.router.address, SOCKET_NAME)
    )
    shim = msgspec.structs.replace(
        settings.shim,
        address=place("shim.address", settings.shim.address, SHIM_SOCKETS_NAME),
        runc_root=place("shim.runc_root", settings.shim.runc_root, RUNC_ROOT_NAME),
    )
    return msgspec.structs.replace(settings, router=router, shim=shim), derived
