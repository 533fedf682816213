"""`client.containers`: records of what is to be run, and `Container`, one of them."""

from __future__ import annotations

import contextlib
import os
import platform as host
from collections.abc import Mapping, Sequence
from typing import Any, Unpack

import msgspec

from wharfie import errors
from wharfie._async.base import UNSET, Caller, Service
from wharfie._async.images import Images
from wharfie._async.snapshots import Snapshots
from wharfie._async.streams import Streams
from wharfie._async.tasks import Task, Tasks
from wharfie.oci.chains import chain_id
from wharfie.oci.image_config import ImageConfig
from wharfie.options import RunOptions, spec_options
from wharfie.types import containers as t
from wharfie.types import tasks as task_types
from wharfie.types.diff import Change
from wharfie.types.transfer import Committed


class Completed(msgspec.Struct, frozen=True, kw_only=True):
    """What `run` and `exec` return: the exit code (128 + signal when killed) and all output."""

    exit_code: int
    stdout: bytes = b""
    stderr: bytes = b""
    oom: bool = False


def new_id() -> str:
    """A random container id, 64 hexadecimal digits as containerd's users expect."""
    return os.urandom(32).hex()


class Container:
    """A container: its record, and its task."""

    __slots__ = ("_caller", "record")

    def __init__(self, caller: Caller, record: t.Container) -> None:
        self._caller = caller
        self.record = record

    def __repr__(self) -> str:
        return f"Container({self.record.id!r}, image={self.record.image!r})"

    @property
    def id(self) -> str:
        """Its id."""
        return self.record.id

    @property
    def image(self) -> str:
        """The name of its image."""
        return self.record.image

    @property
    def labels(self) -> Mapping[str, str]:
        """Its labels."""
        return self.record.labels

    @property
    def task(self) -> Task:
        """Its task, which may or may not be there; asking it tells."""
        return Task(self._caller, self.record.id)

    async def create_task(self, *, stdio: task_types.Stdio | None = None, timeout_s: float | None = UNSET) -> Task:
        """Its task, made and not started."""
        return await Tasks(self._caller).create(self.record.id, stdio=stdio, timeout_s=timeout_s)

    async def start(self, *, stdio: task_types.Stdio | None = None, timeout_s: float | None = UNSET) -> Task:
        """Run it: its task made and started. Without `stdio` its output goes to the daemon's log of it."""
        task = await self.create_task(
            stdio=stdio or task_types.Stdio(stdout="log://", stderr="log://"), timeout_s=timeout_s
        )
        try:
            await task.start(timeout_s=timeout_s)
        except BaseException:
            with contextlib.suppress(errors.WharfieError):
                await task.delete(force=True)
            raise
        return task

    async def exec(
        self,
        args: Sequence[str],
        *,
        env: Sequence[str] = (),
        workdir: str = "",
        user: str = "",
        stdin: bytes | None = None,
        timeout_s: float | None = None,
    ) -> Completed:
        """Run one more command in it and wait; returns its exit code and output.

        Raises:
            DeadlineExceeded: it took longer than `timeout_s`; it was killed.
        """
        exec_id = f"exec-{os.urandom(8).hex()}"
        process = self.exec_process(args, env=env, workdir=workdir, user=user)
        out: list[bytes] = []
        err: list[bytes] = []
        tasks = Tasks(self._caller)

        async def close() -> None:
            # It may have ended without reading all of it.
            with contextlib.suppress(errors.NotFound, errors.FailedPrecondition):
                await tasks.close_io(self.id, exec_id=exec_id)

        async with Streams(on_stdout=out.append, on_stderr=err.append, stdin=stdin, on_stdin_end=close) as streams:
            task = await self.task.exec(exec_id, process, stdio=streams.stdio)
            try:
                await task.start()
                streams.attached()
                exit_ = await task.wait(timeout_s=timeout_s)
                await streams.drain()
            finally:
                with contextlib.suppress(errors.WharfieError):
                    await task.delete(force=True)
        return Completed(exit_code=exit_.exit_status, stdout=b"".join(out), stderr=b"".join(err), oom=exit_.oom)

    def exec_process(
        self, args: Sequence[str], *, env: Sequence[str] = (), workdir: str = "", user: str = "", tty: bool = False
    ) -> dict[str, Any]:
        """The OCI `process` of one more command: the container's own, with these changes."""
        from wharfie.oci.process import exec_process
        from wharfie.oci.user import numeric_user

        number = numeric_user(user) if user else None
        process = exec_process(
            self.record.spec["process"], args=args, env=env, workdir=workdir or None, user=number, tty=tty
        )
        if user and number is None:
            process["user"] = {"uid": 0, "gid": 0, "username": user}
        return process

    async def commit(
        self,
        name: str,
        *,
        author: str = "",
        message: str = "",
        changes: Sequence[str] = (),
        compression: str = "gzip",
        source_date_epoch: int | None = None,
        timeout_s: float | None = None,
    ) -> Committed:
        """An image of what it has changed, on top of its own image; see `client.images.commit`."""
        return await Images(self._caller).commit(
            self.id,
            name,
            author=author,
            message=message,
            changes=changes,
            compression=compression,
            source_date_epoch=source_date_epoch,
            timeout_s=timeout_s,
        )

    async def diff(self, *, timeout_s: float | None = None) -> list[Change]:
        """What it has changed, by path.

        Raises:
            FailedPrecondition: it has no snapshot.
        """
        from wharfie._async.diff import Diff

        if not self.record.snapshot_key:
            raise errors.FailedPrecondition(f"container '{self.id}' has no snapshot, so it has changed nothing")
        return await Diff(self._caller).changes(
            self.record.snapshot_key, snapshotter=self.record.snapshotter, timeout_s=timeout_s
        )

    async def refresh(self, *, timeout_s: float | None = UNSET) -> Container:
        """The record as it is now; also kept."""
        self.record = await self._caller.call(
            "containers.get", t.Get(id=self.record.id), t.Container, timeout_s=timeout_s
        )
        return self

    async def delete(self, *, force: bool = False, timeout_s: float | None = UNSET) -> None:
        """Remove its task, its record and its snapshot.

        Raises:
            FailedPrecondition: it runs; `force` kills it first.
        """
        tasks = Tasks(self._caller)
        with contextlib.suppress(errors.NotFound):
            await tasks.delete(self.id, force=force, timeout_s=timeout_s)
        await self._caller.tell("containers.delete", t.Delete(id=self.id), timeout_s=timeout_s)
        if self.record.snapshot_key:
            with contextlib.suppress(errors.NotFound):
                await Snapshots(self._caller).remove(
                    self.record.snapshot_key, snapshotter=self.record.snapshotter, timeout_s=timeout_s
                )


