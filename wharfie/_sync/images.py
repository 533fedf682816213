# Made from wharfie/_async/images.py by scripts/unasync.py; change that file and run it again.
"""`client.images`: names for content, and images from archives."""

from __future__ import annotations

import builtins
import os
import platform as host
from collections.abc import Callable, Mapping, Sequence
from typing import IO

from wharfie import errors
from wharfie._sync.base import UNSET, Service, decoded
from wharfie._sync.content import Content
from wharfie.oci.image_config import ImageConfig, decode_image_config
from wharfie.oci.manifest import Index, Manifest, decode_document
from wharfie.types import images as t
from wharfie.types import transfer
from wharfie.types.base import Descriptor

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "riscv64": "riscv64", "ppc64le": "ppc64le"}


class Images(Service):
    """The images of a namespace."""

    def get(self, name: str, *, timeout_s: float | None = UNSET) -> t.Image:
        """An image by name.

        Raises:
            NotFound: no image has this name; `import` or `tag` one first.
        """
        return self._caller.call("images.get", t.Get(name=name), t.Image, timeout_s=timeout_s)

    def list(self, filters: Sequence[str] = (), *, timeout_s: float | None = UNSET) -> builtins.list[t.Image]:
        """All images that match any filter, by name."""
        return (self._caller.call("images.list", t.List(filters=[*filters]), t.Listing, timeout_s=timeout_s)).images

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

    def delete(self, name: str, *, timeout_s: float | None = UNSET) -> None:
        """Delete a name; the content goes when nothing needs it any more."""
        self._caller.tell("images.delete", t.Delete(name=name), timeout_s=timeout_s)

    def import_(
        self,
        source: str | IO[bytes],
        *,
        names: Sequence[str] = (),
        base_name: str = "",
        unpack: bool = True,
        snapshotter: str = "",
        platform: str = "",
        all_platforms: bool = False,
        on_progress: Callable[[transfer.Progress], None] | None = None,
        timeout_s: float | None = None,
    ) -> builtins.list[t.Image]:
        """Images from an OCI layout or docker archive.

        Args:
            source: a file's path (the daemon opens it) or a binary stream (its bytes are sent).
            names: replaces the archive's names, when it holds one image.
            base_name: prefix for images named only by a tag.
            unpack: make the layers ready to run.
            snapshotter: which one; empty is the daemon's default.
            platform: `os/arch`; empty is this machine's.
            all_platforms: keep the content of every platform.
            on_progress: told what happens.
            timeout_s: for all of it.
        """
        path = ref = ""
        if isinstance(source, str):
            # The daemon has another working directory.
            path = os.path.abspath(source)
        else:
            ref = Content(self._caller).upload(source)
        request = transfer.Import(
            path=path,
            ref=ref,
            names=[*names],
            base_name=base_name,
            unpack=unpack,
            snapshotter=snapshotter,
            platform=platform,
            all_platforms=all_platforms,
        )
        result: list[bytes] = []
        for progress, _ in self._caller.stream(
            "transfer.import", request, transfer.Progress, on_result=result.append, timeout_s=timeout_s
        ):
            if on_progress is not None:
                on_progress(progress)
        return decoded(result[0], transfer.Imported, "transfer.import").images

    def unpack(self, name: str, *, snapshotter: str = "", platform: str = "", timeout_s: float | None = None) -> str:
        """Make an image's layers ready to run; returns the snapshot to prepare containers on. A no-op when done."""
        request = transfer.Unpack(image=name, snapshotter=snapshotter, platform=platform)
        result: list[bytes] = []
        for _ in self._caller.stream(
            "transfer.unpack", request, transfer.Progress, on_result=result.append, timeout_s=timeout_s
        ):
            pass
        return decoded(result[0], transfer.Unpacked, "transfer.unpack").chain_id

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
        result: list[bytes] = []
        for progress, _ in self._caller.stream(
            "transfer.commit", request, transfer.Progress, on_result=result.append, timeout_s=timeout_s
        ):
            if on_progress is not None:
                on_progress(progress)
        return decoded(result[0], transfer.Committed, "transfer.commit")

    def manifest(self, name: str, *, platform: str = "", timeout_s: float | None = UNSET) -> Manifest:
        """An image's manifest for a platform (`os/arch`; empty is this machine's).

        Raises:
            NotFound: no such image, or not for this platform.
        """
        image = self.get(name, timeout_s=timeout_s)
        content = Content(self._caller)
        digest = image.target.digest
        for _ in range(4):
            document = decode_document(content.read(digest, timeout_s=timeout_s))
            if isinstance(document, Manifest):
                return document
            digest = _choose(document, platform, name)
        raise errors.FailedPrecondition(f"image '{name}' nests indexes deeper than 4 levels")

    def config(self, name: str, *, platform: str = "", timeout_s: float | None = UNSET) -> ImageConfig:
        """An image's configuration."""
        manifest = self.manifest(name, platform=platform, timeout_s=timeout_s)
        return decode_image_config(Content(self._caller).read(manifest.config.digest, timeout_s=timeout_s))


def this_platform() -> str:
    """`os/arch` of this machine in OCI's names."""
    machine = host.machine()
    return f"linux/{_ARCHITECTURES.get(machine, machine)}"


def _choose(index: Index, platform: str, name: str) -> str:
    wanted = platform or this_platform()
    system, _, rest = wanted.partition("/")
    architecture, _, variant = rest.partition("/")
    unknown = ""
    for entry in index.manifests:
        if entry.platform is None:
            unknown = unknown or entry.digest
        elif (
            entry.platform.os == system
            and entry.platform.architecture == architecture
            and (not variant or entry.platform.variant == variant)
        ):
            return entry.digest
    if unknown:
        return unknown
    raise errors.NotFound(f"image '{name}' has no manifest for platform '{wanted}'", details={"platform": wanted})
