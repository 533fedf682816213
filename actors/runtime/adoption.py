"""After a restart: the tasks are found again by their bundles, their shims are asked, and what is dead is cleaned up.

Adoption runs in the background, all tasks at once, each within `shim.load`: a silent shim delays nobody, and its
task is listed as `unknown` meanwhile. A slow shim is never taken for a dead one; only one that refuses connections is.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from actors.runtime import bundle
from actors.runtime.entry import Entry, Phase
from linux import unixsocket
from shim import protocol
from shim.journal import read_journal
from wharfie import errors

if TYPE_CHECKING:
    from actors.runtime.service import Runtime

log = logging.getLogger("runtime")

RETRY_S = 1.0


def find(runtime: Runtime) -> list[Entry]:
    """An entry for each bundle on disk; what is no whole bundle was never used and is removed."""
    found: list[Entry] = []
    for _, _, path in bundle.all_bundles(runtime.paths.tasks):
        file = bundle.read_task(path)
        if file is None:
            log.warning("incomplete bundle removed path=%s", path)
            bundle.remove(path)
            continue
        entry = Entry(file, path, phase=Phase.RECOVERING)
        runtime.table.put(entry)
        found.append(entry)
    return found


async def adopt(runtime: Runtime, entry: Entry) -> None:
    """Connect to a task's shim again, or clean up after it."""
    while entry.phase is Phase.RECOVERING:
        try:
            sock = await asyncio.get_running_loop().run_in_executor(
                None, lambda: unixsocket.connect(entry.file.socket, timeout_s=runtime.timeout("shim.load"))
            )
        except TimeoutError:
            log.warning("shim does not accept id=%s namespace=%s; trying again", entry.id, entry.namespace)
            await asyncio.sleep(RETRY_S)
            continue
        except (OSError, ValueError):
            await runtime.bury(entry)
            return
        runtime.attach(entry, sock)
        link = entry.link
        assert link is not None
        try:
            connected = await link.call("connect", None, protocol.Connected, timeout_s=runtime.timeout("shim.load"))
        except errors.DeadlineExceeded:
            log.warning("shim is silent id=%s namespace=%s; trying again", entry.id, entry.namespace)
            entry.link = None
            link.close()
            await asyncio.sleep(RETRY_S)
            continue
        except errors.WharfieError:
            # It ended while we asked; `bury` was called by the link's end.
            return
        entry.shim_pid = connected.shim_pid
        mine = next((one for one in connected.containers if one.container_id == entry.id), None)
        contents = await runtime.worker.blocking(read_journal, entry.path)
        if mine is None and not contents.has_deletion:
            await _incomplete(runtime, entry)
            return
        for state in mine.processes if mine is not None else ():
            entry.take_state(state)
        entry.seq = mine.seq if mine is not None else contents.last_seq
        entry.stored = contents.acknowledged
        entry.phase = Phase.LIVE
        entry.is_deleted = mine is None or not mine.processes
        entry.settled.set()
        entry.changed()
        if entry.is_deleted:
            await _claimed(runtime, entry)
            await runtime.finish_delete(entry)
        else:
            log.info("task adopted id=%s namespace=%s shim=%d", entry.id, entry.namespace, entry.shim_pid)


async def _claimed(runtime: Runtime, entry: Entry) -> bool:
    """Give who asked for what was cut short the time of a clean-up to ask again; whether it is over with that."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(runtime.timeout("shim.cleanup")):
            await entry.gone.wait()
    return entry.gone.is_set()


async def _incomplete(runtime: Runtime, entry: Entry) -> None:
    """A shim without its container: a create was cut short.

    It may be asked for again with its key and then goes on; when nobody does, it is undone.
    """
    entry.phase = Phase.CREATING
    entry.settled.set()
    entry.changed()
    if await _claimed(runtime, entry):
        return
    if entry.processes[""].pid:
        entry.phase = Phase.LIVE
        return
    log.warning("unfinished task removed id=%s namespace=%s", entry.id, entry.namespace)
    await runtime.discard(entry)
