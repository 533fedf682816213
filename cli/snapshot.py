"""`wharfie snapshot`: file systems in layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cli import complete
from cli.duration import timestamp
from cli.each import do, done
from cli.group import Noun, command, option
from cli.labels import label_mask, parse_labels
from cli.output import plain, print_json, print_lines, print_table
from cli.settings import Settings, pass_settings
from cli.size import spoken
from cli.snapshotdiff import diff

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wharfie.types.base import Mount
    from wharfie.types.snapshots import Info

snapshotter_option = option("--snapshotter", default="", metavar="NAME", help="[default: the daemon's]")
key_argument = click.argument("key", shell_complete=complete.snapshots)


@click.group("snapshot", cls=Noun)
def snapshot() -> None:
    """Snapshots: file systems in layers."""


@command(
    "ls",
    examples="""
    wharfie snapshot ls
    wharfie snapshot ls 'kind==active'
    """,
)
@option("-q", "--quiet", is_flag=True, help="Only the names.")
@snapshotter_option
@click.argument("filters", nargs=-1, metavar="[FILTER]...")
@pass_settings
def ls(settings: Settings, /, filters: Sequence[str], *, quiet: bool, snapshotter: str) -> None:
    """List snapshots."""
    found = settings.client().snapshots.list(filters, snapshotter=snapshotter)
    if settings.json:
        print_json(plain(found))
    elif quiet:
        print_lines(info.name for info in found)
    else:
        print_table(
            ("KEY", "PARENT", "KIND", "CREATED AT"),
            ((info.name, info.parent or "-", info.kind, timestamp(info.created_at_ns)) for info in found),
        )


@command(
    "inspect",
    examples="""
    wharfie snapshot inspect web
    """,
)
@snapshotter_option
@click.argument("keys", nargs=-1, required=True, metavar="KEY...", shell_complete=complete.snapshots)
@pass_settings
def inspect(settings: Settings, /, keys: tuple[str, ...], *, snapshotter: str) -> None:
    """Show what is known of snapshots, as JSON."""
    client = settings.client()
    print_json([plain(client.snapshots.stat(key, snapshotter=snapshotter)) for key in keys])


@command(
    "unpack",
    examples="""
    wharfie snapshot unpack busybox:latest
    wharfie snapshot unpack --snapshotter native busybox:latest
    """,
)
@option("--platform", default="", metavar="OS/ARCH", help="[default: this machine's]")
@snapshotter_option
@click.argument("name", metavar="IMAGE", shell_complete=complete.images)
@pass_settings
def unpack(settings: Settings, /, name: str, *, platform: str, snapshotter: str) -> None:
    """Make snapshots of an image's layers; print the topmost one. Layers that lost their files get them back."""
    from cli.resolve import with_image

    client = settings.client()
    found, chain_id = with_image(
        client,
        name,
        lambda name: client.images.unpack(name, snapshotter=snapshotter, platform=platform, timeout_s=settings.wait_s),
    )
    if settings.json:
        print_json({"name": found, "chain_id": chain_id})
    else:
        click.echo(chain_id)


@command(
    "tree",
    examples="""
    wharfie snapshot tree
    """,
)
@snapshotter_option
@pass_settings
def tree(settings: Settings, /, *, snapshotter: str) -> None:
    """Show which snapshot stands on which."""
    found = settings.client().snapshots.list(snapshotter=snapshotter)
    if settings.json:
        print_json(nested(found))
    else:
        print_lines(tree_lines(nested(found)))


def nested(found: Sequence[Info]) -> list[dict[str, Any]]:
    """Snapshots as a forest; one whose parent is not in the list is a root."""
    nodes: dict[str, dict[str, Any]] = {
        info.name: {"name": info.name, "kind": str(info.kind), "children": []} for info in found
    }
    roots: list[dict[str, Any]] = []
    for info in found:
        siblings = nodes[info.parent]["children"] if info.parent in nodes else roots
        siblings.append(nodes[info.name])
    return roots


def tree_lines(nodes: Sequence[dict[str, Any]], indent: str = "") -> list[str]:
    """The forest as lines, a child below its parent."""
    lines: list[str] = []
    for node in nodes:
        lines.append(f"{indent}{node['name']} ({node['kind']})")
        lines += tree_lines(node["children"], f"{indent}  ")
    return lines


@command(
    "usage",
    examples="""
    wharfie snapshot usage web
    """,
)
@option("-b", "--bytes", "exact", is_flag=True, help="Exact sizes.")
@snapshotter_option
@click.argument("keys", nargs=-1, metavar="[KEY]...", shell_complete=complete.snapshots)
@pass_settings
def usage(settings: Settings, /, keys: tuple[str, ...], *, exact: bool, snapshotter: str) -> None:
    """Show how much snapshots hold, parents not counted; all of them without a KEY."""
    client = settings.client()
    wanted = keys or [info.name for info in client.snapshots.list(snapshotter=snapshotter)]
    used = [(key, client.snapshots.usage(key, snapshotter=snapshotter)) for key in wanted]
    if settings.json:
        print_json([{"key": key, **plain(found)} for key, found in used])
    else:
        print_table(
            ("KEY", "SIZE", "INODES"),
            ((key, found.size if exact else spoken(found.size), found.inodes) for key, found in used),
        )


