"""The cases of a content store. Each gets a client in an empty namespace; those of `SHARING` get two."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Mapping

import pytest

from wharfie import AlreadyExists, Client, FailedPrecondition, InvalidArgument, NotFound, OutOfRange
from wharfie.types import content as t

SIZES = (500, 5_000, 50_000, 3_000_000)
SHARES = (0.0, 0.1, 0.5, 0.9, 1.0)


def digest_of(data: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def blob(size: int) -> tuple[bytes, str]:
    """Bytes that no other case has, and their digest."""
    data = os.urandom(size)
    return data, digest_of(data)


def put(client: Client, data: bytes, labels: Mapping[str, str] | None = None) -> str:
    """A committed blob."""
    digest = digest_of(data)
    client.content.write(digest, data, total=len(data), expected=digest)
    client.content.commit(digest, size=len(data), expected=digest, labels=labels)
    return digest


# -- writing ---------------------------------------------------------------------------------------------------------------


def writer(client: Client) -> None:
    data, digest = blob(10_000)
    content = client.content
    assert content.write("one", data[:4000], total=10_000, expected=digest).offset == 4000
    other, other_digest = blob(100)
    assert content.write("two", other).offset == 100
    assert [status.ref for status in content.statuses()] == ["one", "two"]
    assert content.write("one", data[4000:], offset=4000).offset == 10_000
    info = content.commit("one", size=10_000, expected=digest)
    assert (info.digest, info.size) == (digest, 10_000)
    assert content.info(digest) == info
    content.commit("two", expected=other_digest)
    assert content.statuses() == []
    assert {found.digest for found in content.list()} == {digest, other_digest}
    assert content.read(digest) == data
    with pytest.raises(NotFound):
        content.status("one")


def update_of_a_status(client: Client) -> None:
    data, digest = blob(30_000)
    before = client.content.write("ref", data[:10], total=30_000, expected=digest)
    assert (before.ref, before.offset, before.total, before.expected) == ("ref", 10, 30_000, digest)
    after = client.content.write("ref", data[10:], offset=10)
    assert after.started_at_ns == before.started_at_ns
    assert after.updated_at_ns > before.updated_at_ns >= before.started_at_ns
    assert client.content.status("ref") == after
    assert client.content.write("ref", data, offset=30_000).offset == 60_000


def statuses_with_filters(client: Client) -> None:
    for ref in ("a", "b", "layer-1"):
        client.content.write(ref, b"x")
    assert [status.ref for status in client.content.statuses(["ref==a"])] == ["a"]
    assert [status.ref for status in client.content.statuses(["ref~=/^layer-/", "ref==b"])] == ["b", "layer-1"]
    assert client.content.statuses(["ref==none"]) == []
    with pytest.raises(InvalidArgument):
        client.content.statuses(["ref=="])


def commit_of_what_exists(client: Client) -> None:
    data, digest = blob(1000)
    assert put(client, data) == digest
    with pytest.raises(AlreadyExists) as raised:
        client.content.write("again", data, expected=digest)
    assert raised.value.details["digest"] == digest
    client.content.write("unannounced", data)
    with pytest.raises(AlreadyExists) as raised:
        client.content.commit("unannounced", expected=digest)
    assert raised.value.details["digest"] == digest
    client.content.write("late", data)
    with pytest.raises(AlreadyExists):
        client.content.commit("late")
    assert client.content.statuses() == []
    assert client.content.read(digest) == data


def resume(client: Client) -> None:
    for size in SIZES:
        for share in SHARES:
            data, digest = blob(size)
            first = int(size * share)
            ref = f"resume-{size}-{share}"
            client.content.write(ref, data[:first], total=size, expected=digest)
            offset = client.content.status(ref).offset
            assert offset == first
            client.content.write(ref, data[offset:], offset=offset)
            client.content.commit(ref, size=size, expected=digest)
            assert client.content.read(digest) == data


def resume_from_the_beginning_truncates(client: Client) -> None:
    for size in SIZES:
        data, digest = blob(size)
        ref = f"truncate-{size}"
        client.content.write(ref, os.urandom(size // 2), total=size)
        assert client.content.write(ref, data, total=size, expected=digest).offset == size
        client.content.commit(ref, size=size, expected=digest)
        assert client.content.read(digest) == data


def resume_elsewhere_is_refused(client: Client) -> None:
    data, digest = blob(1000)
    client.content.write("ref", data[:500])
    for offset in (1, 499, 501, 10_000):
        with pytest.raises(OutOfRange) as raised:
            client.content.write("ref", data[:10], offset=offset)
        assert raised.value.details["offset"] == 500
    client.content.write("ref", data[500:], offset=500)
    client.content.commit("ref", expected=digest)
    with pytest.raises(OutOfRange):
        client.content.write("new", data, offset=7)


def opening_a_ref_for_another_blob_begins_anew(client: Client) -> None:
    data, digest = blob(1000)
    other, other_digest = blob(2000)
    client.content.write("ref", other[:500], total=2000, expected=other_digest)
    assert touch(client, "ref", total=2000, expected=other_digest).offset == 500
    assert touch(client, "ref", total=1000).offset == 0
    client.content.write("ref", other[:500], expected=other_digest)
    opened = touch(client, "ref", expected=digest)
    assert (opened.offset, opened.expected) == (0, digest)
    client.content.write("ref", data)
    assert client.content.commit("ref").digest == digest
    # It may be that the other one is there already.
    client.content.write("ref", other[:500], expected=other_digest)
    with pytest.raises(AlreadyExists):
        touch(client, "ref", expected=digest)
    with pytest.raises(NotFound):
        client.content.status("ref")
    client.content.write("ref", other[:500], expected=other_digest)
    put(client, other)
    with pytest.raises(AlreadyExists):
        touch(client, "ref")


def resume_after_an_abort_begins_anew(client: Client) -> None:
    data, digest = blob(1000)
    client.content.write("ref", data[:500])
    client.content.abort("ref")
    with pytest.raises(NotFound):
        client.content.status("ref")
    with pytest.raises(NotFound):
        client.content.abort("ref")
    assert client.content.write("ref", data).offset == 1000
    client.content.commit("ref", expected=digest)


def small_blobs(client: Client) -> None:
    for size in (0, 1, 16):
        data, digest = blob(size)
        client.content.write(f"small-{size}", data, total=size, expected=digest)
        info = client.content.commit(f"small-{size}", size=size, expected=digest)
        assert info.size == size
        assert client.content.read(digest) == data
        assert client.content.read(digest, offset=size) == b""


def other_algorithms(client: Client) -> None:
    for algorithm in ("sha384", "sha512"):
        data = os.urandom(10_000)
        digest = digest_of(data, algorithm)
        client.content.write(algorithm, data, expected=digest)
        client.content.commit(algorithm, expected=digest)
        assert client.content.read(digest) == data
        client.content.write(f"late-{algorithm}", data[:5000])
        client.content.write(f"late-{algorithm}", data[5000:] + b"more", offset=5000)
        late = digest_of(data + b"more", algorithm)
        assert client.content.commit(f"late-{algorithm}", expected=late).digest == late
    for digest in ("md5:d41d8cd98f00b204e9800998ecf8427e", "sha256:abc", "nonsense"):
        with pytest.raises(InvalidArgument):
            client.content.write("ref", b"", expected=digest)
        with pytest.raises(InvalidArgument):
            client.content.read(digest)


def labels(client: Client) -> None:
    data, _ = blob(100)
    digest = put(client, data, {"a": "1", "b": "2"})
    assert client.content.info(digest).labels == {"a": "1", "b": "2"}
    client.content.update(digest, {"a": "", "c": "3"}, mask=["labels.a", "labels.c"])
    assert client.content.info(digest).labels == {"b": "2", "c": "3"}
    assert [info.digest for info in client.content.list(["labels.c==3"])] == [digest]
    assert client.content.list(["labels.a"]) == []
    client.content.write("ref", b"never")
    with pytest.raises(InvalidArgument):
        client.content.commit("ref", labels={"k": "x" * 5000})
    assert client.content.status("ref").offset == 5


def state_after_a_commit_that_failed(client: Client) -> None:
    data, digest = blob(2000)
    content = client.content
    content.write("ref", data[:1000], total=2000, expected=digest)
    with pytest.raises(FailedPrecondition) as raised:
        content.commit("ref", size=2000, expected=digest)
    assert raised.value.details["reason"] == "size"
    assert content.status("ref").offset == 1000
    content.write("ref", os.urandom(1000), offset=1000)
    with pytest.raises(FailedPrecondition) as raised:
        content.commit("ref", size=2000, expected=digest)
    assert raised.value.details["reason"] == "digest"
    assert content.status("ref").offset == 2000
    # What the writes announced holds when the commit says nothing.
    with pytest.raises(FailedPrecondition):
        content.commit("ref")
    with pytest.raises(NotFound):
        content.info(digest)
    content.write("ref", data)
    content.commit("ref", size=2000, expected=digest)
    assert content.read(digest) == data
    with pytest.raises(NotFound):
        content.commit("never-begun")
    with pytest.raises(AlreadyExists):
        content.commit("never-begun", expected=digest)


def refs_are_checked(client: Client) -> None:
    for ref in ("", "x" * 5000, "with\0nul"):
        with pytest.raises(InvalidArgument):
            client.content.write(ref, b"x")
    for ref in ("../../etc/passwd", "a/b", "layer-sha256:x@y", "ü" * 100):
        assert client.content.write(ref, b"x").ref == ref
        client.content.abort(ref)


# -- reading and deleting ------------------------------------------------------------------------------------------------


def read_of_ranges(client: Client) -> None:
    data, _ = blob(3_000_000)
    digest = put(client, data)
    for offset in (0, 1, 1_000_000, 2_999_999, 3_000_000):
        assert client.content.read(digest, offset=offset) == data[offset:]
        for size in (1, 1_048_576, 5_000_000):
            assert client.content.read(digest, offset=offset, size=size) == data[offset : offset + size]
    with pytest.raises(OutOfRange):
        client.content.read(digest, offset=3_000_001)
    for faulty in ({"offset": -1}, {"size": -1}):
        with pytest.raises(InvalidArgument):
            client.content.read(digest, **faulty)
    with pytest.raises(NotFound):
        client.content.read(digest_of(b"nobody has this"))


def read_of_a_blob_that_is_deleted_meanwhile(client: Client) -> None:
    data, _ = blob(100 << 20)
    digest = put_in_pieces(client, data)
    pieces = client.content.stream(digest)
    first = bytes(next(pieces))
    client.content.delete(digest)
    with pytest.raises(NotFound):
        client.content.read(digest)
    assert hashlib.sha256(first + b"".join(bytes(piece) for piece in pieces)).hexdigest() == digest[7:]


def put_in_pieces(client: Client, data: bytes) -> str:
    return client.content.ingest(io.BytesIO(data)).digest


def delete(client: Client) -> None:
    data, _ = blob(1000)
    digest = put(client, data)
    client.content.delete(digest)
    for call in (client.content.info, client.content.read, client.content.delete):
        with pytest.raises(NotFound):
            call(digest)
    assert client.content.list() == []
    assert put(client, data) == digest
    assert client.content.read(digest) == data


def a_write_without_payload_tells_the_status(client: Client) -> None:
    assert touch(client, "ref", total=10).offset == 0
    client.content.write("ref", b"12345")
    assert touch(client, "ref").offset == 5
    assert touch(client, "ref", offset=5).total == 10
    with pytest.raises(OutOfRange):
        touch(client, "ref", offset=4)


def touch(client: Client, ref: str, *, offset: int = 0, total: int = 0, expected: str = "") -> t.Status:
    """A `content.write` without a payload frame."""
    request = t.Write(ref=ref, offset=offset, total=total, expected=expected)
    return client.content._caller.call("content.write", request, t.Status)


SUITE = (
    writer,
    update_of_a_status,
    statuses_with_filters,
    commit_of_what_exists,
    resume,
    resume_from_the_beginning_truncates,
    resume_elsewhere_is_refused,
    opening_a_ref_for_another_blob_begins_anew,
    resume_after_an_abort_begins_anew,
    small_blobs,
    other_algorithms,
    labels,
    state_after_a_commit_that_failed,
    refs_are_checked,
    read_of_ranges,
    read_of_a_blob_that_is_deleted_meanwhile,
    delete,
    a_write_without_payload_tells_the_status,
)
"""What every content store does."""
