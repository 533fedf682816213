from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linux import mountoptions as mo


@pytest.mark.parametrize(
    ("options", "flags", "data"),
    [
        ([], 0, ()),
        (["defaults", "rw"], 0, ()),
        (["ro", "nosuid", "nodev", "noexec"], mo.MS_RDONLY | mo.MS_NOSUID | mo.MS_NODEV | mo.MS_NOEXEC, ()),
        (["ro", "rw"], 0, ()),
        (["rw", "ro"], mo.MS_RDONLY, ()),
        (["noatime", "atime"], 0, ()),
        (["rbind", "ro"], mo.MS_BIND | mo.MS_REC | mo.MS_RDONLY, ()),
        (["mode=755", "size=64k", "strictatime"], mo.MS_STRICTATIME, ("mode=755", "size=64k")),
        (["lowerdir=/a:/b", "index=off"], 0, ("lowerdir=/a:/b", "index=off")),
        (["X-containerd.mkdir.path=/x", "x-systemd.automount", "nr_inodes=5"], 0, ("nr_inodes=5",)),
    ],
)
def test_options_become_flags_and_data(options: list[str], flags: int, data: tuple[str, ...]) -> None:
    assert mo.parse(options) == mo.MountOptions(flags=flags, data=data, propagation=())


def test_propagation_options_keep_their_order() -> None:
    parsed = mo.parse(["rslave", "bind", "private"])
    assert parsed.propagation == (mo.MS_SLAVE | mo.MS_REC, mo.MS_PRIVATE)
    assert parsed.flags == mo.MS_BIND


@pytest.mark.parametrize("option", ["loop", "uidmap=0:1000:1", "gidmap=0:1000:1", "idmap"])
def test_options_that_need_more_than_mount_are_refused_by_name(option: str) -> None:
    with pytest.raises(ValueError, match=option.partition("=")[0]):
        mo.parse(["ro", option])


@given(st.lists(st.sampled_from(sorted(mo._SET) + sorted(mo._CLEAR))))
def test_the_last_of_two_that_contradict_each_other_wins(options: list[str]) -> None:
    assert mo.parse([*options, "ro"]).flags & mo.MS_RDONLY
    assert not mo.parse([*options, "rw"]).flags & mo.MS_RDONLY
