"""`wharfie content` against a real daemon."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pty
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import wharfie
from tests.support.commandline import PROGRAM, Shell
from tests.support.daemon import Daemon
from wharfie.oci.descriptor import MEDIA_TYPE_CONFIG, MEDIA_TYPE_LAYER, MEDIA_TYPE_MANIFEST

NAMESPACE = "cli-content"


@pytest.fixture
def shell(daemon: Daemon) -> Iterator[Shell]:
    yield Shell(str(daemon.address), NAMESPACE)
    with wharfie.connect(str(daemon.address), namespace=NAMESPACE) as client:
        for blob in client.content.list():
            client.content.delete(blob.digest)
        for status in client.content.statuses():
            client.content.abort(status.ref)


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def test_an_ingest_that_was_left_is_gone_on_with(shell: Shell, daemon: Daemon) -> None:
    data = os.urandom(3_000_000)
    digest = digest_of(data)
    with wharfie.connect(str(daemon.address), namespace=NAMESPACE) as client:
        client.content.write("up", data[:1_000_000], total=len(data), expected=digest)
    assert "1000000 (" in shell.ok("content", "stat", "up")
    options = ("--expected-digest", digest, "--expected-size", str(len(data)), "--label", "a=b")
    assert shell.ok("content", "ingest", *options, "up", stdin=data) == f"{digest}\n"
    [stat] = shell.json("content", "stat", digest)
    assert (stat["size"], stat["labels"]) == (len(data), {"a": "b"})
    assert shell.json("content", "active") == []
    wrong = shell.run("content", "ingest", "--expected-size", "5", "other", stdin=b"1234")
    assert wrong.code == 1
    assert "expected 5" in wrong.err


def test_stat_of_several_tells_of_each_that_is_missing(shell: Shell) -> None:
    digest = shell.ok("content", "ingest", "up", stdin=b"blob").strip()
    ended = shell.run("content", "stat", digest, "no-such-ref")
    assert ended.code == 1
    assert digest in ended.out
    assert "no-such-ref" in ended.err


def test_get_writes_a_file(shell: Shell, tmp_path: Path) -> None:
    digest = shell.ok("content", "ingest", "up", stdin=b"blob").strip()
    shell.ok("content", "get", "-o", str(tmp_path / "out"), digest, digest)
    assert (tmp_path / "out").read_bytes() == b"blobblob"


def test_an_edited_blob_is_a_new_one_and_keeps_what_it_refers_to(shell: Shell) -> None:
    before = b'{"level": "debug"}'
    digest = shell.ok("content", "ingest", "up", stdin=before).strip()
    held = "containerd.io/gc.ref.content.config"
    shell.ok("content", "label", digest, f"{held}={digest}", "containerd.io/uncompressed=x")
    editor = "sed -i s/debug/info/"
    edited = shell.run("content", "edit", "--validate", digest, env={"VISUAL": "", "EDITOR": editor}).out.strip()
    assert edited == digest_of(b'{"level": "info"}')
    assert shell.json("content", "stat", edited)[0]["labels"] == {held: digest}
    assert shell.ok("content", "edit", "--editor", "true", digest) == f"{digest}\n"
    for editor, reason in (("false", "ended with 1"), ("/no/such/editor", "cannot be started"), ("sed -i d", "JSON")):
        refused = shell.run("content", "edit", "--validate", "--editor", editor, digest)
        assert refused.code == 1
        assert reason in refused.err
    assert len(shell.json("content", "ls")) == 2


def test_a_check_finds_what_is_damaged_and_repair_makes_room_for_whole_bytes(shell: Shell, daemon: Daemon) -> None:
    data = os.urandom(1000)
    digest = shell.ok("content", "ingest", "up", stdin=data).strip()
    assert "all as they should be" in shell.ok("content", "check")
    path = Path(daemon.root, "content", "blobs", "sha256", digest.removeprefix("sha256:"))
    path.write_bytes(os.urandom(1000))
    found = shell.run("content", "check")
    assert found.code == 1
    assert digest in found.out
    assert "1 damaged" in found.out
    repaired = shell.run("content", "check", "--repair", "--json")
    assert repaired.code == 1
    assert '"removed": true' in repaired.out
    assert shell.ok("content", "ingest", "up", stdin=data).strip() == digest
    assert "all as they should be" in shell.ok("content", "check")
    missing = shell.run("content", "check", "no-such-image")
    assert "image 'no-such-image' not found" in missing.err


def test_on_a_terminal_progress_is_told_and_taken_away_again(shell: Shell) -> None:
    master, slave = pty.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, "content", "ingest", "up"],
            env=shell.variables(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=slave,
        )
        out, _ = process.communicate(b"x" * 1000, timeout=40)
        assert out.decode().strip() == digest_of(b"x" * 1000)
        assert os.read(master, 4096).endswith(b"\r\x1b[K")
    finally:
        os.close(master)
        os.close(slave)


def test_prune_removes_what_nothing_refers_to_and_keeps_the_rest(shell: Shell, daemon: Daemon) -> None:
    with wharfie.connect(str(daemon.address), namespace=NAMESPACE) as client:
        layer = client.content.put(b"layer").info.digest
        manifest = client.content.put(b"manifest", labels={"containerd.io/gc.ref.content.l.0": layer}).info.digest
        client.content.update(manifest, {"containerd.io/gc.root": "x"}, mask=["labels.containerd.io/gc.root"])
        loose = client.content.put(b"loose").info.digest
        # The default lease holds what was stored without one; without it only the labels do.
        for lease in client.leases.list():
            client.leases.delete(lease.id)
    would = shell.json("content", "prune", "--dry-run")
    # The daemon's own schedule may have been quicker.
    assert loose in {blob["id"] for blob in would["blobs"]} or loose not in shell.ok("content", "ls", "-q")
    assert layer not in {blob["id"] for blob in would["blobs"]}
    assert "freed" in shell.ok("content", "prune")
    assert shell.ok("content", "ls", "-q").split() == sorted([layer, manifest])
    assert shell.json("content", "prune", "references", "--dry-run")["released"] == [layer]
    assert len(shell.json("content", "ls")) == 2
    assert "1 references to layers removed" in shell.ok("content", "prune", "references")
    assert shell.ok("content", "ls", "-q").split() == [manifest]


@pytest.mark.parametrize("algorithm", ["sha384", "sha512"])
def test_an_image_with_digests_of_another_algorithm_is_imported_and_checked(
    shell: Shell, algorithm: str, tmp_path: Path
) -> None:
    blobs: dict[str, bytes] = {}

    def add(media_type: str, data: bytes) -> dict[str, str | int]:
        digest = f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"
        blobs[f"blobs/{digest.replace(':', '/')}"] = data
        return {"mediaType": media_type, "digest": digest, "size": len(data)}

    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("hello"), io.BytesIO())
    diff_id = digest_of(layer.getvalue())
    config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [diff_id]}}
    manifest = {
        "schemaVersion": 2,
        "config": add(MEDIA_TYPE_CONFIG, json.dumps(config).encode()),
        "layers": [add(MEDIA_TYPE_LAYER, layer.getvalue())],
    }
    target = add(MEDIA_TYPE_MANIFEST, json.dumps(manifest).encode())
    named = {**target, "annotations": {"org.opencontainers.image.ref.name": f"other-{algorithm}:1"}}
    blobs["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [named]}).encode()
    blobs["oci-layout"] = b'{"imageLayoutVersion": "1.0.0"}'
    with tarfile.open(tmp_path / "image.tar", "w") as tar:
        for name, data in blobs.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    shell.ok("import", str(tmp_path / "image.tar"))
    assert shell.ok("content", "check", f"other-{algorithm}:1").startswith("3 blobs, ")
    assert shell.ok("snapshot", "ls", "-q").split() == [diff_id]
    shell.ok("rmi", f"other-{algorithm}:1")
    shell.run("snapshot", "rm", diff_id)  # if no collection has been quicker
