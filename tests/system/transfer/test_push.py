"""Pushes to Debian's registry: what is sent, in which order, and that others can read it."""

from __future__ import annotations

import json
import random
import subprocess

import pytest

import wharfie
from tests.support.archives import MACHINE, Layout, busybox_archive, busybox_tree, tar
from tests.support.faultyproxy import FaultyProxy, swallow_after
from tests.support.registry import MANIFEST, Registry
from tests.support.remoteimages import INDEX, Remote, publish, publish_index
from tests.system.transfer.conftest import Rig
from wharfie.types.transfer import Progress

SOURCE = "containerd.io/distribution.source."
OTHER = "linux/s390x"
NOISE = random.Random(13).randbytes(2_000_000)


@pytest.fixture(scope="module")
def both(registry: Registry) -> tuple[Remote, Remote]:
    """`both:1` is an index of an image for this machine and one for another."""
    ours = publish(registry, "both", "ours", {"noise": NOISE}, busybox_tree())
    other = publish(registry, "both", "other", {"file": b"of another"}, platform=OTHER)
    publish_index(registry, "both", "1", [ours.entry(), other.entry()])
    return ours, other


def manifest_of(registry: Registry, repository: str, reference: str) -> tuple[str, bytes]:
    """Digest and bytes of what a reference stands for."""
    accept = {"Accept": f"{INDEX}, {MANIFEST}"}
    _, headers, data = registry.request("GET", f"/v2/{repository}/manifests/{reference}", headers=accept, expect=200)
    return headers["docker-content-digest"], data


def uploads(proxy: FaultyProxy) -> list[str]:
    """The paths of requests that send bytes."""
    return [seen.path for seen in proxy.requests if seen.method in {"PUT", "PATCH"} and "/blobs/" in seen.path]


def test_an_imported_image_is_pushed_whole_and_skopeo_reads_it(rig: Rig, registry: Registry) -> None:
    rig.client.images.import_(rig.archive(busybox_archive()))
    items: list[Progress] = []
    pushed = rig.client.images.push("busybox:latest", f"{registry.host}/mine/app:1", on_progress=items.append)
    assert pushed.ref == f"{registry.host}/mine/app:1"
    assert pushed.target.digest == rig.client.images.get("busybox:latest").target.digest
    assert pushed.sent_bytes > 0
    assert {"uploading", "done", "pushed"} <= {item.event for item in items}
    target = rig.directory / "copied"
    source = f"docker://{registry.host}/mine/app:1"
    subprocess.run(["skopeo", "copy", "-q", "--src-tls-verify=false", source, f"dir:{target}"], check=True)
    assert json.loads((target / "manifest.json").read_bytes())["layers"]
    rig.clear()
    rig.client.images.pull(pushed.ref)
    assert rig.client.run(pushed.ref, ["echo", "back"]).stdout == b"back\n"


def test_nothing_is_sent_twice(rig: Rig, proxy: FaultyProxy) -> None:
    rig.client.images.import_(rig.archive(busybox_archive()))
    ref = f"{proxy.host}/twice:1"
    assert rig.client.images.push("busybox:latest", ref).sent_bytes > 0
    assert uploads(proxy)
    proxy.forget()
    assert rig.client.images.push("busybox:latest", ref).sent_bytes == 0
    assert not uploads(proxy)


def test_blobs_that_another_repository_has_are_mounted(
    rig: Rig, proxy: FaultyProxy, both: tuple[Remote, Remote]
) -> None:
    ours, _ = both
    pulled = rig.client.images.pull(f"{proxy.host}/both:ours", unpack=False)
    proxy.forget()
    pushed = rig.client.images.push(pulled.image.name, f"{proxy.host}/team/app:1")
    assert pushed.sent_bytes == 0
    assert not uploads(proxy)
    assert all("from=both" in seen.path for seen in proxy.seen("POST", "/blobs/uploads/"))
    labels = rig.client.content.info(ours.layers[0].digest).labels
    assert labels[f"{SOURCE}{proxy.host}"] == "both,team/app"


