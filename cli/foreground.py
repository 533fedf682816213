"""A process in the foreground: its output here as it comes, its input from here, our signals passed on to it."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from typing import TYPE_CHECKING

from cli.failure import Terminated
from wharfie import errors
from wharfie._sync.streams import Streams

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from wharfie._sync.tasks import Task
    from wharfie.types.tasks import Stdio

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
ENDING = tuple(number for number in FORWARDED if number != signal.SIGINT)


def _terminated(number: int, _frame: FrameType | None) -> None:
    raise Terminated(number)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Within this, SIGTERM and its like unwind the stack as SIGINT does, so that what was made is removed again."""
    before = {number: signal.signal(number, _terminated) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Within this, SIGINT and its like are put off for good: for the clean-up that they themselves caused."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, *ENDING)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Forwarding:
    """Passes our signals on to a task; the second SIGINT is SIGKILL there.

    The handler only leaves the number in a pipe: the client may be in the middle of anything when it runs, so a
    thread sends it.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._read, self._write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        os.set_blocking(self._read, True)
        self._interrupts = 0
        self._thread = threading.Thread(target=self._forward, name="wharfie-signals", daemon=True)
        self._before: dict[signal.Signals, Callable[[int, FrameType | None], object] | int | None] = {}

    def __enter__(self) -> None:
        self._thread.start()
        self._before = {number: signal.signal(number, self._note) for number in FORWARDED}

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._write)
        self._thread.join()
        os.close(self._read)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._write, bytes([number]))

    def _forward(self) -> None:
        while data := os.read(self._read, 1):
            number = data[0]
            if number == signal.SIGINT:
                self._interrupts += 1
                if self._interrupts > 1:
                    number = signal.SIGKILL
            with contextlib.suppress(errors.WharfieError):
                # It may have ended meanwhile; its exit code tells the rest.
                self._task.kill(number)


def write_all(fd: int) -> Callable[[bytes], None]:
    """A sink that writes to a descriptor; once nobody reads it any more it swallows the rest.

    The container is not to die of our reader's death; `wharfie run … | head` ends by its own choice.
    """
    gone = False

    def write(data: bytes) -> None:
        nonlocal gone
        view = memoryview(data)
        while view and not gone:
            try:
                view = view[os.write(fd, view) :]
            except BlockingIOError:
                _wait_writable(fd)
            except OSError:
                gone = True

    return write


def _wait_writable(fd: int) -> None:
    import select

    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    poll.poll()


def watch(task: Task, *, on_start: Callable[[], object]) -> int:
    """Run a task whose streams are elsewhere to its end; returns its exit code."""
    with Forwarding(task):
        task.start()
        on_start()
        return task.wait().exit_status


def follow(create: Callable[[Stdio], Task], *, interactive: bool, on_start: Callable[[], object] | None = None) -> int:
    """Run a process to its end with its streams here; returns its exit code.

    Args:
        create: makes the task, not started, with these streams.
        interactive: our stdin becomes the process's.
        on_start: told once it runs.

    Raises:
        WharfieError: it could not be made or started.
    """
    made: list[Task] = []

    def end_of_stdin() -> None:
        with contextlib.suppress(errors.WharfieError):
            made[0].close_io()

    with Streams(
        on_stdout=write_all(1),
        on_stderr=write_all(2),
        stdin=0 if interactive else None,
        on_stdin_end=end_of_stdin,
    ) as streams:
        task = create(streams.stdio)
        made.append(task)
        with Forwarding(task):
            task.start()
            if on_start is not None:
                on_start()
            # Only now: the shim opens the streams of an exec when it starts it.
            streams.attached()
            ended = task.wait()
        streams.drain()
    return ended.exit_status
