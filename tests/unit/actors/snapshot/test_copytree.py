"""Copies that nobody can tell from the original."""

from __future__ import annotations

import os
import stat
import subprocess

import pytest

from actors.snapshot.copytree import copy_tree
from actors.snapshot.diskusage import measure
from linux import descriptors


def describe(root: str) -> dict[str, object]:
    """Everything that the copy has to keep, by path."""
    found: dict[str, object] = {}
    links: dict[int, str] = {}
    for directory, directories, files in os.walk(root):
        directories.sort()
        for name in [".", *directories, *sorted(files)]:
            path = os.path.normpath(f"{directory}/{name}")
            status = os.lstat(path)
            content: object = None
            if stat.S_ISREG(status.st_mode):
                with open(path, "rb") as file:
                    content = file.read()
            elif stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            elif not stat.S_ISDIR(status.st_mode):
                content = status.st_rdev
            relative = os.path.relpath(path, root)
            found[relative] = (
                oct(status.st_mode),
                status.st_uid,
                status.st_gid,
                status.st_mtime_ns,
                status.st_nlink,
                links.setdefault(status.st_ino, relative),
                content,
                {
                    name: os.getxattr(path, name, follow_symlinks=False)
                    for name in os.listxattr(path, follow_symlinks=False)
                },
            )
    return found


def build(tree: str) -> None:
    os.makedirs(f"{tree}/bin/deep/er", 0o700)
    os.chmod(f"{tree}/bin", 0o2775)
    os.chown(f"{tree}/bin/deep", 12, 34)
    os.mkdir(f"{tree}/closed", 0)
    with open(f"{tree}/bin/tool", "wb") as file:
        file.write(os.urandom(100_000))
    os.chown(f"{tree}/bin/tool", 7, 8)
    os.chmod(f"{tree}/bin/tool", 0o4755)
    # cap_net_raw+ep, as a file capability of revision 2 stores it (linux/capability.h)
    os.setxattr(f"{tree}/bin/tool", "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
    os.setxattr(f"{tree}/bin", "trusted.overlay.opaque", b"y")
    os.link(f"{tree}/bin/tool", f"{tree}/bin/deep/er/same")
    os.symlink("/nowhere", f"{tree}/link")
    os.lchown(f"{tree}/link", 5, 6)
    os.mkfifo(f"{tree}/fifo", 0o640)
    os.mknod(f"{tree}/whiteout", stat.S_IFCHR, os.makedev(0, 0))
    os.mknod(f"{tree}/socket", stat.S_IFSOCK | 0o600)
    with open(f"{tree}/empty", "wb"):
        pass
    with open(f"{tree}/sparse", "wb") as sparse:
        sparse.seek(10 << 20)
        sparse.write(b"data in the middle")
        sparse.truncate(64 << 20)
    with open(os.fsencode(tree) + b"/not-\xff-text", "wb") as odd:
        odd.write(b"odd")
    for name in ("bin", "bin/tool", "link", "fifo", "sparse", "."):
        os.utime(f"{tree}/{name}", ns=(1_000_000_001, 1_234_567_890_123_456_789), follow_symlinks=False)


def test_a_copy_has_everything_that_the_original_has(root: str) -> None:
    build_in = f"{root}/original"
    os.mkdir(build_in)
    build(build_in)
    before = descriptors.opened()
    copy_tree(build_in, f"{root}/copy")
    assert descriptors.opened() == before
    assert describe(f"{root}/copy") == describe(build_in)


def test_holes_stay_holes(root: str) -> None:
    os.mkdir(f"{root}/original")
    build(f"{root}/original")
    copy_tree(f"{root}/original", f"{root}/copy")
    assert measure(f"{root}/copy") == measure(f"{root}/original")


def test_a_real_tree_is_copied_as_cp_does(root: str) -> None:
    copy_tree("/usr/share/perl5", f"{root}/ours")
    subprocess.run(["cp", "-a", "/usr/share/perl5", f"{root}/theirs"], check=True)
    assert describe(f"{root}/ours") == describe(f"{root}/theirs")


def test_a_target_that_exists_is_refused(root: str) -> None:
    os.mkdir(f"{root}/a")
    os.mkdir(f"{root}/b")
    with pytest.raises(FileExistsError):
        copy_tree(f"{root}/a", f"{root}/b")
