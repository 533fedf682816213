"""Which committed snapshots count as lost, and what that means for those above them."""

from __future__ import annotations

import shutil

import pytest

from actors.internal import Numbers, SnapshotRow
from actors.snapshot.losses import Losses
from actors.snapshot.native import Native
from wharfie.errors import DataLoss
from wharfie.types.snapshots import Info, Kind


def row(number: int, *parents: int) -> SnapshotRow:
    return SnapshotRow(info=Info(name=f"s{number}", kind=Kind.ACTIVE), number=number, parents=[*parents])


def test_only_committed_snapshots_without_a_directory_are_lost(root: str) -> None:
    backend, losses = Native(root), Losses()
    for number in (1, 2):
        backend.prepare(number, [], Kind.ACTIVE)
    # 3 is committed and has none; 4 is active, its directory is made when it is asked for.
    named = Numbers(numbers=[1, 2, 3, 4], committed=[1, 2, 3], highest=4)
    losses.look(backend, named)
    assert losses
    assert [losses.has(backend, number) for number in (1, 2, 3, 4)] == [False, False, True, False]
    losses.check(backend, row(5, 2, 1))
    with pytest.raises(DataLoss, match="'s5' stands on 1"):
        losses.check(backend, row(5, 3, 1))
    losses.found(backend, 3)
    assert not losses
    losses.check(backend, row(5, 3, 1))


def test_a_later_look_counts(root: str) -> None:
    backend, losses = Native(root), Losses()
    backend.prepare(1, [], Kind.ACTIVE)
    named = Numbers(numbers=[1], committed=[1], highest=1)
    losses.look(backend, named)
    assert not losses
    shutil.rmtree(f"{root}/1")
    losses.look(backend, named)
    assert losses.has(backend, 1)
    backend.prepare(2, [], Kind.ACTIVE)
    backend.restore(2, 1)
    losses.look(backend, named)
    assert not losses
