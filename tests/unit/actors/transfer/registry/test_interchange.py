"""What we push others read, and the other way round: skopeo on the other side of the same registry."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.registry import Registry
from tests.unit.actors.transfer.registry.conftest import MakeClient, Source, layer, read_all, reference
from wharfie.oci.descriptor import MEDIA_TYPE_MANIFEST, Descriptor
from wharfie.oci.manifest import decode_manifest

DATA = os.urandom(700_000)

pytestmark = pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed")


def skopeo(*arguments: str) -> bytes:
    done = subprocess.run(["skopeo", *arguments], capture_output=True, check=False, timeout=50)
    assert done.returncode == 0, done
    return done.stdout


def test_what_we_push_skopeo_copies_and_we_read_again(
    server: Registry, client: MakeClient, repository: str, tmp_path: Path
) -> None:
    one, ref = client(), reference(server.host, repository, "ours")
    config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}).encode()
    for data in (config, DATA):
        one.push_blob(ref, layer(data), Source(data))
    data = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MEDIA_TYPE_MANIFEST,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": layer(config).digest,
                "size": len(config),
            },
            "layers": [{"mediaType": layer(DATA).media_type, "digest": layer(DATA).digest, "size": len(DATA)}],
        }
    ).encode()
    descriptor = Descriptor(media_type=MEDIA_TYPE_MANIFEST, digest=layer(data).digest, size=len(data))
    one.push_manifest(ref, descriptor, data)

    source = f"docker://{server.host}/{repository}:ours"
    assert skopeo("inspect", "--raw", "--tls-verify=false", source) == data
    skopeo("copy", "--src-tls-verify=false", "--preserve-digests", source, f"oci:{tmp_path}/layout:x")
    target = f"docker://{server.host}/{repository}/copy:theirs"
    skopeo("copy", "--dest-tls-verify=false", "--preserve-digests", f"oci:{tmp_path}/layout:x", target)

    copied = reference(server.host, f"{repository}/copy", "theirs")
    assert one.resolve(copied) == descriptor
    manifest = decode_manifest(one.manifest(copied, descriptor))
    assert read_all(one, copied, manifest.layers[0]) == DATA
