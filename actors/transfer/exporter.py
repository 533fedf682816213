"""Carrying out an export: choose what of the images is wanted, then write it into a file or hand it to the client.

Everything is held by a lease meanwhile. A request whose worker died is made again: into a file it begins anew, since
the file has no name before it is whole; a stream goes on at its offset, since the same images make the same bytes.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from actors.call import Call
from actors.transfer.archivepieces import Named, Piece, archive, name_of
from actors.transfer.archivereader import ArchiveReader
from actors.transfer.imagetree import Choice, Chooser
from actors.transfer.leasing import hold, leased
from actors.transfer.operations import Report
from actors.transfer.resolver import Resolver
from actors.worker import Worker
from config.paths import Paths
from wharfie import failpoint
from wharfie.errors import Aborted, InvalidArgument, NotFound, PermissionDenied
from wharfie.identifiers import check_count, check_name
from wharfie.oci import descriptor as oci
from wharfie.oci import platforms
from wharfie.types import images
from wharfie.types.export import Export, Exported
from wharfie.types.images import Image
from wharfie.types.transfer import Progress

CHUNK_BYTES = 512 * 1024
"""Bytes of an item; a client that does not read has a few dozen of them waiting here, and no more."""


@dataclass(frozen=True, kw_only=True)
class Ready:
    """An archive that can be written.

    Attributes:
        name: tells it from archives with other bytes.
    """

    pieces: list[Piece]
    images: list[str]
    size: int
    name: str


class Exporter:
    """Exports images."""

    def __init__(self, worker: Worker, *, paths: Paths) -> None:
        self._worker = worker
        self._resolver = Resolver(worker, paths=paths)

    async def to_file(self, call: Call, request: Export, report: Report) -> Exported:
        """See `wharfie.types.export.Export`; with a `path`. Idempotent.

        Raises:
            InvalidArgument: the path is none of a file, or a name or platform is wrong.
            NotFound: an image, a platform of it, a blob that is wanted or the file's directory is not there.
            PermissionDenied: the daemon may not write there.
        """
        check_path(request.path)
        async with self.ready(call, request) as found:
            report(Progress(event="exporting", name=request.path, total=found.size))
            with _Output(request.path) as output, ArchiveReader(found.pieces, self._open) as reader:
                while await self._worker.blocking(reader.copy_some, output.fd):
                    report(Progress(event="exporting", name=request.path, done=reader.position, total=found.size))
                failpoint.hit("transfer.export.written")
                # The caller's, as if it had written it; -1 (nobody knows, over TCP) leaves it ours.
                await self._worker.blocking(output.place, (call.uid, call.gid))
        failpoint.hit("transfer.export.placed")
        return Exported(images=found.images, size=found.size)

    async def stream(self, call: Call, request: Export) -> AsyncIterator[tuple[bytes, Ready, int]]:
        """The next bytes, the archive they are of, and how many came so far. Raises as `to_file`.

        Raises:
            Aborted: the images are others than when the stream began.
        """
        offset = check_count(request.offset, field="offset")
        async with self.ready(call, request) as found:
            if request.archive and request.archive != found.name:
                raise Aborted(
                    "the images changed while they were exported; export them again", details={"reason": "changed"}
                )
            with ArchiveReader(found.pieces, self._open, offset=offset) as reader:
                while data := await self._worker.blocking(reader.read, CHUNK_BYTES):
                    failpoint.hit("transfer.export.chunk")
                    yield data, found, reader.position

    @contextlib.asynccontextmanager
    async def ready(self, call: Call, request: Export) -> AsyncIterator[Ready]:
        """The archive that a request asks for, its content held by a lease."""
        if not request.images:
            raise InvalidArgument("nothing to export: give the name of an image", details={"field": "images"})
        for name in request.images:
            check_name(name, field="images")
        wanted = [platforms.parse(text) for text in request.platforms]
        choice = Choice(
            wanted=wanted,
            all_platforms=request.all_platforms,
            skip_missing=request.skip_missing,
            skip_foreign=request.skip_non_distributable,
        )
        chooser = Chooser(source=self._resolver.source(call.namespace), choice=choice)
        async with leased(self._worker, call) as lease:
            named: list[Named] = []
            for name in dict.fromkeys(request.images):
                get = images.Get(name=name)
                image = await self._worker.call("images.get", get, Image, namespace=call.namespace)
                await hold(self._worker, call.namespace, lease.id, "content", image.target.digest)
                named.append(Named(name, await chooser.tree(descriptor_of(image), name=name)))
            pieces = archive(
                named,
                wanted=wanted[0] if wanted else platforms.host(),
                with_docker=not request.skip_manifest_json,
            )
            yield Ready(
                pieces=pieces,
                images=[image.name for image in named],
                size=sum(piece.size for piece in pieces),
                name=name_of(pieces),
            )

    def _open(self, digest: str) -> int:
        return self._resolver.open_blob(digest)[0]


def descriptor_of(image: Image) -> oci.Descriptor:
    """What an image stands for, in the words of the specification."""
    target = image.target
    return oci.Descriptor(
        media_type=target.media_type,
        digest=target.digest,
        size=target.size,
        annotations=dict(target.annotations) or None,
    )


def check_path(path: str) -> None:
    """Pass when a file can stand there, as far as its name tells.

    Raises:
        InvalidArgument: it is relative, or something that is no file is there.
    """
    if not os.path.isabs(path) or "\0" in path or path.endswith("/"):
        raise InvalidArgument(f"path '{path[:256]}' is not the absolute path of a file", details={"field": "path"})
    with contextlib.suppress(OSError):
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise InvalidArgument(
                f"'{path}' is no regular file; export without 'path' and write there what comes",
                details={"field": "path"},
            )


class _Output:
    """A file in the directory of `path` that is gone when it is closed, unless `place` gave it its name."""

    def __init__(self, path: str) -> None:
        directory, self._name = os.path.split(path)
        with contextlib.ExitStack() as opened:
            try:
                self._directory = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
                opened.callback(os.close, self._directory)
                self.fd = os.open(directory, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o644)
            except (FileNotFoundError, NotADirectoryError):
                raise NotFound(f"directory '{directory}' not found", details={"field": "path"}) from None
            except PermissionError:
                raise PermissionDenied(
                    f"the daemon may not write into directory '{directory}'", details={"field": "path"}
                ) from None
            except OSError as error:
                raise InvalidArgument(
                    f"file '{path}' cannot be written: {(error.strerror or str(error)).lower()};"
                    " export without 'path' and write there what comes",
                    details={"field": "path"},
                ) from None
            opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self.fd)
        os.close(self._directory)

    def place(self, owner: tuple[int, int]) -> None:
        """Give the file its name; whoever opens that has the old file or the new one, whole."""
        os.fchown(self.fd, *owner)
        try:
            self._link(self._name)
        except FileExistsError:
            beside = f".{self._name[:200]}.{os.urandom(4).hex()}"
            self._link(beside)
            try:
                os.rename(beside, self._name, src_dir_fd=self._directory, dst_dir_fd=self._directory)
            except OSError:
                os.unlink(beside, dir_fd=self._directory)
                raise

    def _link(self, name: str) -> None:
        # With a directory's descriptor it is linkat, which alone follows the link to the file that is open.
        os.link(f"/proc/self/fd/{self.fd}", name, dst_dir_fd=self._directory, follow_symlinks=True)
