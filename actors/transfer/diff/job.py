"""What runs in the job that compares two trees. It mounts them for itself alone, then locks itself in and reads."""

from __future__ import annotations

import os
from collections.abc import Sequence

from actors.jobs import JobReport, serve
from actors.transfer.diff.messages import Compared, CompareJob, FoundChange
from linux import mount
from linux.capabilities import Capability
from wharfie import failpoint
from wharfie.errors import FailedPrecondition, InvalidArgument, NotFound
from wharfie.types.base import Mount


def compare(args: bytes, fds: list[int]) -> None:
    """Target of the job; the descriptor, if there is one, is the file that becomes the layer."""
    serve(args, fds, CompareJob, _compare)


def _compare(request: CompareJob, fds: list[int], report: JobReport) -> Compared:
    from actors.transfer.diff import owners
    from actors.transfer.diff.compare import Comparison, NeedsMergedView
    from actors.transfer.diff.layerwriter import LayerWriter
    from actors.transfer.diff.sink import Sink
    from actors.transfer.diff.treeside import TreeSide
    from actors.transfer.unpack import sandbox

    failpoint.hit("transfer.job.diff")
    sides = request.sides
    sandbox.isolate()
    sandbox.cover(request.place)
    lower_fd = _shown(sides.lower, f"{request.place}/lower") if sides.lower else -1
    if sides.upper_directory:
        upper_fd = _opened(sides.upper_directory)
    else:
        upper_fd = _shown(sides.upper, f"{request.place}/upper")
    overlay = sides.prefix if sides.upper_directory else ""
    # Overlay's own attributes are told only to who may administer.
    keep = {Capability.DAC_READ_SEARCH, *([Capability.SYS_ADMIN] if overlay.startswith("trusted.") else [])}
    sandbox.seal(keep)
    upper = TreeSide(upper_fd)
    try:
        changes = Comparison(TreeSide(lower_fd) if lower_fd >= 0 else None, upper, overlay=overlay).changes()
    except NeedsMergedView:
        return Compared(needs_merge=True)
    if not fds:
        return Compared(changes=[FoundChange(kind=change.kind, path=change.path) for change in changes])
    with Sink(fds[0], request.compression) as sink:
        owner = owners.inside(sides.uids, sides.gids)
        writer = LayerWriter(upper, sink, latest_ns=request.latest_ns, progress=report.progress, owner=owner)
        writer.write(changes)
        written = sink.finish()
    return Compared(digest=written.digest, size=written.size, diff_id=written.diff_id, diff_size=written.diff_size)


def _shown(mounts: Sequence[Mount], place: str) -> int:
    """Mount a list at a new directory and open what it shows."""
    os.mkdir(place, 0o700)
    mount_at(mounts, place)
    return _opened(place)


def mount_at(mounts: Sequence[Mount], place: str) -> None:
    """Mount a list at a directory.

    Raises:
        InvalidArgument: an option that is not supported.
        NotFound: a source is not there.
        FailedPrecondition: the kernel refused.
    """
    try:
        mount.mount_all([(one.type, one.source, one.target, tuple(one.options)) for one in mounts], root=place)
    except ValueError as error:
        raise InvalidArgument(f"mounts cannot be made: {error}", details={"field": "mounts"}) from None
    except OSError as error:
        kind = NotFound if isinstance(error, FileNotFoundError) else FailedPrecondition
        what = ", ".join(f"{one.type} '{one.source}'" for one in mounts)
        reason = (error.strerror or str(error)).lower()
        raise kind(f"mounts of {what} cannot be made: {reason}", details={"field": "mounts"}) from None


def _opened(path: str) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
