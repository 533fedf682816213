"""What the shell completes from the daemon: names of containers, images and actors. Quick, or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import click

    from wharfie._sync.client import Client

CONNECT_TIMEOUT_S = 0.3
CALL_TIMEOUT_S = 0.7
"""A shell that hangs at the tab key is worse than one that knows nothing."""


def _completer(names: Callable[[Client], Iterable[str]]) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    def complete(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
        from wharfie.errors import WharfieError

        settings = ctx.find_object(Settings) or Settings()
        settings.timeout_s = CALL_TIMEOUT_S
        try:
            found = names(settings.client(connect_timeout_s=CONNECT_TIMEOUT_S))
            return [name for name in found if name.startswith(incomplete)]
        except WharfieError:
            return []
        finally:
            settings.close()

    return complete


containers = _completer(lambda client: [found.id for found in client.containers.list(without_spec=True)])
images = _completer(lambda client: [image.name for image in client.images.list()])
actors = _completer(lambda client: [actor.name for actor in client.supervisor.list()])
snapshots = _completer(lambda client: [info.name for info in client.snapshots.list()])
blobs = _completer(lambda client: [info.digest for info in client.content.list()])
leases = _completer(lambda client: [lease.id for lease in client.leases.list()])
namespaces = _completer(lambda client: [namespace.name for namespace in client.namespaces.list()])
