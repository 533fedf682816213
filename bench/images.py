"""Images: import with unpacking, whole processes."""

from __future__ import annotations

import os
import subprocess
import sys

from bench.daemons import ROOT, Containerd, Wharfied
from bench.figure import Figure, in_turn, medians

ROUNDS = 3


def make(path: str, *arguments: str) -> str:
    subprocess.run(
        [sys.executable, f"{ROOT}/bench/make_image.py", *arguments, path],
        check=True,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )
    return path


def small(directory: str) -> str:
    return make(
        f"{directory}/small.tar", "--files", "20", "--bytes", "100K", "--layers", "1", "--busybox", "/bin/busybox"
    )


def unpack_in_containerd(theirs: Containerd) -> str:
    """Unpack the small image; the chain id of its top."""
    lines = subprocess.run(theirs.ctr("image", "ls", "-q"), check=True, capture_output=True, text=True).stdout.split()
    name = lines[0]
    subprocess.run(theirs.ctr("image", "tag", name, "docker.io/library/bench:latest"), check=False, capture_output=True)
    subprocess.run(theirs.ctr("run", "--rm", "docker.io/library/bench:latest", "warm", "true"), check=True)
    listing = subprocess.run(theirs.ctr("snapshot", "ls"), check=True, capture_output=True, text=True).stdout
    return next(line.split()[0] for line in listing.splitlines() if line.startswith("sha256:"))


def measure(ours: Wharfied, theirs: Containerd, directory: str) -> list[Figure]:
    figures = []
    for layers, limit in ((1, 0.35), (6, 0.25)):
        path = make(f"{directory}/big{layers}.tar", "--files", "10000", "--bytes", "200M", "--layers", str(layers))

        def import_ours(path: str = path) -> None:
            subprocess.run(ours.cli("import", path), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def import_theirs(path: str = path) -> None:
            subprocess.run(theirs.ctr("image", "import", path), check=True, stdout=subprocess.DEVNULL)

        def forget() -> None:
            _forget(ours, theirs)

        times: dict[str, list[float]] = {"ours": [], "theirs": []}
        for _ in range(ROUNDS):
            for name, values in in_turn(1, ours=import_ours, theirs=import_theirs).items():
                times[name] += values
            forget()
        middle = medians(times)
        figures.append(
            Figure(
                name=f"import with unpacking, 200 MB, 10,000 files, {layers} layer{'s' * (layers > 1)}",
                ours=middle["ours"] / 1000,
                unit="s",
                peer=middle["theirs"] / 1000,
                peer_name="ctr image import",
                limit=limit,
            )
        )
        os.unlink(path)
    return figures


def _forget(ours: Wharfied, theirs: Containerd) -> None:
    """Both start again from nothing: names, content and snapshots of the big image are removed."""
    import wharfie

    with wharfie.connect(ours.address) as client:
        keep = {"bench:latest"}
        for image in client.images.list():
            if image.name not in keep:
                client.images.delete(image.name)
        kept = {client.images.get(name).target.digest for name in keep}
        manifest = client.images.manifest("bench:latest")
        kept |= {manifest.config.digest, *(layer.digest for layer in manifest.layers)}
        for blob in client.content.list():
            if blob.digest not in kept:
                client.content.delete(blob.digest)
        base = _chain(client)
        while extra := [one for one in client.snapshots.list() if one.name != base]:
            for one in extra:
                try:
                    client.snapshots.remove(one.name)
                except wharfie.FailedPrecondition:
                    continue
        client.snapshots.cleanup()
    names = subprocess.run(theirs.ctr("image", "ls", "-q"), capture_output=True, text=True, check=True).stdout.split()
    for name in names:
        if "docker.io/library/bench" not in name:
            subprocess.run(theirs.ctr("image", "rm", "--sync", name), check=True, stdout=subprocess.DEVNULL)


def _chain(client: object) -> str:
    import wharfie
    from wharfie.oci.chains import chain_id

    assert isinstance(client, wharfie.Client)
    config = client.images.config("bench:latest")
    assert config.rootfs is not None
    return chain_id(config.rootfs.diff_ids or ())
