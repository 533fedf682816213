"""Kill -9 at each named step of an export and of a conversion: the same answer, the same bytes, nothing left over."""

from __future__ import annotations

import io
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import IO, cast

import pytest

import wharfie
from tests.support.archives import Layout, tar
from tests.support.failpoints import all_names
from tests.support.wait import until
from tests.system.transfer.conftest import Rig
from wharfie.types.export import Export, Exporting

EXPORTS = sorted(name for name in all_names() if name.startswith("transfer.export."))
CONVERSIONS = [
    *sorted(name for name in all_names() if name.startswith("transfer.convert.")),
    "transfer.job.recompress",
    "transfer.import.before-image",
    "transfer.import.after-image",
]
BIG = os.urandom(3 << 20)


@pytest.fixture
def image(rig: Rig) -> Iterator[Rig]:
    """An image with a layer of some items of a stream."""
    layout = Layout()
    layout.entry(layout.image([tar({"big": BIG}), tar({"small": b"x"})]), ref="x:1")
    rig.client.images.import_(rig.archive(layout.tar()))
    yield rig
    until(lambda: not [lease for lease in rig.client.leases.list() if not lease.id.startswith("default-")])


def streamed(rig: Rig, buffer: io.BytesIO | None = None) -> bytes:
    out = buffer or io.BytesIO()
    rig.client.images.export("x:1", out, timeout_s=60)
    return out.getvalue()


def filed(rig: Rig) -> bytes:
    path = rig.directory / "exported.tar"
    path.write_bytes(b"an older one")
    rig.client.images.export("x:1", str(path), timeout_s=60)
    assert [name for name in os.listdir(rig.directory) if "exported" in name] == ["exported.tar"]
    return path.read_bytes()


@pytest.mark.parametrize("point", EXPORTS)
def test_whoever_is_killed_at_a_step_the_archive_is_the_same(image: Rig, point: str) -> None:
    export: Callable[[Rig], bytes] = streamed if point == "transfer.export.chunk" else filed
    expected = export(image)
    image.points.arm(point)
    assert export(image) == expected
    assert image.points.was_hit(point)


@pytest.mark.parametrize("victim", ["transfer", "router", "metadata", "content"])
def test_a_stream_goes_on_where_it_was_whoever_dies_in_its_middle(image: Rig, victim: str) -> None:
    expected = streamed(image)
    actors = image.actors()

    class Killer(io.BytesIO):
        def write(self, data: object) -> int:
            if not self.tell():
                os.kill(actors[victim], signal.SIGKILL)
            return super().write(cast("bytes", data))

    assert streamed(image, Killer()) == expected


def test_an_image_that_is_removed_meanwhile_is_exported_to_its_end(image: Rig) -> None:
    expected = streamed(image)

    class Remover(io.BytesIO):
        def write(self, data: object) -> int:
            if not self.tell():
                image.client.images.delete("x:1")
                image.client.gc.run()
            return super().write(cast("bytes", data))

    with wharfie.connect(str(image.daemon.address), namespace="ci", timeout_s=60) as other:
        buffer = Remover()
        other.images.export("x:1", cast("IO[bytes]", buffer))
    assert buffer.getvalue() == expected


def test_a_stream_of_images_that_changed_is_not_gone_on_with(image: Rig) -> None:
    caller = image.client.images._caller
    request = Export(images=["x:1"], offset=100, archive="of another time")
    with pytest.raises(wharfie.Aborted, match="the images changed while they were exported"):
        list(caller.stream("transfer.export", request, Exporting))


def test_who_goes_away_in_the_middle_leaves_nothing(image: Rig) -> None:
    class Full(io.BytesIO):
        def write(self, _data: object) -> int:
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        streamed(image, Full())


@pytest.mark.parametrize("point", CONVERSIONS)
def test_whoever_is_killed_at_a_step_the_conversion_succeeds(image: Rig, point: str) -> None:
    image.points.arm(point)
    done = image.client.images.convert("x:1", "y:1", compression="zstd", timeout_s=60)
    assert image.points.was_hit(point)
    assert done.image.target == image.client.images.get("y:1").target
    again = image.client.images.convert("x:1", "z:1", compression="zstd")
    assert again.image.target == done.image.target
    image.client.images.delete("x:1")
    image.client.gc.run()
    assert len(image.client.content.list()) == 4
    assert image.client.images.unpack("y:1") in image.snapshots()


def test_an_import_of_a_fifo_whose_reader_is_killed_says_that_it_cannot_be_begun_anew(rig: Rig) -> None:
    layout = Layout()
    layout.entry(layout.image([tar({"big": BIG})]), ref="x:1")
    path = rig.directory / "fifo"
    os.mkfifo(path)
    data = layout.tar()

    def write() -> None:
        fd = os.open(path, os.O_WRONLY)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
        except BrokenPipeError:
            pass
        finally:
            os.close(fd)

    writer = threading.Thread(target=write)
    writer.start()
    rig.points.arm("transfer.job.read")
    with pytest.raises(wharfie.Aborted, match="run its writer and the import again"):
        rig.client.images.import_(str(path), timeout_s=60)
    writer.join(30)
    path.unlink()
    assert rig.names() == []


@pytest.mark.soak
def test_the_memory_of_an_export_does_not_grow_with_its_layers(own: Rig) -> None:
    layout = Layout()
    layout.entry(layout.image([tar({"big": bytes(1 << 30)})], compress=False), ref="x:1")
    path = own.archive(layout.tar())
    own.client.images.import_(path, unpack=False)
    os.unlink(path)
    pid = own.actors()["transfer"]

    class Sink(io.BytesIO):
        def write(self, data: object) -> int:
            return len(cast("bytes", data))

    before = _peak_bytes(pid)
    own.client.images.export("x:1", Sink())
    own.client.images.export("x:1", str(own.directory / "big.tar"))
    assert _peak_bytes(pid) - before < 64 << 20
    assert own.actors()["transfer"] == pid


def _peak_bytes(pid: int) -> int:
    with open(f"/proc/{pid}/status") as file:
        (line,) = (line for line in file if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024
