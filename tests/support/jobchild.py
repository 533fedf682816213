"""A worker below a real supervisor that runs jobs as a test says, and the targets of those jobs.

The worker has no router; what it has found out it writes to a file, whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
from typing import Any

import msgspec

from actors.control import Control
from actors.jobs import JobReport, Jobs, serve
from actors.worker import Worker
from linux import procfs
from wharfie.errors import NotFound, WharfieError

TARGET = "tests.support.jobchild:job"


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What a job shall do."""

    do: str
    size: int = 0


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What it says."""

    text: str = ""
    data: bytes = b""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a job."""

    answer: Answer | None = None
    error: dict[str, Any] | None = None
    cancelled: bool = False
    progress: list[int] = []
    alive: bool = False
    descriptors: int = 0


def job(args: bytes, fds: list[int]) -> None:
    """The target."""
    serve(args, fds, Ask, _do)


def _do(ask: Ask, fds: list[int], report: JobReport) -> Answer:
    if ask.do == "big":
        return Answer(data=bytes(ask.size))
    if ask.do == "fds":
        return Answer(data=os.read(fds[0], 100) + os.read(fds[1], 100))
    if ask.do == "progress":
        for number in range(ask.size):
            report._said_at_s = 0.0
            report.progress(number)
        report.progress(-1)  # too soon after the last one
    elif ask.do == "error":
        raise NotFound("nothing here", details={"what": "it"})
    elif ask.do == "full":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/disk")
    elif ask.do == "bug":
        raise ZeroDivisionError("a bug")
    elif ask.do == "memory":
        raise MemoryError
    elif ask.do == "exit":
        os._exit(3)
    elif ask.do in ("SIGSEGV", "SIGKILL"):
        os.kill(os.getpid(), signal.Signals[ask.do])
    elif ask.do == "hang":
        os.write(fds[0], str(os.getpid()).encode())
        signal.pause()
    elif ask.do == "garbage":
        report._sock.send(b"\0\xc1 what no job says")
    return Answer(text=ask.do)


async def _run(jobs: Jobs, ask: Ask) -> Found:
    progress: list[int] = []
    answer: Answer | None = None
    error: dict[str, Any] | None = None
    fds = []
    if ask.do == "fds":
        for word in (b"one", b"two"):
            read_end, write_end = os.pipe()
            os.write(write_end, word)
            os.close(write_end)
            fds.append(read_end)
    try:
        target = "tests.support.jobchild:nothing" if ask.do == "no target" else TARGET
        answer = await jobs.run(target, ask, Answer, name="test", fds=fds, progress=progress.append)
    except WharfieError as caught:
        error = caught.to_wire()
    for fd in fds:
        os.close(fd)
    return Found(answer=answer, error=error, progress=progress, descriptors=len(os.listdir("/proc/self/fd")))


async def _cancelled(jobs: Jobs) -> Found:
    loop = asyncio.get_running_loop()
    read_end, write_end = os.pipe()
    started = asyncio.Event()
    loop.add_reader(read_end, started.set)
    task = loop.create_task(jobs.run(TARGET, Ask(do="hang"), Answer, name="test", fds=[write_end]))
    await started.wait()
    loop.remove_reader(read_end)
    pid = int(os.read(read_end, 20))
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    found = Found(cancelled=task.cancelled(), alive=procfs.is_alive(pid))
    os.close(read_end)
    os.close(write_end)
    return found


def main(control: Control, scripts: dict[str, list[str]]) -> None:
    """The worker."""
    path, *asked = scripts[control.name]
    worker = Worker(
        name=control.name,
        generation=control.generation,
        control=control,
        backend=f"{path}.no-router",
        heartbeat_s=1.0,
    )

    async def work() -> None:
        jobs = Jobs(worker)
        asks = [msgspec.json.decode(text, type=Ask) for text in asked]
        if [ask.do for ask in asks] == ["cancel"]:
            found = [await _cancelled(jobs)]
        else:
            found = list(await asyncio.gather(*(_run(jobs, ask) for ask in asks)))
        with open(f"{path}.new", "wb") as file:
            file.write(msgspec.msgpack.encode(found))
        os.rename(f"{path}.new", path)

    async def start() -> dict[str, Any]:
        worker.spawn(work())
        return {}

    worker.run(start)
