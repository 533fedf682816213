from __future__ import annotations

import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.transfer.unpack import header
from actors.transfer.unpack.header import HeaderError
from tests.support import tars


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b"0000644\0", 0o644),
        (b"000644 \0", 0o644),
        (b"   644 \0", 0o644),
        (b"00000644", 0o644),
        (b"644\0junk", 0o644),
        (b"\0" * 8, 0),
        (b" " * 8, 0),
        (b"\x80\0\0\0\0\0\x01\0", 256),
        (b"\xff" * 8, -1),
        (b"\xff\xff\xff\xff\xff\xff\xff\x00", -256),
        (b"\x80" + b"\0" * 3 + b"\x01" + b"\0" * 7, 1 << 56),
    ],
)
def test_numbers_of_all_dialects(field: bytes, value: int) -> None:
    assert header.number(field) == value


@pytest.mark.parametrize(
    "field", [b"0000648\0", b"0o00644\0", b"-000644\0", b"+000644\0", b"0_00644\0", b"12 34\0\0\0", b"abc\0\0\0\0\0"]
)
def test_what_is_no_octal_number_is_refused(field: bytes) -> None:
    with pytest.raises(HeaderError, match="number"):
        header.number(field)


@given(value=st.integers(-(2**62), 2**62), width=st.sampled_from([8, 12]))
def test_numbers_that_tarfile_writes_come_back(value: int, width: int) -> None:
    try:
        field = tarfile.itn(value, width, tarfile.GNU_FORMAT)  # type: ignore[attr-defined]
    except ValueError:
        return
    assert header.number(field) == value


@given(st.binary(min_size=512, max_size=512))
def test_a_block_of_anything_is_parsed_or_refused(block: bytes) -> None:
    try:
        header.parse(block)
    except HeaderError:
        return


def test_one_changed_byte_is_noticed() -> None:
    block = tars.header(b"name")
    for position in (0, 105, 200, 511):
        changed = bytearray(block)
        changed[position] ^= 1
        with pytest.raises(HeaderError, match="checksum"):
            header.parse(bytes(changed))


def test_checksums_that_add_up_signed_bytes_are_accepted() -> None:
    block = tars.header("Ünïcödé".encode(), signed=True)
    assert header.parse(block).name == "Ünïcödé".encode()


@given(st.binary(min_size=1, max_size=100).filter(lambda name: 0 not in name))
def test_any_name_of_up_to_100_bytes_comes_back(name: bytes) -> None:
    assert header.parse(tars.header(name)).name == name


def test_the_prefix_belongs_to_the_name_only_where_the_magic_is_posix() -> None:
    assert header.parse(tars.header(b"base", tail=b"dir/sub")).name == b"dir/sub/base"
    assert header.parse(tars.header(b"base", magic=b"ustar  \0", tail=b"dir/sub")).name == b"base"
    assert header.parse(tars.header(b"base", magic=b"", tail=b"dir/sub")).name == b"base"


def test_stars_prefix_is_shorter_because_times_follow_it() -> None:
    tail = b"p" * 131 + b"00000000001\0" + b"00000000001\0" + b"\0" * 8 + b"tar\0"
    assert header.parse(tars.header(b"base", tail=tail)).name == b"p" * 131 + b"/base"


def test_an_old_entry_whose_name_ends_with_a_slash_is_a_directory() -> None:
    assert header.parse(tars.header(b"dir/", typeflag=b"\0", magic=b"")).typeflag == header.DIRECTORY
    assert header.parse(tars.header(b"dir/", typeflag=b"0")).typeflag == header.REGULAR


def test_a_negative_size_is_refused() -> None:
    with pytest.raises(HeaderError, match="negative"):
        header.parse(tars.header(b"x", size=b"\xff" * 12))


def test_device_numbers_are_looked_at_for_devices_only() -> None:
    block = tars.header(b"null", typeflag=b"3", major=b"0000001", minor=b"0000003")
    parsed = header.parse(block)
    assert (parsed.device_major, parsed.device_minor) == (1, 3)
    assert header.parse(tars.header(b"file", major=b"garbage", minor=b"garbage")).device_major == 0
