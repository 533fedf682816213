"""The worker's side of a fetcher."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Sequence
from typing import Any, cast

import pytest

from actors.jobs import Jobs
from actors.transfer.fetching import messages as m
from actors.transfer.fetching.fetcher import Fetcher
from config.settings import Registry
from linux import unixsocket
from wharfie.errors import Internal

JOB = m.FetcherJob(
    address="", namespace="ci", lease="", hosts_dir="", policy=Registry(), threads=1, ranges=1, range_bytes=1
)


class Impostor:
    """The jobs of a worker, one of which says what no fetcher says, and stays."""

    def __init__(self) -> None:
        self.is_ended = False

    async def run(self, _target: str, _request: Any, _reply: Any, *, name: str, fds: Sequence[int]) -> None:
        del name
        with socket.socket(fileno=os.dup(fds[0])) as sock:
            unixsocket.send(sock, b"\xc1")
            try:
                await asyncio.Event().wait()
            finally:
                self.is_ended = True


def test_a_fetcher_that_says_what_no_fetcher_says_is_ended_and_what_it_was_asked_fails() -> None:
    jobs = Impostor()

    async def ask() -> None:
        async with Fetcher(cast("Jobs", jobs), JOB, {}) as fetcher:
            with pytest.raises(Internal, match="no fetcher says"):
                await asyncio.wait_for(fetcher.ask(m.Resolve(reference="r.example/a:1"), m.Found), 10)
            assert jobs.is_ended

    asyncio.run(ask())
