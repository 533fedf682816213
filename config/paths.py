"""Where everything of the daemon lies, derived from the settings, and the making of the top directories.

    root/                       0700  what outlives a reboot
      wharfied.lock                   held while a daemon runs (config/lock.py)
      uuid                            the server's id
      metadata.db                     the database of names
      content/blobs/<alg>/<hex>       blobs; content/ingest/ what is being written
      snapshots/<snapshotter>/        directories of snapshots
      tmpmounts/                0700  mounts that live as long as one operation
    state/                      0711  what does not; traversable, for processes in user namespaces
      wharfie.sock                    the clients' socket
      i/backend.sock            0700  where workers meet the router
      s/<hash>                  0700  the shims' sockets
      tasks/<namespace>/<id>/   0711  bundles
      runc/<namespace>/         0700  the runtime's own state

Owner of this module: names only. Who owns a file's content is in the design of that file's process.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

import msgspec

from config.settings import Settings

ROOT_MODE = 0o700
STATE_MODE = 0o711
PRIVATE_MODE = 0o700

SHIM_SOCKET_NAME_BYTES = 24


class Paths(msgspec.Struct, frozen=True, kw_only=True):
    """Every fixed path, absolute, as text."""

    root: str
    state: str
    temp: str
    lock: str
    uuid: str
    database: str
    content: str
    snapshots: str
    temporary_mounts: str
    socket: str
    internal: str
    backend_socket: str
    shim_sockets: str
    tasks: str
    runc_root: str

    @classmethod
    def of(cls, settings: Settings) -> Paths:
        """Return the paths for complete settings (as `load` returns them). Pure."""
        root, state = settings.root, settings.state
        return cls(
            root=root,
            state=state,
            temp=settings.temp,
            lock=f"{root}/wharfied.lock",
            uuid=f"{root}/uuid",
            database=f"{root}/metadata.db",
            content=f"{root}/content",
            snapshots=f"{root}/snapshots",
            temporary_mounts=f"{root}/tmpmounts",
            socket=settings.router.address,
            internal=f"{state}/i",
            backend_socket=f"{state}/i/backend.sock",
            shim_sockets=settings.shim.address,
            tasks=f"{state}/tasks",
            runc_root=settings.shim.runc_root,
        )

    def snapshotter(self, name: str) -> str:
        """Return the directory of one snapshotter."""
        return f"{self.snapshots}/{name}"

    def bundle(self, namespace: str, container_id: str) -> str:
        """Return a task's bundle; both names were validated at the worker's door."""
        return f"{self.tasks}/{namespace}/{container_id}"

    def shim_socket(self, *, namespace: str, group: str) -> str:
        """Return the socket of the shim for a container or a group of containers.

        The name is a hash, because the whole path has to fit 107 bytes whatever the names are; the state directory
        is part of it, so that two daemons with one directory of shims do not meet.
        """
        import base64  # only the runtime worker names shims; libcrypto is not for every process
        import hashlib

        digest = hashlib.sha256(f"{self.state}\0{namespace}\0{group}".encode()).digest()
        return f"{self.shim_sockets}/{base64.b32encode(digest).decode()[:SHIM_SOCKET_NAME_BYTES].lower()}"


def create_top_directories(paths: Paths) -> tuple[str, ...]:
    """Create root, state and the directories that several processes use, each with its mode.

    Idempotent; a mode that is too wide is narrowed. A chmod that is refused (the directory belongs to another user, as
    in a user namespace) is not fatal. `root` and `state` may be symbolic links, what lies in them may not.
    Returns: sentences for the log, one for each mode that could not be set.
    Raises: OSError naming the directory.
    """
    warnings: list[str] = []
    for path, mode in ((paths.root, ROOT_MODE), (paths.state, STATE_MODE), (paths.temp, PRIVATE_MODE)):
        if path:
            os.makedirs(path, mode=mode, exist_ok=True)
            warnings += _set_mode(path, mode, follow=True)
    os.makedirs(os.path.dirname(paths.socket), mode=STATE_MODE, exist_ok=True)
    for path, mode in (
        (paths.temporary_mounts, PRIVATE_MODE),
        (paths.internal, PRIVATE_MODE),
        (paths.shim_sockets, PRIVATE_MODE),
        (paths.tasks, STATE_MODE),
        (paths.runc_root, PRIVATE_MODE),
    ):
        os.makedirs(os.path.dirname(path), mode=STATE_MODE, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, mode)
        warnings += _set_mode(path, mode, follow=False)
    return tuple(warnings)


def _set_mode(path: str, mode: int, *, follow: bool) -> list[str]:
    """Set a directory's permission bits through a descriptor, so that nobody swaps it in between."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW))
    try:
        if stat.S_IMODE(os.fstat(fd).st_mode) == mode:
            return []
        os.fchmod(fd, mode)
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.EROFS}:
            raise OSError(error.errno, error.strerror, path) from None
        return [f"mode of directory '{path}' stays as it is, wanted {mode:#o}: {error.strerror}"]
    finally:
        os.close(fd)
    return []
