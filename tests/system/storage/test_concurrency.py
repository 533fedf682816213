"""Many at once: writes in a row, commits and deletions of one digest, and kills under load."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import os
import random
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from tests.support.storage import Storage
from tests.support.wait import until, until_async
from wharfie import AlreadyExists, AsyncClient, NotFound

MIB = 1 << 20
WORKERS = ("content", "snapshot", "metadata", "router")


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def with_clients(daemon: Storage, *namespaces: str, work: Callable[[list[AsyncClient]], Awaitable[None]]) -> None:
    """Run a coroutine over clients of these namespaces."""

    async def run() -> None:
        clients = [AsyncClient(daemon.address, namespace=name, timeout_s=30.0) for name in namespaces]
        try:
            for client in clients:
                await client.connect()
            await work(clients)
        finally:
            for client in clients:
                await client.close()

    asyncio.run(run())


def on_disk(daemon: Storage) -> set[str]:
    return {f"sha256:{path.name}" for path in Path(daemon.root).glob("content/blobs/sha256/*")}


def test_writes_that_do_not_wait_for_one_another_stay_in_order(daemon: Storage) -> None:
    data = os.urandom(6 * MIB)
    # Short ones are done in the loop, long ones in the thread pool: none may overtake another.
    bounds = [0]
    for number in range(1000):
        if bounds[-1] >= len(data):
            break
        bounds.append(min(len(data), bounds[-1] + (1000 if number % 2 else 300_000)))

    async def work(clients: list[AsyncClient]) -> None:
        content = clients[0].content
        pieces = itertools.pairwise(bounds)
        statuses = await asyncio.gather(
            *(content.write("ref", data[first:last], offset=first) for first, last in pieces)
        )
        assert [status.offset for status in statuses] == bounds[1:]
        await content.commit("ref", size=len(data), expected=digest_of(data))
        assert await content.read(digest_of(data)) == data

    with_clients(daemon, "in-a-row", work=work)


def test_a_digest_that_comes_and_goes_in_many_namespaces_is_there_while_it_is_named(daemon: Storage) -> None:
    data = os.urandom(50_000)
    digest = digest_of(data)
    names = [f"comes-and-goes-{number}" for number in range(4)]

    async def work(clients: list[AsyncClient]) -> None:
        busy = True
        done = 0

        async def come_and_go(client: AsyncClient, number: int) -> None:
            nonlocal done
            for turn in range(25):
                done += 1
                ref = f"{number}-{turn}"
                with contextlib.suppress(AlreadyExists):
                    await client.content.write(ref, data, expected=digest if turn % 2 else "")
                    await client.content.commit(ref, expected=digest)
                # Whatever the others do, what this namespace names is whole.
                assert await client.content.read(digest) == data
                await client.content.delete(digest)
                with pytest.raises(NotFound):
                    await client.content.read(digest)

        async def kill() -> None:
            chance = random.Random(7)

            def due(count: int) -> bool:
                return done >= count or not busy

            while busy:
                await until_async(partial(due, done + chance.randint(1, 5)), deadline_s=60)
                await asyncio.to_thread(daemon.kill, "content")

        killer = asyncio.create_task(kill())
        await asyncio.gather(*(come_and_go(client, number) for number, client in enumerate(clients)))
        busy = False
        await killer

    with_clients(daemon, *names, work=work)
    with daemon.connect(namespace=names[0]) as client:
        assert client.content.list() == []
        # What a deletion had to leave for a commit that was interrupted goes with the next one at the latest.
        client.content.ingest(data)
        client.content.delete(digest)
    until(lambda: digest not in on_disk(daemon), deadline_s=90)


def test_no_request_fails_while_every_process_is_killed_under_load(daemon: Storage) -> None:
    names = [f"load-{number}" for number in range(6)]
    chance = random.Random(11)
    turns: list[int] = []

    async def work(clients: list[AsyncClient]) -> None:
        kills = 0
        steps = 0

        async def one_turn(client: AsyncClient, turn: int) -> None:
            nonlocal steps
            steps += 1
            data = os.urandom(chance.choice((10, 10_000, 400_000)))
            digest, half = digest_of(data), len(data) // 2
            ref = f"ref-{turn}"
            await client.content.write(ref, data[:half], total=len(data), expected=digest)
            await client.content.write(ref, data[half:], offset=half)
            assert (await client.content.commit(ref, expected=digest)).digest == digest
            assert await client.content.read(digest) == data
            key, name = f"active-{turn}", f"layer-{turn}"
            mounts = await client.snapshots.prepare(key, f"layer-{turn - 1}" if turn else "")
            assert await client.snapshots.mounts(key) == mounts
            await client.snapshots.commit(name, key)
            await client.snapshots.view(f"look-{turn}", name)
            await client.snapshots.remove(f"look-{turn}")
            await client.content.delete(digest)

        async def load(client: AsyncClient) -> int:
            turn = 0
            while kills < 30:
                await one_turn(client, turn)
                turn += 1
            return turn

        async def kill() -> None:
            nonlocal kills

            def due(count: int) -> bool:
                return steps >= count

            while kills < 30:
                await until_async(partial(due, steps + chance.randint(1, 6)), deadline_s=60)
                await asyncio.to_thread(daemon.kill, chance.choice(WORKERS))
                kills += 1

        killer = asyncio.create_task(kill())
        turns.extend(await asyncio.gather(*(load(client) for client in clients)))
        await killer
        for client, count in zip(clients, turns, strict=True):
            assert await client.content.list() == []
            assert await client.content.statuses() == []
            snapshots = await client.snapshots.list()
            assert [info.name for info in snapshots] == sorted(f"layer-{turn}" for turn in range(count))

    with_clients(daemon, *names, work=work)
    daemon.kill("snapshot")  # whose next start puts away what the others could not
    until(lambda: len(os.listdir(f"{daemon.root}/snapshots/overlayfs")) == sum(turns))
