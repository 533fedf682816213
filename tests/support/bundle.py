"""Root file systems and bundles for tests that run real containers: busybox on tmpfs."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache

from linux.mountinfo import read as read_mounts

BUSYBOX = "/bin/busybox"
TMPFS = "/dev/shm"

APPLETS = [
    "sh",
    "true",
    "false",
    "echo",
    "cat",
    "sleep",
    "id",
    "kill",
    "env",
    "pwd",
    "head",
    "tail",
    "ls",
    "touch",
    "mount",
    "hostname",
    "wc",
    "dd",
    "seq",
    "sync",
    "stat",
    "nc",
    "unshare",
    "grep",
    "readlink",
    "mkdir",
    "rm",
    "tee",
    "yes",
    "test",
]
PASSWD = b"root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:an app:/home/app:/bin/sh\n"
GROUP = b"root:x:0:\nwheel:x:10:root,app\nstaff:x:50:app\napps:x:1001:\n"


@contextlib.contextmanager
def temporary_directory(prefix: str = "wharfie-test-") -> Iterator[str]:
    """A directory on tmpfs, gone afterwards."""
    path = tempfile.mkdtemp(prefix=prefix, dir=TMPFS)
    try:
        yield path
    finally:
        shutil.rmtree(path)


def make_rootfs(path: str) -> str:
    """A busybox root file system at `path`, which must not exist; returns it."""
    for directory in ("bin", "etc", "proc", "dev", "sys", "tmp", "root", "home/app"):
        os.makedirs(f"{path}/{directory}")
    os.chmod(f"{path}/tmp", 0o1777)
    shutil.copy(BUSYBOX, f"{path}/bin/busybox")
    for applet in APPLETS:
        os.symlink("busybox", f"{path}/bin/{applet}")
    with open(f"{path}/etc/passwd", "wb") as file:
        file.write(PASSWD)
    with open(f"{path}/etc/group", "wb") as file:
        file.write(GROUP)
    with open(f"{path}/etc/not-executable", "wb") as file:
        file.write(b"#!/bin/sh\n")
    return path


@cache
def has_runc() -> bool:
    """Whether containers can be run here."""
    return os.geteuid() == 0 and shutil.which("runc") is not None and os.path.exists(BUSYBOX)


def remove_cgroups(namespace: str) -> None:
    """Remove what a runtime leaves of a namespace's control groups: their empty parents, in every hierarchy."""
    for mount in read_mounts():
        if mount.fstype in {"cgroup", "cgroup2"}:
            for directory in (f"{mount.mountpoint}/wharfie/{namespace}", f"{mount.mountpoint}/wharfie"):
                with contextlib.suppress(OSError):
                    os.rmdir(directory)
