"""Fetching damaged blobs again: what `wharfie content check --repair` does after their bytes were removed."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from cli.failure import complain
from cli.hint import hint_for
from cli.layers import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cli.settings import Settings
    from wharfie._sync.client import Client
    from wharfie.types.images import Image


def fetch_again(settings: Settings, damaged: Mapping[str, int], *, image: str) -> set[str]:
    """Fetch blobs from the repositories that their labels name; for those that have none, or are not there any more,
    pull the images that need them, by digest: what a name means today at its registry does not matter.

    A pull that fails is told on stderr and does not keep the others from theirs.

    Args:
        settings: of the command.
        damaged: digest to size.
        image: the one that was checked; empty: whichever refer to the blobs.

    Returns:
        Those that are whole now.
    """
    from wharfie.errors import WharfieError

    client = settings.client()
    missing = set(damaged) - _by_labels(settings, damaged)
    for name in [image] if image else sorted(_needing(client, damaged)):
        for all_platforms in (False, True):
            if not missing:
                break
            try:
                _pull(settings, client.images.get(name), all_platforms=all_platforms)
            except WharfieError as error:
                complain(f"image '{name}' cannot be fetched again: {error.message}", hint_for(error))
                break
            missing = {digest for digest in missing if not _is_whole(client, digest)}
    return set(damaged) - missing


def _by_labels(settings: Settings, damaged: Mapping[str, int]) -> set[str]:
    """Those that their labels led to."""
    from actors.transfer.distribution import sources
    from cli.registrycredentials import credentials_of
    from wharfie.errors import NotFound

    client = settings.client()
    hosts: dict[str, set[str]] = {}
    for digest in damaged:
        with contextlib.suppress(NotFound):
            if found := {source.host for source in sources(client.content.info(digest).labels)}:
                hosts[digest] = found
    if not hosts:
        return set()
    known = credentials_of(sorted(set().union(*hosts.values())))
    with contextlib.nullcontext() if settings.json else shown(settings, quiet=False) as progress:
        repaired = client.images.repair(
            {digest: damaged[digest] for digest in hosts},
            credentials=known,
            on_progress=progress,
            timeout_s=settings.wait_s,
        )
    return set(repaired.repaired)


def _needing(client: Client, digests: Iterable[str]) -> set[str]:
    """The images that hold any of the blobs."""
    from wharfie.errors import NotFound

    names: set[str] = set()
    for digest in digests:
        try:
            things = client.gc.explain(digest)
        except NotFound:
            continue
        names |= {chain[0].id for thing in things for chain in thing.chains if chain and chain[0].type == "images"}
    return names


def _pull(settings: Settings, image: Image, *, all_platforms: bool) -> None:
    """Pull what an image's name stands for here."""
    from cli.registrycredentials import credentials_of
    from wharfie.reference import Reference

    reference = f"{image.name.partition('@')[0]}@{image.target.digest}"
    known = credentials_of([Reference.parse(reference).host])
    # With --json there is one document in the end.
    with contextlib.nullcontext() if settings.json else shown(settings, quiet=False) as progress:
        settings.client().images.pull(
            reference,
            name=image.name,
            unpack=False,
            all_platforms=all_platforms,
            credentials=known,
            on_progress=progress,
            timeout_s=settings.wait_s,
        )


def _is_whole(client: Client, digest: str) -> bool:
    """Whether its bytes are there: fetched anew, they have been verified."""
    from wharfie.errors import DataLoss, NotFound

    try:
        client.content.read(digest, size=1)
    except (DataLoss, NotFound):
        return False
    return True