def _show_mounts(settings: Settings, mounts: Sequence[Mount]) -> None:
    if settings.json:
        print_json(plain(list(mounts)))
    else:
        print_table(
            ("TYPE", "SOURCE", "OPTIONS"), ((mount.type, mount.source, ",".join(mount.options)) for mount in mounts)
        )


@command(
    "mounts",
    examples="""
    wharfie snapshot mounts web
    """,
)
@snapshotter_option
@key_argument
@pass_settings
def mounts(settings: Settings, /, key: str, *, snapshotter: str) -> None:
    """Show how to mount an active snapshot or a view."""
    _show_mounts(settings, settings.client().snapshots.mounts(key, snapshotter=snapshotter))


@command(
    "prepare",
    examples="""
    wharfie snapshot prepare work sha256:…
    """,
)
@option("-l", "--label", "labels", multiple=True, metavar="KEY=VALUE", help="Label the snapshot.")
@snapshotter_option
@click.argument("key")
@click.argument("parent", default="", shell_complete=complete.snapshots)
@pass_settings
def prepare(settings: Settings, /, key: str, parent: str, *, labels: tuple[str, ...], snapshotter: str) -> None:
    """Make a writable snapshot on a committed one (or on nothing) and show how to mount it."""
    _show_mounts(
        settings,
        settings.client().snapshots.prepare(key, parent, snapshotter=snapshotter, labels=parse_labels(labels)),
    )


@command(
    "view",
    examples="""
    wharfie snapshot view look sha256:…
    """,
)
@option("-l", "--label", "labels", multiple=True, metavar="KEY=VALUE", help="Label the snapshot.")
@snapshotter_option
@click.argument("key")
@click.argument("parent", default="", shell_complete=complete.snapshots)
@pass_settings
def view(settings: Settings, /, key: str, parent: str, *, labels: tuple[str, ...], snapshotter: str) -> None:
    """Make a read-only snapshot on a committed one and show how to mount it."""
    _show_mounts(
        settings, settings.client().snapshots.view(key, parent, snapshotter=snapshotter, labels=parse_labels(labels))
    )


@command(
    "commit",
    examples="""
    wharfie snapshot commit base work
    wharfie snapshot commit --parent base upper work
    """,
)
@option("--parent", default="", metavar="NAME", help="Put it on this one; only if KEY was prepared on nothing.")
@option("-l", "--label", "labels", multiple=True, metavar="KEY=VALUE", help="Label the snapshot.")
@snapshotter_option
@click.argument("name")
@key_argument
@pass_settings
def commit(
    settings: Settings, /, name: str, key: str, *, labels: tuple[str, ...], snapshotter: str, parent: str
) -> None:
    """Turn the active snapshot KEY into the committed NAME."""
    settings.client().snapshots.commit(name, key, snapshotter=snapshotter, labels=parse_labels(labels), parent=parent)
    done(settings, [name], "name")


@command(
    "rm",
    examples="""
    wharfie snapshot rm work
    """,
)
@snapshotter_option
@click.argument("keys", nargs=-1, required=True, metavar="KEY...", shell_complete=complete.snapshots)
@pass_settings
def rm(settings: Settings, /, keys: tuple[str, ...], *, snapshotter: str) -> int:
    """Remove snapshots that nothing stands on."""
    client = settings.client()

    def remove(key: str) -> str:
        client.snapshots.remove(key, snapshotter=snapshotter)
        return key

    return do(settings, keys, remove, "key")


@command(
    "label",
    examples="""
    wharfie snapshot label work keep=yes old=
    """,
)
@snapshotter_option
@key_argument
@click.argument("labels", nargs=-1, metavar="[KEY=VALUE]...")
@pass_settings
def label(settings: Settings, /, key: str, labels: tuple[str, ...], *, snapshotter: str) -> None:
    """Change a snapshot's labels and print them; 'KEY=' removes one."""
    client = settings.client()
    changes = parse_labels(labels)
    if changes:
        info = client.snapshots.update(key, changes, mask=label_mask(changes), snapshotter=snapshotter)
    else:
        info = client.snapshots.stat(key, snapshotter=snapshotter)
    if settings.json:
        print_json(info.labels)
    else:
        print_lines(f"{name}={value}" for name, value in sorted(info.labels.items()))


@command(
    "cleanup",
    examples="""
    wharfie snapshot cleanup
    """,
)
@snapshotter_option
@pass_settings
def cleanup(settings: Settings, /, *, snapshotter: str) -> None:
    """Remove directories that no name knows; print how many."""
    removed = settings.client().snapshots.cleanup(snapshotter=snapshotter)
    if settings.json:
        print_json({"removed": removed})
    else:
        click.echo(removed)


for _verb in (ls, tree, inspect, usage, diff, mounts, prepare, view, commit, unpack, rm, label, cleanup):
    snapshot.add_command(_verb)
