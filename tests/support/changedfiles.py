"""The files of a snapshot at a directory of the test, and everything that a container might do to them."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator

import wharfie
from linux import mount
from tests.support import trees

CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")
ACL = bytes.fromhex("0200000001000600ffffffff020006000500000004000400ffffffff10000600ffffffff20000400ffffffff")


@contextlib.contextmanager
def mounted(client: wharfie.Client, key: str, place: str, *options: str, snapshotter: str = "") -> Iterator[str]:
    """A snapshot's files at a directory, which is made; mounted with more options."""
    os.makedirs(place, exist_ok=True)
    mounts = client.snapshots.mounts(key, snapshotter=snapshotter)
    mount.mount_all([(one.type, one.source, one.target, (*one.options, *options)) for one in mounts], root=place)
    try:
        yield place
    finally:
        mount.umount(place)


def change_everything(root: str) -> None:
    """What a container might do to its files, some of each kind."""
    trees.grow(
        f"{root}/srv",
        {
            "app/data": os.urandom(100_000),
            "app/empty": b"",
            "app/link": "data",
            "app/pipe": stat.S_IFIFO,
            "app/null": stat.S_IFCHR,
            "app/" + "n" * 200: b"long",
            "app/" + "/".join(["deep" * 20] * 4): b"deep",
            "app/ü": b"umlaut",
            "app/\udcff\udc80": b"no text",
        },
        time_ns=1_700_000_000_000_000_000,
    )
    os.link(f"{root}/srv/app/data", f"{root}/srv/same")
    os.chown(f"{root}/srv/app/data", 70000, 80000)
    os.chmod(f"{root}/srv/app/data", 0o6755)
    os.setxattr(f"{root}/srv/app/data", "security.capability", CAPABILITY)
    os.setxattr(f"{root}/srv/app/empty", "system.posix_acl_access", ACL)
    os.unlink(f"{root}/etc/group")
    shutil.rmtree(f"{root}/root")
    with open(f"{root}/etc/passwd", "ab") as file:
        file.write(b"more:x:1:1::/:/bin/sh\n")
    os.chmod(f"{root}/tmp", 0o700)
