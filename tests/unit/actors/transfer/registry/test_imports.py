from __future__ import annotations

import subprocess
import sys


def test_the_package_itself_does_not_load_urllib3() -> None:
    """A worker that never fetches does not pay for it."""
    code = (
        "import sys, actors.transfer.registry, actors.transfer.main;"
        "print([name for name in ('urllib3', 'actors.transfer.registry.client') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
