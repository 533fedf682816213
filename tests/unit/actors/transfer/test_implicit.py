"""Directories that a layer only implies."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.transfer.implicit import settle
from actors.transfer.unpack import tree


@pytest.fixture
def layers() -> Iterator[list[Path]]:
    """Three layers, the uppermost first, on a file system that keeps overlay's attributes."""
    with tempfile.TemporaryDirectory(prefix="wharfie-implicit-", dir="/dev/shm") as directory:
        made = [Path(directory) / name for name in ("upper", "near", "far")]
        for path in made:
            path.mkdir()
        yield made


def settled(layers: list[Path], *paths: bytes) -> bool:
    return settle(str(layers[0]), [str(layer) for layer in layers[1:]], paths)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_a_made_up_directory_looks_like_the_nearest_one_below(layers: list[Path]) -> None:
    upper, near, far = layers
    for root, path in ((upper, "a/b"), (near, "a"), (far, "a/b")):
        (root / path).mkdir(parents=True)
    (near / "a").chmod(0o1777)
    (far / "a").chmod(0o700)
    (far / "a/b").chmod(0o750)
    os.chown(far / "a/b", 5, 6)
    os.setxattr(far / "a/b", "trusted.x", b"kept")
    os.setxattr(far / "a/b", "trusted.overlay.origin", b"its own")
    os.utime(far / "a/b", ns=(10**18, 10**18 + 5))
    assert settled(layers, b"a", b"a/b", b"missing")
    a, b = os.stat(upper / "a"), os.stat(upper / "a/b")
    assert stat.S_IMODE(a.st_mode) == 0o1777
    assert (stat.S_IMODE(b.st_mode), b.st_uid, b.st_gid, b.st_mtime_ns) == (0o750, 5, 6, 10**18 + 5)
    assert os.listxattr(upper / "a/b") == ["trusted.x"]


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("path", ["a", "a/b"])
def test_a_link_below_means_unpacking_again_and_nothing_is_changed(layers: list[Path], number: int, path: str) -> None:
    (layers[0] / "a/b/c").mkdir(parents=True)
    link = layers[number] / path
    link.parent.mkdir(exist_ok=True)
    link.parent.chmod(0o700)
    link.symlink_to("/nowhere")
    assert not settled(layers, b"a", b"a/b", b"a/b/c")
    assert mode(layers[0] / "a") == 0o755


def test_a_link_that_a_nearer_layer_replaced_is_nobodys(layers: list[Path]) -> None:
    upper, near, far = layers
    (upper / "a").mkdir()
    (near / "a").mkdir()
    (near / "a").chmod(0o711)
    (far / "a").symlink_to("/nowhere")
    assert settled(layers, b"a")
    assert mode(upper / "a") == 0o711


def whiteout(path: Path) -> None:
    os.mknod(path, stat.S_IFCHR, 0)


def opaque(path: Path) -> None:
    path.mkdir()
    path.chmod(0o711)
    os.setxattr(path, "trusted.overlay.opaque", b"y")


def test_what_a_nearer_layer_deleted_is_not_looked_at(layers: list[Path]) -> None:
    upper, near, far = layers
    (upper / "a/b").mkdir(parents=True)
    (far / "a").mkdir()
    (far / "a").chmod(0o700)
    whiteout(near / "a")
    assert settled(layers, b"a", b"a/b")
    assert mode(upper / "a") == 0o755


def test_what_lies_below_an_opaque_directory_is_not_looked_at(layers: list[Path]) -> None:
    upper, near, far = layers
    (upper / "a/b").mkdir(parents=True)
    (far / "a").mkdir()
    (far / "a/b").symlink_to("/nowhere")
    opaque(near / "a")
    assert settled(layers, b"a", b"a/b")
    assert (mode(upper / "a"), mode(upper / "a/b")) == (0o711, 0o755)


def test_what_the_layer_itself_hides_is_not_looked_at(layers: list[Path]) -> None:
    upper, near, _ = layers
    opaque(upper / "a")
    (upper / "a/b/c").mkdir(parents=True)
    (near / "a/b").mkdir(parents=True)
    (near / "a/b").chmod(0o700)
    (near / "a/b/c").symlink_to("/nowhere")
    assert settled(layers, b"a/b", b"a/b/c")
    assert mode(upper / "a/b") == 0o755


def test_a_file_below_is_hidden_by_the_directory(layers: list[Path]) -> None:
    (layers[0] / "a/b").mkdir(parents=True)
    (layers[1] / "a").write_bytes(b"")
    (layers[2] / "a").symlink_to("/nowhere")
    assert settled(layers, b"a", b"a/b")


def test_a_path_may_have_more_components_than_calls_may_nest(layers: list[Path]) -> None:
    upper, near, _ = layers
    path = "/".join("d" * 1500)
    try:
        for root in (upper, near):
            for end in range(1, len(path) + 1, 2):
                os.mkdir(f"{root}/{path[:end]}")
        os.chmod(f"{near}/{path}", 0o700)
        assert settled(layers, path.encode())
        assert stat.S_IMODE(os.stat(f"{upper}/{path}").st_mode) == 0o700
    finally:
        for root in (upper, near):
            fd = os.open(root, os.O_RDONLY)
            tree.remove(b"d", dir_fd=fd)
            os.close(fd)


def test_a_link_in_the_layer_itself_leads_nowhere(layers: list[Path], tmp_path: Path) -> None:
    upper, near, _ = layers
    (near / "a").mkdir()
    (near / "a").chmod(0o700)
    (upper / "a").symlink_to(tmp_path)
    before = mode(tmp_path)
    tmp_path.chmod(0o755)
    assert settled(layers, b"a", b"missing")
    assert mode(tmp_path) == 0o755
    tmp_path.chmod(before)
