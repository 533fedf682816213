from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wharfie.errors import InvalidArgument
from wharfie.oci import manifest
from wharfie.oci.descriptor import MEDIA_TYPE_INDEX, MEDIA_TYPE_MANIFEST
from wharfie.oci.image_config import decode_image_config
from wharfie.oci.manifest import Index, Manifest, decode_document, decode_index, decode_manifest

CONFIG = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "sha256:c", "size": 2}
LAYER = {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": "sha256:l", "size": 3, "future": [1]}


def test_a_manifest_is_decoded_and_unknown_fields_are_ignored() -> None:
    document = decode_document(json.dumps({"schemaVersion": 2, "config": CONFIG, "layers": [LAYER], "x": {}}).encode())
    assert isinstance(document, Manifest)
    assert document.config.digest == "sha256:c"
    assert [layer.size for layer in document.layers] == [3]


def test_an_index_is_decoded_with_its_platforms() -> None:
    platform = {"architecture": "arm64", "os": "linux", "variant": "v8", "os.version": None}
    entry = {**CONFIG, "mediaType": MEDIA_TYPE_MANIFEST, "platform": platform, "annotations": {"a": "b"}}
    document = decode_document(json.dumps({"manifests": [entry]}).encode(), media_type=MEDIA_TYPE_INDEX)
    assert isinstance(document, Index)
    assert document.manifests[0].platform is not None
    assert document.manifests[0].platform.variant == "v8"


@pytest.mark.parametrize("other", [{"layers": [LAYER]}, {"config": CONFIG}])
def test_a_document_that_is_both_is_refused_because_it_was_cve_2021_41190(other: dict[str, object]) -> None:
    with pytest.raises(InvalidArgument, match="ambiguous"):
        decode_document(json.dumps({"manifests": [], **other}).encode())


def test_a_document_of_another_type_than_its_descriptor_says_is_refused() -> None:
    document = json.dumps({"config": CONFIG, "layers": []}).encode()
    with pytest.raises(InvalidArgument, match="media type"):
        decode_document(document, media_type=MEDIA_TYPE_INDEX)
    with pytest.raises(InvalidArgument, match="media type"):
        decode_document(json.dumps({"mediaType": MEDIA_TYPE_MANIFEST, "manifests": []}).encode())
    with pytest.raises(InvalidArgument, match="expected an index"):
        decode_index(document)
    with pytest.raises(InvalidArgument, match="choose one"):
        decode_manifest(b'{"manifests": []}')


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{", b'{"layers": 1}', b'{"config": {"size": "x"}}', b"[" * 100_000, b"\xff"]
)
def test_broken_json_is_a_typed_error(data: bytes) -> None:
    with pytest.raises(InvalidArgument):
        decode_document(data)


def test_a_document_over_the_limit_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "MAX_DOCUMENT_BYTES", 10)
    with pytest.raises(InvalidArgument, match="more than 10"):
        decode_document(b" " * 11)


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_but_the_typed_error(data: bytes) -> None:
    for decode in (decode_document, decode_image_config):
        try:
            decode(data)
        except InvalidArgument:
            continue


def test_an_image_configuration_with_nulls_is_one_with_absent_fields() -> None:
    text = {"architecture": "amd64", "os": "linux", "config": {"Env": None, "Cmd": ["sh"], "Entrypoint": None}}
    image = decode_image_config(json.dumps({**text, "history": [{}], "rootfs": {"diff_ids": ["sha256:d"]}}).encode())
    assert image.config is not None
    assert image.config.env is None
    assert image.config.cmd == ("sh",)
    assert image.rootfs is not None
    assert image.rootfs.diff_ids == ("sha256:d",)


def test_a_configuration_with_everything_docker_writes() -> None:
    config: dict[str, object] = {
        "User": "app",
        "ExposedPorts": {"80/tcp": {}},
        "Volumes": {"/data": {}},
        "WorkingDir": "/srv",
        "Labels": {"a": "b"},
        "StopSignal": "SIGINT",
        "OnBuild": None,
    }
    image = decode_image_config(json.dumps({"config": config}).encode())
    assert image.config is not None
    assert (image.config.user, image.config.working_dir, image.config.stop_signal) == ("app", "/srv", "SIGINT")
    assert set(image.config.exposed_ports or ()) == {"80/tcp"}
    with pytest.raises(InvalidArgument, match="malformed"):
        decode_image_config(b'{"config": {"Cmd": "not a list"}}')
