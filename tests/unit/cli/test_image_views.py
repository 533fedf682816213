"""What the commands about images make of their data."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from cli.dockercompat import inspected
from cli.export import is_plain, whole
from cli.imagefacts import checked_fields, shortened
from cli.template import filled
from wharfie._sync.imagefacts import Checked
from wharfie._sync.images import prunable
from wharfie.oci.descriptor import Descriptor as OciDescriptor
from wharfie.oci.variants import Variant
from wharfie.types.base import Descriptor
from wharfie.types.images import Image

TARGET = Descriptor(media_type="m", digest="sha256:" + "a" * 64, size=1)


def image(name: str, **labels: str) -> Image:
    return Image(name=name, target=TARGET, labels={key.replace("_", "."): value for key, value in labels.items()})


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{.name}} {{ .Size }}", "x 3"),
        (r"{{.name}}\t{{.target.mediaType}}", "x\tt"),
        ("{{json .target}}", '{"media_type": "t"}'),
        ("{{.labels}}", "[]"),
        ("plain", "plain"),
    ],
)
def test_a_template_is_filled(template: str, expected: str) -> None:
    row: dict[str, Any] = {"name": "x", "size": 3, "target": {"media_type": "t"}, "labels": []}
    assert filled(template, row) == expected


@pytest.mark.parametrize("template", ["{{.other}}", "{{.name.more}}"])
def test_a_field_that_is_not_there_is_named(template: str) -> None:
    with pytest.raises(ValueError, match=r"there is no field '.*'; there are name"):
        filled(template, {"name": "x"})


@pytest.mark.parametrize(
    ("everything", "expected"),
    [
        (False, ["a@sha256:1", "host:5000/b@sha256:2", "host:5000/plain"]),
        (True, ["a@sha256:1", "host:5000/b@sha256:2", "host:5000/plain", "free:1"]),
    ],
)
def test_what_may_be_pruned(everything: bool, expected: list[str]) -> None:
    names = ["a@sha256:1", "host:5000/b@sha256:2", "host:5000/plain", "free:1", "used:1", "used@sha256:3"]
    images = [
        *(image(name) for name in names),
        Image(name="kept", target=TARGET, labels={"io.cri-containerd.pinned": "pinned"}),
    ]
    assert prunable(images, used={"used:1", "used@sha256:3"}, everything=everything) == expected


@pytest.mark.parametrize(("text", "expected"), [("a  b\nc", "a b c"), ("x" * 50, "x" * 44 + "…"), ("x" * 45, "x" * 45)])
def test_a_command_is_shortened_to_one_line(text: str, expected: str) -> None:
    assert shortened(text) == expected


def variant() -> Variant:
    blobs = [OciDescriptor(media_type="t", digest=f"sha256:{letter * 64}", size=2) for letter in "mc1"]
    return Variant(
        platform="linux/amd64",
        manifest=blobs[0],
        required=(*blobs,),
        missing=(blobs[2].digest,),
        diff_ids=("sha256:" + "d" * 64,),
    )


def test_an_image_is_told_as_docker_tells_it() -> None:
    checked = Checked(image=image("host:5000/app:1"), variants=(variant(),))
    others = [image("host:5000/app:1"), image("app"), image("app@sha256:" + "a" * 64)]
    config = {
        "architecture": "arm",
        "variant": "v7",
        "os": "linux",
        "history": [{"comment": "why"}, {}],
        "created": "t",
    }
    found = inspected(checked, variant(), config, images=others, bytes_unpacked=0)
    assert found["Id"] == "sha256:" + "c" * 64
    assert found["RepoTags"] == ["host:5000/app:1", "app"]
    assert found["RepoDigests"] == [f"app@{TARGET.digest}", f"host:5000/app@{TARGET.digest}"]
    assert (found["Architecture"], found["Variant"], found["Os"]) == ("arm", "v7", "linux")
    assert (found["Size"], found["Comment"], found["Config"]) == (4, "why", {})


def test_what_is_missing_is_listed_by_digest() -> None:
    found = checked_fields(Checked(image=image("x"), variants=(variant(),), unpacked=()))
    (one,) = found["variants"]
    assert (one["status"], one["missing"]) == ("incomplete", ["sha256:" + "1" * 64])
    assert (one["size"], one["total"]) == (4, 6)


def test_a_file_that_the_client_writes_has_its_name_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "out.tar"
    path.write_bytes(b"older")
    with pytest.raises(ValueError, match="broken off"), whole(str(path)) as file:
        file.write(b"half")
        raise ValueError("broken off")
    assert (path.read_bytes(), os.listdir(tmp_path)) == (b"older", ["out.tar"])
    with whole(str(path)) as file:
        file.write(b"all")
        assert path.read_bytes() == b"older"
    assert (path.read_bytes(), os.listdir(tmp_path)) == (b"all", ["out.tar"])


def test_only_files_are_replaced_whole(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "file").touch()
    found = [is_plain(str(tmp_path / name)) for name in ("fifo", "file", "none", ".")]
    assert found == [False, True, True, False]
