"""Signals by their numbers.

`signal`'s own functions turn numbers into enums and back, which dirties hundreds of kilobytes in every shim; this is
the C module below them.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]

SIGHUP = 1
SIGINT = 2
SIGQUIT = 3
SIGKILL = 9
SIGUSR1 = 10
SIGPIPE = 13
SIGTERM = 15
SIGCHLD = 17
SIGXFSZ = 25


def ignore(number: int) -> None:
    """Do nothing when this signal comes; programs that are started inherit that unless told otherwise."""
    _signal.signal(number, _signal.SIG_IGN)


def block(number: int) -> None:
    """Keep this signal pending, for a signalfd to read."""
    _signal.pthread_sigmask(_signal.SIG_BLOCK, (number,))
