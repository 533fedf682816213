"""Uploads through deaths: of the worker, of the router, of the client; and uploads of the same bytes at the same time."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from tests.conformance.content import digest_of
from tests.support.storage import REPOSITORY, Storage
from tests.support.wait import until
from wharfie import AsyncClient
from wharfie.types.content import Info, State

MIB = 1 << 20

CLIENT = """
import os, signal, sys, wharfie
address, ref, path, expected = sys.argv[1:]
data = open(path, "rb").read()
client = wharfie.connect(address, namespace="resume")
writer = client.content.writer(ref, total=len(data), expected=expected)
writer.write(data[: len(data) // 2])
writer.flush()
writer.write(data[len(data) // 2 : len(data) * 3 // 4])
print("written", flush=True)
signal.pause()
"""


class Slow(io.RawIOBase):
    """A source that calls back at every piece."""

    def __init__(self, data: bytes, before: Callable[[int], None]) -> None:
        super().__init__()
        self._data = io.BytesIO(data)
        self._before = before

    def read(self, size: int = -1) -> bytes:
        self._before(self._data.tell())
        return self._data.read(size)


@pytest.mark.parametrize("victim", ["content", "router", "metadata"])
def test_an_upload_with_many_writes_on_their_way_survives_kills(daemon: Storage, victim: str) -> None:
    data = os.urandom(MIB) * 12 + os.urandom(1000)
    # The first two pieces are read before any is sent.
    at = [4 * MIB, 6 * MIB, 10 * MIB]

    def kill_at(offset: int) -> None:
        if at and offset >= at[0]:
            at.pop(0)
            daemon.kill(victim)

    with daemon.connect(namespace="resume", timeout_s=60) as client:
        info = client.content.ingest(Slow(data, kill_at), ref=victim, labels={"a": "b"})  # type: ignore[arg-type]
        assert not at
        assert (info.digest, info.size, info.labels) == (digest_of(data), len(data), {"a": "b"})
        assert client.content.read(info.digest) == data
        assert client.content.statuses() == []
        client.content.delete(info.digest)


def test_the_next_client_goes_on_at_once_where_a_killed_one_was(daemon: Storage) -> None:
    data = os.urandom(8 * MIB)
    digest = digest_of(data)
    path = f"{daemon.directory}/data"
    with open(path, "wb") as file:
        file.write(data)
    process = subprocess.Popen(
        [sys.executable, "-c", CLIENT, daemon.address, "left", path, digest], cwd=REPOSITORY, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == b"written\n"
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    with daemon.connect(namespace="resume", timeout_s=60) as client:
        assert client.content.status("left").offset >= 4 * MIB
        sent: list[int] = []
        info = client.content.ingest(io.BytesIO(data), ref="left", expected=digest, on_progress=sent.append)
        assert min(sent) >= 4 * MIB
        assert info.digest == digest
        assert client.content.read(digest) == data
        client.content.delete(digest)


def test_two_clients_that_upload_the_same_bytes_at_once_both_succeed(daemon: Storage) -> None:
    data = os.urandom(6 * MIB)
    digest = digest_of(data)
    results: list[Info] = []
    gate = threading.Barrier(4)

    def upload(number: int) -> None:
        with daemon.connect(namespace="same", timeout_s=60) as client:
            gate.wait(30)
            # With a ref of its own, with one in common, announced or not.
            ref = ("", "common", "common", "")[number]
            expected = (digest, digest, digest, "")[number]
            results.append(client.content.ingest(io.BytesIO(data), ref=ref, expected=expected))

    threads = [threading.Thread(target=upload, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert [info.digest for info in results] == [digest] * 4
    with daemon.connect(namespace="same") as client:
        assert client.content.read(digest) == data
        assert [blob.digest for blob in client.content.list()] == [digest]
        assert client.content.statuses() == []


def test_small_blobs_that_many_put_and_delete_at_once_are_there_while_they_are_named(daemon: Storage) -> None:
    data = [os.urandom(100), os.urandom(100_000)]

    async def come_and_go(number: int) -> None:
        client = AsyncClient(daemon.address, namespace=f"many-{number}", timeout_s=60)
        await client.connect()
        try:
            for turn in range(30):
                blob = data[turn % 2]
                stored = await client.content.put(blob)
                assert stored.new
                assert await client.content.read(stored.info.digest) == blob
                await client.content.delete(stored.info.digest)
        finally:
            await client.close()

    async def run() -> None:
        await asyncio.gather(*(come_and_go(number) for number in range(6)))

    asyncio.run(run())
    with daemon.connect(namespace="many-0") as client:
        assert client.content.list() == []
    for blob in data:
        algorithm, _, encoded = digest_of(blob).partition(":")
        path = f"{daemon.root}/content/blobs/{algorithm}/{encoded}"
        until(lambda path=path: not os.path.exists(path), deadline_s=30)  # type: ignore[misc]


def test_no_small_blob_is_collected_between_its_bytes_and_its_name(daemon: Storage) -> None:
    """Also when the workers between which its request is passed on are killed."""

    async def run() -> list[str]:
        collector = AsyncClient(daemon.address, namespace="collected", timeout_s=60)
        clients = [AsyncClient(daemon.address, namespace="collected", timeout_s=60) for _ in range(4)]
        for client in (collector, *clients):
            await client.connect()
        busy = True

        async def collect() -> int:
            runs = 0
            while busy:
                await collector.gc.run()
                runs += 1
            return runs

        async def put(client: AsyncClient, number: int) -> list[str]:
            digests = []
            for turn in range(100):
                if number == 0 and turn % 25 == 20:
                    await asyncio.to_thread(daemon.kill, ("content", "metadata", "router")[turn // 25 % 3])
                digests.append((await client.content.put(f"{number}-{turn}".encode())).info.digest)
            return digests

        collecting = asyncio.create_task(collect())
        try:
            digests = await asyncio.gather(*(put(client, number) for number, client in enumerate(clients)))
            busy = False
            assert await collecting > 0
        finally:
            for client in (collector, *clients):
                await client.close()
        return [digest for some in digests for digest in some]

    digests = asyncio.run(run())
    with daemon.connect(namespace="collected", timeout_s=60) as client:
        assert {item.digest: item.state for item in client.content.check()} == dict.fromkeys(digests, State.OK)


def test_the_asynchronous_client_writes_and_checks_too(daemon: Storage) -> None:
    data = os.urandom(5 * MIB)

    async def run() -> None:
        client = AsyncClient(daemon.address, namespace="asynchronous", timeout_s=60)
        await client.connect()
        try:
            async with await client.content.writer("ref", total=len(data)) as writer:
                await writer.write(data[:MIB])
                await writer.truncate()
                await writer.write(data)
                info = await writer.commit(expected=digest_of(data))
            again = await client.content.ingest(io.BytesIO(data), labels={"a": "b"})
            assert (again.digest, again.labels) == (info.digest, {"a": "b"})
            assert [item.state async for item in client.content.check()] == [State.OK]
            assert await client.content.read(info.digest, offset=MIB, size=10) == data[MIB : MIB + 10]
            await client.content.delete(info.digest)
        finally:
            await client.close()

    asyncio.run(run())
