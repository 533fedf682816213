"""Images of layers, mounted for real and held against what the extractor makes of the same archive."""

from __future__ import annotations

import os
import random
import shutil
import stat
import struct
import tarfile
import tempfile

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from actors.snapshot.erofs.layer import LayerImage
from actors.transfer.unpack.archive import Entry
from actors.transfer.unpack.bytestream import ByteStream
from actors.transfer.unpack.errors import UnpackError
from actors.transfer.unpack.layer import unpack_layer
from actors.transfer.unpack.limits import Limits
from actors.transfer.unpack.messages import UnpackRequest
from linux import mount
from tests.support import erofsimages, tars
from tests.support.tars import END, directory, file, hardlink, header, node, padded, pax, symlink
from tests.unit.actors.transfer.unpack.test_breakouts import CASES, placed


def compare(shm: str, layer: bytes) -> erofsimages.Described | str:
    """Make an image and a directory of a layer: both are the same, or refused alike. Returns what the image shows."""
    image, target = f"{shm}/image", f"{shm}/target"
    shutil.rmtree(target, ignore_errors=True)
    os.mkdir(target)
    with open(f"{shm}/blob", "wb") as out:
        out.write(layer)
    expected: UnpackError | None = None
    implicit: list[bytes] = []
    try:
        implicit = unpack_layer(UnpackRequest(blob_path=f"{shm}/blob", target=target)).implicit_dirs
    except UnpackError as error:
        expected = error
    try:
        found = erofsimages.make(image, layer)
    except UnpackError as error:
        assert expected is not None, f"only the image is refused: {error.message}"
        assert (error.code, error.details.get("reason")) == (expected.code, expected.details.get("reason"))
        return str(error.code)
    assert expected is None, f"only the extractor refuses: {expected}"
    # Of the extractor's list, those that hide the layers below are fitted to nothing.
    assert set(found) <= set(implicit)
    erofsimages.check(image)
    with erofsimages.mounted(image) as place:
        shown = erofsimages.described(place)
    assert shown == erofsimages.without_times_of_unset(shown, erofsimages.described(target))
    return shown


# -- whole layers ---------------------------------------------------------------------------------------------------------


def test_an_empty_layer_is_an_empty_image(shm: str) -> None:
    assert compare(shm, tars.tar([])) == {b"": ({},)}


def test_every_kind_of_entry_is_shown_as_the_extractor_makes_it(shm: str) -> None:
    layer = tars.tar(
        [
            directory("d", mode=0o1777, uid=1, gid=2),
            file("d/f", b"content", mode=0o4755, uid=70_000, gid=2**31 - 1),
            file("d/empty"),
            symlink("d/link", "../elsewhere"),
            hardlink("d/hard", "d/f"),
            hardlink("d/linked-link", "d/link"),
            node("d/null", tarfile.CHRTYPE, major=1, minor=3),
            node("d/disk", tarfile.BLKTYPE, major=4095, minor=(1 << 20) - 1),
            node("d/pipe", tarfile.FIFOTYPE),
            file("made/on/the/way"),
        ]
    )
    shown = compare(shm, layer)
    assert isinstance(shown, dict)
    assert len(shown) == 14


@pytest.mark.parametrize("size", [0, 1, 4031, 4032, 4033, 4095, 4096, 4097, 8191, 8192, 12_288, 100_001])
def test_files_of_sizes_around_blocks(shm: str, size: int) -> None:
    data = random.Random(size).randbytes(size)
    compare(shm, tars.tar([file("before", b"x"), file("f", data), file("after", b"y" * 5000)]))


@pytest.mark.parametrize("length", [1, 100, 4031, 4032, 4033, 4095])
def test_links_of_any_length(shm: str, length: int) -> None:
    shown = compare(shm, tars.tar([symlink("l", "x" * length)]))
    assert isinstance(shown, dict)


def test_links_too_long_or_empty_are_refused(shm: str) -> None:
    assert compare(shm, tars.tar([symlink("l", "x" * 4096)])) == "invalid_argument"
    assert compare(shm, tars.tar([symlink("l", "")])) == "invalid_argument"