def test_an_index_is_pushed_with_all_its_manifests_and_after_them(
    rig: Rig, registry: Registry, proxy: FaultyProxy, both: tuple[Remote, Remote]
) -> None:
    pulled = rig.client.images.pull(f"{registry.host}/both:1", all_platforms=True, unpack=False)
    pushed = rig.client.images.push(pulled.image.name, f"{proxy.host}/all:2")
    assert manifest_of(registry, "all", "2")[0] == pushed.target.digest == pulled.image.target.digest
    order = [seen.path.rpartition("/")[2] for seen in proxy.seen("PUT", "/manifests/")]
    assert order == [*(remote.manifest.digest for remote in both), "2"]


def test_one_platform_is_pushed_by_itself(rig: Rig, registry: Registry, both: tuple[Remote, Remote]) -> None:
    pulled = rig.client.images.pull(f"{registry.host}/both:1", unpack=False)
    with pytest.raises(wharfie.FailedPrecondition, match="not all here"):
        rig.client.images.push(pulled.image.name, f"{registry.host}/one:1")
    rig.client.images.push(pulled.image.name, f"{registry.host}/one:1", platform=f"linux/{MACHINE}")
    assert manifest_of(registry, "one", "1")[0] == both[0].manifest.digest


def test_a_manifest_is_pushed_byte_for_byte(rig: Rig, registry: Registry) -> None:
    layout = Layout()
    image = layout.image([tar({"file": b"x"})])
    layout.entry(image, ref="subject:1")
    rig.client.images.import_(rig.archive(layout.tar()))
    rig.client.images.push("subject:1", f"{registry.host}/said:1")
    digest, data = manifest_of(registry, "said", "1")
    assert digest == image["digest"]
    assert data == rig.client.content.read(digest)


def test_an_upload_that_breaks_off_succeeds(rig: Rig, registry: Registry, proxy: FaultyProxy) -> None:
    layout = Layout()
    layout.entry(layout.image([tar({"noise": NOISE})]), ref="noise:1")
    rig.client.images.import_(rig.archive(layout.tar()))
    for method in ("PUT", "PATCH"):
        proxy.on(method, "/blobs/uploads/", swallow_after(500_000))
    pushed = rig.client.images.push("noise:1", f"{proxy.host}/broken:1")
    assert manifest_of(registry, "broken", "1")[0] == pushed.target.digest


def test_what_cannot_be_pushed_is_said(rig: Rig, registry: Registry) -> None:
    with pytest.raises(wharfie.NotFound):
        rig.client.images.push("nothing:1", f"{registry.host}/nothing:1")
    rig.client.images.import_(rig.archive(busybox_archive()))
    with pytest.raises(wharfie.InvalidArgument, match="says digest"):
        rig.client.images.push("busybox:latest", f"{registry.host}/x@sha256:{'0' * 64}")


def test_damaged_blobs_are_fetched_again_from_where_their_labels_say(
    rig: Rig, registry: Registry, both: tuple[Remote, Remote]
) -> None:
    ours, _ = both
    pulled = rig.client.images.pull(f"{registry.host}/both:ours")
    for put in (ours.manifest, ours.config, *ours.layers):
        path = rig.daemon.root / "content/blobs/sha256" / put.digest.partition(":")[2]
        path.chmod(0o600)
        path.write_bytes(b"x" * put.size)
    damaged = [item for item in rig.client.content.check(remove_damaged=True) if item.state != "ok"]
    assert len(damaged) == 4
    missing = f"sha256:{'1' * 64}"
    repaired = rig.client.images.repair({**{item.digest: item.size for item in damaged}, missing: 10})
    assert sorted(repaired.repaired) == sorted(item.digest for item in damaged)
    assert list(repaired.failed) == [missing]
    assert all(item.state == "ok" for item in rig.client.content.check())
    assert rig.client.run(pulled.image.name, ["true"]).exit_code == 0
