"""The hosts that stand for one registry, asked in their order until one answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from actors.transfer.registry.answer import Answer
from actors.transfer.registry.endpoint import Ask, Endpoint
from wharfie import errors


class Found(NamedTuple):
    """An answer and who gave it."""

    answer: Answer
    endpoint: Endpoint


def ask_in_order(endpoints: Sequence[Endpoint], make: Callable[[Endpoint], Ask]) -> Found:
    """Ask one after another; only the last is asked again after a failure, before it the next one is the remedy.

    Args:
        endpoints: mirrors first, the registry itself last.
        make: the question for one of them.

    Raises:
        WharfieError: nobody answered as expected. A refusal tells more than a `not_found`, and that more than a
            connection that failed; of equals the last, which is the registry itself.
    """
    errors_seen: list[errors.WharfieError] = []
    for endpoint in endpoints:
        ask = make(endpoint)
        if endpoint is not endpoints[-1]:
            ask = replace(ask, attempts=1)
        try:
            return Found(endpoint.call(ask), endpoint)
        except errors.Cancelled:
            raise
        except errors.WharfieError as error:
            errors_seen.append(error)
    raise max(reversed(errors_seen), key=_weight)


def _weight(error: errors.WharfieError) -> int:
    if isinstance(error, errors.Unavailable):
        return 0
    return 1 if isinstance(error, errors.NotFound) else 2