class Containers(Service):
    """The containers of a namespace."""

    async def get(self, id_: str, *, timeout_s: float | None = UNSET) -> Container:
        """A container by its id.

        Raises:
            NotFound: there is none.
        """
        record = await self._caller.call("containers.get", t.Get(id=id_), t.Container, timeout_s=timeout_s)
        return Container(self._caller, record)

    async def list(
        self, filters: Sequence[str] = (), *, without_spec: bool = False, timeout_s: float | None = UNSET
    ) -> list[Container]:
        """All containers that match any filter, by id."""
        request = t.List(filters=[*filters], without_spec=without_spec)
        listing = await self._caller.call("containers.list", request, t.Listing, timeout_s=timeout_s)
        return [Container(self._caller, record) for record in listing.containers]

    async def create_record(self, record: t.Container, *, timeout_s: float | None = UNSET) -> Container:
        """A container from a whole record; nothing but the record is made (containerd's Create)."""
        stored = await self._caller.call(
            "containers.create", t.Create(container=record), t.Container, timeout_s=timeout_s
        )
        return Container(self._caller, stored)

    async def create(
        self,
        image: str,
        args: Sequence[str] = (),
        *,
        id: str = "",  # noqa: A002 - the field's name
        labels: Mapping[str, str] | None = None,
        snapshotter: str = "",
        platform: str = "",
        timeout_s: float | None = UNSET,
        **options: Unpack[RunOptions],
    ) -> Container:
        """A container from an image: its snapshot prepared, its specification built, its record stored.

        Args:
            image: name of an image that is here.
            args: the command; empty is the image's.
            id: its name; empty makes a random one.
            labels: for the record.
            snapshotter: which one; empty is the daemon's default.
            platform: of the image, `os/arch`; empty is this machine's.
            timeout_s: for each call that this makes.
            options: see `RunOptions`.

        Raises:
            NotFound: no such image.
            AlreadyExists: the id is taken.
        """
        config = await Images(self._caller).config(image, platform=platform, timeout_s=timeout_s)
        return await self.create_from(
            image,
            config,
            args,
            id=id,
            labels=labels,
            snapshotter=snapshotter,
            platform=platform,
            timeout_s=timeout_s,
            **options,
        )

    async def create_from(
        self,
        image: str,
        config: ImageConfig,
        args: Sequence[str] = (),
        *,
        id: str = "",  # noqa: A002
        labels: Mapping[str, str] | None = None,
        snapshotter: str = "",
        platform: str = "",
        timeout_s: float | None = UNSET,
        **options: Unpack[RunOptions],
    ) -> Container:
        """As `create`, with the image's configuration at hand: a program that makes many reads it once."""
        from wharfie.oci.spec import build_spec

        id_ = id or new_id()
        wanted = spec_options(args, options)
        spec = build_spec(config, wanted, container_id=id_, namespace=self._caller.namespace, machine=host.machine())
        diff_ids = (config.rootfs.diff_ids if config.rootfs else None) or ()
        snapshots = Snapshots(self._caller)
        parent = chain_id(diff_ids)
        try:
            await snapshots.prepare(id_, parent, snapshotter=snapshotter, timeout_s=timeout_s)
        except errors.NotFound:
            parent = await Images(self._caller).unpack(image, snapshotter=snapshotter, platform=platform)
            await snapshots.prepare(id_, parent, snapshotter=snapshotter, timeout_s=timeout_s)
        record = t.Container(
            id=id_,
            image=image,
            labels=dict(labels or {}),
            spec=spec,
            snapshotter=snapshotter or await self._default_snapshotter(id_, timeout_s),
            snapshot_key=id_,
        )
        try:
            return await self.create_record(record, timeout_s=timeout_s)
        except BaseException:
            with contextlib.suppress(errors.WharfieError):
                await snapshots.remove(id_, snapshotter=snapshotter)
            raise

    async def _default_snapshotter(self, key: str, timeout_s: float | None) -> str:
        """The name behind the empty one, asked once for each connection."""
        known = self._caller.channel.default_snapshotter
        if not known:
            known = (await Snapshots(self._caller).stat(key, timeout_s=timeout_s)).snapshotter
            self._caller.channel.default_snapshotter = known
        return known

    async def update(
        self, record: t.Container, *, mask: Sequence[str] = (), timeout_s: float | None = UNSET
    ) -> Container:
        """Change a record; `mask` says which fields."""
        request = t.Update(container=record, mask=[*mask])
        stored = await self._caller.call("containers.update", request, t.Container, timeout_s=timeout_s)
        return Container(self._caller, stored)

    async def delete(self, id_: str, *, force: bool = False, timeout_s: float | None = UNSET) -> None:
        """Remove a container's task, record and snapshot; `force` also when it runs."""
        await (await self.get(id_, timeout_s=timeout_s)).delete(force=force, timeout_s=timeout_s)
