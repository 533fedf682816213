"""Entries as bytes: what is written is what is read, by us and by others."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.transfer.diff import tarheader
from actors.transfer.unpack import archive, header
from actors.transfer.unpack.archive import Entry
from actors.transfer.unpack.bytestream import ByteStream

names = st.binary(min_size=1, max_size=300).filter(lambda name: b"\0" not in name and not name.endswith(b"/"))
entries = st.builds(
    Entry,
    name=names,
    kind=st.sampled_from([header.REGULAR, header.SYMLINK, header.DIRECTORY, header.FIFO, header.CHARACTER_DEVICE]),
    mode=st.integers(0, 0o7777),
    uid=st.integers(0, 2**31 - 1),
    gid=st.integers(0, 2**31 - 1),
    size=st.just(0),
    mtime_ns=st.integers(-(2**62), 2**62),
    device_major=st.integers(0, 4095),
    device_minor=st.integers(0, 2**20 - 1),
    xattrs=st.dictionaries(
        st.binary(min_size=1, max_size=20).filter(lambda key: b"=" not in key and b"\n" not in key),
        st.binary(max_size=40),
        min_size=1,
        max_size=3,
    )
    | st.none(),
)


@given(entry=entries, link=names)
def test_an_entry_is_read_as_it_was_written(entry: Entry, link: bytes) -> None:
    if entry.kind == header.SYMLINK:
        entry.link = link
    if entry.kind != header.CHARACTER_DEVICE:
        entry.device_major = entry.device_minor = 0
    (found,) = archive.entries(ByteStream.of([tarheader.encode(entry) + tarheader.END]))
    assert found.name.removesuffix(b"/") == entry.name
    for field in ("kind", "mode", "uid", "gid", "mtime_ns", "link", "device_major", "device_minor", "xattrs"):
        assert getattr(found, field) == getattr(entry, field), field


@pytest.mark.parametrize("size", [0, 1, 8**11 - 1, 8**11, 2**40])
def test_sizes_beyond_the_header_are_written_and_read(size: int) -> None:
    entry = Entry(name=b"f", kind=header.REGULAR, mode=0o644, uid=0, gid=0, size=size, mtime_ns=0)
    stream = ByteStream.of([tarheader.encode(entry)])
    found = next(archive.entries(stream))
    assert (found.size, found.real_size) == (size, size)


def test_pythons_tarfile_reads_it_too() -> None:
    entry = Entry(
        name="ü/".encode() * 60 + b"f",
        kind=header.REGULAR,
        mode=0o4755,
        uid=70000,
        gid=2**31 - 1,
        size=3,
        mtime_ns=1_600_000_000_500_000_000,
        xattrs={b"user.x": b"1"},
    )
    data = tarheader.encode(entry) + b"abc" + tarheader.padding(3) + tarheader.END
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        (info,) = tar.getmembers()
        assert (info.name, info.mode, info.uid, info.gid) == ("ü/" * 60 + "f", 0o4755, 70000, 2**31 - 1)
        assert (info.size, info.mtime, info.pax_headers["SCHILY.xattr.user.x"]) == (3, 1_600_000_000.5, "1")


def test_what_is_plain_takes_one_block() -> None:
    entry = Entry(name=b"bin/sh", kind=header.REGULAR, mode=0o755, uid=1, gid=2, size=0, mtime_ns=5 * 10**9)
    assert len(tarheader.encode(entry)) == 512


@pytest.mark.parametrize("xattrs", [{b"user.a=b": b""}, {b"user.x": bytes(1 << 20)}])
def test_what_no_archive_can_say_is_refused(xattrs: dict[bytes, bytes]) -> None:
    entry = Entry(name=b"f", kind=header.REGULAR, mode=0, uid=0, gid=0, size=0, mtime_ns=0, xattrs=xattrs)
    with pytest.raises(tarheader.Unrepresentable, match="attributes"):
        tarheader.encode(entry)
