"""The rules for names, as matrices and as properties."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wharfie import identifiers
from wharfie.errors import InvalidArgument

RULE = re.compile(r"^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$")


@pytest.mark.parametrize("name", ["a", "0", "default", "k8s.io", "a-b_c.d", "A" * 76, "moby", "1.2.3"])
def test_an_identifier_is_letters_and_digits_with_single_separators_inside(name: str) -> None:
    assert identifiers.check_identifier(name, field="id") == name


@pytest.mark.parametrize(
    "name", ["", ".", "a.", ".a", "a..b", "a._b", "a/b", "../x", "a b", "é", "a\n", "\u0661", "a\0", "A" * 77, "-a"]
)
def test_anything_else_is_refused_with_the_field_that_held_it(name: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        identifiers.check_identifier(name, field="container_id")
    assert caught.value.details == {"field": "container_id"}
    assert len(str(caught.value)) < 250


@settings(deadline=None)
@given(st.text(alphabet="aZ09._-/\n é", max_size=90))
def test_the_rule_is_the_regular_expression_of_the_reference_and_a_length(name: str) -> None:
    expected = len(name) <= 76 and RULE.match(name) is not None and not name.endswith("\n")
    assert identifiers.is_identifier(name) == expected


def test_a_missing_namespace_says_where_to_set_it() -> None:
    with pytest.raises(InvalidArgument, match="set it in the header"):
        identifiers.check_namespace("")


@pytest.mark.parametrize(
    ("key", "value", "fits"),
    [
        ("k", "v", True),
        ("k", "", True),
        ("k" * 96, "v" * 4000, True),
        ("k" * 97, "v" * 4000, False),
        ("", "v", False),
        ("k", "é" * 2047, True),  # two bytes each: 4095
        ("k", "é" * 2048, False),
    ],
)
def test_key_and_value_of_a_label_have_4096_bytes_together(key: str, value: str, fits: bool) -> None:
    if fits:
        identifiers.check_labels({key: value})
        return
    with pytest.raises(InvalidArgument) as caught:
        identifiers.check_labels({"ok": "ok", key: value})
    assert caught.value.details["field"] == "labels"
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("topic", "valid"),
    [
        ("/containers/create", True),
        ("/a", True),
        ("/a/b/c.d", True),
        ("/", False),
        ("", False),
        ("a/b", False),
        ("/a//b", False),
        ("/a/", False),
        ("/a b", False),
    ],
)
def test_a_topic_is_slash_and_identifiers(topic: str, valid: bool) -> None:
    if valid:
        assert identifiers.check_topic(topic) == topic
    else:
        with pytest.raises(InvalidArgument):
            identifiers.check_topic(topic)


@pytest.mark.parametrize(
    ("digest", "valid"),
    [
        ("sha256:" + "a" * 64, True),
        ("sha384:" + "0" * 96, True),
        ("sha512:" + "f" * 128, True),
        ("sha256:" + "A" * 64, False),
        ("sha256:" + "a" * 63, False),
        ("sha256:" + "a" * 63 + "\n", False),
        ("sha256:../../etc/passwd", False),
        ("md5:" + "a" * 32, False),
        ("sha256", False),
        ("", False),
    ],
)
def test_a_digest_is_a_known_algorithm_and_all_its_digits(digest: str, valid: bool) -> None:
    assert identifiers.is_digest(digest) == valid
    if not valid:
        with pytest.raises(InvalidArgument) as caught:
            identifiers.check_digest(digest, field="target.digest")
        assert caught.value.details == {"field": "target.digest"}


@pytest.mark.parametrize("name", ["docker.io/library/busybox:latest", "x", "é" * 2048, "a b", "../x"])
def test_a_free_name_is_any_text(name: str) -> None:
    assert identifiers.check_name(name, field="name") == name


@pytest.mark.parametrize("name", ["", "x" * 4097, "é" * 2049, "a\0b"])
def test_a_free_name_is_not_empty_not_endless_and_without_nul(name: str) -> None:
    with pytest.raises(InvalidArgument):
        identifiers.check_name(name, field="name")


@pytest.mark.parametrize(
    ("media_type", "valid"),
    [
        ("application/vnd.oci.image.manifest.v1+json", True),
        ("text/plain; charset=utf-8", True),
        ("application", False),
        ("", False),
        ("a/b/c", False),
        ("a b/c", False),
        ("application/x\n", False),
        ("a" * 127 + "/" + "b" * 127, True),
        ("a" * 128 + "/b", False),
        ("a/" + "b" * 128, False),
    ],
)
def test_a_media_type_is_type_and_subtype(media_type: str, valid: bool) -> None:
    if valid:
        assert identifiers.check_media_type(media_type, field="m") == media_type
    else:
        with pytest.raises(InvalidArgument):
            identifiers.check_media_type(media_type, field="m")


@pytest.mark.parametrize(("value", "low", "valid"), [(0, 0, True), (0, 1, False), (-1, 0, False), (1 << 63, 0, False)])
def test_a_count_fits_64_bits_with_sign(value: int, low: int, valid: bool) -> None:
    if valid:
        assert identifiers.check_count(value, field="size", low=low) == value
    else:
        with pytest.raises(InvalidArgument, match="size"):
            identifiers.check_count(value, field="size", low=low)
