"""Blobs that are damaged on disk: they are found, told of, and replaced by whoever stores them again."""

from __future__ import annotations

import io
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.internal import IngestFile
from tests.conformance.content import digest_of, touch
from tests.support import inventory
from tests.support.storage import Storage
from tests.support.wait import until
from wharfie import AlreadyExists, Client, DataLoss, NotFound
from wharfie.oci.descriptor import MEDIA_TYPE_CONFIG, MEDIA_TYPE_LAYER, MEDIA_TYPE_MANIFEST
from wharfie.types.base import Descriptor
from wharfie.types.content import Checked, State

SIZE = 100_000
_numbers = itertools.count(1)


@pytest.fixture
def client(daemon: Storage) -> Iterator[Client]:
    with daemon.connect(namespace=f"check-{next(_numbers)}") as connected:
        yield connected
        inventory.clear(connected)


def path_of(daemon: Storage, digest: str) -> Path:
    algorithm, _, encoded = digest.partition(":")
    return Path(daemon.root, "content", "blobs", algorithm, encoded)


def damage(daemon: Storage, digest: str, how: str) -> None:
    path = path_of(daemon, digest)
    if how == "changed":
        with path.open("r+b") as file:
            file.seek(SIZE // 2)
            file.write(b"rot")
    elif how == "short":
        os.truncate(path, SIZE // 3)
    else:
        path.unlink()


def states(client: Client, **options: str | bool) -> dict[str, State]:
    return {item.digest: item.state for item in client.content.check(**options)}  # type: ignore[arg-type]


FOUND = {"changed": State.DAMAGED, "short": State.WRONG_SIZE, "gone": State.MISSING}


def test_whole_blobs_are_fine_and_every_one_is_looked_at(client: Client) -> None:
    data = [os.urandom(size) for size in (0, 1, SIZE, 3_000_000)]
    digests = {client.content.put(blob).info.digest for blob in data[:3]}
    digests.add(client.content.ingest(io.BytesIO(data[3])).digest)
    digests.add(client.content.put(data[2], expected=digest_of(data[2], "sha512")).info.digest)
    items = list(client.content.check())
    assert [item.digest for item in items] == sorted(digests)
    assert {item.state for item in items} == {State.OK}
    total = sum(item.size for item in items)
    assert (items[-1].done, items[-1].total) == (total, total)
    assert all(item.found == item.size and not item.removed for item in items)


@pytest.mark.parametrize("how", FOUND)
@pytest.mark.parametrize("again", ["put", "ingest", "write", "file"])
def test_a_damaged_blob_is_found_and_storing_it_again_mends_it(
    daemon: Storage, client: Client, how: str, again: str
) -> None:
    data = os.urandom(SIZE)
    digest = client.content.put(data, labels={"a": "1"}).info.digest
    fine = client.content.put(b"fine").info.digest
    damage(daemon, digest, how)
    assert states(client) == {digest: FOUND[how], fine: State.OK}
    if how != "changed":
        with pytest.raises(DataLoss):
            client.content.read(digest)
    # Looking alone changes nothing; a blob of the right size goes on counting as there.
    assert path_of(daemon, digest).exists() is (how != "gone")
    [item] = [item for item in client.content.check(remove_damaged=True) if item.digest == digest]
    assert item.removed is (how != "gone")
    assert not path_of(daemon, digest).exists()
    assert client.content.info(digest).labels == {"a": "1"}
    with pytest.raises(DataLoss):
        client.content.read(digest)
    if again == "put":
        client.content.put(data)
    elif again == "ingest":
        client.content.ingest(io.BytesIO(data), ref="again", expected=digest)
    elif again == "file":
        Path(daemon.directory, "file").write_bytes(data)
        request = IngestFile(path=f"{daemon.directory}/file", offset=0, length=SIZE, digest=digest)
        daemon.ingest_file(client, request)
    else:
        client.content.write("again", data, expected=digest)
        assert client.content.commit("again").labels == {"a": "1"}
    assert states(client) == {digest: State.OK, fine: State.OK}
    assert client.content.read(digest) == data


def test_what_is_no_file_in_the_place_of_a_blob_is_left_alone(daemon: Storage, client: Client) -> None:
    digest = client.content.put(os.urandom(SIZE)).info.digest
    path = path_of(daemon, digest)
    path.unlink()
    path.mkdir()
    try:
        [item] = client.content.check(remove_damaged=True)
        assert (item.state, item.removed) == (State.MISSING, False)
        assert path.is_dir()
    finally:
        path.rmdir()


def test_a_blob_that_became_shorter_is_replaced_without_a_check(daemon: Storage, client: Client) -> None:
    data = os.urandom(SIZE)
    digest = client.content.put(data).info.digest
    damage(daemon, digest, "short")
    assert touch(client, "ref", expected=digest).offset == 0
    client.content.write("ref", data, expected=digest)
    client.content.commit("ref")
    assert client.content.read(digest) == data
    with pytest.raises(AlreadyExists):
        touch(client, "ref", expected=digest)


def test_a_damaged_blob_is_not_shared(daemon: Storage, client: Client) -> None:
    data = os.urandom(SIZE)
    digest = client.content.put(data).info.digest
    damage(daemon, digest, "short")
    with daemon.connect(namespace="other") as other:
        assert touch(other, "ref", expected=digest).offset == 0
        other.content.write("ref", data, expected=digest)
        other.content.commit("ref")
        assert client.content.read(digest) == data
        other.content.delete(digest)


def test_an_image_is_checked_with_all_that_it_refers_to(daemon: Storage, client: Client) -> None:
    config, layer = b"{}", os.urandom(SIZE)
    put = client.content.put
    document = {
        "schemaVersion": 2,
        "config": {"mediaType": MEDIA_TYPE_CONFIG, "digest": put(config).info.digest, "size": len(config)},
        "layers": [{"mediaType": MEDIA_TYPE_LAYER, "digest": put(layer).info.digest, "size": SIZE}],
    }
    manifest = json.dumps(document).encode()
    top = put(manifest).info.digest
    put(b"of no image")
    client.images.create("image", Descriptor(media_type=MEDIA_TYPE_MANIFEST, digest=top, size=len(manifest)))
    whole = dict.fromkeys((top, digest_of(config), digest_of(layer)), State.OK)
    assert states(client, image="image") == whole
    damage(daemon, digest_of(layer), "changed")
    assert states(client, image="image") == whole | {digest_of(layer): State.DAMAGED}
    client.content.delete(digest_of(layer))
    assert states(client, image="image") == whole | {digest_of(layer): State.MISSING}
    with pytest.raises(NotFound):
        states(client, image="none")
    client.images.delete("image")


def test_a_check_goes_on_when_the_worker_dies(daemon: Storage, client: Client) -> None:
    digests = sorted(client.content.put(os.urandom(SIZE)).info.digest for _ in range(300))
    seen: list[Checked] = []
    first = daemon.pid("content")
    for item in client.content.check():
        seen.append(item)
        if len(seen) == 20:
            daemon.kill("content")
            until(lambda: daemon.pid("content") != first, deadline_s=30)
    assert [item.digest for item in seen] == digests
    assert {item.state for item in seen} == {State.OK}
