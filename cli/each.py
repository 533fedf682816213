"""Doing one thing to many objects: one that fails is told and does not keep the others from theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.failure import complain, exit_code
from cli.hint import hint_for
from cli.output import print_json, print_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from cli.settings import Settings


def each(names: Iterable[str], act: Callable[[str], str | None]) -> tuple[list[str], int]:
    """Do something to each.

    Args:
        names: as they were typed.
        act: does it; returns the name to print, or None for nothing.

    Returns:
        What is to be printed, and the exit code: that of the last error, 0 without one. Errors are on stderr by then.
    """
    from wharfie.errors import WharfieError

    did: list[str] = []
    code = 0
    for name in names:
        try:
            result = act(name)
        except WharfieError as error:
            if error.details.get("reason") == "no_daemon":
                raise
            complain(error.message, hint_for(error))
            code = exit_code(error)
        else:
            if result is not None:
                did.append(result)
    return did, code


def done(settings: Settings, names: Sequence[str], key: str = "id") -> None:
    """Print what was dealt with: one name a line, or a list of objects."""
    if settings.json:
        print_json([{key: name} for name in names])
    else:
        print_lines(names)


def do(settings: Settings, names: Iterable[str], act: Callable[[str], str | None], key: str = "id") -> int:
    """`each`, then `done`; returns the exit code."""
    did, code = each(names, act)
    done(settings, did, key)
    return code
