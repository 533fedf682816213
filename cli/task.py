"""`wharfie task`: the running processes of containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli import complete
from cli.each import do
from cli.exec import execute
from cli.group import Noun, command, option
from cli.lifecycle import containers_argument, start, stop_signal, wait
from cli.output import plain, print_json, print_lines, print_table
from cli.resolve import container as resolve
from cli.settings import Settings, pass_settings

if TYPE_CHECKING:
    from wharfie.types.tasks import Exit


@click.group("task", cls=Noun)
def task() -> None:
    """Tasks: the running processes of containers."""


@command(
    "ls",
    examples="""
    wharfie task ls
    """,
)
@option("-q", "--quiet", is_flag=True, help="Only the ids.")
@pass_settings
def ls(settings: Settings, /, *, quiet: bool) -> None:
    """List tasks, ended ones too."""
    tasks = settings.client().tasks.list()
    if settings.json:
        print_json(plain(tasks))
    elif quiet:
        print_lines(found.container_id for found in tasks)
    else:
        print_table(
            ("TASK", "PID", "STATUS", "EXIT", "SHIM"),
            (
                (
                    found.container_id,
                    found.pid or "-",
                    str(found.status).upper(),
                    found.exit_status if str(found.status) == "stopped" else "-",
                    found.shim_pid or "-",
                )
                for found in tasks
            ),
        )


@command(
    "inspect",
    examples="""
    wharfie task inspect web
    """,
)
@option("--exec-id", default="", metavar="ID", help="Of this exec.")
@containers_argument
@pass_settings
def inspect(settings: Settings, /, containers: tuple[str, ...], *, exec_id: str) -> None:
    """Show tasks whole, as JSON."""
    client = settings.client()
    print_json([plain(client.tasks.get(resolve(client, name).id, exec_id=exec_id)) for name in containers])


@command(
    "kill",
    examples="""
    wharfie task kill web
    wharfie task kill -s KILL --all web
    """,
)
@option("-s", "--signal", default="", metavar="SIGNAL", help="[default: the container's stop signal]")
@option("--all", "all_", is_flag=True, help="Every process of the container.")
@option("--exec-id", default="", metavar="ID", help="This exec.")
@containers_argument
@pass_settings
def kill(settings: Settings, /, containers: tuple[str, ...], *, signal: str, all_: bool, exec_id: str) -> int:
    """Send tasks a signal, by default the one they stop with."""
    client = settings.client()

    def hit(name: str) -> str:
        container = resolve(client, name)
        client.tasks.kill(container.id, signal or stop_signal(container), exec_id=exec_id, all=all_)
        return container.id

    return do(settings, containers, hit)


@command(
    "rm",
    examples="""
    wharfie task rm job
    """,
)
@option("-f", "--force", is_flag=True, help="Kill it first.")
@option("--exec-id", default="", metavar="ID", help="Only this exec.")
@option("--keep-log", is_flag=True, help="Keep the log for the container's next task.")
@containers_argument
@pass_settings
def rm(settings: Settings, /, containers: tuple[str, ...], *, force: bool, exec_id: str, keep_log: bool) -> None:
    """Remove tasks that have ended; their containers stay."""
    from wharfie import errors

    client = settings.client()
    ended: list[Exit] = []
    for name in containers:
        try:
            ended.append(client.tasks.delete(resolve(client, name).id, exec_id=exec_id, force=force, keep_log=keep_log))
        except errors.FailedPrecondition as error:
            error.details.setdefault("kind", "running")
            raise
    if settings.json:
        print_json(plain(ended))
    else:
        print_lines(exit_.container_id for exit_ in ended)


@command(
    "ps",
    examples="""
    wharfie task ps web
    """,
)
@click.argument("container", shell_complete=complete.containers)
@pass_settings
def ps(settings: Settings, /, container: str) -> None:
    """List the processes in a container, with their pids on the host."""
    client = settings.client()
    processes = client.tasks.pids(resolve(client, container).id)
    if settings.json:
        print_json(plain(processes))
    else:
        print_table(("PID", "EXEC"), ((process.pid, process.exec_id or "-") for process in processes))


for _verb in (ls, inspect, start, kill, wait, rm, ps, execute):
    task.add_command(_verb)
