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

from actors.call import method_of
from actors.running import request_of
from wharfie import protocol
from wharfie.protocol import Header, Routed

ROUNDS = 40
"""Enough for the interpreter to specialise what it runs."""


def rehearse() -> None:
    """Resolve the handlers of all modules that are loaded, and turn an empty loop a few times."""
    for function in _handlers():
        protocol.decoder(request_of(function))
    for _ in range(ROUNDS):
        protocol.decode_routed(protocol.encode(Routed(id=1, method="a.b", namespace="c", key="d")))
        protocol.decode_header(protocol.encode(Header(id=1, kind="reply")))
    asyncio.run(_turn())


def _handlers() -> list[Any]:
    found: list[Any] = []
    for name, module in list(sys.modules.items()):
        if name.startswith("actors."):
            for _, kind in inspect.getmembers(module, inspect.isclass):
                found += [value for value in vars(kind).values() if method_of(value)]
    return found


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