def test_names_of_any_bytes(shm: str) -> None:
    names = [b"\xff\xfe", b"\n", b" ", b"!", b"-", b"\xc3\xa4", b"x" * 255, b"..."]
    layer = b"".join(pax((b"path", name)) + header(b"f") for name in names) + END
    shown = compare(shm, layer)
    assert isinstance(shown, dict)
    assert set(names) < set(shown)


def test_a_name_that_is_too_long_is_refused(shm: str) -> None:
    assert compare(shm, tars.tar([file("x" * 256)])) == "invalid_argument"
    assert compare(shm, tars.tar([file("x" * 256 + "/y")])) == "invalid_argument"
    assert compare(shm, tars.tar([directory("a"), file("a/.wh." + "x" * 256)])) == "invalid_argument"


def test_a_directory_of_many_blocks_is_searched_by_the_kernel(shm: str) -> None:
    names = [f"{number:x}" * (number % 7 + 1) for number in range(5000)]
    shown = compare(shm, tars.tar([file(f"d/{name}", name.encode()) for name in names]))
    assert isinstance(shown, dict)
    assert len(shown) == len(set(names)) + 2


def test_times_are_kept_to_the_nanosecond(shm: str) -> None:
    layer = b"".join(
        pax((b"mtime", time)) + header(name, typeflag=kind)
        for name, kind, time in (
            (b"d", b"5", b"1.000000001"),
            (b"d/f", b"0", b"1600000000.123456789"),
            (b"g", b"0", b"-5"),
        )
    )
    compare(shm, layer + END)


def test_attributes_are_kept_or_left_out_as_by_the_kernel(shm: str) -> None:
    capability = struct.pack("<IIIII", 0x02000001, 0x400, 0, 0, 0)
    records = (
        (b"SCHILY.xattr.user.a", b"1"),
        (b"SCHILY.xattr.user.long", b"x" * 5000),
        (b"SCHILY.xattr.security.capability", capability),
        (b"SCHILY.xattr.trusted.overlay.opaque", b"y"),
        (b"SCHILY.xattr.user.overlay.opaque", b"y"),
        (b"SCHILY.xattr.unknown.kind", b"z"),
    )
    kinds = ((b"f", b"0", b""), (b"d", b"5", b""), (b"l", b"2", b"f"), (b"p", b"6", b""), (b"n", b"3", b""))
    layer = b"".join(pax(*records) + header(n, typeflag=k, link=t, major=b"1", minor=b"3") for n, k, t in kinds)
    shown = compare(shm, layer + END)
    assert isinstance(shown, dict)
    assert shown[b"f"][-1] == {"user.a": b"1", "user.long": b"x" * 5000, "security.capability": capability}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"security.capability", b"short"),
        (b"user.", b"nameless"),
        (b"system.posix_acl_access", b"\x02\0\0\0\x01"),
        (b"system.posix_acl_default", struct.pack("<IHHIHHIHHI", 2, 1, 7, -1 & 0xFFFFFFFF, 4, 7, 0, 32, 7, 0)),
        (b"user.large", b"x" * (1 << 16) + b"x"),
    ],
)
def test_attributes_that_the_kernel_refuses_are_refused(shm: str, name: bytes, value: bytes) -> None:
    layer = pax((b"SCHILY.xattr." + name, value)) + header(b"f") + END
    assert isinstance(compare(shm, layer), str)


def test_whiteouts_and_opaque_directories_are_overlays(shm: str) -> None:
    layer = tars.tar(
        [
            file(".wh.gone"),
            directory("d"),
            file("d/.wh..wh..opq"),
            file("d/kept"),
            directory("e"),
            file(".wh.e"),
            file("f"),
            file(".wh.f"),
            file("in/an/implicit/.wh.one"),
            file(".wh..wh.plnk"),
            file(".wh.dir"),
            directory("dir"),
            file(".wh.deep"),
            file("deep/er/f"),
            node("device", tarfile.CHRTYPE),
        ]
    )
    shown = compare(shm, layer)
    assert isinstance(shown, dict)
    for name in (b"gone", b"in/an/implicit/one", b"device"):
        assert shown[name] == ("whiteout",)
    for name in (b"d", b"e", b"dir", b"deep"):
        assert shown[name][-1] == {erofsimages.OPAQUE: b"y"}
    assert shown[b"deep/er"][-1] == {}


