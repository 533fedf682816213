"""Directories that a layer only implies."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from actors.transfer.implicit import copy_attributes


def test_a_made_up_directory_looks_like_the_nearest_one_below(tmp_path: Path) -> None:
    upper, near, far = (tmp_path / name for name in ("upper", "near", "far"))
    for root, path in ((upper, "a/b"), (near, "a"), (far, "a/b")):
        (root / path).mkdir(parents=True)
    (near / "a").chmod(0o1777)
    (far / "a").chmod(0o700)
    (far / "a/b").chmod(0o750)
    os.chown(far / "a/b", 5, 6)
    os.utime(far / "a/b", ns=(10**18, 10**18 + 5))
    copy_attributes(str(upper), [str(near), str(far)], [b"a", b"a/b"])
    a, b = os.stat(upper / "a"), os.stat(upper / "a/b")
    assert stat.S_IMODE(a.st_mode) == 0o1777
    assert (stat.S_IMODE(b.st_mode), b.st_uid, b.st_gid, b.st_mtime_ns) == (0o750, 5, 6, 10**18 + 5)


def test_a_link_below_is_not_followed(tmp_path: Path) -> None:
    upper, lower, outside = (tmp_path / name for name in ("upper", "lower", "outside"))
    for path in (upper / "a", lower, outside):
        path.mkdir(parents=True)
    outside.chmod(0o700)
    (lower / "a").symlink_to(outside)
    copy_attributes(str(upper), [str(lower)], [b"a"])
    assert stat.S_IMODE(os.stat(upper / "a").st_mode) == 0o755


def test_a_link_in_the_layer_itself_leads_nowhere(tmp_path: Path) -> None:
    upper, lower, outside = (tmp_path / name for name in ("upper", "lower", "outside"))
    for path in (upper, lower / "a", outside):
        path.mkdir(parents=True)
    (lower / "a").chmod(0o700)
    (upper / "a").symlink_to(outside)
    copy_attributes(str(upper), [str(lower)], [b"a", b"missing"])
    assert stat.S_IMODE(outside.stat().st_mode) == 0o755
