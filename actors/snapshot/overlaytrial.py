"""Whether overlay works in a directory, and what this kernel wants of its mounts: tried, once, at start."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence

from actors.plugins.context import SkipPlugin
from actors.snapshot.removal import remove_tree
from linux import mount
from linux.namespaces import in_user_namespace

log = logging.getLogger("snapshot")

_INDEX_PARAMETER = "/sys/module/overlay/parameters/index"


def quoted(directory: str) -> str:
    """A lower directory as an option: a colon separates them, so one in a path is quoted."""
    return directory.replace(":", "\\:")


def kernel_options(root: str) -> list[str]:
    """Try overlay on this directory, and tell the options that every mount needs in this kernel.

    Raises:
        SkipPlugin: with what the kernel said.
    """
    options = ["userxattr"] if in_user_namespace() else []
    _try_mount(root, options)
    # Asked after the try, which loads the module. With an index, layers that were copied or moved are refused as stale.
    if os.path.exists(_INDEX_PARAMETER):
        options.insert(0, "index=off")
    return options


def can_map(root: str) -> bool:
    """Whether overlay takes lower directories of this file system that are seen with other owners."""
    trial = f"{root}/new-mapped-{os.getpid()}-{threading.get_ident()}"
    for name in ("", "/one", "/two", "/merged"):
        os.mkdir(trial + name, 0o700)
    try:
        mount.mount_one(
            "overlay",
            f"{trial}/merged",
            fstype="overlay",
            options=["uidmap=0:1:1", "gidmap=0:1:1", f"lowerdir={quoted(trial)}/one:{quoted(trial)}/two"],
        )
    except OSError as error:
        log.info("owners of layers cannot be mapped in '%s': %s", root, error)
        return False
    else:
        mapped = os.stat(f"{trial}/merged").st_uid == 1
        mount.umount(f"{trial}/merged")
        return mapped
    finally:
        remove_tree(trial)


def _try_mount(root: str, options: Sequence[str]) -> None:
    trial = f"{root}/new-trial-{os.getpid()}"
    for name in ("", "/lower", "/upper", "/work", "/merged"):
        os.mkdir(trial + name, 0o700)
    try:
        if not _tells_file_types(trial):
            raise SkipPlugin(f"the file system of '{root}' does not tell file types (xfs: make it with ftype=1)")
        directories = f"lowerdir={quoted(trial)}/lower,upperdir={trial}/upper,workdir={trial}/work"
        try:
            mount.mount("overlay", f"{trial}/merged", fstype="overlay", data=",".join([*options, directories]))
        except OSError as error:
            raise SkipPlugin(f"overlay cannot be mounted on '{root}': {error.strerror}") from None
        mount.umount(f"{trial}/merged")
    finally:
        remove_tree(trial)


def _tells_file_types(directory: str) -> bool:
    """Whether reading a directory tells the type of its entries."""
    probe = f"{directory}/probe"
    os.mkdir(probe)
    with os.scandir(directory) as entries:
        entry = next(entry for entry in entries if entry.name == "probe")
    os.rmdir(probe)
    # Python hides d_type; but of an entry that is gone only d_type still knows what it was.
    return entry.is_dir(follow_symlinks=False)
