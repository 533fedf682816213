"""Mounts made read-only and writable again."""

from __future__ import annotations

from pathlib import Path

import pytest

from linux import mount, mountattr
from tests.support.fork import in_private_mounts


def test_a_mount_is_made_read_only_with_those_below_it_and_one_of_them_writable_again(tmp_path: Path) -> None:
    def run() -> None:
        mount.mount("none", str(tmp_path), fstype="tmpfs")
        inner = tmp_path / "inner"
        inner.mkdir()
        mount.mount("none", str(inner), fstype="tmpfs")
        mountattr.change(str(tmp_path), add=mountattr.RDONLY, recursive=True)
        for place in (tmp_path, inner):
            with pytest.raises(OSError, match="Read-only"):
                (place / "f").touch()
        mountattr.change(str(inner), remove=mountattr.RDONLY)
        (inner / "f").touch()
        with pytest.raises(OSError, match="Read-only"):
            (tmp_path / "f").touch()

    in_private_mounts(run)


def test_what_is_no_mount_point_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        mountattr.change(str(tmp_path), add=mountattr.RDONLY)
