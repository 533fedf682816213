"""`KEY=VALUE` arguments, and changing an object's labels with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence


def parse_labels(texts: Sequence[str]) -> dict[str, str]:
    """Labels from `KEY=VALUE`; a bare `KEY` or `KEY=` has the empty value, which an update takes as "delete it".

    Raises:
        BadParameter: one without a key.
    """
    labels: dict[str, str] = {}
    for text in texts:
        key, _, value = text.partition("=")
        if not key:
            raise click.BadParameter(f"label '{text}' has no key; write KEY=VALUE")
        labels[key] = value
    return labels


def label_mask(labels: dict[str, str]) -> list[str]:
    """The update mask that changes these labels and no others."""
    return [f"labels.{key}" for key in labels]
