"""A lease for as long as an operation works: what it has made and not named yet is not garbage.

A caller that names a lease of its own has that used instead. A lease whose worker died goes by itself, or is taken up
again by the request that is sent once more: its name comes from the request's key.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import uuid
from collections.abc import AsyncIterator

from actors.call import Call
from actors.worker import Worker
from wharfie.errors import AlreadyExists, NotFound
from wharfie.types import leases
from wharfie.types.base import Empty
from wharfie.types.leases import Lease

EXPIRE = "containerd.io/gc.expire"
LIFETIME = dt.timedelta(hours=24)


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
    made = await _make(worker, call, attempt)
    try:
        yield made
    finally:
        delete = leases.Delete(id=made.id)
        with contextlib.suppress(NotFound):
            await worker.call(
                "leases.delete", delete, Empty, namespace=call.namespace, key=f"{attempt}/delete", timeout_s=None
            )


async def hold(worker: Worker, namespace: str, lease: str, type_: str, resource: str) -> None:
    """Have a lease hold what is there already; see `wharfie.types.leases.Resource`. Idempotent."""
    add = leases.AddResource(id=lease, resource=leases.Resource(type=type_, id=resource))
    key = f"{lease}/{type_}/{resource}/{uuid.uuid4().hex}"
    await worker.call("leases.add_resource", add, Empty, namespace=namespace, key=key)


async def _make(worker: Worker, call: Call, attempt: str) -> Lease:
    digest = hashlib.sha256((call.key or attempt).encode()).hexdigest()
    name = f"{call.method}-{digest[:32]}"
    expires = (dt.datetime.now(dt.UTC) + LIFETIME).isoformat(timespec="seconds").replace("+00:00", "Z")
    create = leases.Create(id=name, labels={EXPIRE: expires})
    try:
        return await worker.call(
            "leases.create", create, Lease, namespace=call.namespace, key=f"{attempt}/create", timeout_s=None
        )
    except AlreadyExists:
        return await worker.call("leases.get", leases.Get(id=name), Lease, namespace=call.namespace)
