"""`wharfie run`: a new container, its output here or in a log, its exit code ours."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from cli import complete
from cli.failure import EXIT_DAEMON, complain, exit_code
from cli.group import command, option
from cli.hint import hint_for
from cli.settings import Settings, pass_settings
from cli.spec import LOG_URI, container_options, make

if TYPE_CHECKING:
    from wharfie._sync.containers import Container


@command(
    "run",
    context_settings={"allow_interspersed_args": False},
    examples="""
    wharfie run --rm busybox echo hello
    wharfie run -d --name web --memory 64m --pids-limit 100 busybox httpd -f
    echo hello | wharfie run --rm -i busybox cat
    wharfie run --rm -v ./data:/data:ro -w /data busybox ls
    """,
)
@option("--rm", "remove", is_flag=True, help="Remove the container when it has ended, or could not start.")
@option("-d", "--detach", is_flag=True, help="Print the id and return; 'wharfie logs' shows the output.")
@option("-i", "--interactive", is_flag=True, help="Our standard input becomes the container's.")
@container_options
@option(
    "--pull",
    type=click.Choice(["always", "missing", "never"]),
    default="missing",
    show_default=True,
    help="When to pull the image first.",
)
@option("--log", "log", metavar="FILE", help="Append the output to this file instead.")
@click.argument("image", shell_complete=complete.images)
@click.argument("args", nargs=-1, type=click.UNPROCESSED, metavar="[COMMAND [ARG]...]")
@pass_settings
def run(
    settings: Settings,
    /,
    image: str,
    args: tuple[str, ...],
    *,
    remove: bool,
    detach: bool,
    interactive: bool,
    pull: str,
    log: str | None,
    **values: Any,
) -> int:
    """Run a command in a new container.

    Ends with the exit code of the command (128 and the signal's number when a signal ended it); with 125 when the
    daemon refused, 126 when the command cannot be executed, 127 when it is not there. In the foreground, signals are
    passed on to the container; the second Ctrl-C kills it.
    """
    if detach and interactive:
        raise click.UsageError("--detach and --interactive exclude each other: nobody would be there to type")
    from wharfie.errors import WharfieError

    try:
        return _run(
            settings,
            image,
            args,
            values,
            remove=remove,
            detach=detach,
            interactive=interactive,
            pull=pull,
            log=log,
        )
    except WharfieError as error:
        complain(error.message, hint_for(error))
        return exit_code(error, otherwise=EXIT_DAEMON)


def _run(
    settings: Settings,
    image: str,
    args: tuple[str, ...],
    values: dict[str, Any],
    *,
    remove: bool,
    detach: bool,
    interactive: bool,
    pull: str,
    log: str | None,
) -> int:
    from cli.foreground import follow, interruptible, undisturbed, watch
    from wharfie import errors
    from wharfie.types.tasks import Stdio

    log_uri = f"file://{os.path.abspath(log)}" if log else LOG_URI
    with interruptible():
        container = _made(settings, image, args, values, pull=pull, log_uri=log_uri if detach or log else "")
        started = False

        def begun() -> None:
            nonlocal started
            started = True

        done = False
        try:
            if detach:
                container.start(stdio=Stdio(stdout=log_uri, stderr=log_uri))
                begun()
                code = 0
            elif log:
                code = watch(container.create_task(stdio=Stdio(stdout=log_uri, stderr=log_uri)), on_start=begun)
            else:
                code = follow(lambda stdio: container.create_task(stdio=stdio), interactive=interactive, on_start=begun)
            done = True
        finally:
            # What could not start leaves nothing behind; what runs in the background is not ours to remove here.
            if not started or (remove and not (detach and done)):
                with undisturbed(), contextlib.suppress(errors.NotFound):
                    container.delete(force=True)
    if detach:
        _announce(settings, container)
        if remove:
            _remove_when_ended(settings, container)
    return code


def _made(
    settings: Settings, image: str, args: tuple[str, ...], values: dict[str, Any], *, pull: str, log_uri: str
) -> Container:
    """The container, of an image that is pulled when it has to be.

    Raises:
        NotFound: the image is not here, and not to be had at once: a registry that is away is asked only once.
    """
    from wharfie import errors

    client = settings.client()
    missing: errors.NotFound | None = None
    if pull != "always":
        try:
            return make(client, image, args, values, log_uri=log_uri)
        except errors.NotFound as error:
            if pull == "never" or error.details.get("kind") != "image":
                raise
            missing = error
    from cli.pull import fetch

    try:
        pulled = fetch(
            settings,
            image,
            snapshotter=values["snapshotter"],
            platform=values["platform"],
            attempts=0 if missing is None else 1,
        )
    except (errors.NotFound, errors.InvalidArgument, errors.Unavailable, errors.PermissionDenied) as error:
        if missing is None:
            raise
        raise errors.NotFound(
            f"{missing.message}, and cannot be pulled: {error.message}", details=missing.details
        ) from None
    return make(client, pulled.image.name, args, values, log_uri=log_uri)


def _announce(settings: Settings, container: Container) -> None:
    if settings.json:
        from cli.output import print_json

        print_json({"id": container.id, "image": container.image})
    else:
        click.echo(container.id)


def _remove_when_ended(settings: Settings, container: Container) -> None:
    """A child of ours waits for the container and removes it: the daemon knows no `--rm`, as containerd's does not."""
    id_ = container.id
    sys.stdout.flush()
    if os.fork() != 0:
        return
    code = 1
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        settings.abandon()
        from wharfie import errors

        with settings.client() as client, contextlib.suppress(errors.NotFound):
            client.tasks.wait(id_)
            client.containers.delete(id_, force=True)
        code = 0
    finally:
        os._exit(code)
