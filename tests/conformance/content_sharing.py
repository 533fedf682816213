"""The cases of a content store between two namespaces. Each gets a client in either, both empty."""

from __future__ import annotations

import msgspec
import pytest

from tests.conformance.content import blob, digest_of, put, touch
from wharfie import Client, FailedPrecondition, NotFound
from wharfie.types import content as t


def share(one: Client, two: Client) -> None:
    data, _ = blob(100_000)
    digest = put(one, data)
    with pytest.raises(NotFound):
        two.content.read(digest)
    status = touch(two, "ref", expected=digest)
    assert (status.offset, status.total) == (100_000, 100_000)
    assert two.content.commit("ref", size=100_000, expected=digest, labels={"mine": "yes"}).digest == digest
    assert two.content.read(digest) == data
    assert one.content.info(digest).labels == {}
    one.content.delete(digest)
    assert two.content.read(digest) == data
    two.content.delete(digest)
    with pytest.raises(NotFound):
        two.content.read(digest)


def bytes_that_are_sent_all_the_same(one: Client, two: Client) -> None:
    data, _ = blob(3000)
    digest = put(one, data)
    for offset in (0, 1000, 2000):
        piece = data[offset : offset + 1000]
        assert two.content.write("ref", piece, offset=offset, expected=digest).offset == offset + 1000
    two.content.commit("ref", expected=digest)
    assert two.content.read(digest) == data


def share_and_append(one: Client, two: Client) -> None:
    data, _ = blob(100_000)
    digest = put(one, data)
    assert touch(two, "ref", expected=digest).offset == 100_000
    assert two.content.write("ref", b"and more", offset=100_000).offset == 100_008
    longer = digest_of(data + b"and more")
    two.content.commit("ref", size=100_008, expected=longer)
    assert two.content.read(longer) == data + b"and more"
    assert one.content.read(digest) == data
    with pytest.raises(NotFound):
        two.content.info(digest)


def share_and_begin_anew(one: Client, two: Client) -> None:
    data, _ = blob(1000)
    digest = put(one, data)
    assert touch(two, "ref", expected=digest).offset == 1000
    assert two.content.write("ref", b"something else").offset == 14
    with pytest.raises(FailedPrecondition):
        two.content.commit("ref", expected=digest)
    two.content.commit("ref", size=14, expected=digest_of(b"something else"))
    assert one.content.read(digest) == data


def share_of_what_is_deleted_before_the_commit(one: Client, two: Client) -> None:
    data, _ = blob(1000)
    digest = put(one, data)
    assert touch(two, "ref", expected=digest).offset == 1000
    assert touch(two, "begun-anew", expected=digest).offset == 1000
    assert touch(two, "appended", expected=digest).offset == 1000
    one.content.delete(digest)
    # Who was told that the bytes are there can rely on it.
    assert two.content.commit("ref", expected=digest).digest == digest
    assert two.content.read(digest) == data
    two.content.delete(digest)
    assert two.content.write("begun-anew", b"other").offset == 5
    assert two.content.commit("begun-anew", expected=digest_of(b"other")).size == 5
    assert two.content.write("appended", b" and more", offset=1000).offset == 1009
    two.content.commit("appended", expected=digest_of(data + b" and more"))


def a_wrong_total_is_not_shared(one: Client, two: Client) -> None:
    data, _ = blob(1000)
    digest = put(one, data)
    assert touch(two, "ref", total=999, expected=digest).offset == 0


def refs_of_two_namespaces_are_apart(one: Client, two: Client) -> None:
    one.content.write("ref", b"one")
    two.content.write("ref", b"and two")
    assert (one.content.status("ref").offset, two.content.status("ref").offset) == (3, 7)
    one.content.abort("ref")
    assert two.content.status("ref").offset == 7


def labels_of_two_namespaces_are_apart(one: Client, two: Client) -> None:
    data, _ = blob(100)
    digest = put(one, data, {"who": "one"})
    assert put(two, data, {"who": "two"}) == digest
    assert one.content.info(digest).labels == {"who": "one"}
    assert msgspec.structs.replace(two.content.info(digest), created_at_ns=0, updated_at_ns=0) == t.Info(
        digest=digest, size=100, labels={"who": "two"}
    )


SHARING = (
    share,
    bytes_that_are_sent_all_the_same,
    share_and_append,
    share_and_begin_anew,
    share_of_what_is_deleted_before_the_commit,
    a_wrong_total_is_not_shared,
    refs_of_two_namespaces_are_apart,
    labels_of_two_namespaces_are_apart,
)
"""What it does between two namespaces."""
