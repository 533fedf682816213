"""Which manifests of an image are pulled, and what is refused."""

from __future__ import annotations

import json

import pytest

import wharfie
from tests.support import registry as registries
from tests.support.faultyproxy import FaultyProxy
from tests.support.registry import Registry
from tests.support.remoteimages import Remote, publish, publish_index
from tests.system.transfer.conftest import Rig

OTHER = "linux/s390x"


@pytest.fixture(scope="module")
def several(registry: Registry) -> list[Remote]:
    """`several:1` is an index of: another platform, an index with ours in it, an attestation."""
    other = publish(registry, "several", "other", {"file": b"of another"}, platform=OTHER)
    ours = publish(registry, "several", "ours")
    said = publish(registry, "several", "said", {"sbom": b"{}"}, platform="unknown/unknown")
    inner = publish_index(registry, "several", "inner", [ours.entry()])
    nested = {"mediaType": "application/vnd.oci.image.index.v1+json", **inner._asdict()}
    publish_index(registry, "several", "1", [other.entry(), nested, said.entry()])
    return [other, ours, said]


def here(rig: Rig) -> set[str]:
    return {blob.digest for blob in rig.client.content.list()}


def test_only_the_wanted_platform_is_fetched_from_indexes_within_indexes(
    rig: Rig, registry: Registry, several: list[Remote]
) -> None:
    other, ours, said = several
    pulled = rig.client.images.pull(f"{registry.host}/several:1")
    assert ours.manifest.digest in here(rig)
    assert not here(rig) & {remote.manifest.digest for remote in (other, said)}
    assert rig.client.run(pulled.image.name, ["true"]).exit_code == 0
    rig.client.gc.run()
    assert ours.layers[0].digest in here(rig)


def test_another_platform_by_name_and_one_that_there_is_not(
    rig: Rig, registry: Registry, several: list[Remote]
) -> None:
    rig.client.images.pull(f"{registry.host}/several:1", platform=OTHER)
    assert several[0].manifest.digest in here(rig)
    assert several[1].manifest.digest not in here(rig)
    with pytest.raises(wharfie.NotFound, match=f"there are: {OTHER}"):
        rig.client.images.pull(f"{registry.host}/several:1", platform="windows/amd64")
    with pytest.raises(wharfie.NotFound, match=f"is for platform '{OTHER}'"):
        rig.client.images.pull(several[0].ref)
    assert rig.client.images.pull(several[0].ref, all_platforms=True).chain_id == ""


def test_all_platforms_come_with_attestations_and_only_one_is_unpacked(
    rig: Rig, registry: Registry, several: list[Remote]
) -> None:
    pulled = rig.client.images.pull(f"{registry.host}/several:1", all_platforms=True)
    for remote in several:
        assert {remote.manifest.digest, remote.config.digest, remote.layers[0].digest} <= here(rig)
    assert [name for name in rig.snapshots() if name.startswith("sha256:")] == [pulled.chain_id]
    assert rig.client.gc.run().blobs == 0


def test_an_artifact_is_stored_and_not_unpacked(rig: Rig, registry: Registry) -> None:
    layer = registry.put_blob("artifact", b"of any kind")
    empty = registry.put_blob("artifact", b"{}")
    manifest = {
        "schemaVersion": 2,
        "mediaType": registries.MANIFEST,
        "artifactType": "application/vnd.example",
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", **empty._asdict()},
        "layers": [{"mediaType": "application/octet-stream", **layer._asdict()}],
    }
    put = registry.put_manifest("artifact", "1", json.dumps(manifest).encode())
    pulled = rig.client.images.pull(f"{registry.host}/artifact:1")
    assert (pulled.chain_id, pulled.image.target.digest) == ("", put.digest)
    assert rig.client.content.read(layer.digest) == b"of any kind"


@pytest.mark.parametrize(
    ("media_type", "body", "error"),
    [
        (
            "application/vnd.docker.distribution.manifest.v1+prettyjws",
            b'{"schemaVersion":1,"name":"old","fsLayers":[]}',
            "schema 1",
        ),
        (
            registries.MANIFEST,
            json.dumps(
                {
                    "schemaVersion": 2,
                    "config": {"mediaType": "a/b", "digest": f"sha256:{'0' * 64}", "size": 1},
                    "layers": [],
                    "manifests": [],
                }
            ).encode(),
            "ambiguous",
        ),
        (registries.MANIFEST, b"{" + b" " * (4 << 20) + b"}", "4194304|4 MiB"),
        (registries.MANIFEST, b"not json", "malformed"),
    ],
    ids=["schema-1", "ambiguous", "too-large", "malformed"],
)
def test_what_is_no_manifest_of_today_is_refused(
    rig: Rig, proxy: FaultyProxy, media_type: str, body: bytes, error: str
) -> None:
    def say(exchange: object, _proxy: FaultyProxy) -> None:
        exchange.answer(200, body, {"Content-Type": media_type})  # type: ignore[attr-defined]

    for method in ("HEAD", "GET"):
        proxy.on(method, "/manifests/", say, times=10)
    with pytest.raises((wharfie.InvalidArgument, wharfie.FailedPrecondition), match=error):
        rig.client.images.pull(f"{proxy.host}/odd:1")
    assert rig.names() == []
    assert here(rig) == set()