def test_the_last_entry_of_a_path_wins(shm: str) -> None:
    layer = tars.tar(
        [
            file("a", b"first"),
            hardlink("b", "a"),
            file("a", b"second"),
            directory("c"),
            file("c/below", b"x"),
            hardlink("c2", "c/below"),
            file("c", b"no directory now"),
            file("d"),
            directory("d", mode=0o700),
            symlink("e", "d"),
            file("e/through", b"in d"),
            directory("e"),
            file("e/in-e"),
        ]
    )
    shown = compare(shm, layer)
    assert isinstance(shown, dict)
    assert b"d/through" in shown
    assert shown[b"d"][-1] == {erofsimages.OPAQUE: b"y"}


def test_sparse_files_are_holes_in_the_image(shm: str) -> None:
    size = 1 << 32
    layer = (
        pax(
            (b"GNU.sparse.major", b"0"),
            (b"GNU.sparse.minor", b"1"),
            (b"GNU.sparse.map", b"0,5,%d,4" % (size - 4)),
            (b"GNU.sparse.size", b"%d" % size),
        )
        + header(b"large", size=9)
        + padded(b"beginend.")
        + tars.raw_file(b"after", b"after")
        + END
    )
    erofsimages.make(f"{shm}/image", layer)
    assert os.stat(f"{shm}/image").st_blocks * 512 < 1 << 20
    with erofsimages.mounted(f"{shm}/image") as place, open(f"{place}/large", "rb") as large:
        assert os.fstat(large.fileno()).st_size == size
        assert large.read(10) == b"begin" + bytes(5)
        large.seek(size - 8)
        assert large.read() == bytes(4) + b"end."


def test_more_holes_than_an_image_holds_are_refused(shm: str) -> None:
    one = pax((b"GNU.sparse.map", b"0,0"), (b"GNU.sparse.size", b"%d" % (200 << 30)))
    layer = b"".join(one + header(b"f%d" % number) for number in range(90)) + END
    with pytest.raises(UnpackError) as caught:
        erofsimages.make(f"{shm}/image", layer)
    assert caught.value.code == "resource_exhausted"


