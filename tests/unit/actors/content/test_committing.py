"""Commits and deletions over a real database in process: what is left when nobody comes back for it."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import pytest

from actors.call import Call
from actors.content.committing import Commits
from actors.content.ingest import Ingest
from actors.content.ingests import Ingests
from actors.content.locks import Digests
from actors.content.names import Names
from actors.content.store import BlobStore
from actors.worker import Worker
from tests.support.metadata import Services, open_services
from wharfie.errors import AlreadyExists, NotFound
from wharfie.protocol import Routed
from wharfie.types import content as t

T = TypeVar("T")


class InProcess(Worker):
    """A worker whose calls reach the metadata services directly."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def call(self, method: str, request: Any, reply: type[T], **kwargs: Any) -> T:
        namespace, key = kwargs.get("namespace", ""), kwargs.get("key", "")
        return self._services.call(method, request, reply, namespace=namespace, key=key)  # type: ignore[type-var]

    async def blocking(self, function: Callable[..., T], *args: Any) -> T:
        return function(*args)


class Rig:
    """A store with its table, and the commits over it; `restart` is what the next incarnation finds."""

    def __init__(self, root: str, services: Services) -> None:
        self.root = root
        self.services = services
        self.restart()

    def restart(self) -> None:
        self.store = BlobStore(f"{self.root}/content")
        self.ingests = Ingests(self.store)
        worker = InProcess(self.services)
        self.commits = Commits(worker, store=self.store, ingests=self.ingests, names=Names(worker), digests=Digests())

    def write(self, data: bytes, *, ref: str = "ref", namespace: str = "ns") -> Ingest:
        ingest = self.ingests.create(namespace, ref, total=0, expected="")
        ingest.open("sha256")
        ingest.append([data])
        self.ingests.opened(ingest)
        return ingest

    def commit(self, ingest: Ingest, *, key: str = "key") -> t.Info:
        record = ingest.record
        request = t.Commit(ref=record.ref)
        return asyncio.run(self.commits.commit(call(record.namespace, key), request, ingest))

    def commit_again(self, *, ref: str = "ref", namespace: str = "ns", key: str = "key", expected: str = "") -> t.Info:
        return asyncio.run(self.commits.commit_again(call(namespace, key), t.Commit(ref=ref, expected=expected)))

    def delete(self, digest: str, *, namespace: str = "ns") -> None:
        asyncio.run(self.commits.delete(call(namespace, os.urandom(4).hex()), digest))

    def tidy(self) -> None:
        asyncio.run(self.commits.drop_old_records(older_than_s=-1))

    def become_without_a_name(self, data: bytes, *, key: str = "key", namespace: str = "ns") -> str:
        """Do what a commit does up to its registration, then die."""
        ingest = self.write(data, namespace=namespace)
        digest = digest_of(data)
        ingest.save(committed=digest, committed_size=len(data), key=key)
        self.store.adopt(ingest.bytes_path, digest)
        ingest.close()
        self.restart()
        return digest


def call(namespace: str, key: str) -> Call:
    return Call(Routed(id=1, method="content.commit", namespace=namespace, key=key))


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@pytest.fixture
def rig(root: str) -> Iterator[Rig]:
    with open_services(root) as services:
        yield Rig(root, services)


def left(rig: Rig) -> Sequence[str]:
    return os.listdir(rig.store.ingest_root)


def test_a_commit_is_answered_alike_when_it_is_repeated_and_once_deleted_stays_so(rig: Rig) -> None:
    info = rig.commit(rig.write(b"data"))
    assert rig.commit_again() == info
    rig.restart()
    assert rig.commit_again() == info
    rig.delete(info.digest)
    assert rig.store.size(info.digest) is None
    again = rig.commit_again()
    assert (again.digest, again.size) == (info.digest, info.size)
    with pytest.raises(NotFound):
        rig.services.call("content.info", t.GetInfo(digest=info.digest), t.Info, namespace="ns")


def test_a_commit_of_a_finished_ref_under_another_key_is_a_mistake(rig: Rig) -> None:
    info = rig.commit(rig.write(b"data"))
    with pytest.raises(NotFound):
        rig.commit_again(key="another")
    with pytest.raises(AlreadyExists):
        rig.commit_again(key="another", expected=info.digest)
    with pytest.raises(NotFound):
        rig.commit_again(ref="never")


def test_a_commit_that_was_cut_off_before_its_registration_is_finished_by_whoever_asks(rig: Rig) -> None:
    digest = rig.become_without_a_name(b"data")
    assert rig.commit_again(key="another").digest == digest
    with pytest.raises(NotFound):
        rig.commit_again(key="a third")


def test_a_blob_that_awaits_its_name_is_spared_by_deletions_of_others(rig: Rig) -> None:
    rig.commit(rig.write(b"data", namespace="other"))
    digest = rig.become_without_a_name(b"data")
    rig.delete(digest, namespace="other")
    assert rig.store.size(digest) == 4
    assert rig.commit_again().digest == digest


def test_a_blob_that_nobody_comes_back_for_goes_with_its_record(rig: Rig) -> None:
    digest = rig.become_without_a_name(b"data")
    rig.tidy()
    assert rig.store.size(digest) is None
    assert left(rig) == []
    with pytest.raises(NotFound):
        rig.commit_again()


def test_a_blob_that_nobody_comes_back_for_stays_when_another_namespace_names_it(rig: Rig) -> None:
    rig.commit(rig.write(b"data", namespace="other"))
    digest = rig.become_without_a_name(b"data")
    rig.tidy()
    assert rig.store.size(digest) == 4
    assert left(rig) == []
    rig.delete(digest, namespace="other")
    assert rig.store.size(digest) is None


def test_records_of_registered_commits_and_of_aborts_are_tidied_away(rig: Rig) -> None:
    info = rig.commit(rig.write(b"data"))
    aborted = rig.write(b"dropped", ref="aborted")
    rig.ingests.abort(aborted, key="key")
    assert len(left(rig)) == 2
    rig.tidy()
    assert left(rig) == []
    assert not rig.ingests.has_leftovers()
    assert rig.store.size(info.digest) == 4


def test_a_blob_that_exists_is_registered_and_the_bytes_are_dropped(rig: Rig) -> None:
    first = rig.commit(rig.write(b"data", namespace="other"))
    inode = os.stat(rig.store.path(first.digest)).st_ino
    second = rig.commit(rig.write(b"data"))
    assert second.digest == first.digest
    assert os.stat(rig.store.path(first.digest)).st_ino == inode
    with pytest.raises(AlreadyExists):
        rig.commit(rig.write(b"data", ref="again"), key="third")
    for directory in left(rig):
        assert "data" not in os.listdir(f"{rig.store.ingest_root}/{directory}")
