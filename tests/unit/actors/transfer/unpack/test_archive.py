from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from actors.transfer.unpack import archive, header
from actors.transfer.unpack.archive import Entry
from actors.transfer.unpack.bytestream import ByteStream
from actors.transfer.unpack.errors import UnpackError
from tests.support import tars
from wharfie.errors import Code

FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]


def parse(data: bytes, *, chunk: int = 1000) -> list[tuple[Entry, bytes]]:
    """Return all entries with their data, the stream cut into chunks."""
    stream = ByteStream.of(data[start : start + chunk] for start in range(0, len(data), chunk))
    return [(entry, stream.take(entry.size)) for entry in archive.entries(stream)]


def refused(data: bytes, code: Code = Code.INVALID_ARGUMENT) -> UnpackError:
    with pytest.raises(UnpackError) as caught:
        parse(data)
    assert caught.value.code is code
    return caught.value


names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=120).filter(
    # tarfile changes these by itself.
    lambda name: not name.endswith("/") and not name.startswith("/")
)
ids = st.integers(0, 2**31 - 1)


@st.composite
def members(draw: st.DrawFn) -> tars.Member:
    name = draw(names)
    attributes = {"uid": draw(ids), "gid": draw(ids), "mode": draw(st.integers(0, 0o7777))}
    match draw(st.sampled_from("fdlhn")):
        case "f":
            attributes["mtime"] = draw(st.integers(0, 2**33))
            return tars.file(name, draw(st.binary(max_size=2000)), **attributes)
        case "d":
            return tars.directory(name, **attributes)
        case "l":
            attributes.pop("mode")
            return tars.symlink(name, draw(names), **attributes)
        case "h":
            attributes.pop("mode")
            return tars.hardlink(name, draw(names), **attributes)
        case _:
            major, minor = draw(st.integers(0, 4095)), draw(st.integers(0, 2**20 - 1))
            return tars.node(name, draw(st.sampled_from([b"3", b"4", b"6"])), major=major, minor=minor, **attributes)


@given(st.lists(members(), max_size=6), st.sampled_from(FORMATS), st.integers(1, 3000))
@settings(max_examples=200)
def test_what_tarfile_writes_is_read_as_tarfile_reads_it(content: list[tars.Member], fmt: int, chunk: int) -> None:
    try:
        data = tars.tar(content, fmt=fmt)
    except ValueError:
        # ustar has no place for long names.
        return
    with tarfile.open(fileobj=io.BytesIO(data), errors="surrogateescape", encoding="utf-8") as reference:
        expected = [
            (
                info.name.encode("utf-8", "surrogateescape"),
                info.type[0],
                info.mode,
                info.uid,
                info.gid,
                int(info.mtime) * 10**9,
                info.linkname.encode("utf-8", "surrogateescape"),
                # Device numbers mean something for devices only.
                (info.devmajor, info.devminor) if info.isblk() or info.ischr() else (0, 0),
                reference.extractfile(info).read() if info.isreg() else b"",  # type: ignore[union-attr]
            )
            for info in reference
        ]
    found = [
        (
            entry.name.rstrip(b"/") if entry.kind == header.DIRECTORY else entry.name,
            entry.kind,
            entry.mode,
            entry.uid,
            entry.gid,
            entry.mtime_ns,
            entry.link,
            (entry.device_major, entry.device_minor),
            data,
        )
        for entry, data in parse(data, chunk=chunk)
    ]
    assert found == expected


def test_data_that_nobody_reads_is_skipped() -> None:
    data = tars.tar([tars.file("a", b"x" * 5000), tars.file("b", b"y")])
    assert [entry.name for entry in archive.entries(ByteStream.of([data]))] == [b"a", b"b"]


@pytest.mark.parametrize(
    "end", [b"", bytes(512), bytes(1024), bytes(10240)], ids=["none", "one block", "two blocks", "many"]
)
def test_an_archive_may_end_in_any_of_the_usual_ways(end: bytes) -> None:
    assert [data for _, data in parse(tars.raw_file(b"a", b"data") + end)] == [b"data"]


def test_the_last_padding_may_be_missing_as_umoci_leaves_it() -> None:
    assert [data for _, data in parse(tars.header(b"a", size=4) + b"data")] == [b"data"]


def test_an_empty_archive_has_no_entries() -> None:
    assert parse(b"") == []


def test_what_follows_the_end_is_not_read_as_entries() -> None:
    data = tars.raw_file(b"a") + tars.END + tars.raw_file(b"b")
    assert [entry.name for entry, _ in parse(data)] == [b"a"]


def test_every_truncation_is_noticed_unless_it_cuts_between_entries() -> None:
    whole = tars.pax((b"path", b"long" * 100)) + tars.raw_file(b"x", b"d" * 600) + tars.raw_file(b"y", b"e" * 10)
    # Nothing, the first file with any of its padding, the second one likewise.
    fine = {0, *range(2136, 2561), *range(3082, 3585)}
    for cut in range(len(whole) + 1):
        if cut in fine:
            parse(whole[:cut])
        else:
            refused(whole[:cut], Code.DATA_LOSS)


def test_a_file_without_all_of_its_data_is_data_loss_and_named() -> None:
    error = refused(tars.header(b"dir/file", size=1000) + b"short", Code.DATA_LOSS)
    assert error.details["entry"] == "dir/file"
    assert "'dir/file'" in error.message


