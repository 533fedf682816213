"""A file holds one noun and can be read in one sitting."""

from __future__ import annotations

from tests.support import sources

LINES_MAX = 400
GENERATED = ("wharfie/_sync/",)
FORBIDDEN_NAMES = {"utils", "util", "helpers", "misc", "common"}


def test_no_file_is_longer_than_the_budget() -> None:
    long = {}
    for path in sources.files(".py"):
        name = str(path.relative_to(sources.ROOT))
        count = len(path.read_text().splitlines())
        if count > LINES_MAX and not name.startswith(GENERATED):
            long[name] = count
    assert not long


def test_every_file_has_a_name_that_says_what_is_in_it() -> None:
    assert not [path for path in sources.files(".py") if path.stem in FORBIDDEN_NAMES]
