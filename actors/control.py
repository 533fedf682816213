"""The control channel: what a child and its supervisor tell each other, and the child's end of it.

One SEQPACKET socket pair per child, one msgpack map per packet, file descriptors beside it (SCM_RIGHTS). It
carries life and death only: readiness, beats, forks, stops, names. Requests of clients never pass here.

The unions `FromChild` and `ToChild` are the protocol; the supervisor's end is `supervisor/channel.py`. Packets
are made by `linux.unixsocket`, which sends what is larger than a packet in a memory file.
"""

from __future__ import annotations

import gc
import logging
import select
import signal
import socket
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import msgspec

from linux import unixsocket


class ControlClosed(Exception):
    """The supervisor is gone: the child must exit at once (`os._exit`), whatever it was doing."""


class ControlMessage(msgspec.Struct, frozen=True, kw_only=True, tag_field="t", tag=True, omit_defaults=True):
    """One message of the control channel."""


# --- child to supervisor ----------------------------------------------------------------------------------


class Ready(ControlMessage, frozen=True, kw_only=True):
    """The child serves from now on. `info` is shown by `supervisor.inspect`."""

    info: dict[str, Any] = {}


class Beat(ControlMessage, frozen=True, kw_only=True):
    """The loop that does the work turned. Queue lengths are shown by `supervisor.list`."""

    queue: int = 0
    in_flight: int = 0
    handled: int = 0


class ForkJob(ControlMessage, frozen=True, kw_only=True):
    """Fork a job that runs `target(args, fds)` and exits.

    Answered by `JobStarted` and later `JobExited`, or by `JobExited` alone when it could not be forked. A job
    leads a process group of its own and dies with the child that asked for it.
    """

    id: int
    """Chosen by the child, unique among its jobs that live."""
    target: str
    """Dotted string, "actors.transfer.unpack:main", called as `main(args: bytes, fds: list[int])`."""
    args: bytes = b""
    """Bytes that only the target understands."""
    name: str = "job"
    """Shown in `ps` as "wharfie-<name>", cut at 15 bytes."""


class KillJob(ControlMessage, frozen=True, kw_only=True):
    """Send a signal to the whole process group of a job; a job that is gone is no error."""

    id: int
    signal: int = int(signal.SIGKILL)


class ForkShim(ControlMessage, frozen=True, kw_only=True):
    """Fork a shim: own session, no parent-death signal, no control channel, only the descriptors given.

    It survives the daemon. Answered by `ShimStarted` (with a pidfd), or by `ShimExited` with pid 0 when
    the fork failed.
    """

    id: int
    target: str
    args: bytes = b""
    name: str = "shim"


class SupervisorRequest(ControlMessage, frozen=True, kw_only=True):
    """Router only: a `supervisor.*` method; `body` is the msgpack map of the client, unread."""

    id: int
    method: str
    body: bytes = b"\x80"
    key: str = ""
    """The client's idempotency key: a request that comes again gets the first one's answer."""


class InFlight(ControlMessage, frozen=True, kw_only=True):
    """Router only: the methods that were in flight at a worker when `Down` came, for its crash report."""

    name: str
    generation: int
    methods: list[str] = []


FromChild = Ready | Beat | ForkJob | KillJob | ForkShim | SupervisorRequest | InFlight


# --- supervisor to child ----------------------------------------------------------------------------------


class Stop(ControlMessage, frozen=True, kw_only=True):
    """Finish what is in flight and exit 0."""

    reason: str
    deadline_s: float = 0.0
    """Seconds until SIGKILL; 0 means no limit."""


class JobStarted(ControlMessage, frozen=True, kw_only=True):
    """The job runs."""

    id: int
    pid: int


class JobExited(ControlMessage, frozen=True, kw_only=True):
    """The job ended: by an exit code, by a signal, or it could not be forked (`error` says why)."""

    id: int
    exit_code: int | None = None
    signal: int | None = None
    oom: bool = False
    error: str = ""


class ShimStarted(ControlMessage, frozen=True, kw_only=True):
    """The shim runs; its pidfd comes beside this message."""

    id: int
    pid: int


class ShimExited(ControlMessage, frozen=True, kw_only=True):
    """A shim ended while this supervisor was its parent; a fork that failed has pid 0 and an `error`."""

    id: int
    pid: int
    exit_code: int | None = None
    signal: int | None = None
    error: str = ""


class OrphanExited(ControlMessage, frozen=True, kw_only=True):
    """A process of a dead shim came home to the supervisor and ended: the honest exit code of an init.

    Sent to the children that forked a shim. Pids are those of the daemon's pid namespace.
    """

    pid: int
    exit_code: int | None = None
    signal: int | None = None


class SetLogLevel(ControlMessage, frozen=True, kw_only=True):
    """Log from `level` upwards (trace, debug, info, warn, error, fatal, panic); `receive` applies it."""

    level: str


class DumpStack(ControlMessage, frozen=True, kw_only=True):
    """Somebody wants to know what you do: a worker adds its asyncio tasks to the stack that SIGUSR1 wrote."""


class Up(ControlMessage, frozen=True, kw_only=True):
    """A child is ready. Its routing id is `name#generation`."""

    name: str
    generation: int
    pid: int


