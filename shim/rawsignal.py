"""Signals by their numbers.

`signal`'s own functions turn numbers into enums and back, which dirties hundreds of kilobytes in every shim; this is
the C module below them.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
from collections.abc import Collection

SIGHUP = 1
SIGINT = 2
SIGQUIT = 3
SIGKILL = 9
SIGUSR1 = 10
SIGUSR2 = 12
SIGPIPE = 13
SIGALRM = 14
SIGTERM = 15
SIGCHLD = 17
SIGXFSZ = 25

_HANDLED = (SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGTERM, SIGCHLD)
"""What the supervisor handles, and what Python itself does."""

ALL: Collection[int] = tuple(range(1, 32))

_set_handler = _signal.signal
_set_mask = _signal.pthread_sigmask
_set_wakeup_fd = _signal.set_wakeup_fd
_IGNORE, _DEFAULT = _signal.SIG_IGN, _signal.SIG_DFL
_BLOCK, _SETMASK = _signal.SIG_BLOCK, _signal.SIG_SETMASK


def ignore(*numbers: int) -> None:
    """Do nothing when these come; programs that are started inherit that unless told otherwise."""
    for number in numbers:
        _set_handler(number, _IGNORE)


def reset_all() -> None:
    """Take away every handler that a parent may have installed, and its wake-up descriptor."""
    _set_wakeup_fd(-1)
    for number in _HANDLED:
        _set_handler(number, _DEFAULT)


def block(number: int) -> None:
    """Keep this signal pending, for a signalfd to read."""
    _set_mask(_BLOCK, (number,))


def set_mask(numbers: Collection[int]) -> Collection[int]:
    """Block exactly these signals; return those that were blocked."""
    before: Collection[int] = _set_mask(_SETMASK, numbers)
    return before
