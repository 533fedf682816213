"""The members of an outer archive."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.transfer import tarindex
from actors.transfer.tarindex import TarIndex, normalized
from tests.support.archives import tar
from tests.unit.actors.transfer.conftest import open_bytes
from wharfie.errors import InvalidArgument, NotFound, ResourceExhausted, WharfieError

Index = Callable[[bytes], TarIndex]


@pytest.fixture
def index() -> Iterator[Index]:
    """Indexes archives given as bytes; they can be read until the test ends."""
    fds = []

    def made(data: bytes) -> TarIndex:
        fds.append(open_bytes(data))
        return TarIndex(fds[-1])

    yield made
    for fd in fds:
        os.close(fd)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a/b", "a/b"),
        ("./a//b/", "a/b"),
        ("/a/./b", "a/b"),
        ("a/../b", "b"),
        ("../b", None),
        ("a/../../b", None),
        (".", None),
        ("", None),
        ("/", None),
        ("..", None),
        ("..b", "..b"),
    ],
)
def test_a_name_has_one_spelling_and_never_leaves_the_archive(name: str, expected: str | None) -> None:
    assert normalized(name) == expected


def test_members_are_found_by_any_spelling_and_the_last_one_counts(index: Index) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as out:
        for name, data in (("./x", b"first"), ("x", b"second")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            out.addfile(info, io.BytesIO(data))
    assert index(buffer.getvalue()).read("/x", limit=100) == b"second"


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_names_and_links_are_understood(form: int, index: Index) -> None:
    name, link = "d/" * 100 + "file", "d/" * 100 + "link"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as out:
        info = tarfile.TarInfo(name)
        info.size = 3
        out.addfile(info, io.BytesIO(b"abc"))
        hard = tarfile.TarInfo(link)
        hard.type, hard.linkname = tarfile.LNKTYPE, name
        out.addfile(hard)
    assert index(buffer.getvalue()).read(link, limit=3) == b"abc"


def test_a_directory_is_no_file(index: Index) -> None:
    found = index(tar({"d": None}))
    assert found.find("d") is None
    with pytest.raises(NotFound):
        found.read("d", limit=10)


def test_a_file_beyond_the_limit_is_refused_before_it_is_read(index: Index) -> None:
    with pytest.raises(InvalidArgument, match="more than 2"):
        index(tar({"a": b"abc"})).read("a", limit=2)


def test_an_archive_that_is_cut_short_is_refused(index: Index) -> None:
    data = tar({"a": os.urandom(4096)})
    with pytest.raises(InvalidArgument, match="cut short"):
        index(data[:3000])


def test_too_many_members_are_refused(monkeypatch: pytest.MonkeyPatch, index: Index) -> None:
    monkeypatch.setattr(tarindex, "MAX_MEMBERS", 3)
    index(tar({str(number): b"" for number in range(3)}))
    with pytest.raises(ResourceExhausted):
        index(tar({str(number): b"" for number in range(4)}))


@pytest.mark.parametrize("data", [b"", b"\0" * 1024, b"x" * 511, b"x" * 512, b"\x7fELF" + bytes(2000)])
def test_what_is_no_tar_is_refused(data: bytes, index: Index) -> None:
    with pytest.raises(InvalidArgument):
        index(data)


def test_a_huge_size_in_a_header_is_no_reason_to_read_or_to_crash(index: Index) -> None:
    block = bytearray(tar({"a": b"1"})[:512])
    block[124:136] = b"\x80" + b"\x00" * 3 + (1 << 62).to_bytes(8, "big")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    with pytest.raises(InvalidArgument, match="cut short"):
        index(bytes(block) + bytes(1024))


@given(st.data())
def test_a_damaged_archive_gives_a_typed_error_or_an_index(data: st.DataObject) -> None:
    original = bytearray(tar({"a": b"x" * 600, "d/" * 60 + "b": b"y", "l": "a"}))
    for _ in range(data.draw(st.integers(1, 4))):
        original[data.draw(st.integers(0, len(original) - 1))] = data.draw(st.integers(0, 255))
    fd = open_bytes(bytes(original[: data.draw(st.integers(0, len(original)))]))
    try:
        found = TarIndex(fd)
        for name in list(found.members):
            member = found.find(name)
            assert member is None or member.offset + member.size <= len(original)
    except WharfieError:
        pass
    finally:
        os.close(fd)
