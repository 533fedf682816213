"""What a token has to allow. Pure."""

from __future__ import annotations

from wharfie.reference import Reference


def pull(ref: Reference) -> tuple[str, ...]:
    """To read from a repository."""
    return (f"repository:{ref.repository}:pull",)


def push(ref: Reference, *sources: str) -> tuple[str, ...]:
    """To write to a repository, and to read from those that blobs are mounted from."""
    return (f"repository:{ref.repository}:pull,push", *(f"repository:{source}:pull" for source in sources))
