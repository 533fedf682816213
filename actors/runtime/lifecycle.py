"""Making and ending tasks: the two operations of many steps.

Create: record and mounts are asked for, the specification is fitted, the bundle written, a shim forked, and the
shim runs the runtime's `create`. A create that fails leaves nothing; one whose worker died goes on when it is asked
again with its key, because the shim knows the key, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from typing import TYPE_CHECKING

import msgspec

from actors.call import Call
from actors.runtime import bundle, fitting, shimprocess
from actors.runtime.entry import Entry, Known, Phase
from shim import protocol
from wharfie import errors, failpoint
from wharfie.oci.host import fit_spec, user_to_resolve
from wharfie.types import containers, snapshots, tasks
from wharfie.types.base import Json, Mount

if TYPE_CHECKING:
    from actors.runtime.service import Runtime


async def create(runtime: Runtime, call: Call, request: tasks.Create) -> tasks.Created:
    """A container's task; see `tasks.create`."""
    namespace, container_id = call.namespace, request.container_id
    entry = runtime.table.find(namespace, container_id)
    while entry is not None:
        if entry.phase is Phase.RECOVERING:
            await entry.settled.wait()
        if entry.phase is Phase.DELETING or entry.gone.is_set():
            await entry.gone.wait()
        elif entry.is_deleted:
            await runtime.finish_delete(entry)
        elif call.key and entry.file.key == call.key and entry.link is not None:
            if bundle.has_spec(entry.path):
                return await _go_on(runtime, entry, call, request)
            await runtime.discard(entry)
        else:
            raise errors.AlreadyExists(f"container '{container_id}' of namespace '{namespace}' has a task already")
        entry = runtime.table.find(namespace, container_id)
    file = bundle.TaskFile(
        namespace=namespace,
        id=container_id,
        incarnation=os.urandom(12).hex(),
        key=call.key,
        socket=runtime.paths.shim_socket(namespace=namespace, group=container_id),
        runtime=_program(runtime, request),
        runtime_root=f"{runtime.paths.runc_root}/{namespace}",
        stdio=_resolved(runtime, request.stdio, namespace, container_id),
    )
    entry = Entry(file, runtime.paths.bundle(namespace, container_id), phase=Phase.CREATING)
    runtime.table.put(entry)
    try:
        bundle.begin(entry.path, file)
        failpoint.hit("runtime.create.after-bundle")
        # The shim is born while the record and its mounts are asked for.
        async with asyncio.TaskGroup() as group:
            group.create_task(_launch(runtime, entry))
            record = group.create_task(_record(runtime, namespace, container_id))
            mounts = await _mounts(runtime, call, request, await record)
            # In a thread: the image's files and what is mounted may lie on a file system that hangs.
            mounted = await runtime.worker.blocking(_prepare, runtime, entry, record.result(), mounts)
        failpoint.hit("runtime.create.after-shim")
        created = await _create_in_shim(runtime, entry, call, mounts=mounts, mounted=mounted)
    except BaseException as error:
        await asyncio.shield(runtime.discard(entry))
        if isinstance(error, BaseExceptionGroup):
            raise _cause(error) from None
        raise
    entry.phase = Phase.LIVE
    entry.settled.set()
    failpoint.hit("runtime.create.before-reply")
    return created


async def _go_on(runtime: Runtime, entry: Entry, call: Call, request: tasks.Create) -> tasks.Created:
    """A create that an earlier incarnation of this worker began: the shim has its key, too, and answers alike."""
    try:
        mounts = await _mounts(runtime, call, request)
        mounted = await runtime.worker.blocking(fitting.mount_quickly, mounts, f"{entry.path}/rootfs")
        created = await _create_in_shim(runtime, entry, call, mounts=mounts, mounted=mounted)
    except errors.WharfieError:
        if entry.phase is Phase.CREATING:
            await runtime.discard(entry)
        raise
    entry.phase = Phase.LIVE
    return created


def _prepare(runtime: Runtime, entry: Entry, record: containers.Container, mounts: list[Mount]) -> bool:
    """Blocking: the specification into the bundle, and the root file system mounted if that is quickly done."""
    bundle.write_spec(entry.path, _fitted(runtime, record, mounts, entry.namespace))
    return fitting.mount_quickly(mounts, f"{entry.path}/rootfs")


