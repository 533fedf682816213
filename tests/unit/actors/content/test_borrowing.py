"""Bytes that a client lends: only what it means, only what is its own, and only whole."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator

import pytest

from actors.call import Call
from actors.content.borrowing import KEPT_BYTES, LENT_MAX_BYTES, borrow, check
from wharfie.errors import FailedPrecondition, InvalidArgument
from wharfie.lending import Memory
from wharfie.protocol import Routed
from wharfie.types.content import Lent


def call(*, pid: int | None = None, uid: int = 0) -> Call:
    return Call(Routed(id=1, method="content.write", namespace="ns", pid=os.getpid() if pid is None else pid, uid=uid))


@pytest.fixture
def memory() -> Iterator[Memory]:
    found = Memory(piece_bytes=1000, count=3)
    yield found
    found.close()


def test_what_was_lent_is_read(memory: Memory) -> None:
    lent = [memory.put(piece) for piece in (b"first", b"second", b"third" * 200)]
    assert [bytes(borrow(call(), one)) for one in lent] == [b"first", b"second", b"third" * 200]
    assert bytes(borrow(call(), memory.put(b""))) == b""
    # Used in turn: the fifth piece is where the second was.
    assert memory.put(b"5").offset == lent[1].offset
    assert bytes(borrow(call(), lent[1])) == b"5econd"


def test_more_than_a_thread_keeps_room_for_is_read_too() -> None:
    memory = Memory(piece_bytes=KEPT_BYTES + 10, count=1)
    try:
        data = os.urandom(KEPT_BYTES + 10)
        assert borrow(call(), memory.put(data)) == data
    finally:
        memory.close()


def test_what_cannot_be_read_is_refused(memory: Memory) -> None:
    lent = memory.put(b"bytes")
    other = Memory(piece_bytes=10, count=1)
    read_end, write_end = os.pipe()
    refused = [
        (call(), Lent(fd=other._fd, inode=lent.inode, offset=0, size=5)),
        (call(), Lent(fd=read_end, inode=os.fstat(read_end).st_ino, offset=0, size=5)),
        (call(), Lent(fd=1 << 20, inode=lent.inode, offset=0, size=5)),
        (call(), Lent(fd=lent.fd, inode=lent.inode, offset=2998, size=5)),
        (call(), Lent(fd=lent.fd, inode=lent.inode, offset=1 << 62, size=5)),
        (call(pid=0), lent),
        (call(pid=-1), lent),
        (call(pid=1 << 22), lent),
        # Another process has another file under that number, or none.
        (call(pid=1), lent),
    ]
    try:
        for who, what in refused:
            with pytest.raises(FailedPrecondition) as raised:
                borrow(who, what)
            assert raised.value.details["reason"] == "lent"
    finally:
        os.close(read_end)
        os.close(write_end)
        other.close()


@pytest.mark.root
def test_a_user_lends_only_what_is_its_own() -> None:
    with tempfile.TemporaryFile(dir="/dev/shm") as file:
        file.write(b"not yours")
        file.flush()
        lent = Lent(fd=file.fileno(), inode=os.fstat(file.fileno()).st_ino, offset=0, size=9)
        with pytest.raises(FailedPrecondition):
            borrow(call(uid=4711), lent)
        os.fchown(file.fileno(), 4711, 4711)
        assert bytes(borrow(call(uid=4711), lent)) == b"not yours"


@pytest.mark.parametrize(
    ("field", "value"), [("fd", -1), ("inode", -1), ("offset", -1), ("size", -1), ("size", LENT_MAX_BYTES + 1)]
)
def test_numbers_are_checked(field: str, value: int) -> None:
    with pytest.raises(InvalidArgument) as raised:
        check(call(), Lent(**{"fd": 1, "inode": 1, "offset": 0, "size": 1, field: value}))
    assert raised.value.details["field"] == f"lent.{field}"


def test_bytes_are_sent_or_lent_and_not_both() -> None:
    both = call()
    both.payload = [b"sent"]
    with pytest.raises(InvalidArgument):
        check(both, Lent(fd=1, inode=1, offset=0, size=1))


def test_memory_that_is_closed_twice_is_closed() -> None:
    memory = Memory(piece_bytes=10, count=1)
    memory.close()
    memory.close()
