"""`AsyncClient` and `Client`: a connection to a daemon, seen from one namespace."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack

from wharfie import errors
from wharfie._async.base import UNSET, Caller
from wharfie._async.channel import Channel

if TYPE_CHECKING:
    from wharfie._async.containers import Completed, Containers
    from wharfie._async.content import Content
    from wharfie._async.diff import Diff
    from wharfie._async.events import Events
    from wharfie._async.gc import GarbageCollector
    from wharfie._async.images import Images
    from wharfie._async.introspection import Plugins
    from wharfie._async.leases import Leases
    from wharfie._async.namespaces import Namespaces
    from wharfie._async.snapshots import Snapshots
    from wharfie._async.supervisor import Supervisor
    from wharfie._async.tasks import Tasks
    from wharfie.options import RunOptions
    from wharfie.types import introspection


class AsyncClient:
    """A connection to a daemon. Use it as a context manager, or `connect` and `close` it.

    Any number of threads (or coroutines) may use one client at once; each gets its own answers. Every call takes
    `timeout_s` (None: no limit). Calls survive the death of any part of the daemon while their time lasts: what
    reads is asked again, what changes something carries a key by which the daemon does it once.

    Args:
        address: path of the daemon's socket; None is WHARFIE_ADDRESS, else the default path.
        namespace: for all calls; None is WHARFIE_NAMESPACE, else `default`.
        timeout_s: of a call that names none.
        connect_timeout_s: for the daemon's greeting.
        curve: (server public key, own public key, own secret key) for a tcp address.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        namespace: str | None = None,
        timeout_s: float | None = 60.0,
        connect_timeout_s: float = 5.0,
        curve: tuple[bytes, bytes, bytes] | None = None,
    ) -> None:
        self._channel = Channel(address, connect_timeout_s=connect_timeout_s, curve=curve)
        self._timeout_s = timeout_s
        self._enter(namespace or os.environ.get("WHARFIE_NAMESPACE") or "default")

    def _enter(self, namespace: str, lease: str = "") -> None:
        self.namespace = namespace
        self._caller = Caller(self._channel, namespace=namespace, timeout_s=self._timeout_s, lease=lease)

    # Each service is loaded when it is first asked for: a program that only lists images pays for nothing else.

    @cached_property
    def namespaces(self) -> Namespaces:
        """The tenants of the daemon."""
        from wharfie._async.namespaces import Namespaces

        return Namespaces(self._caller)

    @cached_property
    def containers(self) -> Containers:
        """Records of what is to be run."""
        from wharfie._async.containers import Containers

        return Containers(self._caller)

    @cached_property
    def images(self) -> Images:
        """Names for content, and images from archives."""
        from wharfie._async.images import Images

        return Images(self._caller)

    @cached_property
    def content(self) -> Content:
        """Blobs by digest."""
        from wharfie._async.content import Content

        return Content(self._caller)

    @cached_property
    def snapshots(self) -> Snapshots:
        """File systems in layers."""
        from wharfie._async.snapshots import Snapshots

        return Snapshots(self._caller)

    @cached_property
    def diff(self) -> Diff:
        """Differences of trees as layers."""
        from wharfie._async.diff import Diff

        return Diff(self._caller)

    @cached_property
    def leases(self) -> Leases:
        """What keeps things from the garbage collector while nothing names them."""
        from wharfie._async.leases import Leases

        return Leases(self._caller)

    @cached_property
    def gc(self) -> GarbageCollector:
        """Collecting what nothing holds."""
        from wharfie._async.gc import GarbageCollector

        return GarbageCollector(self._caller)

    @cached_property
    def tasks(self) -> Tasks:
        """The running processes of containers."""
        from wharfie._async.tasks import Tasks

        return Tasks(self._caller)

    @cached_property
    def events(self) -> Events:
        """What happens, in order."""
        from wharfie._async.events import Events

        return Events(self._caller)

    @cached_property
    def plugins(self) -> Plugins:
        """What the daemon is made of."""
        from wharfie._async.introspection import Plugins

        return Plugins(self._caller)

    @cached_property
    def supervisor(self) -> Supervisor:
        """The daemon's processes."""
        from wharfie._async.supervisor import Supervisor

        return Supervisor(self._caller)

    @property
    def address(self) -> str:
        """Where the daemon is."""
        return self._channel.address

    async def connect(self) -> Self:
        """Connect; `async with` does it. Idempotent.

        Raises:
            Unavailable: nobody greets at the address.
        """
        await self._channel.connect()
        return self

    async def __aenter__(self) -> Self:
        return await self.connect()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection. Idempotent."""
        await self._channel.close()

    def within(self, namespace: str) -> AsyncClient:
        """The same connection seen from another namespace; closing either closes both."""
        return self._seen(namespace, "")

    def with_lease(self, lease: str) -> AsyncClient:
        """The same connection, whose calls hold what they create by a lease of this namespace; closing either closes
        both. A call that creates something fails with `NotFound` when there is no such lease.
        """
        return self._seen(self.namespace, lease)

    def _seen(self, namespace: str, lease: str) -> AsyncClient:
        other = object.__new__(AsyncClient)
        other._channel = self._channel
        other._timeout_s = self._timeout_s
        other._enter(namespace, lease)
        return other

    async def version(self, *, timeout_s: float | None = UNSET) -> introspection.Version:
        """The daemon's version."""
        from wharfie.types import introspection

        return await self._caller.call(
            "version.get", introspection.GetVersion(), introspection.Version, timeout_s=timeout_s
        )

    async def server(self, *, timeout_s: float | None = UNSET) -> introspection.Server:
        """The daemon's identity, directories and age."""
        from wharfie.types import introspection

        return await self._caller.call(
            "introspection.server", introspection.GetServer(), introspection.Server, timeout_s=timeout_s
        )

    async def run(
        self,
        image: str,
        args: Sequence[str] = (),
        *,
        name: str = "",
        stdin: bytes | None = None,
        labels: Mapping[str, str] | None = None,
        snapshotter: str = "",
        platform: str = "",
        timeout_s: float | None = None,
        **options: Unpack[RunOptions],
    ) -> Completed:
        """Run a command in a new container, wait for it, remove the container.

        Args:
            image: name of an image that is here.
            args: the command; empty is the image's.
            name: the container's id; empty makes a random one.
            stdin: what the command reads.
            labels: for the container.
            snapshotter: which one; empty is the daemon's default.
            platform: of the image, `os/arch`; empty is this machine's.
            timeout_s: of the command; it is killed when that is over.
            options: see `RunOptions`.

        Returns:
            Exit code, stdout and stderr.

        Raises:
            NotFound: no such image, or no such program in it (`details["reason"]` is `executable_not_found`).
            DeadlineExceeded: the command took longer than `timeout_s`.
        """
        from wharfie._async.containers import Completed
        from wharfie._async.streams import Streams

        container = await self.containers.create(
            image, args, id=name, labels=labels, snapshotter=snapshotter, platform=platform, **options
        )
        out: list[bytes] = []
        err: list[bytes] = []

        async def close() -> None:
            # It may have ended without reading all of it.
            with contextlib.suppress(errors.NotFound, errors.FailedPrecondition):
                await container.task.close_io()

        try:
            async with Streams(on_stdout=out.append, on_stderr=err.append, stdin=stdin, on_stdin_end=close) as streams:
                task = await container.create_task(stdio=streams.stdio)
                streams.attached()
                await task.start()
                exit_ = await task.wait(timeout_s=timeout_s)
                await streams.drain()
        finally:
            with contextlib.suppress(errors.NotFound):
                await container.delete(force=True)
        return Completed(exit_code=exit_.exit_status, stdout=b"".join(out), stderr=b"".join(err), oom=exit_.oom)
