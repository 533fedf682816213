"""A line for the shim's log, which is its standard error. Not `logging`: that costs memory in every shim."""

from __future__ import annotations

import os
import time
import traceback


def complain(sentence: str) -> None:
    """Write one line with the time; never raises."""
    line = f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} warn {sentence}\n"
    try:
        os.write(2, line.encode(errors="replace"))
    except OSError:
        return


def complain_of_bug(where: str) -> None:
    """Write the traceback of the exception being handled."""
    complain(f"bug in {where}\n{traceback.format_exc()}")
