"""The content store's cases over the content worker."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conformance import content, content_sharing, content_writer
from wharfie import Client


def name_of(case: object) -> str:
    return getattr(case, "__name__", str(case))


@pytest.mark.parametrize("case", [*content.SUITE, *content_writer.WRITING], ids=name_of)
def test_content(case: Callable[[Client], None], connect: Callable[[], Client]) -> None:
    case(connect())


@pytest.mark.parametrize("case", content_sharing.SHARING, ids=name_of)
def test_between_namespaces(case: Callable[[Client, Client], None], connect: Callable[[], Client]) -> None:
    case(connect(), connect())
