"""Documents of a converted image."""

from __future__ import annotations

import json
from typing import Any

import pytest

from actors.transfer import conversion
from actors.transfer.diff.sink import Compression
from wharfie.errors import InvalidArgument, Unimplemented
from wharfie.oci import descriptor as oci
from wharfie.oci.descriptor import Descriptor
from wharfie.oci.variants import ATTESTED


def dump(document: Any) -> bytes:
    return json.dumps(document).encode()


def entry(letter: str, media_type: str, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": f"sha256:{letter * 64}", "size": 1, **more}


def becomes(letter: str, media_type: str) -> Descriptor:
    return Descriptor(media_type=media_type, digest=f"sha256:{letter * 64}", size=9)


@pytest.mark.parametrize(
    ("now", "compression", "as_oci", "expected"),
    [
        (oci.MEDIA_TYPE_DOCKER_LAYER_GZIP, None, False, oci.MEDIA_TYPE_DOCKER_LAYER_GZIP),
        (oci.MEDIA_TYPE_DOCKER_LAYER_GZIP, None, True, oci.MEDIA_TYPE_LAYER_GZIP),
        (oci.MEDIA_TYPE_DOCKER_LAYER_GZIP, Compression.ZSTD, False, oci.MEDIA_TYPE_DOCKER_LAYER_ZSTD),
        (oci.MEDIA_TYPE_DOCKER_LAYER_GZIP, Compression.ZSTD, True, oci.MEDIA_TYPE_LAYER_ZSTD),
        (oci.MEDIA_TYPE_LAYER_ZSTD, Compression.NONE, False, oci.MEDIA_TYPE_LAYER),
        (oci.MEDIA_TYPE_LAYER, Compression.GZIP, False, oci.MEDIA_TYPE_LAYER_GZIP),
        (oci.MEDIA_TYPE_DOCKER_LIST, None, True, oci.MEDIA_TYPE_INDEX),
        ("application/x", None, True, "application/x"),
    ],
)
def test_the_media_type_that_a_layer_gets(
    now: str, compression: Compression | None, as_oci: bool, expected: str
) -> None:
    assert conversion.media_type(now, compression=compression, as_oci=as_oci) == expected


def test_what_is_no_tar_is_not_compressed_anew() -> None:
    with pytest.raises(Unimplemented, match="layers of media type 'application/x' cannot be compressed anew"):
        conversion.media_type("application/x", compression=Compression.GZIP, as_oci=False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", None), ("gzip", Compression.GZIP), ("zstd", Compression.ZSTD), ("none", Compression.NONE)],
)
def test_compressions_by_name(text: str, expected: Compression | None) -> None:
    assert conversion.parse(text) is expected


def test_an_unknown_compression_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="compression 'xz' is unknown"):
        conversion.parse("xz")


MANIFEST = {
    "schemaVersion": 2,
    "mediaType": oci.MEDIA_TYPE_DOCKER_MANIFEST,
    "config": entry("c", oci.MEDIA_TYPE_DOCKER_CONFIG),
    "layers": [
        entry(
            "1",
            oci.MEDIA_TYPE_DOCKER_LAYER_GZIP,
            annotations={"containerd.io/snapshot/stargz/toc.digest": "x", "mine": "kept"},
        ),
        entry("2", oci.MEDIA_TYPE_DOCKER_LAYER_GZIP),
    ],
    "x-unknown": {"kept": [1]},
}


def test_a_manifest_in_which_nothing_changes_keeps_its_bytes() -> None:
    data = dump(MANIFEST)
    assert conversion.manifest(data, layers={}, as_oci=False) == data
    same = {
        f"sha256:{letter * 64}": Descriptor(
            media_type=oci.MEDIA_TYPE_DOCKER_LAYER_GZIP, digest=f"sha256:{letter * 64}", size=1
        )
        for letter in "12"
    }
    assert conversion.manifest(data, layers=same, as_oci=False) == data


def test_layers_are_replaced_and_what_told_of_their_bytes_goes() -> None:
    layers = {"sha256:" + "1" * 64: becomes("9", oci.MEDIA_TYPE_LAYER_ZSTD)}
    found = json.loads(conversion.manifest(dump(MANIFEST), layers=layers, as_oci=True))
    assert found["mediaType"] == oci.MEDIA_TYPE_MANIFEST
    assert found["config"]["mediaType"] == oci.MEDIA_TYPE_CONFIG
    assert found["config"]["digest"] == "sha256:" + "c" * 64
    assert found["layers"][0] == entry("9", oci.MEDIA_TYPE_LAYER_ZSTD) | {"size": 9, "annotations": {"mine": "kept"}}
    assert found["layers"][1]["mediaType"] == oci.MEDIA_TYPE_LAYER_GZIP
    assert found["x-unknown"] == {"kept": [1]}


def test_an_index_lists_what_was_kept_and_attestations_follow_what_they_are_of() -> None:
    document = {
        "schemaVersion": 2,
        "mediaType": oci.MEDIA_TYPE_INDEX,
        "manifests": [
            entry("1", oci.MEDIA_TYPE_MANIFEST, platform={"os": "linux", "architecture": "amd64"}),
            entry("2", oci.MEDIA_TYPE_MANIFEST),
            entry("3", oci.MEDIA_TYPE_MANIFEST, annotations={ATTESTED: "sha256:" + "1" * 64, "kind": "sbom"}),
        ],
        "annotations": {"kept": "too"},
    }
    children = {
        "sha256:" + "1" * 64: becomes("9", oci.MEDIA_TYPE_MANIFEST),
        "sha256:" + "3" * 64: Descriptor(media_type=oci.MEDIA_TYPE_MANIFEST, digest="sha256:" + "3" * 64, size=1),
    }
    found = json.loads(conversion.index(dump(document), children=children, as_oci=False))
    assert [one["digest"][7] for one in found["manifests"]] == ["9", "3"]
    assert found["manifests"][0]["platform"] == {"os": "linux", "architecture": "amd64"}
    assert found["manifests"][1]["annotations"] == {ATTESTED: "sha256:" + "9" * 64, "kind": "sbom"}
    assert found["annotations"] == {"kept": "too"}
