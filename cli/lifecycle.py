"""`wharfie stop`, `start`, `kill` and `wait`: what becomes of containers that are there."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from cli import complete
from cli.each import do, each
from cli.group import command, option, seconds
from cli.output import print_json, print_lines
from cli.resolve import container as resolve
from cli.settings import Settings, pass_settings
from cli.spec import LOG_LABEL, LOG_URI, STOP_SIGNAL_LABEL

if TYPE_CHECKING:
    from wharfie._sync.client import Client
    from wharfie._sync.containers import Container

GRACE_S = 10.0
"""Docker's: how long a container may take to stop."""

_KILLED_WITHIN_S = 10.0
"""How long SIGKILL may take; longer means that the kernel cannot end the process (a dead disk or NFS server)."""

containers_argument = click.argument(
    "containers", nargs=-1, required=True, metavar="CONTAINER...", shell_complete=complete.containers
)


def stop_signal(container: Container) -> str:
    """The signal that a container wants to be stopped with."""
    return container.labels.get(STOP_SIGNAL_LABEL) or "SIGTERM"


def send(client: Client, container: Container, signal: str, *, all_: bool = False, exec_id: str = "") -> bool:
    """Send a signal; returns whether there was a process that got it."""
    from wharfie import errors

    try:
        client.tasks.kill(container.id, signal, all=all_, exec_id=exec_id)
    except errors.NotFound:
        return False
    return True


@command(
    "stop",
    examples="""
    wharfie stop web
    wharfie stop -t 2 web db
    """,
)
@option(
    "-t",
    "--time",
    "grace_s",
    default="10",
    callback=seconds,
    metavar="DURATION",
    help="How long to wait before SIGKILL.  [default: 10s]",
)
@containers_argument
@pass_settings
def stop(settings: Settings, /, containers: tuple[str, ...], *, grace_s: float) -> int:
    """Stop containers: their stop signal, then SIGKILL.

    The signal is the image's stop signal, else SIGTERM. All of them are asked at once; one that has ended is no error.
    """
    client = settings.client()
    running: dict[str, Container] = {}

    def ask(name: str) -> str:
        container = resolve(client, name)
        if send(client, container, stop_signal(container)):
            running[container.id] = container
        return container.id

    def see_to(id_: str) -> str:
        if id_ in running and not _ended(client, running[id_], deadline_s - time.monotonic()):
            send(client, running[id_], "SIGKILL", all_=True)
            client.tasks.wait(id_, timeout_s=_KILLED_WITHIN_S)
        return id_

    asked, code = each(containers, ask)
    deadline_s = time.monotonic() + grace_s
    return do(settings, asked, see_to) or code


def _ended(client: Client, container: Container, within_s: float) -> bool:
    """Wait for a task's end; false when it still runs after that time."""
    from wharfie import errors

    try:
        # Even with no time left the answer of one that has ended already counts.
        client.tasks.wait(container.id, timeout_s=max(within_s, 0.05))
    except errors.DeadlineExceeded:
        return False
    except errors.NotFound:
        return True
    return True


@command(
    "start",
    examples="""
    wharfie start web
    wharfie start --attach job
    """,
)
@option("--attach", is_flag=True, help="Stay in the foreground, as 'run' does (one container only).")
@option("-i", "--interactive", is_flag=True, help="With --attach: our standard input becomes the container's.")
@containers_argument
@pass_settings
def start(settings: Settings, /, containers: tuple[str, ...], *, attach: bool, interactive: bool) -> int:
    """Start containers that are created or stopped.

    The file system and the log of an earlier run are kept. With --attach the exit code is the container's.
    """
    if attach and len(containers) > 1:
        raise click.UsageError("--attach takes one container")
    if interactive and not attach:
        raise click.UsageError("--interactive needs --attach")
    client = settings.client()
    if attach:
        container = resolve(client, containers[0])
        _clear(client, container)
        return _attach(client, container, interactive=interactive)

    def begin(name: str) -> str:
        container = resolve(client, name)
        _clear(client, container)
        _start(container)
        return container.id

    return do(settings, containers, begin)


def _start(container: Container) -> None:
    from wharfie.types.tasks import Stdio

    uri = container.labels.get(LOG_LABEL) or LOG_URI
    container.start(stdio=Stdio(stdout=uri, stderr=uri))


def _clear(client: Client, container: Container) -> None:
    """Remove what is left of an earlier run.

    Raises:
        FailedPrecondition: it runs.
    """
    from wharfie import errors

    try:
        client.tasks.delete(container.id, keep_log=True)
    except errors.NotFound:
        return
    except errors.FailedPrecondition:
        raise errors.FailedPrecondition(
            f"container '{container.id}' is running already", details={"id": container.id}
        ) from None


def _attach(client: Client, container: Container, *, interactive: bool) -> int:
    import contextlib

    from cli.foreground import follow, interruptible, undisturbed
    from wharfie import errors

    started: list[bool] = []
    with interruptible():
        try:
            return follow(
                lambda stdio: container.create_task(stdio=stdio),
                interactive=interactive,
                on_start=lambda: started.append(True),
            )
        finally:
            if not started:
                with undisturbed(), contextlib.suppress(errors.WharfieError):
                    client.tasks.delete(container.id, force=True, keep_log=True)


@command(
    "kill",
    examples="""
    wharfie kill web
    wharfie kill -s HUP web
    """,
)
@option("-s", "--signal", default="SIGKILL", metavar="SIGNAL", help="Name or number.  [default: SIGKILL]")
@containers_argument
@pass_settings
def kill(settings: Settings, /, containers: tuple[str, ...], *, signal: str) -> int:
    """Send containers a signal, SIGKILL by default.

    One that does not run is an error.
    """
    client = settings.client()

    def hit(name: str) -> str:
        container = resolve(client, name)
        client.tasks.kill(container.id, signal)
        return container.id

    return do(settings, containers, hit)


@command(
    "wait",
    examples="""
    wharfie wait job
    test "$(wharfie wait job)" = 0
    """,
)
@containers_argument
@pass_settings
def wait(settings: Settings, /, containers: tuple[str, ...]) -> None:
    """Wait for containers to end and print their exit codes.

    One a line, in the order of the arguments; 128 and the signal's number when a signal ended it.
    """
    client = settings.client()
    found = [resolve(client, name) for name in containers]
    ended = [client.tasks.wait(container.id, timeout_s=settings.wait_s) for container in found]
    if settings.json:
        print_json(
            [
                {
                    "id": exit_.container_id,
                    "exit_status": exit_.exit_status,
                    "exited_at_ns": exit_.exited_at_ns,
                    "oom": exit_.oom,
                }
                for exit_ in ended
            ]
        )
    else:
        print_lines(exit_.exit_status for exit_ in ended)
