"""Chain ids: the name of a stack of layers (image-spec, config.md, "Layer ChainID"). Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def chain_ids(diff_ids: Sequence[str]) -> list[str]:
    """The chain id up to each layer, the lowest first.

    The first is the diff id itself; each further one is the digest of the one below, a blank and its own diff id.
    """
    found: list[str] = []
    for diff_id in diff_ids:
        if found:
            found.append(f"sha256:{hashlib.sha256(f'{found[-1]} {diff_id}'.encode()).hexdigest()}")
        else:
            found.append(diff_id)
    return found
