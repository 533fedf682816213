"""`client.leases`."""

from __future__ import annotations

import builtins
import datetime as dt
from collections.abc import Mapping, Sequence

from wharfie._async.base import UNSET, Service
from wharfie.errors import InvalidArgument
from wharfie.types import leases as t


class Leases(Service):
    """The leases of a namespace. `client.with_lease(id)` is a client whose calls use one."""

    async def create(
        self,
        id: str = "",  # noqa: A002
        *,
        labels: Mapping[str, str] | None = None,
        expires_in_s: float | None = None,
        flat: bool = False,
        timeout_s: float | None = UNSET,
    ) -> t.Lease:
        """Make a lease.

        Args:
            id: empty makes a random one.
            labels: of the lease.
            expires_in_s: after which it goes by itself; None never.
            flat: hold what is named and not what that refers to.
            timeout_s: of the call.

        Raises:
            AlreadyExists: the id is taken.
            InvalidArgument: it would expire after the year 9999.
        """
        wanted = dict(labels or {})
        if expires_in_s is not None:
            try:
                at = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=expires_in_s)
            except OverflowError:
                raise InvalidArgument(
                    f"a lease cannot expire in {expires_in_s:g} s: that is after the year 9999; make one that does not"
                    " expire",
                    details={"field": "expires_in_s"},
                ) from None
            wanted[t.EXPIRE_LABEL] = at.isoformat().replace("+00:00", "Z")
        if flat:
            wanted[t.FLAT_LABEL] = "true"
        return await self._caller.call("leases.create", t.Create(id=id, labels=wanted), t.Lease, timeout_s=timeout_s)

    async def get(self, id: str, *, timeout_s: float | None = UNSET) -> t.Lease:  # noqa: A002
        """A lease by id."""
        return await self._caller.call("leases.get", t.Get(id=id), t.Lease, timeout_s=timeout_s)

    async def list(self, filters: Sequence[str] = (), *, timeout_s: float | None = UNSET) -> builtins.list[t.Lease]:
        """All leases that match any filter, by id."""
        request = t.List(filters=[*filters])
        return (await self._caller.call("leases.list", request, t.Listing, timeout_s=timeout_s)).leases

    async def update(
        self,
        id: str,  # noqa: A002
        labels: Mapping[str, str],
        *,
        mask: Sequence[str] = (),
        timeout_s: float | None = UNSET,
    ) -> t.Lease:
        """Replace the labels, or with `mask` (paths `labels.K`) only some; an empty value deletes one."""
        request = t.Update(id=id, labels=dict(labels), mask=[*mask])
        return await self._caller.call("leases.update", request, t.Lease, timeout_s=timeout_s)

    async def delete(self, id: str, *, sync: bool = False, timeout_s: float | None = UNSET) -> None:  # noqa: A002
        """Give a lease up; with `sync` what only it held is gone when this returns."""
        await self._caller.tell("leases.delete", t.Delete(id=id, sync=sync), timeout_s=timeout_s)

    async def resources(self, id: str, *, timeout_s: float | None = UNSET) -> builtins.list[t.Resource]:  # noqa: A002
        """What a lease holds, by type and id."""
        request = t.ListResources(id=id)
        return (await self._caller.call("leases.resources", request, t.Resources, timeout_s=timeout_s)).resources

    async def add_resource(
        self,
        id: str,  # noqa: A002
        type: str,  # noqa: A002
        resource: str,
        *,
        timeout_s: float | None = UNSET,
    ) -> None:
        """Have a lease hold something, which need not exist. Idempotent.

        Args:
            id: of the lease.
            type: `content`, `ingests`, `images` or `snapshots/SNAPSHOTTER`.
            resource: digest, ref, name or key.
            timeout_s: of the call.
        """
        request = t.AddResource(id=id, resource=t.Resource(type=type, id=resource))
        await self._caller.tell("leases.add_resource", request, timeout_s=timeout_s)

    async def delete_resource(
        self,
        id: str,  # noqa: A002
        type: str,  # noqa: A002
        resource: str,
        *,
        timeout_s: float | None = UNSET,
    ) -> None:
        """Have a lease no longer hold something; arguments as of `add_resource`. Idempotent."""
        request = t.DeleteResource(id=id, resource=t.Resource(type=type, id=resource))
        await self._caller.tell("leases.delete_resource", request, timeout_s=timeout_s)
