"""An image of the daemon as an OCI layout directory, for other programs to read; and what they make of it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import wharfie


def write(client: wharfie.Client, name: str, directory: Path, *, tag: str = "it") -> None:
    """Write an image, all of its blobs, as a layout directory."""
    image = client.images.get(name)
    manifest = client.images.manifest(name)
    directory.mkdir(parents=True)
    (directory / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    entry = {
        "mediaType": image.target.media_type,
        "digest": image.target.digest,
        "size": image.target.size,
        "annotations": {"org.opencontainers.image.ref.name": tag},
    }
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    for digest in (image.target.digest, manifest.config.digest, *(layer.digest for layer in manifest.layers)):
        path = directory / "blobs" / digest.replace(":", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(client.content.read(digest))


def unpacked_by_umoci(layout: Path, bundle: Path, *, tag: str = "it") -> Path:
    """Have umoci unpack the image; returns its root."""
    run("umoci", "unpack", "--image", f"{layout}:{tag}", str(bundle))
    return bundle / "rootfs"


def copied_by_skopeo(layout: Path, target: str, *, tag: str = "it") -> None:
    """Have skopeo copy the image to another place, such as `dir:/path` or `docker-archive:/path`."""
    run("skopeo", "copy", "--insecure-policy", f"oci:{layout}:{tag}", target)


def inspected_by_skopeo(layout: Path, *, tag: str = "it") -> dict[str, object]:
    """What skopeo tells of the image's configuration."""
    found = json.loads(run("skopeo", "inspect", "--config", f"oci:{layout}:{tag}"))
    assert isinstance(found, dict)
    return found


def run(*words: str) -> str:
    """Run a program that must succeed; returns what it printed."""
    environment = {**os.environ, "TMPDIR": "/dev/shm"}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False, timeout=120)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr[-2000:]}"
    return done.stdout
