"""The cases of a content store as its clients use it: whole blobs in one call, writers, and uploads that go on."""

from __future__ import annotations

import hashlib
import io
import os
from typing import IO

import pytest

from tests.conformance.content import SHARES, blob, digest_of, put
from wharfie import AlreadyExists, Client, FailedPrecondition, InvalidArgument, NotFound, OutOfRange, Unavailable
from wharfie.types import content as t

MIB = 1 << 20
SIZES = (500, 50_000, 3_000_000)


# -- whole blobs -----------------------------------------------------------------------------------------------------


def put_of_a_new_blob_and_of_a_known_one(client: Client) -> None:
    for size in (0, 1, 1000, 300_000):
        data, digest = blob(size)
        stored = client.content.put(data, labels={"a": "1"})
        assert stored.new
        assert client.content.info(digest) == stored.info
        assert (stored.info.digest, stored.info.size, stored.info.labels) == (digest, size, {"a": "1"})
        again = client.content.put(data, expected=digest, labels={"b": "2"})
        assert not again.new
        assert again.info.labels == {"a": "1", "b": "2"}
        assert again.info.created_at_ns == stored.info.created_at_ns
        assert client.content.read(digest) == data
        client.content.delete(digest)
    assert client.content.statuses() == []


def put_is_verified(client: Client) -> None:
    data, digest = blob(100)
    with pytest.raises(FailedPrecondition) as raised:
        client.content.put(b"something else", expected=digest)
    assert raised.value.details["digest"] == digest_of(b"something else")
    with pytest.raises(NotFound):
        client.content.info(digest)
    for algorithm in ("sha384", "sha512"):
        other = digest_of(data, algorithm)
        assert client.content.put(data, expected=other).info.digest == other
        assert client.content.read(other) == data
    with pytest.raises(InvalidArgument):
        client.content.put(data, expected="md5:0")
    with pytest.raises(InvalidArgument):
        client.content.put(data, labels={"k": "x" * 5000})
    for frames in ([], [data, data]):
        with pytest.raises(InvalidArgument):
            client.content._caller.call("content.put", t.Put(), t.Stored, payload=frames)
    assert len(client.content.list()) == 2


# -- writers ---------------------------------------------------------------------------------------------------------


def a_writer_goes_on_where_the_one_before_it_was(client: Client) -> None:
    data, digest = blob(9 * MIB)
    with client.content.writer("ref", total=len(data), expected=digest) as first:
        assert first.offset == 0
        first.write(data[: 6 * MIB])
        first.flush()
    assert client.content.status("ref").offset == 6 * MIB
    with client.content.writer("ref", total=len(data), expected=digest) as second:
        assert second.offset == 6 * MIB
        second.write(memoryview(data)[second.offset :])
        assert second.commit(labels={"k": "v"}).labels == {"k": "v"}
    assert client.content.read(digest) == data
    with pytest.raises(AlreadyExists):
        client.content.writer("ref", expected=digest)


def a_writer_truncates(client: Client) -> None:
    data, digest = blob(2 * MIB)
    with client.content.writer("ref") as writer:
        writer.write(os.urandom(3 * MIB))
        writer.truncate()
        assert (writer.offset, client.content.status("ref").offset) == (0, 0)
        writer.write(data)
        writer.flush()
        assert client.content.status("ref").offset == 2 * MIB
        assert writer.commit(expected=digest).size == 2 * MIB
    assert client.content.truncate("other").offset == 0
    client.content.write("other", b"12345")
    assert client.content.truncate("other").offset == 0
    client.content.write("other", b"abc")
    assert client.content.commit("other").digest == digest_of(b"abc")


def a_writer_that_cannot_write_says_so_and_the_ingest_stays(client: Client) -> None:
    data, digest = blob(3 * MIB)
    with client.content.writer("ref", total=len(data), expected=digest) as writer:
        writer.write(data[:MIB])
        with pytest.raises(FailedPrecondition):
            writer.commit(size=len(data))
        client.content.abort("ref")
        with pytest.raises(OutOfRange) as raised:
            writer.write(data[MIB:])
            writer.flush()
        assert raised.value.details["offset"] == 0
        writer.truncate()
        writer.write(data)
        assert writer.commit().digest == digest


def bytes_that_cannot_be_lent_are_sent(client: Client) -> None:
    data, digest = blob(20 * MIB)
    with client.content.writer("ref") as writer:
        writer.write(data[: 8 * MIB])
        assert writer._memory is not None
        # As in another namespace of processes: the daemon finds another file, or none.
        writer._memory._inode += 1
        writer.write(data[8 * MIB :])
        assert writer.commit(expected=digest).size == len(data)
        assert not writer._may_lend
    assert client.content.read(digest) == data


def small_pieces_do_not_take_one_anothers_place(client: Client) -> None:
    data, digest = blob(12 * MIB)
    step = 300_000
    with client.content.writer("ref") as writer:
        for at in range(0, len(data), step):
            writer.write(data[at : at + step])
        assert writer.commit(expected=digest).size == len(data)


