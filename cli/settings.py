"""The global options as they were given, and the one client that a command makes of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from cli.postpone import reveal

if TYPE_CHECKING:
    from wharfie._sync.client import Client

CALL_TIMEOUT_S = 60.0
CONNECT_TIMEOUT_S = 5.0
CONNECT_ABSENT_TIMEOUT_S = 2.0


class Settings:
    """What stands before or behind the command. Options that were not given are None (or False)."""

    def __init__(self) -> None:
        self.address: str | None = None
        self.namespace: str | None = None
        self.lease: str | None = None
        self.timeout_s: float | None = None
        self.json = False
        self._client: Client | None = None

    @property
    def limit_s(self) -> float | None:
        """The time limit of a call that ought to be short; None is no limit."""
        if self.timeout_s is None:
            return CALL_TIMEOUT_S
        return self.timeout_s or None

    @property
    def wait_s(self) -> float | None:
        """The time limit of a call that may take as long as it likes; only one that was given."""
        return self.timeout_s or None

    def client(self, *, connect_timeout_s: float | None = None) -> Client:
        """The client, connected when it is first asked for.

        Raises:
            Unavailable: no daemon answers at the address.
        """
        if self._client is None:
            from wharfie._sync.client import Client
            from wharfie.session import endpoint

            known_s = _patience(endpoint(self.address)[0])
            connect_timeout_s = connect_timeout_s or min(known_s, self.limit_s or known_s)
            reveal()
            self._client = Client(
                self.address, namespace=self.namespace, timeout_s=self.limit_s, connect_timeout_s=connect_timeout_s
            )
            if lease := self.lease or os.environ.get("WHARFIE_LEASE"):
                self._client = self._client.with_lease(lease)
        return self._client

    def abandon(self) -> None:
        """Forget the client without closing it: a forked child may not touch its parent's connection."""
        self._client = None

    def close(self) -> None:
        """Close the connection if there is one. Idempotent."""
        if self._client is not None:
            client, self._client = self._client, None
            client.close()


def _patience(address: str) -> float:
    """How long to wait for the daemon's greeting: less where there is no socket, since only a restart makes one.

    Raises:
        PermissionDenied: the socket is there and not ours to use; ZeroMQ would try for ever and say nothing.
    """
    path = address.removeprefix("ipc://")
    if "://" in path or path.startswith("@"):
        return CONNECT_TIMEOUT_S
    if not os.path.exists(path):
        return CONNECT_ABSENT_TIMEOUT_S
    if not os.access(path, os.W_OK):
        from wharfie.errors import PermissionDenied

        raise PermissionDenied(f"the socket '{path}' may not be used by this user", details={"reason": "socket_denied"})
    return CONNECT_TIMEOUT_S


pass_settings = click.make_pass_decorator(Settings, ensure=True)
"""Decorator: the command's first argument is the `Settings`."""
