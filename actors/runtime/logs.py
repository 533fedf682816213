"""The output of a task that goes to a file, as a stream."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from actors.call import Reply
from wharfie import errors
from wharfie.types import tasks

if TYPE_CHECKING:
    from actors.runtime.service import Runtime

CHUNK_BYTES = 256 * 1024
LOOK_S = 0.05
"""How often a followed file is looked at: a container writes to it without telling anybody."""


async def read(runtime: Runtime, namespace: str, request: tasks.Logs) -> AsyncIterator[Reply]:
    """The bytes of a log from an offset; with `follow` until the task has ended and all of it was read.

    Raises:
        NotFound: the container has no task, or its output goes elsewhere.
    """
    entry = runtime.table.find(namespace, request.container_id)
    path = runtime.log_path(namespace, request.container_id)
    if entry is not None:
        stdout = entry.processes[""].stdio.stdout or entry.file.stdio.stdout
        if not stdout.startswith("file://"):
            raise errors.NotFound(
                f"the output of container '{request.container_id}' does not go to a file",
                details={"reason": "no_log", "stdout": stdout},
            )
        path = stdout.removeprefix("file://")
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise errors.NotFound(
            f"container '{request.container_id}' of namespace '{namespace}' has no log", details={"reason": "no_log"}
        ) from None
    offset = request.offset
    try:
        while True:
            # Asked before reading: what is written before the end is read after it.
            over = entry is None or entry.gone.is_set() or entry.processes[""].status is tasks.Status.STOPPED
            data = os.pread(fd, CHUNK_BYTES, offset)
            if data:
                yield Reply(tasks.LogChunk(offset=offset), [data])
                offset += len(data)
            elif over or not request.follow:
                return
            else:
                await asyncio.sleep(LOOK_S)
    finally:
        os.close(fd)
