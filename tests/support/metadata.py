"""The metadata worker's services in process, on a real database: each call is a turn of its own."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec

from actors.call import Call, Pass, handlers_of
from actors.metadata.gc import GarbageService
from actors.metadata.main import garbage_of, inits, open_store, services_of
from actors.metadata.transaction import Transactions
from actors.plugins.discover import discover
from actors.plugins.load import load
from config.paths import Paths
from config.settings import Events, Settings
from wharfie import protocol
from wharfie.protocol import Routed
from wharfie.types import gc

T = TypeVar("T", bound=msgspec.Struct)


class Services:
    """Every handler by method, called with encoded bodies as the worker does."""

    def __init__(self, store: Transactions, services: list[object]) -> None:
        self.store = store
        self.garbage = next(service for service in services if isinstance(service, GarbageService))
        self.handlers = {name: handler for service in services for name, handler in handlers_of(service).items()}
        self._route = 0

    def handle(
        self,
        method: str,
        request: msgspec.Struct,
        *,
        namespace: str = "ci",
        key: str = "",
        lease: str = "",
        internal: bool = False,
    ) -> bytes:
        """Run a handler and return its encoded answer, or what it passes on; nothing is committed yet."""
        self._route += 1
        header = Routed(id=self._route, method=method, namespace=namespace, key=key, lease=lease, internal=internal)
        call = Call(header)
        reply = self.handlers[method](call, msgspec.msgpack.decode(protocol.encode(request), type=type(request)))
        if isinstance(reply, Pass):
            reply = reply.body
        return reply if isinstance(reply, bytes) else protocol.encode(reply)

    def call(
        self,
        method: str,
        request: msgspec.Struct,
        reply: type[T],
        *,
        namespace: str = "ci",
        key: str = "",
        lease: str = "",
    ) -> T:
        """Run a handler, commit, and return its answer as a type."""
        try:
            body = self.handle(method, request, namespace=namespace, key=key, lease=lease)
        finally:
            self.store.commit()
        return msgspec.msgpack.decode(body, type=reply)

    def stream(self, method: str, request: msgspec.Struct) -> Any:
        """The async generator of a stream's handler."""
        return self.handlers[method](Call(Routed(id=0, method=method)), request)

    def collect(self) -> gc.Collected:
        """Mark and sweep once; there are no owners to be told."""
        return asyncio.run(self.garbage.collector.collect())

    def topics(self) -> list[str]:
        """The topics of all stored events, oldest first."""
        return [topic for (topic,) in self.store.read("SELECT topic FROM events ORDER BY seq")]

    def events(self) -> list[dict[str, Any]]:
        """All stored events, oldest first."""
        return [msgspec.msgpack.decode(event) for (event,) in self.store.read("SELECT event FROM events ORDER BY seq")]


@contextmanager
def scratch() -> Iterator[str]:
    """A directory on tmpfs that is gone afterwards."""
    path = tempfile.mkdtemp(dir="/dev/shm", prefix="wharfie-test-")
    try:
        yield path
    finally:
        shutil.rmtree(path)


def settings_for(directory: str, *, retention_count: int = 10_000, retention_age_s: float = 3600.0) -> Settings:
    """Settings with root and state below a directory."""
    return msgspec.structs.replace(
        Settings(),
        root=f"{directory}/root",
        state=f"{directory}/state",
        events=Events(retention_count=retention_count, retention_age_s=retention_age_s),
    )


@contextmanager
def open_services(directory: str, settings: Settings | None = None) -> Iterator[Services]:
    """The services on the database of a directory, made when new."""
    settings = settings or settings_for(directory)
    os.makedirs(settings.root, exist_ok=True)
    registry = discover()
    loaded = load(registry, worker="metadata", settings=settings, inits=inits(settings, Paths.of(settings)))
    store: Transactions = loaded.instances["metadata.v1", "sqlite"]
    try:
        garbage = garbage_of(store, registry, settings, ask=None)
        yield Services(store, [*services_of(loaded, store, registry, settings), garbage])
    finally:
        store.close()


__all__ = ["Services", "open_services", "open_store", "scratch", "settings_for"]
