"""The console scripts. In the wheel the daemon's packages lie below `wharfie/_daemon`, put first on the path here; in a
checkout they are top-level packages already (docs/adr/0001).
"""

from __future__ import annotations

import importlib
import os
import sys


def _daemon_path() -> None:
    directory = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_daemon")
    if os.path.isdir(directory) and directory not in sys.path:
        sys.path.insert(0, directory)


def cli() -> int:
    """`wharfie`."""
    _daemon_path()
    result = importlib.import_module("cli.main").main()
    return int(result or 0)


def daemon() -> int:
    """`wharfied`."""
    _daemon_path()
    result = importlib.import_module("supervisor.main").main()
    return int(result or 0)
