# Made from wharfie/_async/images.py by scripts/unasync.py; change that file and run it again.
"""`client.images`: names for content, what is known of them, and images from archives, registries and containers.

Made of four parts: names and commits are here, questions in `imagefacts.py`, archives and conversion in
`imagearchives.py`, pull and push in `imageregistries.py`.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from wharfie import errors
from wharfie._sync.base import UNSET
from wharfie._sync.imagearchives import ImageArchives
from wharfie._sync.imagefacts import ImageFacts
from wharfie._sync.imageregistries import ImageRegistries
from wharfie.types import containers, transfer
from wharfie.types import images as t
from wharfie.types.base import Descriptor

PINNED = ("io.cri-containerd.pinned", "pinned")
"""Label, and its value, of an image that pruning keeps."""


class Images(ImageFacts, ImageArchives, ImageRegistries):
    """The images of a namespace."""

    def create(
        self,
        name: str,
        target: Descriptor,
        *,
        labels: Mapping[str, str] | None = None,
        timeout_s: float | None = UNSET,
    ) -> t.Image:
        """Name content that is there."""
        request = t.Create(image=t.Image(name=name, target=target, labels=dict(labels or {})))
        return self._caller.call("images.create", request, t.Image, timeout_s=timeout_s)

    def update(self, image: t.Image, *, mask: Sequence[str] = (), timeout_s: float | None = UNSET) -> t.Image:
        """Change an image's target, labels or annotations; `mask` says which."""
        request = t.Update(image=image, mask=[*mask])
        return self._caller.call("images.update", request, t.Image, timeout_s=timeout_s)

    def tag(self, source: str, name: str, *, force: bool = True, timeout_s: float | None = UNSET) -> t.Image:
        """Give the content of `source` one more name; an image that has the name loses it, unless not `force`."""
        image = self.get(source, timeout_s=timeout_s)
        try:
            return self.create(name, image.target, labels=image.labels, timeout_s=timeout_s)
        except errors.AlreadyExists:
            if not force:
                raise
            tagged = t.Image(name=name, target=image.target, labels=image.labels)
            return self.update(tagged, timeout_s=timeout_s)

    def delete(self, name: str, *, sync: bool = False, timeout_s: float | None = UNSET) -> None:
        """Delete a name; the content goes when nothing needs it any more, with `sync` before this returns."""
        self._caller.tell("images.delete", t.Delete(name=name, sync=sync), timeout_s=timeout_s)

    def prune(
        self,
        filters: Sequence[str] = (),
        *,
        everything: bool = False,
        dry: bool = False,
        timeout_s: float | None = UNSET,
    ) -> builtins.list[str]:
        """Delete the names of images that no container uses; `client.gc.run` collects what only they needed.

        Args:
            filters: only these images.
            everything: not only those whose name has no tag.
            dry: only tell.
            timeout_s: of each call.

        Returns: the names.
        """
        records = self._caller.call(
            "containers.list", containers.List(without_spec=True), containers.Listing, timeout_s=timeout_s
        )
        used = {record.image for record in records.containers}
        removed = []
        for name in prunable(self.list(filters, timeout_s=timeout_s), used=used, everything=everything):
            if not dry:
                try:
                    self.delete(name, timeout_s=timeout_s)
                except errors.NotFound:
                    continue
            removed.append(name)
        return removed

    def unpack(self, name: str, *, snapshotter: str = "", platform: str = "", timeout_s: float | None = None) -> str:
        """Make an image's layers ready to run; returns the snapshot to prepare containers on. A no-op when done."""
        request = transfer.Unpack(image=name, snapshotter=snapshotter, platform=platform)
        unpacked = self._caller.follow("transfer.unpack", request, transfer.Unpacked, timeout_s=timeout_s)
        return unpacked.chain_id

    def commit(
        self,
        container: str,
        name: str,
        *,
        author: str = "",
        message: str = "",
        changes: Sequence[str] = (),
        compression: str = "gzip",
        source_date_epoch: int | None = None,
        labels: Mapping[str, str] | None = None,
        on_progress: Callable[[transfer.Progress], None] | None = None,
        timeout_s: float | None = None,
    ) -> transfer.Committed:
        """An image of what a container has changed, on top of its own image; see `wharfie.types.transfer.Commit`.

        Args:
            container: its id.
            name: of the image; one that has it loses it.
            author: for the image's configuration and history.
            message: the same.
            changes: instructions of a Dockerfile, such as `CMD ["sh"]`.
            compression: of the new layer: `gzip`, `zstd` or `none`.
            source_date_epoch: seconds; makes the same image of the same files.
            labels: of the image's record.
            on_progress: told what happens.
            timeout_s: for all of it.

        Raises:
            NotFound: there is no such container, or its image is gone.
        """
        request = transfer.Commit(
            container=container,
            name=name,
            author=author,
            message=message,
            changes=[*changes],
            compression=compression,
            source_date_epoch=source_date_epoch,
            labels=dict(labels or {}),
        )
        return self._caller.follow(
            "transfer.commit", request, transfer.Committed, on_progress=on_progress, timeout_s=timeout_s
        )


def prunable(images: Iterable[t.Image], *, used: Collection[str], everything: bool) -> builtins.list[str]:
    """The names of those that may go: not used, not pinned, without a tag or `everything`. Pure."""
    return [
        image.name
        for image in images
        if image.name not in used
        and image.labels.get(PINNED[0]) != PINNED[1]
        and (everything or ":" not in image.name.partition("@")[0].rpartition("/")[2])
    ]
