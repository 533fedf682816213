"""Named points at which a test makes a running process fail.

`hit("runtime.create.after-bundle")` stands where a crash would matter. It does nothing, and costs one call of an empty
function, unless the environment variable WHARFIE_FAILPOINTS names a directory when the process starts. Then a test arms
a point by creating a file with its name in there, also while the daemon runs, and whichever process comes by first
takes it (an atomic rename to `NAME.hit`, so that a point goes off exactly once) and does what the file says:

    kill            SIGKILL to itself
    exit N          leave at once with this exit code
    stop            SIGSTOP to itself
    delay MS        sleep so many milliseconds
    error CODE      raise the error of that code (`unavailable`, `data_loss`, …)
    enospc          raise OSError ENOSPC, as a full disk does

Names are "worker.operation.moment"; a test collects them from the source.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable

from wharfie.errors import error_class

VARIABLE = "WHARFIE_FAILPOINTS"


def _off(_name: str) -> None:
    """Nothing is armed and nothing can be."""


directory = ""
"""Where points are armed; empty when none can be."""

hit: Callable[[str], None] = _off
"""Fail here if a test wants it. Call it as `failpoint.hit(…)`: the name is bound anew when points are switched on."""


def enable(where: str) -> None:
    """Look for armed points in the directory `where` from now on; an empty one switches them off."""
    global hit, directory

    def on(name: str) -> None:
        taken = f"{where}/{name}.hit"
        try:
            os.rename(f"{where}/{name}", taken)
        except OSError:
            return
        with open(taken, encoding="utf-8") as file:
            _act(name, file.read().split())

    directory = where
    hit = on if where else _off


def _act(name: str, words: list[str]) -> None:
    action, argument = words[0], words[1] if len(words) > 1 else ""
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "exit":
        os._exit(int(argument))
    elif action == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif action == "delay":
        time.sleep(int(argument) / 1000)
    elif action == "error":
        raise error_class(argument)(f"failpoint {name!r} was armed with {argument}")
    elif action == "enospc":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)
    else:
        raise ValueError(f"failpoint {name!r}: unknown action {action!r}")


enable(os.environ.get(VARIABLE, ""))
