"""The filter grammar: what parses, what matches, and that nothing makes it fail in another way."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wharfie.errors import InvalidArgument
from wharfie.filters import FieldPath, Filters, text_of

OBJECT = {
    "name": "docker.io/library/redis:7",
    "empty": "",
    "topic": "/tasks/exit",
    "runtime": {"name": "runc", "v": 2, "on": True, "none": None, "list": [1]},
    "labels": {"env": "prod", "a.b/c": "dotted", 'q"uote': "x", "plain.dots.too": "yes"},
}


def lookup(path: FieldPath) -> str | None:
    return text_of(OBJECT, path)


def matches(*filters: str) -> bool:
    return Filters(filters).matches(lookup)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ("   ", True),
        ("name", True),
        ("missing", False),
        ("labels.env", True),
        ("labels.nothing", False),
        ("name==docker.io/library/redis:7", True),
        ("name==redis", False),
        ("name!=redis", True),
        ("name!=docker.io/library/redis:7", False),
        ("name~=redis", True),
        ("name~=^redis", False),
        ("labels.env==prod", True),
        ("labels.env == prod , name", True),
        ("labels.env==prod,labels.env!=prod", False),
        ("labels.env==prod,missing", False),
        ('labels."a.b/c"==dotted', True),
        ('labels."q\\"uote"==x', True),
        ("labels.plain.dots.too==yes", True),
        ('"labels".env=="prod"', True),
        ("topic==/tasks/exit", True),
        ("topic!=/tasks/exit", False),
        ("topic==/tasks/", False),
        ("topic~=/tasks/", True),
        ("runtime.name==runc", True),
        ("runtime.v==2", True),
        ("runtime.on==true", True),
        ("runtime.none", False),
        ("runtime.list", False),
        ("runtime", False),
        ("name.deeper", False),
    ],
)
def test_selectors(text: str, expected: bool) -> None:
    assert matches(text) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # absent reads as empty, and is equal to nothing, not even to the empty text
        ('missing==""', False),
        ('missing!=""', False),
        ("missing!=x", True),
        ('missing~="^$"', True),
        ("missing~=x", False),
        # present and empty is equal to the empty text
        ('empty==""', True),
        ("empty", True),
        ('empty!=""', False),
    ],
)
def test_absent_fields(text: str, expected: bool) -> None:
    assert matches(text) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name~=/redis:[0-9]{1,2}/,labels.env==prod", True),
        ("name~=|library/redis|", True),
        (r"name~=/library\/redis/", True),
        (r"name~=/redis:\d/", True),
        (r"name~=/redis:\\d/", True),
        (r'name~="redis:\\d"', True),
        (r"name~=redis:\d", True),
        ("name~=[er]+dis", True),
        (r'name=="\x64ocker.io/library/redis:7"', True),
        (r'name=="docker.io/library/redis:7"', True),
        (r'name=="\144ocker.io/library/redis:7"', True),
        (r'name=="docker.io/library/redis:7\n"', False),
    ],
)
def test_quotes_and_escapes(text: str, expected: bool) -> None:
    assert matches(text) is expected


@pytest.mark.parametrize(
    "text",
    [
        "name==foo,",
        ",name",
        "labels.",
        ".name",
        "name=foo",
        "name===foo",
        "name==",
        "name~=,id",
        "name~",
        "labels.|foo|==x",
        "labels./foo/",
        "labels.ns/key==value",
        "name~=/open",
        'name=="open',
        'name=="a\nb"',
        r'labels."\g"',
        r'labels."\xaz"',
        r'name=="\ud800"',
        r'name=="\U00110000"',
        "name value",
        "name==a b",
        "foo\0bar",
        "name-x",
        "x" * 20000,
    ],
)
def test_what_does_not_parse_is_an_invalid_argument_that_shows_where(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        Filters(["name", text])
    assert caught.value.details["field"] == "filters"
    assert len(str(caught.value)) < 300


def test_of_several_filters_any_one_has_to_hold() -> None:
    assert matches("name==x", "labels.env==prod")
    assert not matches("name==x", "labels.env==dev")
    assert matches("name==x", "")


def test_no_filter_and_an_empty_one_hold_always_without_looking() -> None:
    assert Filters([]).always
    assert Filters(["name==x", ""]).always
    assert not Filters(["name"]).always


def test_a_bad_regular_expression_never_matches_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert not matches("name~=[")
    assert "never matches" in caplog.text
    assert matches("name~=[", "name")


@settings(deadline=None)
@given(st.text(alphabet='abcl.,=!~"/|\\ x0[]()*+?{}\n', max_size=30))
def test_any_text_parses_or_is_refused(text: str) -> None:
    try:
        filters = Filters([text])
    except InvalidArgument:
        return
    assert filters.matches(lookup) in (True, False)


@settings(deadline=None)
@given(st.text(max_size=20))
def test_a_quoted_value_matches_exactly_itself(value: str) -> None:
    quoted = "".join(rf"\U{ord(c):08x}" if c in '"\\\n' else c for c in value)
    assert Filters([f'x=="{quoted}"']).matches(lambda _path: value)
    assert not Filters([f'x=="{quoted}"']).matches(lambda _path: value + "!")
