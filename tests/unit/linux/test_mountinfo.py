from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linux import mount, mountinfo
from tests.support.fork import in_private_mounts

LINE = b"36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 shared:7 - ext3 /dev/root rw,errors=continue\n"


def test_every_field_of_a_line_is_parsed() -> None:
    [entry] = mountinfo.parse(LINE)
    assert entry == mountinfo.MountInfo(
        mount_id=36,
        parent_id=35,
        device="98:0",
        root="/mnt1",
        mountpoint="/mnt 2",
        options=("rw", "noatime"),
        tags=("master:1", "shared:7"),
        fstype="ext3",
        source="/dev/root",
        super_options=("rw", "errors=continue"),
    )


def test_a_line_without_tags_is_a_private_mount() -> None:
    [entry] = mountinfo.parse(b"1 1 0:1 / / rw - tmpfs none rw\n")
    assert entry.tags == ()


@pytest.mark.parametrize("line", [b"hello\n", b"1 1 0:1 / / rw tmpfs none rw\n", b"x 1 0:1 / / rw - tmpfs none rw\n"])
def test_a_line_of_something_else_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match="mountinfo"):
        mountinfo.parse(line)


def escape(name: bytes) -> bytes:
    return b"".join(b"\\%03o" % byte if byte in b" \t\n\\#" else bytes((byte,)) for byte in name)


@given(st.binary(min_size=1, max_size=30).filter(lambda name: not {0, 10, 13, 11, 12, 28, 29, 30} & set(name)))
def test_any_name_comes_back_from_its_octal_escapes(name: bytes) -> None:
    [entry] = mountinfo.parse(b"1 1 0:1 / /" + escape(name) + b" rw - tmpfs none rw\n")
    assert os.fsencode(entry.mountpoint) == b"/" + name


def test_a_real_mount_point_with_odd_bytes_is_found(shm: str) -> None:
    target = os.path.join(os.fsencode(shm), b"a b\tc\\d\ne#\xff")

    def run() -> None:
        os.mkdir(target)
        mount.mount("none", os.fsdecode(target), fstype="tmpfs")
        assert os.fsdecode(target) in [entry.mountpoint for entry in mountinfo.read()]

    in_private_mounts(run)


def entries(*points: str) -> list[mountinfo.MountInfo]:
    text = "".join(f"{index} 1 0:1 / {point} rw - tmpfs none rw\n" for index, point in enumerate(points))
    return mountinfo.parse(text.encode())


def test_unmount_order_is_deepest_first_and_uppermost_first_on_one_point() -> None:
    found = mountinfo.beneath(entries("/a", "/a/b", "/ab", "/a/b/c", "/a/b", "/z"), "/a")
    assert [(entry.mount_id, entry.mountpoint) for entry in found] == [
        (3, "/a/b/c"),
        (4, "/a/b"),
        (1, "/a/b"),
        (0, "/a"),
    ]


def test_a_sibling_with_the_same_beginning_is_not_beneath() -> None:
    assert not mountinfo.is_beneath("/run/wharfie2", "/run/wharfie")
    assert mountinfo.is_beneath("/run/wharfie", "/")