@pytest.mark.soak
def test_a_hundred_thousand_entries(shm: str) -> None:
    count = 100_000
    with open(f"{shm}/image", "w+b") as file_:
        image = LayerImage(file_.fileno(), opaque_xattr=erofsimages.OPAQUE, bounds=Limits())
        nothing = ByteStream.of([])
        for number in range(count):
            name = b"all/%d" % number if number % 2 else b"d%d/%d" % (number // 100, number)
            image.apply(
                Entry(name=name, kind=ord("0"), mode=0o644, uid=0, gid=number, size=0, mtime_ns=number), nothing
            )
        image.finish(uuid=bytes(16))
    erofsimages.check(f"{shm}/image")
    with erofsimages.mounted(f"{shm}/image") as place:
        assert len(os.listdir(f"{place}/all")) == count // 2
        for number in (1, 99_999, 50_000):
            path = f"{place}/all/{number}" if number % 2 else f"{place}/d{number // 100}/{number}"
            assert os.stat(path).st_gid == number


def test_a_full_disk_is_told(shm: str) -> None:
    os.mkdir(f"{shm}/small")
    mount.mount("small", f"{shm}/small", fstype="tmpfs", data="size=256k")
    try:
        with pytest.raises(UnpackError) as caught:
            erofsimages.make(f"{shm}/small/image", tars.tar([file("f", os.urandom(100_000)), file("g", bytes(90_000))]))
        assert caught.value.code == "resource_exhausted"
    finally:
        mount.umount(f"{shm}/small")


def test_the_same_layer_makes_the_same_image(shm: str) -> None:
    layer = tars.tar([file("a/b", b"x" * 9000), file(".wh.c"), hardlink("d", "a/b")])
    for name in ("one", "two"):
        erofsimages.make(f"{shm}/{name}", layer)
    with open(f"{shm}/one", "rb") as one, open(f"{shm}/two", "rb") as two:
        assert one.read() == two.read()


# -- hostile ones ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_breakouts_end_in_the_image_or_are_refused_as_by_the_extractor(shm: str, case: str) -> None:
    outside = f"{shm}/outside"
    os.makedirs(f"{outside}/directory")
    with open(f"{outside}/victim", "w") as victim:
        victim.write("precious")
    compare(shm, tars.tar(placed(CASES[case], outside)))
    assert os.listdir(outside) in (["directory", "victim"], ["victim", "directory"])


@pytest.mark.parametrize(
    ("bounds", "limit"),
    [
        (Limits(entries=3), "entries"),
        (Limits(file_bytes=9999), "file_bytes"),
        (Limits(total_bytes=9999), "total_bytes"),
    ],
)
def test_limits_hold(shm: str, bounds: Limits, limit: str) -> None:
    layer = tars.tar([file("a"), file("b", b"x" * 20_000), file("c"), file("d")])
    with pytest.raises(UnpackError) as caught:
        erofsimages.make(f"{shm}/image", layer, bounds=bounds)
    assert (caught.value.code, caught.value.details["limit"]) == ("resource_exhausted", limit)


def test_a_layer_that_is_cut_off_is_data_loss(shm: str) -> None:
    whole = tars.tar([file("f", b"x" * 20_000)])
    for cut in (600, 5000, 16_384 + 512, 20_000):
        with pytest.raises(UnpackError) as caught:
            erofsimages.make(f"{shm}/image", whole[:cut])
        assert caught.value.code == "data_loss"


# -- any -----------------------------------------------------------------------------------------------------------------

NAMES = st.sampled_from([b"a", b"b", b"c", b".wh.a", b".wh.b", b".wh..wh..opq", b"\xff", b".", b".."])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map(b"/".join)
XATTRS = st.dictionaries(
    st.sampled_from([b"user.x", b"user.y", b"security.z", b"trusted.w"]), st.binary(max_size=40), max_size=2
)
TIMES = st.integers(0, 2**33).flatmap(lambda s: st.integers(0, 999_999_999).map(lambda n: b"%d.%09d" % (s, n)))


@st.composite
def entries(draw: st.DrawFn) -> bytes:
    path = draw(PATHS)
    kind = draw(st.sampled_from(b"000123456"))
    data = b""
    records = [(b"path", path), (b"mtime", draw(TIMES))]
    if kind == ord("0"):
        data = draw(st.sampled_from([b"", b"x", b"y" * 4000, b"z" * 4096, b"w" * 9000]))
    elif kind in b"12":
        records.append((b"linkpath", draw(PATHS.map(lambda p: p) | PATHS.map(lambda p: b"/" + p))))
    records += [(b"SCHILY.xattr." + name, value) for name, value in draw(XATTRS).items()]
    mode = draw(st.integers(0, 0o7777))
    owner = draw(st.sampled_from([0, 1, 70_000]))
    records += [(b"uid", b"%d" % owner), (b"gid", b"%d" % draw(st.sampled_from([0, 5])))]
    return (
        pax(*records)
        + header(b"n", typeflag=bytes([kind]), size=len(data), mode=b"%07o" % mode, major=b"1", minor=b"7")
        + padded(data)
    )


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(entries(), max_size=14))
@example([pax((b"path", b"a")) + header(b"a", typeflag=b"5"), header(b"a/b", typeflag=b"1", link=b"a")])
def test_any_layer_is_shown_as_the_extractor_makes_it(layer: list[bytes]) -> None:
    with tempfile.TemporaryDirectory(prefix="wharfie-erofs-", dir="/dev/shm") as shm:
        compare(shm, b"".join(layer) + END)


def test_the_root_is_what_a_fresh_snapshot_is(shm: str) -> None:
    erofsimages.make(f"{shm}/image", tars.tar([directory(".", mode=0o700, uid=5), file("f")]))
    with erofsimages.mounted(f"{shm}/image") as place:
        status = os.stat(place)
    assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o755, 0)
