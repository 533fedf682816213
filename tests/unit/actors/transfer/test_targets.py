"""Chain ids, and directories behind mounts."""

from __future__ import annotations

import hashlib

import pytest

from actors.transfer import targets
from wharfie.errors import Unimplemented
from wharfie.oci.chains import chain_ids
from wharfie.types.base import Mount


def test_a_chain_id_is_the_digest_of_all_below() -> None:
    one, two, three = (f"sha256:{number:064x}" for number in range(3))
    below = f"sha256:{hashlib.sha256(f'{one} {two}'.encode()).hexdigest()}"
    top = f"sha256:{hashlib.sha256(f'{below} {three}'.encode()).hexdigest()}"
    assert chain_ids([one, two, three]) == [one, below, top]
    assert chain_ids([]) == []


def test_the_directory_of_a_bind_mount_is_its_source() -> None:
    mount = Mount(type="bind", source="/r/1/fs", options=["rw", "rbind"])
    assert targets.of([mount], rebases=True) == ("/r/1/fs", True)
    assert targets.of([mount], rebases=False) == ("/r/1/fs", False)


def test_the_directory_of_an_overlay_is_its_upper_one() -> None:
    options = ["index=off", "workdir=/r/2/work", "upperdir=/r/2/fs", "lowerdir=/r/1/fs"]
    assert targets.of([Mount(type="overlay", source="overlay", options=options)], rebases=False) == ("/r/2/fs", True)


@pytest.mark.parametrize("mounts", [[], [Mount(type="overlay", source="overlay", options=["lowerdir=/a:/b"])]])
def test_what_has_no_directory_is_refused(mounts: list[Mount]) -> None:
    with pytest.raises(Unimplemented):
        targets.of(mounts, rebases=True)


def test_the_layers_of_a_view_come_uppermost_first_and_unquoted() -> None:
    options = ["lowerdir=/r\\:x/3/fs:/r\\:x/2/fs:/r\\:x/1/fs"]
    view = Mount(type="overlay", source="overlay", options=options)
    assert targets.layers([view]) == ["/r:x/3/fs", "/r:x/2/fs", "/r:x/1/fs"]
    assert targets.layers([Mount(type="bind", source="/r/1/fs", options=["ro"])]) == ["/r/1/fs"]
