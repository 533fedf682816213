"""Names of images from what an archive says."""

from __future__ import annotations

import pytest

from actors.transfer.naming import IMAGE_NAME, REF_NAME, of_entries, repository, with_digest, with_tag

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("app", "app"),
        ("app:1", "app"),
        ("host:5000/app", "host:5000/app"),
        ("host:5000/a/app:1", "host:5000/a/app"),
        (f"host:5000/app:1@{DIGEST}", "host:5000/app"),
        (f"app@{DIGEST}", "app"),
    ],
)
def test_a_repository_is_a_name_without_tag_and_digest(name: str, expected: str) -> None:
    assert repository(name) == expected
    assert with_tag(expected) == f"{expected}:latest"


@pytest.mark.parametrize(
    ("name", "base_name", "expected"),
    [
        ("host:5000/app:1", "", f"host:5000/app@{DIGEST}"),
        ("host:5000/app:1", "base", f"host:5000/app@{DIGEST}"),
        ("1.0", "base", f"base@{DIGEST}"),
        ("1.0", "", ""),
        ("", "base", f"base@{DIGEST}"),
    ],
)
def test_an_image_is_named_by_its_digest_when_its_repository_is_known(name: str, base_name: str, expected: str) -> None:
    assert with_digest(name, DIGEST, base_name=base_name) == expected


def entry(full: str, ref: str) -> dict[str, str]:
    return {key: value for key, value in ((IMAGE_NAME, full), (REF_NAME, ref)) if value}


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([entry("h/app:1", "1"), entry("h/app:1", "2")], ["h/app:1", "h/app:2"]),
        # One image for several platforms, listed in the top index: one name.
        ([entry("h/app:1", "1"), entry("h/app:1", "1")], ["h/app:1", "h/app:1"]),
        ([entry("h/app:1", ""), entry("h/app:1", "x/y:3")], ["h/app:1", "h/app:1"]),
        # Alone, the full name is what its writer meant.
        ([entry("h/app:1", "2"), entry("", "2")], ["h/app:1", "base:2"]),
        ([entry("", ""), entry("", "a/b:1")], ["", "a/b:1"]),
    ],
)
def test_names_of_an_index(entries: list[dict[str, str]], expected: list[str]) -> None:
    assert of_entries(entries, base_name="base") == expected
