"""What every worker does at its start, done once in the supervisor before the first fork.

Pages are shared until somebody writes to them, and much of what a start writes is the same in each worker: types
resolved from annotations, decoders built, and the interpreter's own notes in the bytecode of what runs often
(Python specialises code in place). Done here, those pages stay shared. No thread, no ZeroMQ context and no
descriptor is left behind.
"""

from __future__ import annotations

import asyncio
import inspect
import socket
import sys
from typing import Any

from actors.call import Call, handles, method_of
from actors.control import Control
from actors.plugins.discover import discover
from actors.plugins.load import load
from actors.running import request_of
from actors.worker import Worker
from config.settings import Settings
from wharfie import protocol
from wharfie.protocol import Header, Routed
from wharfie.types.base import Empty

ROUNDS = 40
"""Enough for the interpreter to specialise what it runs."""


def rehearse() -> None:
    """Resolve the handlers of all modules that are loaded, and turn an empty loop a few times."""
    for function in _handlers():
        protocol.decoder(request_of(function))
    for _ in range(ROUNDS):
        protocol.decode_routed(protocol.encode(Routed(id=1, method="a.b", namespace="c", key="d")))
        protocol.decode_header(protocol.encode(Header(id=1, kind="reply")))
    # Only our own plugins: what others wrote is never run in the supervisor.
    for _ in range(ROUNDS // 4):
        load(discover("", search=()), worker="rehearsal", settings=Settings())
    asyncio.run(_turn())
    asyncio.run(_serve())


def _handlers() -> list[Any]:
    found: list[Any] = []
    for name, module in list(sys.modules.items()):
        if name.startswith("actors."):
            for _, kind in inspect.getmembers(module, inspect.isclass):
                found += [value for value in vars(kind).values() if method_of(value)]
    return found


class _Echo:
    @handles("rehearsal.plain")
    def plain(self, call: Call, request: Empty) -> Empty:  # noqa: ARG002
        return request

    @handles("rehearsal.later")
    async def later(self, call: Call, request: Empty) -> Empty:  # noqa: ARG002
        return request


async def _serve() -> None:
    """Requests through a worker that has no socket, one of each shape, and a call of its own."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        worker = Worker(
            name="rehearsal",
            generation=0,
            control=Control(ours, name="rehearsal", generation=0),
            backend="",
            heartbeat_s=1,
        )
        worker.add(_Echo())
        # What is posted stays in the outbox: a flush would need a socket.
        worker._flush_scheduled = True
        for number in range(1, ROUNDS):
            for method in ("rehearsal.plain", "rehearsal.later"):
                header = protocol.encode(Routed(id=number, method=method, key=f"{method}/{number}"))
                worker._on_message([protocol.MAGIC, header, b"\x80"])
            asked = asyncio.ensure_future(worker.call("rehearsal.plain", Empty(), Empty))
            await asyncio.sleep(0)
            worker._on_message([protocol.MAGIC, protocol.encode(Header(id=number, kind="reply")), b"\x80"])
            await asked
            worker.control.beat()
            theirs.recv(65536)
            worker._outbox.clear()
            worker._turn.clear()


async def _turn() -> None:
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        read = asyncio.Event()

        def on_readable() -> None:
            theirs.recv(1)
            read.set()

        loop.add_reader(theirs, on_readable)
        for _ in range(ROUNDS):
            ours.send(b"x")
            async with asyncio.timeout(5):
                await read.wait()
            read.clear()
            await loop.create_task(asyncio.sleep(0))
            loop.call_soon(read.clear)
        loop.remove_reader(theirs)