def _cause(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What a group of steps failed of: the first that is no consequence of another's failure."""
    errors_ = [error for error in group.exceptions if not isinstance(error, asyncio.CancelledError)]
    return errors_[0] if errors_ else group.exceptions[0]


async def _record(runtime: Runtime, namespace: str, container_id: str) -> containers.Container:
    return await runtime.worker.call(
        "containers.get", containers.Get(id=container_id), containers.Container, namespace=namespace
    )


async def _mounts(
    runtime: Runtime, call: Call, request: tasks.Create, record: containers.Container | None = None
) -> list[Mount]:
    if request.rootfs:
        return request.rootfs
    if record is None:
        record = await _record(runtime, call.namespace, request.container_id)
    if not record.snapshot_key:
        return []
    asked = snapshots.GetMounts(key=record.snapshot_key, snapshotter=record.snapshotter)
    return (await runtime.worker.call("snapshots.mounts", asked, snapshots.Mounts, namespace=call.namespace)).mounts


def _fitted(runtime: Runtime, record: containers.Container, mounts: list[Mount], namespace: str) -> Json:
    name = user_to_resolve(record.spec)
    user = fitting.user_of_image(name, mounts) if name else None
    facts = runtime.facts
    if record.spec.get("annotations", {}).get("io.wharfie.privileged") == "true":
        facts = fitting.with_devices(facts)
    return fit_spec(record.spec, facts, container_id=record.id, namespace=namespace, user=user)


def _program(runtime: Runtime, request: tasks.Create) -> str:
    name = str(request.options.get("binary_name") or runtime.settings.shim.runtime)
    path = name if name.startswith("/") else shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if not path or not os.access(path, os.X_OK):
        raise errors.FailedPrecondition(
            f"runtime '{name}' not found on this host; install it (apt-get install runc) or set shim.runtime",
            details={"reason": "no_runtime"},
        )
    return path


def _resolved(runtime: Runtime, stdio: tasks.Stdio, namespace: str, container_id: str) -> tasks.Stdio:
    """`log://` as the file that it stands for."""
    if "log://" not in (stdio.stdout, stdio.stderr):
        return stdio
    path = runtime.log_path(namespace, container_id)
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    real = f"file://{path}"
    return msgspec.structs.replace(
        stdio,
        stdout=real if stdio.stdout == "log://" else stdio.stdout,
        stderr=real if stdio.stderr == "log://" else stdio.stderr,
    )


async def _launch(runtime: Runtime, entry: Entry) -> None:
    file = entry.file
    start = protocol.ShimStart(
        namespace=file.namespace,
        id=file.id,
        runtime=file.runtime,
        runtime_root=file.runtime_root,
        log=f"{entry.path}/shim.log",
    )
    os.makedirs(file.runtime_root, mode=0o700, exist_ok=True)
    limit_s = runtime.timeout("shim.start")
    entry.shim_pid, connection = await runtime.launcher.launch(start, file.socket, timeout_s=limit_s)
    bundle.note_shim(entry.path, entry.shim_pid, shimprocess.started(entry.shim_pid))
    runtime.attach(entry, connection)
    assert entry.link is not None
    await entry.link.call("connect", None, protocol.Connected, timeout_s=limit_s)


async def _create_in_shim(
    runtime: Runtime, entry: Entry, call: Call, *, mounts: list[Mount], mounted: bool
) -> tasks.Created:
    spec = bundle.read_spec(entry.path)
    groups = fitting.groups_of(spec, runtime.hierarchies)
    stdio = entry.file.stdio
    body = protocol.Create(
        container_id=entry.id,
        bundle=entry.path,
        rootfs=[
            protocol.Mount(type=one.type, source=one.source, target=one.target, options=one.options) for one in mounts
        ],
        mounted=mounted,
        stdio=protocol.Stdio(stdin=stdio.stdin, stdout=stdio.stdout, stderr=stdio.stderr, terminal=stdio.terminal),
        memory_cgroup=groups.memory,
        cgroup=groups.processes,
        cgroups=list(groups.every) if groups.is_plain else [],
        private_pids=fitting.has_private_pids(spec),
    )
    limit_s = runtime.timeout("runtime.command")
    pid = (await entry.live_link().call("create", body, protocol.Pid, timeout_s=limit_s, key=call.key)).pid
    entry.processes[""].pid = pid
    return tasks.Created(pid=pid, container_id=entry.id)


async def delete(runtime: Runtime, call: Call, request: tasks.Delete) -> tasks.Exit:
    """A stopped task or exec goes; see `tasks.delete`."""
    kept = runtime.answers.find(call.key)
    if kept is not None:
        entry = runtime.table.find(call.namespace, request.container_id)
        if not request.exec_id and not request.keep_log and (entry is None or entry.is_deleted):
            runtime.drop_log(call.namespace, request.container_id)
        return kept
    entry = runtime.table.get(call.namespace, request.container_id)
    if entry.phase is Phase.RECOVERING:
        await entry.settled.wait()
    if entry.burial is not None:
        await asyncio.shield(entry.burial)
    if entry.is_deleted and entry.link is None:
        raise errors.NotFound(f"task of container '{entry.id}' is being deleted")
    known = entry.process(request.exec_id)
    if request.force and known.status is not tasks.Status.STOPPED and entry.link is not None:
        await _end(runtime, entry, known)
    if entry.link is None:
        answer = entry.exit_of(known)
    else:
        answer = await _delete_in_shim(runtime, entry, call, known)
    runtime.answers.keep(call.key, answer)
    failpoint.hit("runtime.delete.after-shim")
    if request.exec_id:
        entry.processes.pop(request.exec_id, None)
        return answer
    if not request.keep_log:
        runtime.drop_log(entry.namespace, entry.id)
    entry.is_deleted = True
    # The caller needs not wait for the clean-up; who wants the name again does.
    runtime.finish_soon(entry)
    return answer


async def _delete_in_shim(runtime: Runtime, entry: Entry, call: Call, known: Known) -> tasks.Exit:
    target = protocol.Target(container_id=entry.id, exec_id=known.exec_id)
    exit_ = await entry.live_link().call(
        "delete", target, protocol.Exit, timeout_s=runtime.timeout("runtime.command"), key=call.key
    )
    return tasks.Exit(
        container_id=entry.id,
        exec_id=known.exec_id,
        pid=exit_.pid,
        exit_status=exit_.exit_status,
        exited_at_ns=exit_.exited_at_ns,
        oom=exit_.oom or known.oom,
    )


async def _end(runtime: Runtime, entry: Entry, known: Known) -> None:
    """Kill a process and wait for its end; one that never started is only deleted."""
    kill = protocol.Kill(container_id=entry.id, exec_id=known.exec_id, signal=9, all=not known.exec_id)
    with contextlib.suppress(errors.NotFound, errors.FailedPrecondition):
        await entry.live_link().call("kill", kill, msgspec.Raw, timeout_s=runtime.timeout("runtime.command"))
        async with asyncio.timeout(runtime.timeout("runtime.command")):
            while known.status is not tasks.Status.STOPPED and entry.link is not None:
                await entry.next_change()
