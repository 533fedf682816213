"""Which mounts are read, and when an upper directory is enough."""

from __future__ import annotations

import pytest

from actors.transfer.diff.sides import Sides, below, sides
from wharfie.errors import Unimplemented
from wharfie.types.base import Mount


def overlay(*options: str) -> Mount:
    return Mount(type="overlay", source="overlay", options=[*options])


def bind(source: str, mode: str = "rw") -> Mount:
    return Mount(type="bind", source=source, options=[mode, "rbind"])


ACTIVE = overlay("index=off", "volatile", "workdir=/9/work", "upperdir=/9/fs", "lowerdir=/2/fs:/1/fs")
READ = overlay("index=off", "ro", "lowerdir=/9/fs:/2/fs:/1/fs")
PARENT = overlay("index=off", "lowerdir=/2/fs:/1/fs")


def test_what_is_being_written_is_read_through_a_mount_that_cannot_write() -> None:
    found = sides([PARENT], [ACTIVE])
    assert found == Sides(
        lower=[overlay("index=off", "lowerdir=/2/fs:/1/fs", "ro")], upper=[READ], upper_directory="/9/fs"
    )
    merged = found.merged()
    assert merged.upper_directory == ""
    assert merged.upper == [overlay("metacopy=on", *READ.options)]
    rootless = sides([PARENT], [overlay("userxattr", *ACTIVE.options)])
    assert rootless.merged().upper == rootless.upper


@pytest.mark.parametrize(
    ("lower", "upper", "directory"),
    [
        ([bind("/1/fs", "ro")], [overlay("lowerdir=/2/fs:/1/fs")], "/2/fs"),
        ([PARENT], [overlay("lowerdir=/3/fs:/2/fs:/1/fs")], "/3/fs"),
        ([PARENT], [overlay("lowerdir=/3/fs:/1/fs")], ""),
        ([bind("/1/fs")], [ACTIVE], ""),
        ([bind("/1/fs")], [bind("/2/fs")], ""),
        ([], [bind("/2/fs")], ""),
        ([], [ACTIVE], ""),
    ],
)
def test_an_upper_directory_is_enough_only_above_the_very_tree_it_is_compared_with(
    lower: list[Mount], upper: list[Mount], directory: str
) -> None:
    assert sides(lower, upper).upper_directory == directory


def test_a_parent_is_taken_for_one_when_it_is_known_to_be() -> None:
    mounts = [Mount(type="erofs", source="/1/layer.erofs"), ACTIVE]
    assert sides([bind("/x")], mounts, related=True).upper_directory == "/9/fs"
    assert sides([bind("/x")], mounts).upper_directory == ""


def test_attributes_of_rootless_overlays_have_their_own_prefix() -> None:
    assert sides([PARENT], [overlay("userxattr", *ACTIVE.options)]).prefix == "user.overlay."


def test_mappings_of_owners_go_with_what_lies_below() -> None:
    mapped = overlay("uidmap=0:1:2", "gidmap=0:3:4", "upperdir=/9/fs", "lowerdir=/1/fs", "workdir=/9/work")
    known = below([mapped])
    assert known is not None
    (parent,) = known
    assert parent.options == ["ro", "rbind", "uidmap=0:1:2", "gidmap=0:3:4"]
    found = sides([parent], [mapped])
    assert (found.uids, found.gids, found.upper_directory) == ("0:1:2", "0:3:4", "/9/fs")
    with pytest.raises(Unimplemented, match="mapped owners"):
        found.merged()


def test_a_bind_is_read_only() -> None:
    assert sides([], [bind("/1/fs")]).upper == [Mount(type="bind", source="/1/fs", options=["rbind", "ro"])]


def test_the_parent_of_what_is_being_written_is_what_lies_below() -> None:
    assert below([ACTIVE]) == [overlay("index=off", "ro", "lowerdir=/2/fs:/1/fs")]
    one = overlay("upperdir=/9/fs", "lowerdir=/a\\:b/fs", "workdir=/9/work")
    assert below([one]) == [Mount(type="bind", source="/a:b/fs", options=["ro", "rbind"])]
    assert below([PARENT]) is None
    assert below([PARENT], committed=True) == [Mount(type="bind", source="/1/fs", options=["ro", "rbind"])]
    assert below([bind("/1/fs")]) is None


def test_paths_with_colons_stay_quoted() -> None:
    found = sides([], [overlay("upperdir=/a:b", "lowerdir=/c\\:d:/e")])
    assert found.upper[0].options[-1] == "lowerdir=/a\\:b:/c\\:d:/e"
