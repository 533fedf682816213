"""`wharfie exec`: one more process in a container."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import click

from cli import complete
from cli.group import command, option
from cli.resolve import container as resolve
from cli.settings import Settings, pass_settings

if TYPE_CHECKING:
    from wharfie._sync.tasks import Task
    from wharfie.types.tasks import Stdio


@command(
    "exec",
    context_settings={"allow_interspersed_args": False},
    examples="""
    wharfie exec web ps
    wharfie exec -e LANG=C -w /tmp -u 1000:1000 web id
    echo data | wharfie exec -i web tee /tmp/file
    """,
)
@option("-e", "--env", multiple=True, metavar="NAME[=VALUE]", help="Set a variable, or pass on our own.")
@option("-w", "--workdir", default="", metavar="DIR", help="The directory to start in.")
@option("-u", "--user", default="", metavar="USER[:GROUP]", help="Run as this user, by name or number.")
@option("-d", "--detach", is_flag=True, help="Print the id of the exec and return; its output is dropped.")
@option("-i", "--interactive", is_flag=True, help="Our standard input becomes the command's.")
@option("--exec-id", default="", metavar="ID", help="[default: a random one]")
@click.argument("container", shell_complete=complete.containers)
@click.argument("args", nargs=-1, required=True, type=click.UNPROCESSED, metavar="COMMAND [ARG]...")
@pass_settings
def execute(
    settings: Settings,
    /,
    container: str,
    args: tuple[str, ...],
    *,
    env: tuple[str, ...],
    workdir: str,
    user: str,
    detach: bool,
    interactive: bool,
    exec_id: str,
) -> int:
    """Run one more command in a running container.

    Ends with the command's exit code; with 126 when it cannot be executed, 127 when it is not there.
    """
    from cli.spec import variable
    from wharfie import errors
    from wharfie.types.tasks import Stdio

    if detach and interactive:
        raise click.UsageError("--detach and --interactive exclude each other: nobody would be there to type")
    client = settings.client()
    found = resolve(client, container)
    process = found.exec_process(args, env=[variable(text) for text in env], workdir=workdir, user=user)
    exec_id = exec_id or f"exec-{os.urandom(8).hex()}"

    def create(stdio: Stdio) -> Task:
        return found.task.exec(exec_id, process, stdio=stdio)

    if detach:
        task = create(Stdio())
        try:
            task.start()
        except BaseException:
            with contextlib.suppress(errors.WharfieError):
                task.delete(force=True)
            raise
        _announce(settings, exec_id)
        return 0

    from cli.foreground import follow, interruptible, undisturbed

    with interruptible():
        try:
            return follow(create, interactive=interactive)
        finally:
            with undisturbed(), contextlib.suppress(errors.WharfieError):
                client.tasks.delete(found.id, exec_id=exec_id, force=True)


def _announce(settings: Settings, exec_id: str) -> None:
    if settings.json:
        from cli.output import print_json

        print_json({"exec_id": exec_id})
    else:
        click.echo(exec_id)
