"""Directories that a layer does not describe, fitted to the layers below inside of the image."""

from __future__ import annotations

import os

from actors.snapshot.erofs.settle import settle_image
from tests.support import erofsimages, tars
from tests.support.tars import directory, file


def prepared(shm: str, layer: bytes) -> tuple[str, str, list[bytes]]:
    """The place of an upper directory beside an image of the layer, a layer below, and the implicit directories."""
    os.makedirs(f"{shm}/1")
    lower = f"{shm}/lower"
    os.makedirs(f"{lower}/usr/bin")
    for name, mode, owner in (("usr", 0o750, 7), ("usr/bin", 0o1777, 70_000)):
        os.chmod(f"{lower}/{name}", mode)
        os.chown(f"{lower}/{name}", owner, owner)
        os.utime(f"{lower}/{name}", ns=(5, 1_600_000_000_987_654_321))
    return f"{shm}/1/fs", lower, erofsimages.make(f"{shm}/1/layer.erofs", layer)


def test_directories_get_mode_owner_and_time_of_those_below(shm: str) -> None:
    # Enough names that the root has blocks of its own.
    many = [file(f"f{number}") for number in range(1000)]
    upper, lower, implicit = prepared(shm, tars.tar([*many, file("usr/bin/tool", b"tool"), file("usr/new/x")]))
    assert implicit == [b"usr", b"usr/bin", b"usr/new"]
    assert settle_image(upper, [lower], implicit)
    assert settle_image(upper, [lower], implicit)
    erofsimages.check(f"{shm}/1/layer.erofs")
    with erofsimages.mounted(f"{shm}/1/layer.erofs") as place:
        for name in ("usr", "usr/bin"):
            ours, theirs = os.stat(f"{place}/{name}"), os.stat(f"{lower}/{name}")
            assert (ours.st_mode, ours.st_uid, ours.st_gid, ours.st_mtime_ns) == (
                theirs.st_mode,
                theirs.st_uid,
                theirs.st_gid,
                theirs.st_mtime_ns,
            )
        assert os.stat(f"{place}/usr/new").st_mode == 0o40755
        with open(f"{place}/usr/bin/tool") as tool:
            assert tool.read() == "tool"


def test_a_link_below_or_attributes_there_need_another_way(shm: str) -> None:
    upper, lower, implicit = prepared(shm, tars.tar([file("usr/bin/tool"), file("link/x")]))
    with open(f"{shm}/1/layer.erofs", "rb") as image:
        before = image.read()
    os.symlink("usr", f"{lower}/link")
    assert not settle_image(upper, [lower], implicit)
    os.unlink(f"{lower}/link")
    os.setxattr(f"{lower}/usr", "user.x", b"y")
    assert not settle_image(upper, [lower], implicit)
    with open(f"{shm}/1/layer.erofs", "rb") as image:
        assert image.read() == before


def test_directories_that_hide_what_is_below_are_not_fitted(shm: str) -> None:
    layer = tars.tar([file("usr/.wh..wh..opq"), file("usr/bin/tool"), file(".wh.x"), file("x/y/z"), directory("d")])
    _, _, implicit = prepared(shm, layer)
    assert implicit == []
