"""A pull of what is partly there."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import busybox
from tests.support.registry import Registry
from tests.system.transfer.conftest import Rig


@pytest.fixture
def reference(rig: Rig, tmp_path: Path) -> Iterator[str]:
    """An image in a registry of its own."""
    archive = busybox.archive(f"{rig.directory}/busybox.tar")
    with Registry(tmp_path) as registry:
        name = f"{registry.host}/busybox:latest"
        subprocess.run(
            ["skopeo", "copy", "-q", "--dest-tls-verify=false", f"oci-archive:{archive}", f"docker://{name}"],
            check=True,
            capture_output=True,
        )
        yield name


def test_layers_that_are_gone_are_fetched_though_their_snapshots_are_there(rig: Rig, reference: str) -> None:
    rig.client.images.pull(reference)
    snapshots = rig.snapshots()
    manifest = rig.client.images.manifest(reference)
    for layer in manifest.layers:
        rig.client.content.delete(layer.digest)
    rig.client.images.pull(reference)
    assert rig.snapshots() == snapshots
    for layer in manifest.layers:
        assert rig.client.content.info(layer.digest).labels["containerd.io/uncompressed"]
