"""The worker's side: a fetcher for one request, which is replaced when it dies and told again what it was told."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from actors.jobs import CRASHED, KILLED, Jobs
from actors.transfer.fetching import messages as m
from config.paths import Paths
from config.settings import Settings
from linux import unixsocket
from wharfie import protocol
from wharfie.errors import Aborted, Internal, WharfieError, from_wire
from wharfie.types.base import Empty
from wharfie.types.pull import Pull, Push, Referrers, Repair
from wharfie.types.registry import Credentials

log = logging.getLogger("transfer")

T = TypeVar("T", bound=msgspec.Struct)

_DEATHS = 5
"""How often in a row a fetcher may be killed before it has finished anything."""

Arrived = Callable[[int], None]
Noted = Callable[[str, str], None]


class _Pending:
    """A command whose answer has not come."""

    def __init__(self, command: m.Command, fds: Sequence[int], arrived: Arrived | None, noted: Noted | None) -> None:
        self.command = command
        self.fds = fds
        self.arrived = arrived
        self.noted = noted
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()


class Fetcher:
    """Use it in an `async with` statement; at its end the process is gone, whatever it was doing.

    Args:
        job: its arguments.
        credentials: told the process over its socket, and nobody else.
    """

    def __init__(self, jobs: Jobs, job: m.FetcherJob, credentials: Credentials) -> None:
        self._jobs = jobs
        self._job = job
        self._credentials = credentials
        self._next = 0
        self._pending: dict[int, _Pending] = {}
        self._sock: socket.socket | None = None
        self._running: asyncio.Task[None] | None = None
        self._deaths = 0

    async def __aenter__(self) -> Self:
        self._running = asyncio.get_running_loop().create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])

    async def ask(
        self,
        command: m.Command,
        result: type[T],
        *,
        fds: Sequence[int] = (),
        arrived: Arrived | None = None,
        noted: Noted | None = None,
    ) -> T:
        """Have a command done, whoever dies meanwhile.

        Args:
            command: its id is given here.
            result: what it is done with.
            fds: descriptors for it; they stay open here.
            arrived: told how many bytes are there.
            noted: told an event and its reason.

        Raises:
            WharfieError: what the fetcher answered; `Aborted` when fetchers are killed again and again.
        """
        self._next += 1
        command = msgspec.structs.replace(command, id=self._next)
        pending = self._pending[command.id] = _Pending(command, fds, arrived, noted)
        try:
            self._tell(pending)
            return protocol.decoder(result).decode(await pending.answer)
        finally:
            del self._pending[command.id]

    async def _run(self) -> None:
        """Have a process as long as we are wanted."""
        try:
            while True:
                try:
                    await self._live()
                    raise Internal("the fetcher ended although it was not told to; see the log")
                except Aborted as error:
                    self._deaths += 1
                    if error.details.get("reason") != KILLED or self._deaths >= _DEATHS:
                        raise
                    log.warning("a fetcher was killed; another one goes on", extra={"deaths": self._deaths})
        except Exception as error:
            for pending in self._pending.values():
                if not pending.answer.done():
                    pending.answer.set_exception(error)

    async def _live(self) -> None:
        loop = asyncio.get_running_loop()
        distrusted: asyncio.Future[Empty] = loop.create_future()
        ours, theirs = unixsocket.pair()
        ours.setblocking(False)
        with ours:
            try:
                with theirs:
                    process = loop.create_task(
                        self._jobs.run(
                            "actors.transfer.fetching.process:fetch",
                            self._job,
                            Empty,
                            name="fetch",
                            fds=[theirs.fileno()],
                        )
                    )
                    # The descriptor has gone to the supervisor when the task has had its first turn.
                    await asyncio.sleep(0)
                unixsocket.send(ours, m.encode(m.Hello(credentials=self._credentials)))
                self._sock = ours
                loop.add_reader(ours.fileno(), self._on_readable, ours, distrusted)
                for pending in list(self._pending.values()):
                    self._tell(pending)
                await asyncio.wait({process, distrusted}, return_when=asyncio.FIRST_COMPLETED)
                await (distrusted if distrusted.done() else process)
            finally:
                self._sock = None
                loop.remove_reader(ours.fileno())
                process.cancel()
                await asyncio.wait([process])

    def _tell(self, pending: _Pending) -> None:
        """Give a command, unless there is no process at the moment: then it is given when there is."""
        if self._running is not None and self._running.done():
            raise Aborted("the fetcher is gone; try again", retryable=True)
        if self._sock is not None:
            try:
                unixsocket.send(self._sock, m.encode(pending.command), pending.fds)
            except ConnectionError:
                return

    def _on_readable(self, sock: socket.socket, distrusted: asyncio.Future[Empty]) -> None:
        while True:
            try:
                data, fds = unixsocket.recv(sock)
                for fd in fds:
                    os.close(fd)
                self._on_answer(m.decode_answer(data))
            except BlockingIOError:
                return
            except (EOFError, ConnectionError):
                break
            except (msgspec.MsgspecError, ValueError) as error:
                # Whatever took the fetcher over, nobody listens to it any more, and it is ended.
                log.error("the fetcher said what no fetcher says: %s", error)
                distrusted.set_exception(
                    Internal("the fetcher said what no fetcher says; see the log", details={"reason": CRASHED})
                )
                break
        asyncio.get_running_loop().remove_reader(sock.fileno())

    def _on_answer(self, answer: m.Answer) -> None:
        pending = self._pending.get(answer.id)
        if pending is None or pending.answer.done():
            return
        match answer:
            case m.Arrived():
                if pending.arrived is not None:
                    pending.arrived(answer.count)
            case m.Noted():
                if pending.noted is not None:
                    pending.noted(answer.event, answer.detail)
            case m.Done():
                self._deaths = 0
                pending.answer.set_result(answer.body)
            case m.Failed():
                pending.answer.set_exception(_given_up(from_wire(answer.error)))


class Fetchers:
    """Begins fetchers, as the settings and a request want them."""

    def __init__(self, jobs: Jobs, *, settings: Settings, paths: Paths) -> None:
        self._jobs = jobs
        self._settings = settings
        self._paths = paths

    def of(
        self,
        request: Pull | Push | Repair | Referrers,
        *,
        namespace: str,
        threads: int,
        lease: str = "",
        attempts: int = 0,
        is_ranged: bool = False,
    ) -> Fetcher:
        """The fetcher of one request; it begins with the `async with` statement.

        Args:
            request: says who to be, and how to speak to hosts that nothing describes.
            namespace: of what is stored.
            threads: commands that are worked on at the same time.
            lease: holds what is stored; empty for none.
            attempts: how often a registry that is away is asked; 0: as the settings say.
            is_ranged: large blobs are fetched in parts, as the settings say.
        """
        transfer, policy = self._settings.transfer, self._settings.registry
        job = m.FetcherJob(
            address=self._paths.socket,
            namespace=namespace,
            lease=lease,
            hosts_dir=transfer.hosts_dir,
            policy=msgspec.structs.replace(policy, attempts=attempts) if attempts else policy,
            plain_http=request.plain_http,
            skip_verify=request.skip_verify,
            threads=threads,
            ranges=transfer.ranges if is_ranged else 1,
            range_bytes=transfer.range_bytes,
        )
        return Fetcher(self._jobs, job, request.credentials)


def _given_up(error: WharfieError) -> WharfieError:
    """An error of a registry as the caller gets it: what may help later has been tried, so nobody tries it again."""
    if str(error.details.get("reason", "")).startswith("registry_"):
        error.retryable = False
    return error
