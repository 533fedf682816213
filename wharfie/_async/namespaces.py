"""`client.namespaces`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wharfie._async.base import UNSET, Service
from wharfie.types import namespaces as t


class Namespaces(Service):
    """The tenants of the daemon. Any create in a namespace makes it."""

    async def get(self, name: str, *, timeout_s: float | None = UNSET) -> t.Namespace:
        """A namespace; one that was never made has no labels."""
        return await self._caller.call("namespaces.get", t.Get(name=name), t.Namespace, timeout_s=timeout_s)

    async def list(self, filters: Sequence[str] = (), *, timeout_s: float | None = UNSET) -> list[t.Namespace]:
        """All namespaces, by name."""
        request = t.List(filters=[*filters])
        return (await self._caller.call("namespaces.list", request, t.Listing, timeout_s=timeout_s)).namespaces

    async def create(
        self, name: str, labels: Mapping[str, str] | None = None, *, timeout_s: float | None = UNSET
    ) -> t.Namespace:
        """Make a namespace.

        Raises:
            AlreadyExists: it is there.
        """
        request = t.Create(name=name, labels=dict(labels or {}))
        return await self._caller.call("namespaces.create", request, t.Namespace, timeout_s=timeout_s)

    async def update(
        self,
        name: str,
        labels: Mapping[str, str],
        *,
        mask: Sequence[str] = (),
        timeout_s: float | None = UNSET,
    ) -> t.Namespace:
        """Replace the labels, or with `mask` (paths `labels.K`) only some; an empty value deletes one."""
        request = t.Update(name=name, labels=dict(labels), mask=[*mask])
        return await self._caller.call("namespaces.update", request, t.Namespace, timeout_s=timeout_s)

    async def delete(self, name: str, *, timeout_s: float | None = UNSET) -> None:
        """Delete an empty namespace.

        Raises:
            FailedPrecondition: something lives in it; the message says what.
        """
        await self._caller.tell("namespaces.delete", t.Delete(name=name), timeout_s=timeout_s)
