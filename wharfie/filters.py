"""Filters of lists and of events: containerd's grammar, parsed once and then matched.

::

    filter    := selector ( "," selector )*        all of them must hold
    selector  := fieldpath ( operator value )?     without an operator: the field is there
    fieldpath := field ( "." field )*              field: letters, digits, "_"; or quoted
    operator  := "==" | "!=" | "~="                "~=" is a regular expression that may match anywhere
    value     := bareword | quoted                 a bareword ends at "," or white space
    quoted    := "…" with Go's escapes; a regular expression may also stand in /…/ or |…|

Of a list of filters any one has to hold; no filter, and the empty one, hold always. A field that is absent reads as
the empty text: `==` is then false (also against ""), `!=` is true unless compared with "", `~=` looks at the empty
text. A regular expression that cannot be compiled is logged and never matches. White space between tokens is ignored.

Pure but for that log line. Regular expressions are Python's `re`; Go's common syntax means the same in both.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wharfie.errors import InvalidArgument

log = logging.getLogger("filters")

FieldPath = tuple[str, ...]
Lookup = Callable[[FieldPath], str | None]
"""The text of a field of the object at hand; None when it is absent."""

Test = Callable[[Lookup], bool]

FILTER_MAX_LENGTH = 16384

_SPACE = re.compile(r"\s*")
_FIELD = re.compile(r"[A-Za-z0-9_]+")
_OPERATOR = re.compile(r"[=!~]+")
_BAREWORD = re.compile(r"[^\s,\"][^\s,]*")
_ESCAPE = re.compile(r"\\(x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|[0-7]{3}|.)", re.DOTALL)
_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}


class Filters:
    """Parsed filters: call `matches` for each object.

    Raises:
        InvalidArgument: a filter does not parse; the message shows where.
    """

    __slots__ = ("_any_of",)

    def __init__(self, filters: Sequence[str]) -> None:
        parsed = [_Parser(text).filter() for text in filters]
        # One filter that holds always makes the others needless.
        self._any_of: list[list[Test]] = [] if any(not tests for tests in parsed) else parsed

    @property
    def always(self) -> bool:
        """Whether everything matches, so that nothing needs to be looked at."""
        return not self._any_of

    def matches(self, lookup: Lookup) -> bool:
        """Whether any of the filters holds for the object that `lookup` reads."""
        if not self._any_of:
            return True
        return any(all(test(lookup) for test in tests) for tests in self._any_of)


def text_of(value: Any, path: FieldPath) -> str | None:
    """Read a path from nested maps; the rest of a path is also tried as one key with dots in it.

    Numbers and booleans read as their JSON text; lists, maps and null are absent.
    """
    for depth, name in enumerate(path):
        if not isinstance(value, Mapping):
            return None
        dotted = ".".join(path[depth:])
        if dotted in value:
            value = value[dotted]
            break
        value = value.get(name)
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    return None


class _Parser:
    """A recursive-descent parser over one filter."""

    def __init__(self, text: str) -> None:
        if len(text) > FILTER_MAX_LENGTH:
            raise InvalidArgument(
                f"a filter of {len(text)} characters is longer than {FILTER_MAX_LENGTH}; use several",
                details={"field": "filters"},
            )
        self._text = text
        self._at = 0

    def filter(self) -> list[Test]:
        self._skip_space()
        if self._ended():
            return []
        tests = [self._selector()]
        while not self._ended():
            if self._text[self._at] != ",":
                raise self._error("expected ',' or the end")
            self._at += 1
            tests.append(self._selector())
        return tests

    def _selector(self) -> Test:
        path = [self._field()]
        self._skip_space()
        while not self._ended() and self._text[self._at] == ".":
            self._at += 1
            path.append(self._field())
            self._skip_space()
        if self._ended() or self._text[self._at] == ",":
            return _present(tuple(path))
        start = self._at
        operator = self._take(_OPERATOR)
        if operator not in {"==", "!=", "~="}:
            self._at = start
            raise self._error("expected '==', '!=' or '~='")
        value = self._value(is_pattern=operator == "~=")
        self._skip_space()
        if operator == "==":
            return _equal(tuple(path), value)
        return _differs(tuple(path), value) if operator == "!=" else _found(tuple(path), value)

    def _field(self) -> str:
        self._skip_space()
        if not self._ended() and self._text[self._at] == '"':
            return self._quoted()
        name = self._take(_FIELD)
        if not name:
            raise self._error("expected a field, in quotes when it has other characters than letters, digits and '_'")
        return name

    def _value(self, *, is_pattern: bool) -> str:
        self._skip_space()
        if not self._ended() and (self._text[self._at] == '"' or (is_pattern and self._text[self._at] in "/|")):
            return self._quoted()
        word = self._take(_BAREWORD)
        if not word:
            raise self._error("expected a value, in double quotes when it is empty or has ',' or white space")
        return word

    def _quoted(self) -> str:
        start = self._at
        quote = self._text[start]
        at = start + 1
        while at < len(self._text) and self._text[at] not in (quote, "\n"):
            at += 2 if self._text[at] == "\\" else 1
        if at >= len(self._text) or self._text[at] != quote:
            raise self._error("the quote does not end")
        self._at = at + 1
        return _ESCAPE.sub(lambda match: self._unescape(match[1], quote, start), self._text[start + 1 : at])

    def _unescape(self, code: str, quote: str, start: int) -> str:
        if code in _SIMPLE:
            return _SIMPLE[code]
        if code == quote:
            return quote
        number = -1
        if len(code) > 1:
            number = int(code[1:], 16) if code[0] in "xuU" else int(code, 8)
        if 0 <= number <= 0x10FFFF and not 0xD800 <= number <= 0xDFFF:
            return chr(number)
        if quote != '"' and len(code) == 1:
            # \d, \. and their like are the regular expression's own.
            return f"\\{code}"
        self._at = start
        raise self._error(f"escape '\\{code}' is unknown")

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            return ""
        self._at = match.end()
        return match[0]

    def _skip_space(self) -> None:
        self._take(_SPACE)

    def _ended(self) -> bool:
        return self._at >= len(self._text)

    def _error(self, reason: str) -> InvalidArgument:
        before, after = self._text[: self._at][-40:], self._text[self._at :][:40]
        return InvalidArgument(
            f"filter does not parse at '{before}⟨here⟩{after}': {reason}",
            details={"field": "filters", "position": self._at},
        )


def _present(path: FieldPath) -> Test:
    return lambda lookup: lookup(path) is not None


def _equal(path: FieldPath, value: str) -> Test:
    return lambda lookup: lookup(path) == value


def _differs(path: FieldPath, value: str) -> Test:
    return lambda lookup: (lookup(path) or "") != value


def _found(path: FieldPath, value: str) -> Test:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            search = re.compile(value).search
    except (re.error, OverflowError, RecursionError) as error:
        log.warning("regular expression '%s' never matches: %s", value, error)
        return lambda _lookup: False
    return lambda lookup: search(lookup(path) or "") is not None
