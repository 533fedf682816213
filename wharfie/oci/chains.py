"""Chain ids: the name of a stack of layers (image-spec, config.md, "Layer ChainID"). Pure."""

from __future__ import annotations

from collections.abc import Sequence


def chain_ids(diff_ids: Sequence[str]) -> list[str]:
    """The chain id up to each layer, the lowest first.

    The first is the diff id itself; each further one is the digest of the one below, a blank and its own diff id.
    """
    if len(diff_ids) < 2:
        return [*diff_ids]
    # Not for one layer: it loads OpenSSL, and a command that runs a container waits for it.
    import hashlib

    found: list[str] = []
    for diff_id in diff_ids:
        if found:
            found.append(f"sha256:{hashlib.sha256(f'{found[-1]} {diff_id}'.encode()).hexdigest()}")
        else:
            found.append(diff_id)
    return found


def chain_id(diff_ids: Sequence[str]) -> str:
    """The chain id of all layers: the name of the snapshot that a container's is prepared on; empty without layers."""
    return chain_ids(diff_ids)[-1] if diff_ids else ""
