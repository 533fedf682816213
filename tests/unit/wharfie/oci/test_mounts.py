from __future__ import annotations

import pytest

from wharfie.errors import InvalidArgument
from wharfie.oci.mounts import Volume, merge_mounts, parse_volume, system_mounts, volume_mounts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/a:/b", Volume(source="/a", target="/b")),
        ("/a:/b:ro", Volume(source="/a", target="/b", readonly=True)),
        ("/a:/b/../c/:rw", Volume(source="/a", target="/c")),
        ("/a:/b:ro,rslave", Volume(source="/a", target="/b", readonly=True, propagation="rslave")),
    ],
)
def test_a_volume_is_parsed(text: str, expected: Volume) -> None:
    assert parse_volume(text) == expected


@pytest.mark.parametrize(
    "text", ["", "/a", "/a:", ":/b", "a:/b", "/a:b", "/a:/", "/a:/b/..", "/a:/b:zz", "/a:/b:ro:x", "/a:/b:", "/a\0:/b"]
)
def test_a_broken_volume_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_volume(text)
    assert caught.value.details == {"field": "volumes"}


def test_outer_volumes_come_before_inner_ones() -> None:
    mounts = volume_mounts([Volume(source="/1", target="/a/b"), Volume(source="/2", target="/a", readonly=True)])
    assert [mount["destination"] for mount in mounts] == ["/a", "/a/b"]
    assert mounts[0]["options"] == ["rbind", "rprivate", "ro"]


def test_two_volumes_on_one_target_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="'/a'"):
        volume_mounts([Volume(source="/1", target="/a"), Volume(source="/2", target="/a")])


def test_a_volume_replaces_a_system_mount() -> None:
    merged = merge_mounts(system_mounts(), volume_mounts([Volume(source="/1", target="/dev/shm")]))
    shm = [mount for mount in merged if mount["destination"] == "/dev/shm"]
    assert [mount["type"] for mount in shm] == ["bind"]
    assert len(merged) == len(system_mounts())


def test_only_a_privileged_container_may_write_sys() -> None:
    for writable, mode in ((False, "ro"), (True, "rw")):
        for mount in system_mounts(writable=writable):
            if mount["destination"].startswith("/sys"):
                assert mount["options"][-1] == mode
