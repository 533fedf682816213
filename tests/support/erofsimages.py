"""Images of layers for tests: made, checked by fsck.erofs, mounted for real and described whole."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import subprocess
from collections.abc import Iterator

from actors.snapshot.erofs.job import uuid_of
from actors.snapshot.erofs.layer import LayerImage
from actors.snapshot.erofs.mounts import mount_image
from actors.transfer.unpack.layer import apply_entries
from actors.transfer.unpack.layerstream import LayerStream
from actors.transfer.unpack.limits import Limits
from linux import mount

OPAQUE = "trusted.overlay.opaque"

Described = dict[bytes, tuple[object, ...]]


def make(path: str, layer: bytes, *, bounds: Limits | None = None) -> list[bytes]:
    """Make an image of an archive; returns the implicit directories."""
    with open(f"{path}.layer", "wb") as file:
        file.write(layer)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    blob = os.open(f"{path}.layer", os.O_RDONLY)
    try:
        with LayerStream(blob, media_type="", bounds=bounds or Limits()) as stream:
            image = LayerImage(fd, opaque_xattr=OPAQUE, bounds=bounds or Limits())
            apply_entries(stream, image, None)
            return image.finish(uuid=uuid_of(stream.diff_id))
    finally:
        os.close(blob)
        os.close(fd)


def check(path: str) -> None:
    """Have erofs-utils check the image."""
    done = subprocess.run(["fsck.erofs", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stderr, done.stderr


@contextlib.contextmanager
def mounted(path: str) -> Iterator[str]:
    """The directory where the image is mounted."""
    place = f"{path}.mounted"
    os.makedirs(place, exist_ok=True)
    mount_image(path, place)
    try:
        yield place
    finally:
        mount.umount(place)


def described(root: str) -> Described:
    """All that a layer says, by path; of a whiteout nothing but that it is one. The root only tells its attributes."""
    found: Described = {b"": (_xattrs(os.fsencode(root)),)}
    inodes: dict[tuple[int, int], bytes] = {}
    for parent, directories, files in os.walk(os.fsencode(root)):
        directories.sort()  # the order in which they are gone into
        for name in sorted((*directories, *files)):
            path = os.path.join(parent, name)
            relative = os.path.relpath(path, os.fsencode(root))
            found[relative] = _described(path, relative, inodes)
    return found


def _described(path: bytes, relative: bytes, inodes: dict[tuple[int, int], bytes]) -> tuple[object, ...]:
    status = os.lstat(path)
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFCHR and status.st_rdev == 0:
        return ("whiteout",)
    content: object = None
    links: object = None
    if kind == stat.S_IFREG:
        with open(path, "rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
    elif kind == stat.S_IFLNK:
        content = os.readlink(path)
    if kind != stat.S_IFDIR:
        links = (status.st_nlink, inodes.setdefault((status.st_dev, status.st_ino), relative))
    return (
        oct(status.st_mode),
        status.st_uid,
        status.st_gid,
        status.st_rdev,
        status.st_size if kind == stat.S_IFREG else None,
        status.st_mtime_ns,
        content,
        links,
        _xattrs(path),
    )


_MTIME = 5


def without_times_of_unset(image: Described, other: Described) -> Described:
    """The other one, with the times of directories for which no entry gave one; in an image these are 1970."""
    result = dict(other)
    for path, said in image.items():
        if len(said) > _MTIME and said[_MTIME] == 0 and path in other and len(other[path]) > _MTIME:
            result[path] = (*other[path][:_MTIME], 0, *other[path][_MTIME + 1 :])
    return result


def _xattrs(path: bytes) -> dict[str, bytes]:
    return {name: os.getxattr(path, name, follow_symlinks=False) for name in os.listxattr(path, follow_symlinks=False)}
