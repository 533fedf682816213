"""Layers made of differences: applied to the tree before they make the tree after, and they are the same each time."""

from __future__ import annotations

import io
import os
import shutil
import socket
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from actors.transfer.diff.compare import Change
from actors.transfer.diff.layerwriter import LayerWriter
from actors.transfer.diff.sink import Compression, Sink
from actors.transfer.diff.treeside import TreeSide
from actors.transfer.unpack.layer import unpack_layer
from actors.transfer.unpack.messages import UnpackRequest, Whiteouts
from tests.support import trees
from wharfie.errors import Aborted, FailedPrecondition
from wharfie.types.diff import Kind

CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")
ACL = bytes.fromhex("0200000001000600ffffffff0200060005000000040004 00ffffffff10000600ffffffff20000400ffffffff")


def applied(blob: bytes, lower: str, target: str) -> dict[str, tuple[object, ...]]:
    """The tree that comes of a layer on a copy of `lower`."""
    shutil.copytree(lower, target, symlinks=True)
    for path in trees.described(lower):
        status = os.stat(f"{lower}/{path}", follow_symlinks=False)
        os.utime(f"{target}/{path}", ns=(0, status.st_mtime_ns), follow_symlinks=False)
    Path(f"{target}.blob").write_bytes(blob)
    unpack_layer(UnpackRequest(blob_path=f"{target}.blob", target=target, whiteouts=Whiteouts.PLAIN))
    return trees.described(target)


def everything(root: str) -> None:
    """Change a tree in every way there is."""
    trees.grow(
        root,
        {
            "new/file": b"data" * 1000,
            "new/link": "file",
            "new/dangling": "/nowhere",
            "new/pipe": stat.S_IFIFO,
            "new/device": stat.S_IFCHR,
            "new/" + "n" * 255: b"long name",
            "new/" + "/".join(["p" * 60] * 5): b"long path",
            "new/\udcff\udcfe": b"no text",
            "new/ü": "ä",
            "d/f": b"changed",
        },
        time_ns=trees.TIME_NS + 1,
    )
    os.unlink(f"{root}/d/gone")
    shutil.rmtree(f"{root}/e")
    os.chmod(f"{root}/new/file", 0o6755)
    os.chown(f"{root}/new/file", 70000, 2**31 - 1)
    os.chmod(f"{root}/new/file", 0o6755)
    os.setxattr(f"{root}/new/file", "security.capability", CAPABILITY)
    os.setxattr(f"{root}/d/f", "system.posix_acl_access", ACL)
    os.link(f"{root}/new/file", f"{root}/d/name")
    os.link(f"{root}/kept", f"{root}/new/of-kept")
    with open(f"{root}/new/holes", "wb") as file:
        file.truncate(1 << 20)
        file.seek(70000)
        file.write(b"x")
    os.utime(f"{root}/new/file", ns=(0, 1_700_000_000_123_456_789))
    os.utime(f"{root}/new/holes", ns=(0, 10**18))
    os.utime(f"{root}/new/link", ns=(0, 5), follow_symlinks=False)


@pytest.fixture
def pair(lower: str, upper: str) -> tuple[str, str]:
    for root in (lower, upper):
        trees.grow(root, {"d/f": b"x", "d/gone": b"", "e/x": b"", "kept": b"k", "l": "d"})
    everything(upper)
    return lower, upper


def test_a_layer_applied_makes_the_tree_it_was_made_of(shm: str, pair: tuple[str, str]) -> None:
    blob, _ = trees.layer(*pair)
    made = applied(blob, pair[0], f"{shm}/applied")
    assert made == trees.described(pair[1])


def test_a_whole_tree_is_a_layer_too(shm: str, pair: tuple[str, str]) -> None:
    os.mkdir(f"{shm}/empty")
    assert applied(trees.layer(None, pair[1])[0], f"{shm}/empty", f"{shm}/applied") == trees.described(pair[1])


@pytest.mark.parametrize("compression", list(Compression))
def test_the_same_trees_make_the_same_bytes(pair: tuple[str, str], shm: str, compression: Compression) -> None:
    first = trees.layer(*pair, compression=compression)
    # Another order in the directories, other inodes, other times of access.
    again = f"{shm}/again"
    os.mkdir(again)
    trees.grow(again, {"zz": b""})
    os.unlink(f"{again}/zz")
    for root in pair:
        applied(trees.layer(None, root)[0], again, f"{again}-{os.path.basename(root)}")
    assert trees.layer(f"{again}-lower", f"{again}-upper", compression=compression) == first


def test_no_difference_is_an_empty_archive(lower: str) -> None:
    blob, written = trees.layer(lower, lower)
    assert blob == bytes(1024)
    assert written.diff_size == 1024


