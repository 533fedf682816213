"""How the layers of each snapshotter are made: as trees of files, or as images by a job of the snapshotter's own.

A layer that is an image is made without those below it, and fitted to them where it stands. One that cannot be
understood alone is extracted on top of them like any other, and its snapshotter makes the image of what was written at
the commit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from actors.transfer.implicit import settle

TREE = "actors.transfer.job:unpack"
IMAGES = {"erofs": "actors.snapshot.erofs.job:apply"}
"""Snapshotters that take layers as images, and the targets of their jobs: what gets the same request as `TREE` and
answers the same."""

REBASING = frozenset({"overlayfs", *IMAGES})
"""Snapshotters that put a snapshot on its parent when it is committed."""

Fit = Callable[[str, Sequence[str], Sequence[bytes]], bool]


def target_of(snapshotter: str, *, on_top: bool) -> str:
    """The target of the job that applies a layer. Pure.

    Args:
        snapshotter: its name.
        on_top: it is applied to the layers below, not alone.
    """
    return TREE if on_top else IMAGES.get(snapshotter, TREE)


def fit_of(snapshotter: str) -> Fit:
    """What fits a layer to those below: `implicit.settle`, or what does the same in an image."""
    if snapshotter not in IMAGES:
        return settle
    from actors.snapshot.erofs.settle import settle_image

    return settle_image
