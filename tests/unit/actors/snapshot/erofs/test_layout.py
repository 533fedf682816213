"""The parts of the format that are pure: inodes, super block, directories, and who gets which bytes."""

from __future__ import annotations

import itertools
import stat
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.snapshot.erofs import dirents, layout
from actors.snapshot.erofs.layout import BLOCK_BYTES, Inode
from actors.snapshot.erofs.space import Space
from tests.support import erofsimages


def test_the_checksum_is_crc32c_without_the_last_inversion() -> None:
    assert layout.crc32c(b"123456789") ^ 0xFFFFFFFF == 0xE3069283


@given(
    st.builds(
        Inode,
        layout=st.sampled_from(list(layout.Layout)),
        mode=st.integers(0, 0xFFFF),
        size=st.integers(0, 2**63),
        place=st.integers(0, 2**32 - 1),
        serial=st.integers(0, 2**32 - 1),
        uid=st.integers(0, 2**32 - 1),
        gid=st.integers(0, 2**32 - 1),
        mtime_ns=st.integers(-(2**63), 2**63 - 1),
        nlink=st.integers(0, 2**32 - 1),
        xattr_bytes=st.integers(0, 1000).map(lambda n: 12 + 4 * n if n else 0),
    )
)
def test_an_inode_is_read_as_it_was_written(inode: Inode) -> None:
    packed = layout.pack_inode(inode)
    assert len(packed) == layout.INODE_BYTES
    assert layout.unpack_inode(packed) == inode


def test_an_inode_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="none that is written here"):
        layout.unpack_inode(bytes(64))


def test_the_empty_image_is_one_for_erofs_utils_and_the_kernel(shm: str) -> None:
    with open(f"{shm}/image", "wb") as image:
        image.write(layout.empty_image())
    erofsimages.check(f"{shm}/image")
    said = subprocess.run(["dump.erofs", "-s", f"{shm}/image"], capture_output=True, text=True, check=True).stdout
    assert "sb_csum" in said
    with erofsimages.mounted(f"{shm}/image") as place:
        assert erofsimages.described(place) == {b"": ({},)}
    assert layout.inode_count(layout.empty_image()) == 1


@pytest.mark.parametrize("block", [b"", bytes(BLOCK_BYTES)])
def test_what_is_no_image_is_told(block: bytes) -> None:
    with pytest.raises(ValueError, match="erofs image"):
        layout.inode_count(block)


@pytest.mark.parametrize(("major", "minor"), [(0, 0), (1, 3), (4095, 1048575), (8, 256)])
def test_a_device_number_is_linuxs(major: int, minor: int) -> None:
    number = layout.device_number(major, minor)
    assert (number & 0xFFF00) >> 8 == major
    assert (number & 0xFF) | ((number >> 12) & 0xFFF00) == minor


@given(st.sets(st.binary(min_size=1, max_size=255).filter(lambda name: b"\0" not in name), max_size=200))
def test_every_name_of_a_directory_is_found_and_no_other(names: set[bytes]) -> None:
    ordered = sorted(names | {b".", b".."})
    cuts = dirents.pages(ordered)
    targets = [(number * 3, number % 7 + 1) for number in range(len(ordered))]
    blocks = list(dirents.encode(ordered, targets, cuts))
    assert all(len(block) == BLOCK_BYTES for block in blocks[:-1])
    data = b"".join(blocks)
    assert len(data) == dirents.size_of(cuts)
    for name, target in zip(ordered, targets, strict=True):
        assert dirents.find(data, name) == target
    assert dirents.find(data, b"x" * 256) is None


REQUESTS = st.lists(st.tuples(st.booleans(), st.integers(1, 20_000)), max_size=100)


@given(REQUESTS)
def test_no_two_get_the_same_bytes_and_a_copy_tells_the_same_places(requests: list[tuple[bool, int]]) -> None:
    space = Space()
    trial = space.copy()
    taken: list[tuple[int, int]] = [(0, BLOCK_BYTES)]
    for is_record, size in requests:
        start = space.record(size) if is_record else space.data(size) * BLOCK_BYTES
        assert start == (trial.record(size) if is_record else trial.data(size) * BLOCK_BYTES)
        if is_record:
            assert start % layout.SLOT_BYTES == 0
            assert size > BLOCK_BYTES or start // BLOCK_BYTES == (start + size - 1) // BLOCK_BYTES
            taken.append((start, start + size))
        else:
            taken.append((start, start + -(-size // BLOCK_BYTES) * BLOCK_BYTES))
    taken.sort()
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(taken))
    assert taken[-1][1] <= space.blocks * BLOCK_BYTES


def test_block_numbers_run_out_with_an_error() -> None:
    space = Space()
    space.data((layout.MAX_BLOCKS - 2) * BLOCK_BYTES)
    with pytest.raises(OSError, match="too large"):
        space.data(1)


def test_the_root_is_a_directory() -> None:
    inode = layout.unpack_inode(layout.empty_image()[layout.ROOT_NID * layout.SLOT_BYTES :])
    assert stat.S_ISDIR(inode.mode)
