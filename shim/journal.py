"""The journal of a container: every event, written before anybody is told.

An append-only file in the bundle. Each record is four bytes of length, big endian, and so many bytes of msgpack; it is
written by one `write`, so that a kill leaves all of it or, at the very end of the file, a part, which readers ignore.
It is not flushed to disk: the bundle lives in the state directory, which does not outlive a reboot, as the container
does not.

Acknowledgements are records, too. When all is acknowledged and the file has grown, it is replaced by one with what is
still worth knowing: the last events of each process that has not been deleted.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Collection, Iterator
from os import close as close_fd
from os import open as open_fd
from os import write as write_fd
from typing import Any

import msgspec

COMPACT_BYTES = 64 * 1024
"""An acknowledged journal larger than this is compacted."""

MAX_RECORD_BYTES = 16 * 1024 * 1024
"""A length above this is no length: the rest of the file is not read."""

_NEW_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_LENGTH = struct.Struct(">I")


class Record(msgspec.Struct, array_like=True, tag_field="k", tag="e", gc=False):
    """An event: `seq` rises by one from 1 in each container, `time_ns` is the wall clock's."""

    seq: int
    time_ns: int
    topic: str
    event: dict[str, Any]


class Acknowledged(msgspec.Struct, array_like=True, tag_field="k", tag="a", gc=False):
    """All events up to `seq` are stored elsewhere."""

    seq: int


class Contents(msgspec.Struct, gc=False):
    """What a journal says: events in order, and how far they are acknowledged."""

    records: list[Record]
    acknowledged: int = 0

    @property
    def last_seq(self) -> int:
        """The number of the newest event; 0 when there is none."""
        return max(self.records[-1].seq if self.records else 0, self.acknowledged)

    @property
    def unacknowledged(self) -> list[Record]:
        """The events that have to be delivered yet."""
        return [record for record in self.records if record.seq > self.acknowledged]

    @property
    def has_deletion(self) -> bool:
        """Whether the container has been deleted."""
        return any(record.topic == "/tasks/delete" for record in self.records)

    def exit_of(self, process_id: str) -> Record | None:
        """The `/tasks/exit` of a process, by its id: the container's for the first one, else the exec's."""
        return next(
            (one for one in reversed(self.records) if one.topic == "/tasks/exit" and one.event.get("id") == process_id),
            None,
        )


_encode = msgspec.msgpack.Encoder().encode
_decode: msgspec.msgpack.Decoder[Record | Acknowledged] = msgspec.msgpack.Decoder(Record | Acknowledged)


def encode_record(record: Record | Acknowledged) -> bytes:
    """A record as it stands in the file."""
    data = _encode(record)
    return len(data).to_bytes(4, "big") + data


def parse_journal(data: bytes) -> Contents:
    """What the bytes of a journal say; a torn tail is ignored, and with it all that follows. Pure, never raises."""
    contents = Contents(records=[])
    for record in _records(data):
        if isinstance(record, Acknowledged):
            contents.acknowledged = max(contents.acknowledged, record.seq)
        else:
            contents.records.append(record)
    return contents


def _records(data: bytes) -> Iterator[Record | Acknowledged]:
    start = 0
    while start + _LENGTH.size <= len(data):
        (size,) = _LENGTH.unpack_from(data, start)
        start += _LENGTH.size
        if size > MAX_RECORD_BYTES or start + size > len(data):
            return
        try:
            yield _decode.decode(memoryview(data)[start : start + size])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return
        start += size


def read_journal(bundle: str) -> Contents:
    """The journal of a bundle; an empty one when the shim never wrote any.

    Raises:
        OSError: it exists and cannot be read.

    """
    try:
        with open(f"{bundle}/journal", "rb") as file:
            return parse_journal(file.read())
    except FileNotFoundError:
        return Contents(records=[])


def compact(contents: Contents, keep: Collection[str]) -> bytes:
    """The bytes of a journal without what nobody needs any more. Pure.

    What is kept: what is not acknowledged, the events of the processes in `keep`, because a cleaner answers from them
    for a dead shim, and the deletion. The number of the newest event is kept by the acknowledgement.
    """
    kept = [
        record
        for record in contents.records
        if record.seq > contents.acknowledged or record.topic == "/tasks/delete" or _process_of(record) in keep
    ]
    return b"".join([*map(encode_record, kept), encode_record(Acknowledged(contents.acknowledged))])


def _process_of(record: Record) -> object:
    event = record.event
    return event.get("exec_id") or event.get("id") or event.get("container_id")


class Journal:
    """The shim's end: appends, and knows what is not acknowledged. Owns its descriptor."""

    __slots__ = ("_fd", "_path", "_size", "acknowledged", "seq", "unacknowledged")

    def __init__(self, bundle: str) -> None:
        self._path = f"{bundle}/journal"
        self._fd = open_fd(self._path, _NEW_FLAGS, 0o600)
        self._size = 0
        self.seq = 0
        self.acknowledged = 0
        self.unacknowledged: list[Record] = []

    def append(self, time_ns: int, topic: str, event: dict[str, Any]) -> Record:
        """Write an event; when this returns, a kill of the shim does not lose it.

        On a full file system it is only kept in memory: what happened has happened, and has to be told all the same.
        """
        record = Record(self.seq + 1, time_ns, topic, event)
        self.seq = record.seq
        self._write(encode_record(record))
        self.unacknowledged.append(record)
        return record

    def acknowledge(self, seq: int, keep: Collection[str]) -> None:
        """Forget events up to `seq`; an older or a future number changes nothing beyond what there is.

        Args:
            seq: as the worker said it.
            keep: ids of processes that are not deleted, for `compact`.

        """
        seq = min(seq, self.seq)
        if seq <= self.acknowledged:
            return
        self.acknowledged = seq
        while self.unacknowledged and self.unacknowledged[0].seq <= seq:
            del self.unacknowledged[0]
        self._write(encode_record(Acknowledged(seq)))
        if self._size > COMPACT_BYTES and not self.unacknowledged:
            self._replace(keep)

    def _write(self, data: bytes) -> None:
        try:
            written = write_fd(self._fd, data)
        except OSError:
            written = 0
        if written == len(data):
            self._size += written
            return
        # A full file system took a part: cut it off, or all that follows would be unreadable.
        os.ftruncate(self._fd, self._size)

    def _replace(self, keep: Collection[str]) -> None:
        with open(self._path, "rb") as file:
            data = compact(parse_journal(file.read()), keep)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        fd = os.open(f"{self._path}.new", flags, 0o600)
        try:
            complete = os.write(fd, data) == len(data)
        except OSError:
            complete = False
        if not complete:
            # The old one is complete; it is only large.
            os.close(fd)
            os.unlink(f"{self._path}.new")
            return
        os.rename(f"{self._path}.new", self._path)
        os.close(self._fd)
        self._fd, self._size = fd, len(data)

    def close(self) -> None:
        """Close the file; idempotent."""
        if self._fd >= 0:
            close_fd(self._fd)
            self._fd = -1
