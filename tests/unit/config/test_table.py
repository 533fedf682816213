from __future__ import annotations

import re

import pytest

from config.table import aliases, sections, table
from config.timeout import TIMEOUTS


@pytest.mark.parametrize("key", list(table()))
def test_every_setting_has_a_default_of_its_kind_and_one_line_of_help(key: str) -> None:
    row = table()[key]
    default = list(row.default) if isinstance(row.default, tuple) else row.default
    assert row.kind.read(default) == row.default
    assert row.help
    assert "\n" not in row.help
    assert not row.help.endswith(".")
    assert len(row.help) <= 110


@pytest.mark.parametrize("key", list(table()))
def test_the_name_of_a_setting_ends_with_its_unit(key: str) -> None:
    row = table()[key]
    if row.section == "timeouts":
        return
    suffix = {"seconds": "_s", "bytes": "_bytes"}.get(row.kind.unit, "")
    assert row.name.endswith(suffix)
    if not suffix:
        assert not re.search(r"_(s|ms|bytes)$", row.name)


def test_flags_variables_and_aliases_are_unique_and_no_alias_is_a_key() -> None:
    rows = list(table().values())
    for names in ([row.flag for row in rows if row.flag], [row.env for row in rows if row.env]):
        assert len(names) == len(set(names))
    assert len(aliases()) == sum(len(row.aliases) for row in rows)
    assert not aliases().keys() & table().keys()


def test_the_flags_of_the_daemon_are_in_the_table() -> None:
    flags = {row.flag: row.key for row in table().values() if row.flag}
    assert flags == {"--root": "root", "--state": "state", "--log-level": "log.level", "--address": "router.address"}


def test_every_section_has_a_heading_and_every_timeout_a_row() -> None:
    for name, owner in sections().items():
        assert owner.__doc__, name
    assert [row.name for row in table().values() if row.section == "timeouts"] == list(TIMEOUTS)
