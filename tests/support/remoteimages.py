"""Images in a registry, made in a test: with layers, for platforms, in indexes; whole or broken on purpose."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from tests.support.archives import MACHINE, Tree, busybox_tree, digest, tar
from tests.support.registry import CONFIG, MANIFEST, Put, Registry

INDEX = "application/vnd.oci.image.index.v1+json"
LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"


class Remote(NamedTuple):
    """An image that a registry has."""

    ref: str
    manifest: Put
    layers: list[Put]
    config: Put
    platform: str = ""

    def entry(self, **more: object) -> dict[str, Any]:
        """Its descriptor for an index."""
        found: dict[str, Any] = {"mediaType": MANIFEST, **self.manifest._asdict(), **more}
        if self.platform:
            system, architecture, *variant = self.platform.split("/")
            found["platform"] = {"os": system, "architecture": architecture}
            if variant:
                found["platform"]["variant"] = variant[0]
        return found


def publish(
    registry: Registry,
    repository: str,
    tag: str,
    *trees: Tree | bytes,
    platform: str = f"linux/{MACHINE}",
    diff_ids: Sequence[str] | None = None,
    command: Sequence[str] = ("sh",),
) -> Remote:
    """Put an image of these layers (a tree, or a plain tar); without any it is a busybox."""
    tars = [tree if isinstance(tree, bytes) else tar(tree) for tree in trees or (busybox_tree(),)]
    system, architecture, *variant = platform.split("/")
    config = {
        "os": system,
        "architecture": architecture,
        **({"variant": variant[0]} if variant else {}),
        "config": {"Env": ["PATH=/bin"], "Cmd": [*command]},
        "rootfs": {"type": "layers", "diff_ids": [*(diff_ids or map(digest, tars))]},
    }
    layers = [registry.put_blob(repository, gzip.compress(data, 1, mtime=0)) for data in tars]
    put = registry.put_blob(repository, json.dumps(config).encode())
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, **put._asdict()},
        "layers": [{"mediaType": LAYER_GZIP, **layer._asdict()} for layer in layers],
    }
    made = registry.put_manifest(repository, tag, json.dumps(manifest).encode())
    return Remote(f"{registry.host}/{repository}:{tag}", made, layers, put, platform)


def publish_index(registry: Registry, repository: str, tag: str, entries: Sequence[dict[str, Any]]) -> Put:
    """Put an index of these descriptors."""
    document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [*entries]}
    return registry.put_manifest(repository, tag, json.dumps(document).encode(), INDEX)
