"""Modules that our dependencies import and a command line never uses: loaded when first used, or not at all.

It has to run before click and ZeroMQ are imported. Measured here, of 53 ms of processor time for a whole `wharfie run`:
`inspect` with what it needs 4 ms (click wants it for one helper), `json` and `random` 2 ms (pyzmq), `typing_extensions`
1.4 ms (msgspec uses it if it is there, for names that Python 3.11 has itself).

Not `importlib.util.LazyLoader`: in Python 3.11 its modules load themselves as soon as a second `import` looks at them.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

LAZY = ("inspect", "json", "random")
HIDDEN = "typing_extensions"


class Later(ModuleType):
    """Stands for a module until something of it is asked for; then it is loaded and answers."""

    def __getattr__(self, name: str) -> Any:
        """What the module has under this name. `__path__` counts: `import json.tool` asks for it."""
        if name.startswith("__") and name != "__path__":
            raise AttributeError(name)
        own = self.__name__
        if sys.modules.get(own) is self:
            del sys.modules[own]
        __import__(own)
        real = sys.modules[own]
        self.__dict__.update(real.__dict__)
        return getattr(real, name)


def postpone() -> None:
    """Let `LAZY` be loaded when they are used, and hide `HIDDEN`. Those that are loaded already stay as they are."""
    for name in LAZY:
        sys.modules.setdefault(name, Later(name))
    sys.modules.setdefault(HIDDEN, None)  # type: ignore[arg-type]


def reveal() -> None:
    """What was hidden can be imported again: rich, for one, may want it. Idempotent."""
    if sys.modules.get(HIDDEN, sys) is None:
        del sys.modules[HIDDEN]
