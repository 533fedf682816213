"""Image archives made in a test: OCI layouts and docker archives, whole or broken on purpose."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterable, Mapping
from typing import Any

from wharfie.oci import descriptor as oci

BUSYBOX = "/bin/busybox"
MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)

Tree = Mapping[str, "bytes | str | None"]
"""Path to a file's bytes, or (text) to where a symbolic link leads, or (None) a directory."""


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def tar(tree: Tree, *, mode: int = 0o755) -> bytes:
    """A plain tar with these entries in their order; the same bytes each time."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as out:
        for name, content in tree.items():
            info = tarfile.TarInfo(name)
            info.mode = mode
            info.mtime = 1_700_000_000
            if content is None:
                info.type = tarfile.DIRTYPE
                out.addfile(info)
            elif isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                out.addfile(info)
            else:
                info.size = len(content)
                out.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def busybox_tree() -> dict[str, bytes | str | None]:
    """A root in which busybox runs."""
    with open(BUSYBOX, "rb") as file:
        binary = file.read()
    tree: dict[str, bytes | str | None] = dict.fromkeys(("bin", "dev", "etc", "proc", "sys", "tmp", "root"))
    tree["bin/busybox"] = binary
    tree |= {f"bin/{name}": "busybox" for name in ("sh", "echo", "true", "false", "cat", "sleep", "ls", "id", "env")}
    tree["etc/passwd"] = b"root:x:0:0:root:/root:/bin/sh\n"
    tree["etc/group"] = b"root:x:0:\n"
    return tree


class Layout:
    """An OCI layout in the making: `blob`, `image`, `entry`, then `tar`."""

    def __init__(self) -> None:
        self.files: dict[str, bytes | str | None] = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}
        self.entries: list[dict[str, Any]] = []

    def blob(self, data: bytes, media_type: str) -> dict[str, Any]:
        """Add a blob; returns its descriptor."""
        self.files[f"blobs/{digest(data).replace(':', '/')}"] = data
        return {"mediaType": media_type, "digest": digest(data), "size": len(data)}

    def drop(self, descriptor: Mapping[str, Any]) -> None:
        """Take a blob out again."""
        del self.files[f"blobs/{descriptor['digest'].replace(':', '/')}"]

    def document(self, value: Any, media_type: str) -> dict[str, Any]:
        return self.blob(json.dumps(value).encode(), media_type)

    def image(
        self,
        layers: Iterable[bytes],
        *,
        compress: bool = True,
        architecture: str = MACHINE,
        diff_ids: list[str] | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Add an image of plain layers; returns the descriptor of its manifest."""
        plain = list(layers)
        made = {
            "architecture": architecture,
            "os": "linux",
            "config": {"Cmd": ["/bin/sh"], "Env": ["PATH=/bin"], **(config or {})},
            "rootfs": {"type": "layers", "diff_ids": diff_ids or [digest(layer) for layer in plain]},
        }
        media_type = oci.MEDIA_TYPE_LAYER_GZIP if compress else oci.MEDIA_TYPE_LAYER
        manifest = {
            "schemaVersion": 2,
            "mediaType": oci.MEDIA_TYPE_MANIFEST,
            "config": self.document(made, oci.MEDIA_TYPE_CONFIG),
            "layers": [
                self.blob(gzip.compress(layer, 1, mtime=0) if compress else layer, media_type) for layer in plain
            ],
        }
        return self.document(manifest, oci.MEDIA_TYPE_MANIFEST)

    def index(self, *children: Mapping[str, Any]) -> dict[str, Any]:
        """Add an index; returns its descriptor."""
        value = {"schemaVersion": 2, "mediaType": oci.MEDIA_TYPE_INDEX, "manifests": list(children)}
        return self.document(value, oci.MEDIA_TYPE_INDEX)

    def entry(self, descriptor: Mapping[str, Any], *, ref: str = "", name: str = "") -> None:
        """List an image in `index.json`."""
        annotations = {"org.opencontainers.image.ref.name": ref, "io.containerd.image.name": name}
        annotations = {key: value for key, value in annotations.items() if value}
        self.entries.append({**descriptor, **({"annotations": annotations} if annotations else {})})

    def tar(self) -> bytes:
        """The archive."""
        index = json.dumps({"schemaVersion": 2, "manifests": self.entries}).encode()
        return tar({**self.files, "index.json": index})


def platform(descriptor: Mapping[str, Any], text: str) -> dict[str, Any]:
    """A descriptor that says its platform."""
    system, architecture = text.split("/")
    return {**descriptor, "platform": {"os": system, "architecture": architecture}}


def busybox_archive(name: str = "busybox:latest") -> bytes:
    """An OCI archive of one image with one layer that holds busybox."""
    layout = Layout()
    layout.entry(layout.image([tar(busybox_tree())]), ref=name)
    return layout.tar()


def docker_archive(
    layers: Mapping[str, bytes | str],
    *,
    tags: list[str] | None,
    diff_ids: list[str] | None = None,
    architecture: str = MACHINE,
) -> bytes:
    """An archive as `docker save` writes it; a layer given as text is a link to another member."""
    if diff_ids is None:
        diff_ids = [digest(data) for data in layers.values() if isinstance(data, bytes)]
    config = json.dumps(
        {"architecture": architecture, "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    ).encode()
    config_name = f"{digest(config)[7:]}.json"
    manifest = json.dumps([{"Config": config_name, "RepoTags": tags, "Layers": list(layers)}]).encode()
    return tar({**layers, config_name: config, "manifest.json": manifest})
