"""Files of blobs."""

from __future__ import annotations

import hashlib
import os
import stat

import pytest

from actors.content.store import BlobStore
from linux import descriptors
from wharfie.errors import FailedPrecondition, InvalidArgument

DATA = os.urandom(1_000_000)
DIGEST = f"sha256:{hashlib.sha256(DATA).hexdigest()}"


@pytest.fixture
def source(root: str) -> str:
    path = f"{root}/source"
    with open(path, "wb") as file:
        file.write(b"before" + DATA + b"after")
    return path


def test_a_piece_of_a_file_becomes_a_read_only_blob(store: BlobStore, source: str) -> None:
    before = descriptors.opened()
    store.adopt(store.copy_in(source, offset=6, length=len(DATA), digest=DIGEST), DIGEST)
    assert store.size(DIGEST) == len(DATA)
    with open(store.path(DIGEST), "rb") as blob:
        assert blob.read() == DATA
    assert stat.S_IMODE(os.stat(store.path(DIGEST)).st_mode) == 0o444
    assert os.listdir(store.ingest_root) == []
    assert descriptors.opened() == before


@pytest.mark.parametrize("algorithm", ["sha384", "sha512"])
def test_each_algorithm_has_a_directory(store: BlobStore, source: str, algorithm: str) -> None:
    digest = f"{algorithm}:{hashlib.new(algorithm, DATA).hexdigest()}"
    store.adopt(store.copy_in(source, offset=6, length=len(DATA), digest=digest), digest)
    assert store.path(digest).endswith(f"/blobs/{algorithm}/{digest.partition(':')[2]}")


def test_an_empty_piece_is_a_blob_too(store: BlobStore, source: str) -> None:
    digest = f"sha256:{hashlib.sha256(b'').hexdigest()}"
    store.adopt(store.copy_in(source, offset=0, length=0, digest=digest), digest)
    assert store.size(digest) == 0


def test_other_bytes_than_promised_are_refused_and_nothing_stays(store: BlobStore, source: str) -> None:
    before = descriptors.opened()
    with pytest.raises(FailedPrecondition) as raised:
        store.copy_in(source, offset=5, length=len(DATA), digest=DIGEST)
    assert raised.value.details["reason"] == "digest"
    with pytest.raises(InvalidArgument, match="ends at byte"):
        store.copy_in(source, offset=6, length=len(DATA) + 6, digest=DIGEST)
    with pytest.raises(InvalidArgument, match="cannot be read"):
        store.copy_in(f"{source}-none", offset=0, length=1, digest=DIGEST)
    assert os.listdir(store.ingest_root) == []
    assert store.size(DIGEST) is None
    assert descriptors.opened() == before


def test_a_deleted_blob_is_read_to_its_end_by_who_has_it_open(store: BlobStore, source: str) -> None:
    store.adopt(store.copy_in(source, offset=6, length=len(DATA), digest=DIGEST), DIGEST)
    fd = store.open(DIGEST)
    store.unlink(DIGEST)
    store.unlink(DIGEST)
    try:
        assert os.pread(fd, len(DATA), 0) == DATA
    finally:
        os.close(fd)
    with pytest.raises(FileNotFoundError):
        store.open(DIGEST)


def test_a_start_removes_what_was_being_filled_and_leaves_what_it_does_not_know(root: str) -> None:
    store = BlobStore(root)
    os.mkdir(f"{store.ingest_root}/tmp-1-1")
    for path in (f"{store.ingest_root}/tmp-1-1/data", f"{store.ingest_root}/tmp-1-2"):
        with open(path, "w") as file:
            file.write("left over")
    os.mkdir(f"{store.ingest_root}/somebody's")
    with open(f"{root}/blobs/sha256/README", "w") as file:
        file.write("not a blob")
    BlobStore(root)
    assert os.listdir(store.ingest_root) == ["somebody's"]
    assert os.listdir(f"{root}/blobs/sha256") == ["README"]
