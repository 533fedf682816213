"""Access control lists, held against what the kernel makes of the same."""

from __future__ import annotations

import errno
import os
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.snapshot.erofs import acl, attributes
from actors.snapshot.erofs.acl import GROUP, GROUP_OBJ, MASK, OTHER, USER, USER_OBJ

ACCESS = b"system.posix_acl_access"
DEFAULT = b"system.posix_acl_default"


def value(*entries: tuple[int, ...]) -> bytes:
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


TAGS = st.sampled_from([USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHER, 0x40])
ENTRIES = st.lists(st.tuples(TAGS, st.integers(0, 8), st.sampled_from([0, 5, 70_000, 0xFFFFFFFF])), max_size=7)
ORDERED = ENTRIES.map(lambda found: sorted(found, key=lambda entry: entry[0]))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
@given(entries=ENTRIES | ORDERED, mode=st.integers(0, 0o777), name=st.sampled_from([ACCESS, DEFAULT]))
def test_what_is_kept_is_what_the_kernel_would_keep(
    shm: str, entries: list[tuple[int, int, int]], mode: int, name: bytes
) -> None:
    given_value = value(*entries)
    path = f"{shm}/d"
    os.mkdir(path, 0o700)
    try:
        expected: object
        try:
            os.setxattr(path, name, given_value)
            os.chmod(path, mode)
            expected = os.getxattr(path, name)
        except OSError as error:
            expected = error.errno
        found: object
        try:
            found = attributes.of_archive({name: given_value}, 0o40000 | mode).get(name, errno.ENODATA)
        except OSError as error:
            found = error.errno
        assert found == expected
    finally:
        os.rmdir(path)


def test_a_mask_becomes_the_groups_bits() -> None:
    entries = acl.parse(value((USER_OBJ, 7, 0), (USER, 7, 5), (GROUP_OBJ, 5, 0), (MASK, 7, 0), (OTHER, 7, 0)))
    fitted = acl.with_mode(entries, 0o640)
    assert [(entry.tag, entry.permissions) for entry in fitted] == [
        (USER_OBJ, 6),
        (USER, 7),
        (GROUP_OBJ, 5),
        (MASK, 4),
        (OTHER, 0),
    ]


def test_an_acl_of_another_version_is_left_out() -> None:
    with pytest.raises(acl.OtherVersionError):
        acl.parse(struct.pack("<I", 1))
    assert attributes.of_archive({ACCESS: struct.pack("<I", 1)}, 0o100644) == {}


def test_attributes_beyond_their_room_are_refused() -> None:
    with pytest.raises(OSError, match="too long"):
        attributes.encode({b"user.%d" % number: bytes(60_000) for number in range(5)})
    with pytest.raises(OSError, match="out of range"):
        attributes.encode({b"user." + b"x" * 251: b""})
