"""The one error that unpacking raises."""

from __future__ import annotations

import errno
from typing import Any

from wharfie.errors import Code

_RESOURCES = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EFBIG, errno.EMLINK}
)
_ARCHIVE = frozenset(
    {
        errno.ENAMETOOLONG,
        errno.ELOOP,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.ENOENT,
        errno.EEXIST,
        errno.EINVAL,
        errno.EXDEV,
        errno.E2BIG,
        errno.EOVERFLOW,
    }
)
_PERMISSION = frozenset({errno.EACCES, errno.EPERM})


NEEDS_PARENT = "needs_parent"
"""`details["reason"]` of an entry that may be right on top of the layers below, and cannot be applied without them."""


class UnpackError(Exception):
    """A layer could not be unpacked.

    `code` is one of the wire's: `invalid_argument` for an archive that is malformed, `data_loss` for a blob that is
    truncated or corrupt, `resource_exhausted` for a limit or a full disk, `unimplemented` for a compression that is
    not known here, `not_found`, `failed_precondition` and `permission_denied` for the file system's refusals.
    `details` holds msgpack values; `entry`, the name in the archive, with bytes that are not UTF-8 escaped.
    """

    def __init__(self, code: Code, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details: dict[str, Any] = details or {}


def shown(name: bytes) -> str:
    """Return a name of the archive as text for messages and details."""
    return name.decode("utf-8", "backslashreplace")


def from_os_error(error: OSError, entry: bytes | None = None) -> UnpackError:
    """Return the error for what the kernel refused, while it applied `entry` or worked on the layer as a whole."""
    number = error.errno or errno.EIO
    if number in _RESOURCES:
        code = Code.RESOURCE_EXHAUSTED
    elif number in _ARCHIVE and entry is not None:
        code = Code.INVALID_ARGUMENT
    elif number in _PERMISSION:
        code = Code.PERMISSION_DENIED
    elif number == errno.ENOENT:
        code = Code.NOT_FOUND
    elif number == errno.EIO:
        code = Code.DATA_LOSS
    else:
        code = Code.FAILED_PRECONDITION
    details: dict[str, Any] = {"errno": errno.errorcode.get(number, str(number))}
    reason = (error.strerror or str(error)).lower()
    if entry is None:
        path = f" '{error.filename}'" if isinstance(error.filename, str) else ""
        return UnpackError(code, f"layer cannot be unpacked{path}: {reason}", details)
    details["entry"] = shown(entry)
    return UnpackError(code, f"entry '{shown(entry)}' of the layer cannot be unpacked: {reason}", details)