def test_times_are_never_after_the_one_that_is_given(pair: tuple[str, str]) -> None:
    blob, _ = trees.layer(*pair, latest_ns=1_600_000_000 * 10**9)
    with tarfile.open(fileobj=io.BytesIO(blob)) as tar:
        times = {info.name: info.mtime for info in tar}
    assert max(times.values()) == 1_600_000_000
    assert 0 < times["new/link"] < 1
    # With whole seconds no entry needs a record for its time.
    assert b"mtime=16" not in blob


def test_deletions_and_owners_are_plain_in_the_archive(pair: tuple[str, str]) -> None:
    with tarfile.open(fileobj=io.BytesIO(trees.layer(*pair)[0])) as tar:
        infos = {info.name: info for info in tar}
    assert {".wh.e", "d/.wh.gone"} <= infos.keys()
    whiteout = infos["d/.wh.gone"]
    assert (whiteout.type, whiteout.size, whiteout.mtime, whiteout.uid) == (tarfile.REGTYPE, 0, 0, 0)
    assert all((info.uname, info.gname) == ("", "") for info in infos.values())
    assert (infos["new/file"].type, infos["new/file"].linkname) == (tarfile.LNKTYPE, "d/name")
    assert infos["new/holes"].size == 1 << 20


def test_what_only_this_host_knows_is_left_out(lower: str, upper: str) -> None:
    trees.grow(upper, {"f": b""})
    for name in ("trusted.x", "user.overlay.opaque", "security.x"):
        try:
            os.setxattr(f"{upper}/f", name, b"1")
        except OSError:
            assert name != "trusted.x"
    assert b"SCHILY" not in trees.layer(lower, upper)[0]


def test_sockets_are_left_out(lower: str, upper: str) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{upper}/s")
        assert trees.layer(lower, upper)[0] == bytes(1024)


@pytest.mark.parametrize("name", [".wh.x", ".wh..wh..opq", "d/.wh."])
def test_a_name_that_would_mean_a_deletion_is_refused(lower: str, upper: str, name: str) -> None:
    trees.grow(upper, {name: b""})
    with pytest.raises(FailedPrecondition, match=r"cannot be in a layer.*rename or remove"):
        trees.layer(lower, upper)


def test_a_path_that_no_call_takes_is_refused_by_its_beginning(lower: str, upper: str) -> None:
    """A program makes one by going down step by step."""
    here = os.open(upper, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=here)
        below = os.open("d" * 250, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    with pytest.raises(FailedPrecondition, match=r"'/d{64}…' has 4266 bytes.*move or remove"):
        trees.layer(lower, upper)


# What a container does between the moment at which a change is found and the one at which it is written.


def unlink(path: str) -> None:
    os.unlink(path)


def become_link(path: str) -> None:
    os.unlink(path)
    os.symlink("/etc/passwd", path)


def become_pipe(path: str) -> None:
    os.unlink(path)
    os.mkfifo(path)


def parent_becomes_link(path: str) -> None:
    shutil.rmtree(os.path.dirname(path))
    os.symlink("/etc", os.path.dirname(path))


@pytest.mark.parametrize("race", [unlink, become_link, become_pipe, parent_becomes_link])
@pytest.mark.parametrize("kind", [b"", "passwd", None, stat.S_IFCHR])
def test_what_changes_meanwhile_is_left_out_and_nothing_outside_is_read(
    upper: str, race: Callable[[str], None], kind: bytes | str | int | None
) -> None:
    path = f"{upper}/d/passwd"
    trees.grow(upper, {"d/passwd": kind})
    status = os.stat(path, follow_symlinks=False)
    if kind is None:
        os.rmdir(path)
        os.mknod(path, stat.S_IFREG | 0o600)
    race(path)
    with open(os.memfd_create("layer"), "r+b") as file:
        side = TreeSide(os.open(upper, os.O_RDONLY))
        with Sink(file.fileno(), Compression.NONE) as sink:
            LayerWriter(side, sink, latest_ns=None).write([Change(Kind.ADDED, b"d/passwd", status)])
            sink.finish()
        os.close(side.root_fd)
        file.seek(0)
        blob = file.read()
    assert b"root:" not in blob
    if not (race is become_link and isinstance(kind, str)):
        assert blob == bytes(1024)


def test_a_file_that_shrinks_while_it_is_read_is_an_error(upper: str) -> None:
    trees.grow(upper, {"f": bytes(3 << 20)})

    class Shrinking(Sink):
        def write(self, data: bytes | memoryview) -> None:
            os.truncate(f"{upper}/f", 1)
            super().write(data)

    side = TreeSide(os.open(upper, os.O_RDONLY))
    try:
        with (
            open(os.memfd_create("layer"), "r+b") as file,
            Shrinking(file.fileno(), Compression.NONE) as sink,
            pytest.raises(Aborted, match="'/f' shrank"),
        ):
            change = Change(Kind.ADDED, b"f", os.stat(f"{upper}/f"))
            LayerWriter(side, sink, latest_ns=None).write([change])
    finally:
        os.close(side.root_fd)