class Down(ControlMessage, frozen=True, kw_only=True):
    """An incarnation is gone; answer for what was in flight there."""

    name: str
    generation: int
    reason: str
    blame: bool = True
    """What was in flight may have killed it: a crash, an ABRT, the OOM killer; not a plain SIGKILL or a stop."""


class SupervisorReply(ControlMessage, frozen=True, kw_only=True):
    """Answer of a `SupervisorRequest`: `body`, or an `error` as `WharfieError.to_wire` describes it."""

    id: int
    body: bytes = b""
    error: dict[str, Any] | None = None


class Reloaded(ControlMessage, frozen=True, kw_only=True):
    """The configuration was read again; `config` is what `config.Settings` packs."""

    config: bytes


ToChild = (
    Stop
    | JobStarted
    | JobExited
    | ShimStarted
    | ShimExited
    | OrphanExited
    | SetLogLevel
    | DumpStack
    | Up
    | Down
    | SupervisorReply
    | Reloaded
)


_encoder = msgspec.msgpack.Encoder()
_to_child: msgspec.msgpack.Decoder[ToChild] = msgspec.msgpack.Decoder(ToChild)
_from_child: msgspec.msgpack.Decoder[FromChild] = msgspec.msgpack.Decoder(FromChild)


def encode(message: ControlMessage) -> bytes:
    """The bytes of a message, for either direction."""
    return _encoder.encode(message)


def decode_from_child(data: bytes) -> FromChild:
    """What a child said. Raises `msgspec.MsgspecError` for anything else."""
    return _from_child.decode(data)


class Control:
    """The child's end of its control channel; belongs to one thread, the one that runs the child's loop.

    Register `fileno()` with the loop (`add_reader`, `epoll`) and call `receive` whenever it is readable.
    """

    def __init__(self, sock: socket.socket, *, name: str, generation: int) -> None:
        sock.setblocking(False)
        self._sock = sock
        self.is_ready = False
        """`ready` has been called."""
        self.name = name
        """The child's name: "content"."""
        self.generation = generation
        """The number of this incarnation, rising by one with every fork."""

    @property
    def routing_id(self) -> bytes:
        """The ZeroMQ routing id of this incarnation: `name#generation`."""
        return f"{self.name}#{self.generation}".encode()

    def fileno(self) -> int:
        """The descriptor to poll for reading."""
        return self._sock.fileno()

    def ready(self, **info: Any) -> None:
        """Tell the supervisor that this child serves; call it once, when it does.

        Until now SIGTERM ended the process at once, since there was nothing to finish; from now on it does
        not, because `Stop` says the same and leaves time for it. The garbage collector, off since the fork,
        goes on, and never looks at what was made until now.
        """
        if not self.is_ready:
            self.is_ready = True
            signal.signal(signal.SIGTERM, _let_stop_decide)
            gc.freeze()
            gc.enable()
        self.send(Ready(info=info))

    def beat(self, *, queue: int = 0, in_flight: int = 0, handled: int = 0) -> None:
        """Tell the supervisor that the loop turns; call it from that loop, once a heartbeat interval.

        Never blocks: a beat that finds the buffer full is dropped, since enough of them then lie unread.
        """
        self._send(Beat(queue=queue, in_flight=in_flight, handled=handled))

    def send(self, message: ControlMessage, fds: Sequence[int] = ()) -> None:
        """Send a message with descriptors, which stay open here and are the caller's to close.

        Waits while the buffer is full, which the supervisor, never busy, empties at once.
        Raises: ControlClosed (the supervisor is gone).
        """
        while not self._send(message, fds):
            poll = select.poll()
            poll.register(self._sock, select.POLLOUT)
            poll.poll()

    def _send(self, message: ControlMessage, fds: Sequence[int] = ()) -> bool:
        try:
            unixsocket.send(self._sock, _encoder.encode(message), fds)
        except BlockingIOError:
            return False
        except ConnectionError as error:
            raise ControlClosed("the supervisor closed the control channel") from error
        return True

    def receive(self) -> list[tuple[ToChild, list[int]]]:
        """All messages that have come, each with its descriptors, which the caller closes. Never blocks.

        Raises: ControlClosed (the supervisor is gone), once the messages it sent before have been returned.
        """
        messages: list[tuple[ToChild, list[int]]] = []
        while True:
            try:
                data, fds = unixsocket.recv(self._sock)
            except BlockingIOError:
                return messages
            except (EOFError, ConnectionError) as error:
                if messages:
                    return messages
                raise ControlClosed("the supervisor closed the control channel") from error
            message = _to_child.decode(data)
            if isinstance(message, SetLogLevel):
                set_log_level(message.level)
            messages.append((message, fds))

    def close(self) -> None:
        """Close this end; the supervisor goes on watching the process by its pidfd."""
        self._sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


_LEVELS = {"trace": 5, "debug": 10, "info": 20, "warn": 30, "error": 40, "fatal": 50, "panic": 50}
"""containerd's names of log levels on the numbers of `logging`."""


def set_log_level(level: str) -> None:
    """Log from `level` upwards in this process; a level nobody knows changes nothing."""
    if (number := _LEVELS.get(level)) is not None:
        logging.getLogger().setLevel(number)


def _let_stop_decide(_signum: int, _frame: object) -> None:
    """SIGTERM of a ready child: the loop obeys `Stop`. A handler and not SIG_IGN, so that exec resets it."""