def a_ref_that_a_writer_holds_is_unavailable(client: Client) -> None:
    data, digest = blob(2 * MIB)
    content = client.content
    with content.writer("ref", total=len(data), expected=digest) as writer:
        writer.write(data[:MIB])
        writer.flush()
        for attempt in (
            lambda: content.writer("ref", timeout_s=0.2),
            lambda: content.write("ref", b"x", timeout_s=0.2),
            lambda: content.commit("ref", timeout_s=0.2),
        ):
            with pytest.raises(Unavailable) as raised:
                attempt()
            assert raised.value.details["reason"] == "locked"
        assert content.status("ref").offset == MIB
        writer.write(data[MIB:])
        with pytest.raises(FailedPrecondition):
            writer.commit(size=3)
        # A commit that failed lets go: whoever comes first goes on.
        with content.writer("ref", timeout_s=5) as second:
            assert second.offset == 2 * MIB
            assert second.commit(expected=digest).digest == digest
    with content.writer("new"):
        assert content.status("new").offset == 0
    content.write("new", b"free again")


# -- uploads ---------------------------------------------------------------------------------------------------------


class OnlyRead(io.RawIOBase):
    """A stream that cannot be sought in, and gives less than it is asked for."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._data = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self._data.read(min(size, 70_000))


def an_upload_goes_on_where_it_was(client: Client) -> None:
    """Copying from what can be sought in, from what cannot, and from memory."""
    for size in SIZES:
        for number, share in enumerate(SHARES):
            data, digest = blob(size)
            ref = f"copy-{size}-{share}"
            client.content.write(ref, data[: int(size * share)], expected=digest)
            sources: tuple[bytes | IO[bytes], ...] = (io.BytesIO(data), OnlyRead(data), data)  # type: ignore[assignment]
            source = sources[number % len(sources)]
            seen: list[int] = []
            info = client.content.ingest(source, ref=ref, expected=digest, on_progress=seen.append)
            assert (info.digest, info.size) == (digest, size)
            assert seen[-1] == size
            assert client.content.read(digest) == data
    assert client.content.statuses() == []


def an_upload_without_a_digest_begins_anew(client: Client) -> None:
    data, digest = blob(1000)
    client.content.write("ref", b"left from another time")
    assert client.content.ingest(data, ref="ref").digest == digest
    assert client.content.ingest(b"", ref="empty").digest == digest_of(b"")


def an_upload_of_a_shorter_source_is_refused(client: Client) -> None:
    data, _ = blob(3000)
    client.content.write("ref", data, expected=digest_of(b"long"))
    with pytest.raises(OutOfRange):
        client.content.ingest(data[:1000], ref="ref", expected=digest_of(b"long"))
    assert client.content.status("ref").offset == 3000


def an_upload_that_fails_leaves_what_was_named(client: Client) -> None:
    data, _ = blob(2 * MIB)
    wrong = digest_of(b"other")
    for ref, left in (("", []), ("mine", ["mine"])):
        with pytest.raises(FailedPrecondition):
            client.content.ingest(io.BytesIO(data), ref=ref, expected=wrong)
        assert [status.ref for status in client.content.statuses()] == left
    for short in (b"", b"123"):
        with pytest.raises(FailedPrecondition, match="expected 5"):
            client.content.ingest(short, size=5)
    assert [status.ref for status in client.content.statuses()] == ["mine"]


def an_upload_of_what_is_there_only_labels_it(client: Client) -> None:
    data, _ = blob(2 * MIB)
    digest = put(client, data, {"a": "1"})
    for ref, expected in (("", ""), ("", digest), ("ref", digest), ("ref", "")):
        info = client.content.ingest(io.BytesIO(data), ref=ref, expected=expected, labels={"b": "2"})
        assert (info.digest, info.labels) == (digest, {"a": "1", "b": "2"})
    assert client.content.ingest(io.BytesIO(data)).digest == digest
    assert client.content.statuses() == []


def an_upload_is_pipelined_in_order(client: Client) -> None:
    data = os.urandom(MIB) * 20
    client.content.ingest(io.BytesIO(data), labels={"k": "v"})
    ref = client.content.upload(io.BytesIO(data[: 10 * MIB]))
    assert client.content.status(ref).offset == 10 * MIB
    client.content.abort(ref)
    pieces = hashlib.sha256()
    for piece in client.content.stream(digest_of(data)):
        pieces.update(piece)
    assert f"sha256:{pieces.hexdigest()}" == digest_of(data)


WRITING = (
    put_of_a_new_blob_and_of_a_known_one,
    put_is_verified,
    a_writer_goes_on_where_the_one_before_it_was,
    a_writer_truncates,
    a_writer_that_cannot_write_says_so_and_the_ingest_stays,
    bytes_that_cannot_be_lent_are_sent,
    small_pieces_do_not_take_one_anothers_place,
    a_ref_that_a_writer_holds_is_unavailable,
    an_upload_goes_on_where_it_was,
    an_upload_without_a_digest_begins_anew,
    an_upload_of_a_shorter_source_is_refused,
    an_upload_that_fails_leaves_what_was_named,
    an_upload_of_what_is_there_only_labels_it,
    an_upload_is_pipelined_in_order,
)
"""What a client of a content store can rely on."""
