"""Jobs: work in a fresh process that exits afterwards, as the worker that asks for it and as the job itself see it.

What is long, bound to a processor or reads what a stranger wrote runs here. The supervisor forks the job; worker and
job share one SEQPACKET socket::

    job → worker   JobProgress*, then JobResult or JobFailure

A job that ends without one of the last two has crashed, and its caller gets a typed error. `Jobs.run` returns only when
the process is gone, so nobody writes any more where it wrote. Jobs die with the worker that asked for them.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from actors.control import ForkJob, JobExited, JobStarted, KillJob
from actors.worker import Worker
from linux import unixsocket
from wharfie import errors, protocol
from wharfie.errors import Aborted, Internal, ResourceExhausted, WharfieError

log = logging.getLogger("jobs")

T = TypeVar("T", bound=msgspec.Struct)

PROGRESS_INTERVAL_S = 0.05
"""How often a job says how far it is, at most."""

KILLED = "job_killed"
"""`details["reason"]` when somebody killed the job with signal 9: the work itself is not to blame, begin anew."""

CRASHED = "job_crashed"
"""`details["reason"]` when the job died of its work."""


class JobMessage(msgspec.Struct, frozen=True, kw_only=True, tag_field="t", tag=True):
    """One message of a job."""


class JobProgress(JobMessage, frozen=True, kw_only=True):
    """So much is done, in units that the target defines."""

    done: int


class JobResult(JobMessage, frozen=True, kw_only=True):
    """The work is done; `body` is msgpack of the struct that the target promises."""

    body: bytes


class JobFailure(JobMessage, frozen=True, kw_only=True):
    """The work failed; `error` is what `WharfieError.to_wire` describes."""

    error: dict[str, Any]


_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[JobProgress | JobResult | JobFailure] = msgspec.msgpack.Decoder(
    JobProgress | JobResult | JobFailure
)


# --- the worker's side ----------------------------------------------------------------------------------------


class _Running:
    """One job: our end of its socket, what it said, how it ended. Owns the socket."""

    def __init__(self, sock: socket.socket, progress: Callable[[int], None] | None) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.said: JobResult | JobFailure | None = None
        self.exited: asyncio.Future[JobExited] = asyncio.get_running_loop().create_future()
        self._progress = progress
        self._deaf = False

    def distrust(self) -> None:
        """Nothing that is still on the socket counts: it said what no job says."""
        self._deaf, self.said = True, None

    def receive(self) -> bool:
        """Take in what the job has said. Returns whether it may say more."""
        while not self._deaf:
            try:
                data, fds = unixsocket.recv(self.sock)
            except BlockingIOError:
                return True
            except (EOFError, ConnectionError):
                return False
            for fd in fds:
                os.close(fd)
            message = _decoder.decode(data)
            if not isinstance(message, JobProgress):
                self.said = message
            elif self._progress is not None:
                self._progress(message.done)
        return False


class Jobs:
    """The jobs of one worker; make one for each worker, since it takes the control messages about jobs."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._next = 0
        self._running: dict[int, _Running] = {}
        worker.on_control(JobExited, self._on_exited)
        worker.on_control(JobStarted, self._on_started)

    async def run(
        self,
        target: str,
        request: msgspec.Struct,
        reply: type[T],
        *,
        name: str,
        fds: Sequence[int] = (),
        progress: Callable[[int], None] | None = None,
    ) -> T:
        """Run `target` in a job and return what it reports. A caller that is cancelled takes its job with it.

        Args:
            target: "package.module:function", which calls `serve`.
            request: what the function gets.
            reply: type of what it returns.
            name: shown by `ps` as "wharfie-NAME".
            fds: descriptors for the job, in order; they stay open here and are the caller's to close.
            progress: told how much is done, from the loop.

        Raises:
            WharfieError: what the job answered. `Aborted` (retryable) when somebody killed the job,
                `ResourceExhausted` when it could not be forked or memory ran out, `Internal` when it crashed.
        """
        loop = asyncio.get_running_loop()
        self._next += 1
        number = self._next
        ours, theirs = unixsocket.pair()
        with ours:
            running = self._running[number] = _Running(ours, progress)
            try:
                with theirs:
                    fork = ForkJob(id=number, target=target, args=protocol.encode(request), name=name)
                    self._worker.control.send(fork, [theirs.fileno(), *fds])
                loop.add_reader(ours.fileno(), self._on_readable, running, name)
                end = await self._ended(number, running)
            finally:
                loop.remove_reader(ours.fileno())
                del self._running[number]
            self._on_readable(running, name)
        return _outcome(name, end, running.said, reply)

    async def _ended(self, number: int, running: _Running) -> JobExited:
        try:
            return await asyncio.shield(running.exited)
        except asyncio.CancelledError:
            self._worker.control.send(KillJob(id=number))
            await asyncio.shield(running.exited)
            raise

    def _on_readable(self, running: _Running, name: str) -> None:
        try:
            more = running.receive()
        except (msgspec.MsgspecError, ValueError, OSError) as error:
            # Whatever took over the job, it does not speak for it any more.
            log.error("job '%s' said what no job says: %s", name, error)
            running.distrust()
            more = False
        if not more:
            asyncio.get_running_loop().remove_reader(running.sock.fileno())

    def _on_exited(self, message: JobExited, fds: list[int]) -> None:
        _close(fds)
        running = self._running.get(message.id)
        if running is not None and not running.exited.done():
            running.exited.set_result(message)

    def _on_started(self, message: JobStarted, fds: list[int]) -> None:
        _close(fds)
        log.debug("job started", extra={"job": message.id, "pid": message.pid})


