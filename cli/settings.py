"""The global options as they were given, and the one client that a command makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from wharfie._sync.client import Client

CALL_TIMEOUT_S = 60.0
CONNECT_TIMEOUT_S = 5.0


class Settings:
    """What stands before or behind the command. Options that were not given are None (or False)."""

    def __init__(self) -> None:
        self.address: str | None = None
        self.namespace: str | None = None
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

            connect_timeout_s = connect_timeout_s or min(CONNECT_TIMEOUT_S, self.limit_s or CONNECT_TIMEOUT_S)
            self._client = Client(
                self.address, namespace=self.namespace, timeout_s=self.limit_s, connect_timeout_s=connect_timeout_s
            )
        return self._client

    def abandon(self) -> None:
        """Forget the client without closing it: a forked child may not touch its parent's connection."""
        self._client = None

    def close(self) -> None:
        """Close the connection if there is one. Idempotent."""
        if self._client is not None:
            client, self._client = self._client, None
            client.close()


pass_settings = click.make_pass_decorator(Settings, ensure=True)
"""Decorator: the command's first argument is the `Settings`."""
