"""`wharfie lease`: what keeps things from the garbage collector while nothing names them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli import complete
from cli.duration import timestamp
from cli.each import do, done
from cli.group import Noun, command, option, seconds
from cli.labels import label_mask, parse_labels
from cli.output import labels_text, plain, print_json, print_lines, print_table
from cli.settings import Settings, pass_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

id_argument = click.argument("id", shell_complete=complete.leases)
resources_argument = click.argument("resources", nargs=-1, required=True, metavar="TYPE:ID...")


@click.group("lease", cls=Noun)
def lease() -> None:
    """Leases: what keeps things from the garbage collector.

    'wharfie --lease ID …' adds what a command makes to a lease. Without one the namespace's default lease holds it for
    a while.
    """


@command(
    "ls",
    examples="""
    wharfie lease ls
    wharfie lease ls 'labels.job==build'
    """,
)
@option("-q", "--quiet", is_flag=True, help="Only the ids.")
@click.argument("filters", nargs=-1, metavar="[FILTER]...")
@pass_settings
def ls(settings: Settings, /, filters: Sequence[str], *, quiet: bool) -> None:
    """List leases."""
    from wharfie.types.leases import EXPIRE_LABEL

    found = settings.client().leases.list(filters)
    if settings.json:
        print_json(plain(found))
    elif quiet:
        print_lines(entry.id for entry in found)
    else:
        print_table(
            ("ID", "CREATED AT", "EXPIRES AT", "LABELS"),
            (
                (
                    entry.id,
                    timestamp(entry.created_at_ns),
                    entry.labels.get(EXPIRE_LABEL, "-"),
                    labels_text({key: value for key, value in entry.labels.items() if key != EXPIRE_LABEL}),
                )
                for entry in found
            ),
        )


@command(
    "create",
    examples="""
    wharfie lease create --expires 1h job=build
    wharfie lease create --id nightly
    """,
)
@option("--id", "id", default="", help="Its id; a random one without this.")
@option("-x", "--expires", metavar="DURATION", callback=seconds, help="Let it go by itself after this time.")
@option("--flat", is_flag=True, help="Hold what is named and not what that refers to.")
@click.argument("labels", nargs=-1, metavar="[KEY=VALUE]...")
@pass_settings
def create(settings: Settings, /, labels: tuple[str, ...], *, id: str, expires: float | None, flat: bool) -> None:
    """Make a lease and print its id."""
    made = settings.client().leases.create(id, labels=parse_labels(labels), expires_in_s=expires, flat=flat)
    done(settings, [made.id])


@command(
    "label",
    examples="""
    wharfie lease label nightly containerd.io/gc.expire=2030-01-01T00:00:00Z
    """,
)
@id_argument
@click.argument("labels", nargs=-1, metavar="[KEY=VALUE]...")
@pass_settings
def label(settings: Settings, /, id: str, labels: tuple[str, ...]) -> None:
    """Change a lease's labels and print them; 'KEY=' removes one."""
    client = settings.client()
    changes = parse_labels(labels)
    found = client.leases.update(id, changes, mask=label_mask(changes)) if changes else client.leases.get(id)
    if settings.json:
        print_json(found.labels)
    else:
        print_lines(f"{key}={value}" for key, value in sorted(found.labels.items()))


@command(
    "resources",
    examples="""
    wharfie lease resources nightly
    """,
)
@id_argument
@pass_settings
def resources(settings: Settings, /, id: str) -> None:
    """List what a lease holds."""
    found = settings.client().leases.resources(id)
    if settings.json:
        print_json(plain(found))
    else:
        print_table(("TYPE", "ID"), ((entry.type, entry.id) for entry in found))


@command(
    "add",
    examples="""
    wharfie lease add nightly content:sha256:9f86d081884c7d65…
    wharfie lease add nightly snapshots/overlayfs:base images:busybox:latest
    """,
)
@id_argument
@resources_argument
@pass_settings
def add(settings: Settings, /, id: str, resources: tuple[str, ...]) -> int:
    """Have a lease hold things, which need not exist.

    TYPE is content (ID is a digest), images (a name), ingests (a ref) or snapshots/SNAPSHOTTER (a key).
    """
    client = settings.client()

    def hold(text: str) -> str:
        client.leases.add_resource(id, *_split(text))
        return text

    return do(settings, resources, hold, "resource")


@command(
    "drop",
    examples="""
    wharfie lease drop nightly content:sha256:9f86d081884c7d65…
    """,
)
@id_argument
@resources_argument
@pass_settings
def drop(settings: Settings, /, id: str, resources: tuple[str, ...]) -> int:
    """Have a lease no longer hold things; they are written as for 'add'."""
    client = settings.client()

    def let_go(text: str) -> str:
        client.leases.delete_resource(id, *_split(text))
        return text

    return do(settings, resources, let_go, "resource")


def _split(text: str) -> tuple[str, str]:
    kind, colon, name = text.partition(":")
    if not colon:
        raise click.BadParameter(f"'{text}' is no TYPE:ID such as images:busybox:latest")
    return kind, name


@command(
    "rm",
    examples="""
    wharfie lease rm nightly
    wharfie lease rm --sync nightly
    """,
)
@option("--sync", is_flag=True, help="Collect what only they held before this returns.")
@click.argument("ids", nargs=-1, required=True, metavar="ID...", shell_complete=complete.leases)
@pass_settings
def rm(settings: Settings, /, ids: tuple[str, ...], *, sync: bool) -> int:
    """Give leases up; what only they held is garbage."""
    client = settings.client()

    def remove(id: str) -> str:
        client.leases.delete(id, sync=sync)
        return id

    return do(settings, ids, remove)


for _verb in (ls, create, label, resources, add, drop, rm):
    lease.add_command(_verb)
