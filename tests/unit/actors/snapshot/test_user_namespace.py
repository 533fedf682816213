"""Overlayfs by somebody who is root in a user namespace only."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.support.storage import REPOSITORY

SCRIPT = """
import os
from actors.snapshot.overlayfs import Overlayfs
from linux import mount
from linux.namespaces import in_user_namespace
from wharfie.types.snapshots import Kind

assert in_user_namespace()
mount.mount("tmpfs", ROOT, fstype="tmpfs")
backend = Overlayfs(f"{ROOT}/snapshots")
backend.prepare(1, [], Kind.ACTIVE)
os.makedirs(f"{backend.files(1)}/directory/below")
backend.commit(1)
backend.prepare(2, [1], Kind.ACTIVE)
[one] = backend.mounts(2, [1], Kind.ACTIVE)
assert one.options[:2] == ["index=off", "userxattr"], one.options
place = f"{ROOT}/place"
os.mkdir(place)
mount.mount_one(one.source, place, fstype=one.type, options=one.options)
os.rmdir(f"{place}/directory/below")
os.rmdir(f"{place}/directory")
os.mkdir(f"{place}/directory")
mount.umount(place)
assert os.getxattr(f"{backend.files(2)}/directory", "user.overlay.opaque") == b"y"
[view] = backend.mounts(3, [2, 1], Kind.VIEW)
mount.mount_one(view.source, place, fstype=view.type, options=view.options)
assert os.listdir(f"{place}/directory") == []
"""


def test_overlay_keeps_its_marks_where_root_of_a_user_namespace_may_write_them(root: str) -> None:
    script = f"ROOT = {root!r}\n{SCRIPT}"
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", sys.executable, "-c", script],
        cwd=REPOSITORY,
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert os.listdir(root) == []