def test_a_header_that_is_cut_off_is_data_loss() -> None:
    refused(tars.header(b"a")[:300], Code.DATA_LOSS)


def test_a_malformed_header_is_located() -> None:
    error = refused(tars.raw_file(b"a", b"x") + b"garbage!" * 64)
    assert error.details["offset"] == 1024
    assert "byte 1024" in error.message


@pytest.mark.parametrize("typeflag", [b"D", b"M", b"V", b"Z", b"8", b"\xff"])
def test_an_unknown_type_is_refused(typeflag: bytes) -> None:
    assert "type" in refused(tars.header(b"a", typeflag=typeflag)).message


def test_a_zero_block_in_the_middle_is_refused() -> None:
    refused(tars.raw_file(b"a") + bytes(512) + tars.raw_file(b"b") + tars.END)


def test_global_headers_are_ignored_wherever_they_stand() -> None:
    global_header = tars.pax((b"path", b"evil"), (b"uid", b"7"), typeflag=b"g")
    data = global_header + tars.raw_file(b"a") + tars.pax((b"gid", b"5")) + global_header + tars.raw_file(b"b")
    found = [(entry.name, entry.uid, entry.gid) for entry, _ in parse(data + global_header + tars.END)]
    assert found == [(b"a", 0, 0), (b"b", 0, 5)]


def test_extended_headers_are_for_the_next_entry_only() -> None:
    data = tars.pax((b"path", b"first"), (b"mtime", b"1.5"), (b"SCHILY.xattr.user.a", b"\0\n=")) + tars.raw_file(b"a")
    first, second = (entry for entry, _ in parse(data + tars.raw_file(b"b") + tars.END))
    assert (first.name, first.mtime_ns, first.xattrs) == (b"first", 1_500_000_000, {b"user.a": b"\0\n="})
    assert (second.name, second.mtime_ns, second.xattrs) == (b"b", 0, None)


def test_pax_sizes_beyond_the_header_are_used() -> None:
    data = tars.pax((b"size", b"600")) + tars.header(b"a", size=0) + tars.padded(b"z" * 600) + tars.raw_file(b"b")
    assert [len(content) for _, content in parse(data)] == [600, 0]


def test_gnu_long_names_and_links_are_put_together() -> None:
    name, link = b"n" * 300, b"l" * 400
    data = tars.header(b"././@LongLink", typeflag=b"K", size=len(link) + 1) + tars.padded(link + b"\0")
    data += tars.header(b"././@LongLink", typeflag=b"L", size=len(name) + 1) + tars.padded(name + b"\0")
    [(entry, _)] = parse(data + tars.header(b"short", typeflag=b"2", link=b"short"))
    assert (entry.name, entry.link) == (name, link)


@pytest.mark.parametrize("typeflag", [b"1", b"2", b"3", b"4", b"5", b"6"])
def test_the_size_of_what_has_no_data_is_ignored(typeflag: bytes) -> None:
    data = tars.header(b"a", typeflag=typeflag, size=4096, major=b"1", minor=b"1") + tars.raw_file(b"b")
    assert [entry.name for entry, _ in parse(data)] == [b"a", b"b"]


@pytest.mark.parametrize(
    "data",
    [
        tars.pax((b"path", b"a")) + tars.END,
        tars.header(b"L", typeflag=b"L", size=1) + tars.padded(b"x") + tars.END,
    ],
)
def test_an_extended_header_without_an_entry_is_refused(data: bytes) -> None:
    refused(data)


def test_a_huge_extended_header_is_refused_before_it_is_read() -> None:
    assert "1048576" in refused(tars.header(b"x", typeflag=b"x", size=2**33)).message


def test_a_chain_of_extended_headers_does_not_go_on_for_ever() -> None:
    assert "64 extended headers" in refused(tars.pax((b"uid", b"1")) * 100 + tars.raw_file(b"a")).message


@pytest.mark.parametrize("key", [b"path", b"linkpath", b"GNU.sparse.name"])
def test_a_name_with_a_zero_byte_is_refused(key: bytes) -> None:
    assert "zero byte" in refused(tars.pax((key, b"a\0b")) + tars.raw_file(b"x")).message


@given(st.data())
@settings(max_examples=200)
def test_a_damaged_archive_is_read_or_refused_and_nothing_else(data: st.DataObject) -> None:
    whole = bytearray(
        tars.tar(
            [
                tars.file("a" * 120, b"x" * 700),
                tars.symlink("l", "t" * 120),
                tars.directory("d", pax_headers={"SCHILY.xattr.user.k": "v", "mtime": "1.5"}),
            ]
        )
    )
    for _ in range(data.draw(st.integers(1, 5))):
        whole[data.draw(st.integers(0, 5000))] = data.draw(st.integers(0, 255))
    try:
        parse(bytes(whole))
    except UnpackError as error:
        assert error.code in (Code.INVALID_ARGUMENT, Code.DATA_LOSS)


@given(st.binary(max_size=2000))
@example(b"\0" * 511)
def test_any_bytes_are_read_or_refused_and_nothing_else(data: bytes) -> None:
    try:
        parse(data)
    except UnpackError as error:
        assert error.code in (Code.INVALID_ARGUMENT, Code.DATA_LOSS)
