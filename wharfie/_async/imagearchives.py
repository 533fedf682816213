"""Images from archives and into archives, and images made of images."""

from __future__ import annotations

import builtins
import os
from collections.abc import Callable, Mapping, Sequence
from typing import IO, TYPE_CHECKING

import msgspec

from wharfie._async.base import Service, decoded
from wharfie._async.content import Content

if TYPE_CHECKING:
    # Each method imports what it needs: who runs a container need not wait for the types of archives.
    from wharfie.types import convert, export, transfer
    from wharfie.types.images import Image


class ImageArchives(Service):
    """Import, export and conversion."""

    async def import_(
        self,
        source: str | IO[bytes],
        *,
        names: Sequence[str] = (),
        base_name: str = "",
        digests: bool = False,
        unpack: bool = True,
        snapshotter: str = "",
        platform: str = "",
        all_platforms: bool = False,
        labels: Mapping[str, str] | None = None,
        on_progress: Callable[[transfer.Progress], None] | None = None,
        timeout_s: float | None = None,
    ) -> builtins.list[Image]:
        """Images from an OCI layout (an archive or a directory) or a docker archive.

        Args:
            source: a path (the daemon opens it) or a binary stream (its bytes are sent).
            names: replaces the archive's names, when it holds one image.
            base_name: prefix for images named only by a tag.
            digests: give each image the name `REPOSITORY@DIGEST`, too.
            unpack: make the layers ready to run.
            snapshotter: which one; empty is the daemon's default.
            platform: `os/arch`; empty is this machine's.
            all_platforms: keep the content of every platform.
            labels: of the images' records.
            on_progress: told what happens.
            timeout_s: for all of it.
        """
        from wharfie.types import transfer

        path = ref = ""
        if isinstance(source, str):
            # The daemon has another working directory.
            path = os.path.abspath(source)
        else:
            ref = await Content(self._caller).upload(source)
        request = transfer.Import(
            path=path,
            ref=ref,
            names=[*names],
            base_name=base_name,
            digests=digests,
            unpack=unpack,
            snapshotter=snapshotter,
            platform=platform,
            all_platforms=all_platforms,
            labels=dict(labels or {}),
        )
        imported = await self._caller.follow(
            "transfer.import", request, transfer.Imported, on_progress=on_progress, timeout_s=timeout_s
        )
        return imported.images

    async def export(
        self,
        names: str | Sequence[str],
        output: str | IO[bytes],
        *,
        platforms: Sequence[str] = (),
        all_platforms: bool = False,
        skip_missing: bool = False,
        skip_manifest_json: bool = False,
        skip_non_distributable: bool = False,
        on_progress: Callable[[transfer.Progress], None] | None = None,
        timeout_s: float | None = None,
    ) -> export.Exported:
        """Images as an archive; see `wharfie.types.export.Export`.

        Args:
            names: of the images.
            output: a file's path (the daemon writes it) or a binary stream (its bytes come here).
            platforms: `os/arch`; with none this machine's.
            all_platforms: everything that the images list.
            skip_missing: leave out manifests of which not everything is here.
            skip_manifest_json: leave out what only Docker reads.
            skip_non_distributable: leave out layers that may not be passed on.
            on_progress: told how far it is.
            timeout_s: for all of it.

        Raises:
            NotFound: no such image, not for this platform, or a blob that is wanted is missing.
        """
        from wharfie.types import export, transfer

        request = export.Export(
            images=[names] if isinstance(names, str) else [*names],
            path=os.path.abspath(output) if isinstance(output, str) else "",
            platforms=[*platforms],
            all_platforms=all_platforms,
            skip_missing=skip_missing,
            skip_manifest_json=skip_manifest_json,
            skip_non_distributable=skip_non_distributable,
        )
        result: list[bytes] = []
        async for item, data in self._caller.stream(
            "transfer.export",
            request,
            export.Exporting,
            resume=_behind,
            on_result=result.append,
            timeout_s=timeout_s,
        ):
            if len(data) and not isinstance(output, str):
                output.write(data)
            if on_progress is not None:
                on_progress(transfer.Progress(event="exporting", name=request.path, done=item.done, total=item.total))
        return decoded(result[0], export.Exported, "transfer.export")

    async def convert(
        self,
        source: str,
        name: str,
        *,
        platforms: Sequence[str] = (),
        all_platforms: bool = False,
        oci: bool = False,
        compression: str = "",
        labels: Mapping[str, str] | None = None,
        on_progress: Callable[[transfer.Progress], None] | None = None,
        timeout_s: float | None = None,
    ) -> convert.Converted:
        """An image with the same files in another form; see `wharfie.types.convert.Convert`.

        Args:
            source: an image's name.
            name: of the new one.
            platforms: `os/arch`; with none this machine's.
            all_platforms: everything that the image lists.
            oci: media types of OCI instead of Docker's.
            compression: `gzip`, `zstd` or `none`; empty leaves layers as they are.
            labels: of the new image's record, besides those of the source.
            on_progress: told what happens.
            timeout_s: for all of it.

        Raises:
            NotFound: no such image, not for this platform, or a blob of it is missing.
        """
        from wharfie.types import convert

        request = convert.Convert(
            source=source,
            name=name,
            platforms=[*platforms],
            all_platforms=all_platforms,
            oci=oci,
            compression=compression,
            labels=dict(labels or {}),
        )
        return await self._caller.follow(
            "transfer.convert", request, convert.Converted, on_progress=on_progress, timeout_s=timeout_s
        )


def _behind(request: export.Export, item: export.Exporting, size: int) -> export.Export:
    """A stream that carries bytes goes on behind them; into a file it begins anew."""
    if not size:
        return request
    return msgspec.structs.replace(request, offset=request.offset + size, archive=item.archive)
