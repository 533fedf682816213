"""Wharfie's Python library: `with wharfie.connect() as client: client.run("busybox", ["echo", "hi"])`.

General layout: `errors`, `protocol`, `methods` and `types` are the language that all parts speak; `session` is the
client's half of it without a socket; `_async` and `_sync` are the clients over it, the second made from the first.
Nothing here imports any other package of the project.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wharfie.version import __version__

if TYPE_CHECKING:
    from wharfie._async.client import AsyncClient
    from wharfie._sync.client import Client
    from wharfie._sync.containers import Completed, Container
    from wharfie._sync.tasks import Task
    from wharfie.errors import (
        Aborted,
        AlreadyExists,
        Cancelled,
        DataLoss,
        DeadlineExceeded,
        FailedPrecondition,
        Internal,
        InvalidArgument,
        NotFound,
        OutOfRange,
        PermissionDenied,
        Poisoned,
        ResourceExhausted,
        Unavailable,
        Unimplemented,
        WharfieError,
    )

_HOMES = {
    "AsyncClient": "wharfie._async.client",
    "Client": "wharfie._sync.client",
    "Completed": "wharfie._sync.containers",
    "Container": "wharfie._sync.containers",
    "Task": "wharfie._sync.tasks",
    **dict.fromkeys(
        (
            "Aborted", "AlreadyExists", "Cancelled", "DataLoss", "DeadlineExceeded", "FailedPrecondition", "Internal",
            "InvalidArgument", "NotFound", "OutOfRange", "PermissionDenied", "Poisoned", "ResourceExhausted",
            "Unavailable", "Unimplemented", "WharfieError",
        ),
        "wharfie.errors",
    ),
}  # fmt: skip

__all__ = [
    "Aborted",
    "AlreadyExists",
    "AsyncClient",
    "Cancelled",
    "Client",
    "Completed",
    "Container",
    "DataLoss",
    "DeadlineExceeded",
    "FailedPrecondition",
    "Internal",
    "InvalidArgument",
    "NotFound",
    "OutOfRange",
    "PermissionDenied",
    "Poisoned",
    "ResourceExhausted",
    "Task",
    "Unavailable",
    "Unimplemented",
    "WharfieError",
    "__version__",
    "connect",
]


def connect(
    address: str | None = None,
    *,
    namespace: str | None = None,
    timeout_s: float | None = 60.0,
    connect_timeout_s: float = 5.0,
) -> Client:
    """A connected client; close it, or use it in a `with` statement.

    Args:
        address: path of the daemon's socket; None is WHARFIE_ADDRESS, else /run/wharfie/wharfie.sock.
        namespace: for all calls; None is WHARFIE_NAMESPACE, else `default`.
        timeout_s: of a call that names none; None is no limit.
        connect_timeout_s: for the daemon's greeting.

    Raises:
        Unavailable: no daemon answers there.
    """
    from wharfie._sync.client import Client

    return Client(address, namespace=namespace, timeout_s=timeout_s, connect_timeout_s=connect_timeout_s).connect()


def __getattr__(name: str) -> Any:
    """Load a name when it is first used: a program that only catches errors does not load the clients."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'wharfie' has no attribute '{name}'")
    import importlib

    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value
