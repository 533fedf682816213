"""`wharfie container`: the records of what is to be run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cli import complete
from cli.commit import commit
from cli.diff import diff
from cli.duration import timestamp
from cli.each import do
from cli.group import Noun, command, option
from cli.labels import label_mask, parse_labels
from cli.lifecycle import containers_argument, kill, start, stop, wait
from cli.output import labels_text, plain, print_json, print_lines, print_table
from cli.resolve import container as resolve
from cli.settings import Settings, pass_settings
from cli.spec import container_options, make

if TYPE_CHECKING:
    from collections.abc import Sequence


@click.group("container", cls=Noun)
def container() -> None:
    """Containers: records of what is to be run."""


for _shared in (start, stop, kill, wait, commit, diff):
    container.add_command(_shared)


@command(
    "ls",
    examples="""
    wharfie container ls
    wharfie container ls 'image~=busybox'
    """,
)
@option("-q", "--quiet", is_flag=True, help="Only the ids.")
@click.argument("filters", nargs=-1, metavar="[FILTER]...")
@pass_settings
def ls(settings: Settings, /, filters: Sequence[str], *, quiet: bool) -> None:
    """List the records, running or not."""
    records = [found.record for found in settings.client().containers.list(filters, without_spec=True)]
    if settings.json:
        print_json([_brief(plain(record)) for record in records])
    elif quiet:
        print_lines(record.id for record in records)
    else:
        print_table(
            ("CONTAINER", "IMAGE", "RUNTIME", "CREATED AT", "LABELS"),
            (
                (
                    record.id,
                    record.image or "-",
                    record.runtime.name,
                    timestamp(record.created_at_ns),
                    labels_text(record.labels),
                )
                for record in records
            ),
        )


def _brief(record: dict[str, Any]) -> dict[str, Any]:
    """A record without what a list did not ask for."""
    return {key: value for key, value in record.items() if key not in {"spec", "extensions"}}


@command(
    "create",
    context_settings={"allow_interspersed_args": False},
    examples="""
    wharfie container create --name job busybox sh -c 'echo hello'
    wharfie start job
    """,
)
@container_options
@click.argument("image", shell_complete=complete.images)
@click.argument("args", nargs=-1, type=click.UNPROCESSED, metavar="[COMMAND [ARG]...]")
@pass_settings
def create(settings: Settings, /, image: str, args: tuple[str, ...], **values: Any) -> None:
    """Make a container and run nothing yet; print its id."""
    made = make(settings.client(), image, args, values)
    if settings.json:
        print_json({"id": made.id, "image": made.image})
    else:
        click.echo(made.id)


@command(
    "inspect",
    examples="""
    wharfie container inspect web
    """,
)
@containers_argument
@pass_settings
def inspect(settings: Settings, /, containers: tuple[str, ...]) -> None:
    """Show records whole, as JSON."""
    client = settings.client()
    print_json([plain(resolve(client, name).record) for name in containers])


@command(
    "rm",
    examples="""
    wharfie rm job
    wharfie rm -f web
    wharfie rm -f $(wharfie ps -aq)
    """,
)
@option("-f", "--force", is_flag=True, help="Also when it runs: it is killed first. A missing one is no error.")
@option("--keep-snapshot", is_flag=True, help="Keep the container's file system.")
@containers_argument
@pass_settings
def rm(settings: Settings, /, containers: tuple[str, ...], *, force: bool, keep_snapshot: bool) -> int:
    """Remove containers with their tasks and snapshots."""
    from wharfie import errors

    client = settings.client()

    def remove(name: str) -> str | None:
        try:
            found = resolve(client, name)
            if keep_snapshot:
                import msgspec

                found.record = msgspec.structs.replace(found.record, snapshot_key="")
            found.delete(force=force)
        except errors.FailedPrecondition as error:
            error.details.setdefault("kind", "running")
            raise
        except errors.NotFound:
            if not force:
                raise
            return None
        return found.id

    return do(settings, containers, remove)


@command(
    "label",
    examples="""
    wharfie container label web tier=front owner=
    """,
)
@click.argument("name", metavar="CONTAINER", shell_complete=complete.containers)
@click.argument("labels", nargs=-1, metavar="[KEY=VALUE]...")
@pass_settings
def label(settings: Settings, /, name: str, labels: tuple[str, ...]) -> None:
    """Change a container's labels and print them; 'KEY=' removes one."""
    import msgspec

    client = settings.client()
    found = resolve(client, name)
    changes = parse_labels(labels)
    if changes:
        changed = msgspec.structs.replace(found.record, labels=changes)
        found = client.containers.update(changed, mask=label_mask(changes))
    if settings.json:
        print_json(dict(found.labels))
    else:
        print_lines(f"{key}={value}" for key, value in sorted(found.labels.items()))


for _own in (ls, create, inspect, rm, label):
    container.add_command(_own)
