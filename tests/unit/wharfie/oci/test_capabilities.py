from __future__ import annotations

import pytest

from wharfie.errors import InvalidArgument
from wharfie.oci.capabilities import (
    ALL_CAPABILITIES,
    DEFAULT_CAPABILITIES,
    canonical_name,
    capability_set,
    names_of_mask,
    process_capabilities,
)


def test_the_default_set_is_dockers_fourteen() -> None:
    assert len(DEFAULT_CAPABILITIES) == 14
    assert set(DEFAULT_CAPABILITIES) <= set(ALL_CAPABILITIES)


def test_numbers_are_those_of_the_kernel() -> None:
    assert ALL_CAPABILITIES[21] == "CAP_SYS_ADMIN"
    assert ALL_CAPABILITIES[40] == "CAP_CHECKPOINT_RESTORE"
    assert names_of_mask(1 << 12 | 1 << 63) == ("CAP_NET_ADMIN",)


@pytest.mark.parametrize("name", ["net_admin", "NET_ADMIN", "cap_net_admin", "CAP_NET_ADMIN"])
def test_a_capability_has_one_name_however_it_is_written(name: str) -> None:
    assert canonical_name(name) == "CAP_NET_ADMIN"


def test_an_unknown_capability_is_refused_by_name() -> None:
    with pytest.raises(InvalidArgument, match="'FLY'") as caught:
        capability_set(add=["FLY"])
    assert caught.value.details == {"field": "capabilities"}


@pytest.mark.parametrize(
    ("add", "drop", "expected"),
    [
        ([], [], set(DEFAULT_CAPABILITIES)),
        (["NET_ADMIN"], [], {*DEFAULT_CAPABILITIES, "CAP_NET_ADMIN"}),
        ([], ["CHOWN"], set(DEFAULT_CAPABILITIES) - {"CAP_CHOWN"}),
        (["CHOWN"], ["all"], {"CAP_CHOWN"}),
        (["ALL"], [], set(ALL_CAPABILITIES)),
        (["CHOWN"], ["CHOWN"], set(DEFAULT_CAPABILITIES)),
        ([], ["ALL"], set()),
    ],
)
def test_adding_and_dropping(add: list[str], drop: list[str], expected: set[str]) -> None:
    assert set(capability_set(add=add, drop=drop)) == expected


def test_only_root_holds_capabilities_and_nobody_inherits_any() -> None:
    names = ["CAP_CHOWN"]
    assert process_capabilities(names, is_root=True) == {"bounding": names, "effective": names, "permitted": names}
    assert process_capabilities(names, is_root=False) == {"bounding": names}
