"""A lease for as long as an operation works: what it has made and not named yet is not garbage.

A caller that names a lease of its own has that used instead. A lease whose worker died goes by itself, or is taken up
again by the request that is sent once more: its name comes from the request's key.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import hashlib
import uuid
from collections.abc import AsyncIterator
from weakref import WeakKeyDictionary

from actors.call import Call
from actors.worker import Worker
from wharfie.errors import AlreadyExists, NotFound
from wharfie.types import leases
from wharfie.types.base import Empty
from wharfie.types.leases import EXPIRE_LABEL, Lease

LIFETIME = dt.timedelta(hours=24)


class _Share:
    """One lease of this process and who uses it.

    A request that is sent again may begin before its first copy has ended: the lease goes with the last of them.
    """

    def __init__(self) -> None:
        self.users = 0
        self.is_begun = False
        self.lease: Lease | None = None
        self.changing = asyncio.Lock()


_shares: WeakKeyDictionary[Worker, dict[tuple[str, str], _Share]] = WeakKeyDictionary()


@contextlib.asynccontextmanager
async def leased(worker: Worker, call: Call) -> AsyncIterator[Lease]:
    """Hold a lease for `call`; what is made with its id is kept until the end, by it or by what refers to it then.

    Raises:
        NotFound: the caller's own lease is not there.
    """
    if call.lease:
        yield await worker.call("leases.get", leases.Get(id=call.lease), Lease, namespace=call.namespace)
        return
    # Every attempt has its own keys: a stored answer would speak of a lease that may be gone.
    attempt = uuid.uuid4().hex
    shares = _shares.setdefault(worker, {})
    name = (call.namespace, _name(call, attempt))
    share = shares.setdefault(name, _Share())
    share.users += 1
    try:
        async with share.changing:
            if share.lease is None:
                # Noted before it is made: one that was made although we heard nothing of it is deleted, too.
                share.is_begun = True
                share.lease = await _make(worker, call.namespace, name[1], attempt)
            made = share.lease
        yield made
    finally:
        share.users -= 1
        if not share.users:
            # To its end, also when we are cancelled meanwhile. That it fails is no failure of the work: it expires.
            await asyncio.shield(worker.spawn(_give_up(worker, shares, name, attempt)))


async def _give_up(worker: Worker, shares: dict[tuple[str, str], _Share], name: tuple[str, str], attempt: str) -> None:
    """Delete a lease, unless somebody has come meanwhile."""
    share = shares.get(name)
    if share is None:
        return
    async with share.changing:
        if not share.users and share.is_begun:
            share.is_begun, share.lease = False, None
            await _delete(worker, *name, attempt)
    if not share.users and shares.get(name) is share:
        del shares[name]


async def hold(worker: Worker, namespace: str, lease: str, type_: str, resource: str) -> None:
    """Have a lease hold what is there already; see `wharfie.types.leases.Resource`. Idempotent."""
    add = leases.AddResource(id=lease, resource=leases.Resource(type=type_, id=resource))
    key = f"{lease}/{type_}/{resource}/{uuid.uuid4().hex}"
    await worker.call("leases.add_resource", add, Empty, namespace=namespace, key=key)


def expiry() -> str:
    """The value of `EXPIRE_LABEL` for a lease that is needed from now on: in `LIFETIME`."""
    return (dt.datetime.now(dt.UTC) + LIFETIME).isoformat(timespec="seconds").replace("+00:00", "Z")


def _name(call: Call, attempt: str) -> str:
    digest = hashlib.sha256((call.key or attempt).encode()).hexdigest()
    return f"{call.method}-{digest[:32]}"


async def _make(worker: Worker, namespace: str, name: str, attempt: str) -> Lease:
    create = leases.Create(id=name, labels={EXPIRE_LABEL: expiry()})
    try:
        return await worker.call(
            "leases.create", create, Lease, namespace=namespace, key=f"{attempt}/create", timeout_s=None
        )
    except AlreadyExists:
        return await worker.call("leases.get", leases.Get(id=name), Lease, namespace=namespace)


async def _delete(worker: Worker, namespace: str, name: str, attempt: str) -> None:
    delete = leases.Delete(id=name)
    with contextlib.suppress(NotFound):
        await worker.call("leases.delete", delete, Empty, namespace=namespace, key=f"{attempt}/delete", timeout_s=None)
