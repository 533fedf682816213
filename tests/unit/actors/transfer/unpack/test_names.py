from __future__ import annotations

import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.transfer.unpack import names

components = st.sampled_from([b"a", b"bc", b".", b"..", b"", b".hidden", b"...", b"x" * 300, b"\xff"])


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (b"a/b", b"a/b"),
        (b"a/b/", b"a/b"),
        (b"./a/b", b"a/b"),
        (b"/a/b", b"a/b"),
        (b"//a//b//", b"a/b"),
        (b".", b""),
        (b"./", b""),
        (b"/", b""),
        (b"", b""),
        (b"..", b""),
        (b"../../etc/passwd", b"etc/passwd"),
        (b"a/../../b", b"b"),
        (b"a/./b", b"a/b"),
        (b".a/..b/...", b".a/..b/..."),
    ],
)
def test_names_become_paths_below_the_root(name: bytes, path: bytes) -> None:
    assert names.clean(name) == path


@given(st.lists(components, max_size=8).map(b"/".join))
def test_a_path_is_what_posix_makes_of_it_below_the_root(name: bytes) -> None:
    assert b"/" + names.clean(name) == posixpath.normpath(b"/" + name.lstrip(b"/"))


@given(st.binary(max_size=50))
def test_no_path_leads_outside_and_cleaning_it_again_changes_nothing(name: bytes) -> None:
    path = names.clean(name)
    assert b".." not in path.split(b"/")
    assert not path.startswith(b"/")
    assert names.clean(path) == path


def test_ancestors_are_deepest_first_without_the_root() -> None:
    assert names.ancestors(b"a/b/c") == [b"a/b/c", b"a/b", b"a"]
    assert names.ancestors(b"") == []
