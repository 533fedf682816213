from __future__ import annotations

from actors.transfer.unpack.removed import Removals


def test_what_was_made_before_a_removal_is_gone_and_what_was_made_after_is_there() -> None:
    removals = Removals()
    before = removals.made()
    removals.note(b"a")
    after = removals.made()
    assert not removals.is_there(b"a", before)
    assert removals.is_there(b"a", after)


def test_a_removal_takes_what_is_below_and_nothing_else() -> None:
    removals = Removals()
    moment = removals.made()
    removals.note(b"a/b")
    assert not removals.is_there(b"a/b/c/d", moment)
    assert removals.is_there(b"a", moment)
    assert removals.is_there(b"a/bc", moment)