def _close(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)


def _outcome(name: str, end: JobExited, said: JobResult | JobFailure | None, reply: type[T]) -> T:
    """What a job that has ended means for its caller: its result, or an error raised. Pure."""
    if isinstance(said, JobResult):
        try:
            return protocol.decoder(reply).decode(said.body)
        except msgspec.MsgspecError as error:
            raise Internal(f"result of job '{name}' does not fit {reply.__name__}: {error}") from None
    if said is not None:
        raise errors.from_wire(said.error)
    raise _death(name, end)


def _death(name: str, end: JobExited) -> WharfieError:
    """The error of a job that ended without a word. Pure."""
    if end.error:
        return ResourceExhausted(
            f"job '{name}' could not be started: {end.error}", details={"reason": "job_not_started"}, retryable=True
        )
    if end.oom:
        return ResourceExhausted(f"job '{name}' ran out of memory", details={"reason": "oom"})
    if end.signal == signal.SIGKILL:
        return Aborted(f"job '{name}' was killed; try again", details={"reason": KILLED}, retryable=True)
    if end.signal is not None:
        return Internal(
            f"job '{name}' crashed by signal {end.signal}; see the log",
            details={"reason": CRASHED, "signal": end.signal},
        )
    return Internal(
        f"job '{name}' ended with exit code {end.exit_code} and no result; see the log",
        details={"reason": CRASHED, "exit_code": end.exit_code or 0},
    )


# --- the job's side -------------------------------------------------------------------------------------------


class JobReport:
    """The job's end of the socket. A worker that is gone is no error: nobody wants to know any more."""

    def __init__(self, fd: int) -> None:
        self._sock = socket.socket(fileno=fd)
        self._said_at_s = 0.0

    def progress(self, done: int) -> None:
        """Say how much is done; dropped when it is too soon after the last one, or when nobody reads."""
        now_s = time.monotonic()
        if now_s - self._said_at_s < PROGRESS_INTERVAL_S:
            return
        self._said_at_s = now_s
        self._sock.setblocking(False)
        with contextlib.suppress(BlockingIOError, ConnectionError):
            unixsocket.send(self._sock, _encoder.encode(JobProgress(done=done)))

    def result(self, value: msgspec.Struct) -> None:
        """Hand over the result, once, at the end."""
        self._send(JobResult(body=protocol.encode(value)))

    def error(self, error: WharfieError) -> None:
        """Say why there is no result, once, at the end."""
        self._send(JobFailure(error=error.to_wire()))

    def _send(self, message: JobResult | JobFailure) -> None:
        self._sock.setblocking(True)
        with contextlib.suppress(ConnectionError):
            unixsocket.send(self._sock, _encoder.encode(message))


def serve(
    args: bytes,
    fds: list[int],
    request: type[T],
    function: Callable[[T, list[int], JobReport], msgspec.Struct],
) -> None:
    """The body of a job's target: decode the request, run `function(request, fds, report)`, report its end.

    `fds` are the caller's; the report's own descriptor is taken off. Every exception becomes a typed error; one that
    nobody foresaw is logged with its traceback.
    """
    report = JobReport(fds[0])
    try:
        report.result(function(protocol.decoder(request).decode(args), fds[1:], report))
    except WharfieError as error:
        report.error(error)
    except OSError as error:
        report.error(typed(error))
    except MemoryError:
        report.error(ResourceExhausted("the job ran out of memory", details={"reason": "oom"}))
    except Exception as error:
        log.exception("job failed")
        report.error(Internal(f"{type(error).__name__}: {error}", details={"reason": CRASHED}))


def typed(error: OSError) -> WharfieError:
    """An error of the system as one of ours: a full disk is `resource_exhausted`, the rest is `internal`."""
    where = f" '{os.fsdecode(error.filename)}'" if isinstance(error.filename, str | bytes) else ""
    sentence = f"{(error.strerror or str(error)).lower()}{where}"
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM}:
        return ResourceExhausted(sentence, details={"reason": errno.errorcode[error.errno].lower()})
    return Internal(sentence, details={"errno": error.errno or 0})
