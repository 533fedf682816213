"""Damaged blobs of an image are fetched again."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.support import busybox
from tests.support.commandline import Shell
from tests.support.registry import Registry
from tests.system.transfer.conftest import Rig


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with Registry(tmp_path) as running:
        yield running


@pytest.fixture
def image(rig: Rig, registry: Registry) -> str:
    """Pulled from a registry of its own."""
    archive = busybox.archive(f"{rig.directory}/busybox.tar")
    name = f"{registry.host}/busybox:latest"
    subprocess.run(
        ["skopeo", "copy", "-q", "--dest-tls-verify=false", f"oci-archive:{archive}", f"docker://{name}"],
        check=True,
        capture_output=True,
    )
    rig.client.images.pull(name)
    return name


def damage(rig: Rig, digest: str) -> None:
    path = rig.daemon.root / "content" / "blobs" / "sha256" / digest.removeprefix("sha256:")
    size = path.stat().st_size
    path.write_bytes(os.urandom(size))


@pytest.mark.parametrize("what", ["the image", "everything"])
def test_damaged_blobs_of_an_image_are_fetched_again(rig: Rig, image: str, what: str) -> None:
    shell = Shell(str(rig.daemon.address), rig.client.namespace)
    arguments = ("content", "check", *([image] if what == "the image" else []))
    manifest = rig.client.images.manifest(image)
    pulled = rig.client.images.get(image)
    labelled = msgspec.structs.replace(pulled, labels={"mine": "yes"})
    record = rig.client.images.update(labelled, mask=["labels.mine"])
    target = record.target.digest
    labels = {blob.digest: blob.labels for blob in rig.client.content.list()}
    digests = {target, manifest.config.digest, manifest.layers[0].digest}
    for digest in digests:
        damage(rig, digest)
    assert shell.run(*arguments).code == 1
    ended = shell.run(*arguments, "--repair", "--json")
    found = json.loads(ended.out)
    assert ended.code == 0, ended.err
    # What a damaged manifest refers to is not found through it; what it needs is found in the next round.
    assert set(found["repaired"]) == {item["digest"] for item in found["damaged"]} <= digests
    shell.run(*arguments, "--repair")
    assert "all as they should be" in shell.ok(*arguments)
    assert {blob.digest: blob.labels for blob in rig.client.content.list()} == labels
    after = rig.client.images.get(image)
    assert (after.target, after.labels, after.created_at_ns) == (record.target, record.labels, record.created_at_ns)
    assert rig.client.run(image, ["true"], timeout_s=60).exit_code == 0


def test_what_the_registry_has_no_more_stays_damaged_and_is_told(rig: Rig, image: str, registry: Registry) -> None:
    shell = Shell(str(rig.daemon.address), rig.client.namespace)
    layer = rig.client.images.manifest(image).layers[0].digest
    damage(rig, layer)
    registry.stop()
    ended = shell.run("content", "check", "--repair", image)
    assert ended.code == 1
    assert "cannot be fetched again" in ended.err
    assert "1 damaged" in ended.out
    registry.start()
    assert "1 damaged, 1 repaired" in shell.ok("content", "check", "--repair", image)
