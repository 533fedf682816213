"""The labels that say which repositories have a blob: `containerd.io/distribution.source.HOST` = `REPO,REPO`. Pure.

A push mounts blobs from there instead of sending them; a repair fetches them from there again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from wharfie.identifiers import LABEL_MAX_BYTES
from wharfie.reference import Reference
from wharfie.types.base import Labels

SOURCE = "containerd.io/distribution.source."


def with_source(labels: Mapping[str, str], reference: Reference) -> Labels:
    """The label to set on a blob that came from there: the repositories that are known, and this one.

    Empty when it is known already. The oldest ones are forgotten when there is no room for all.
    """
    key = f"{SOURCE}{reference.host}"
    known = [repository for repository in labels.get(key, "").split(",") if repository]
    if reference.repository in known:
        return {}
    known.append(reference.repository)
    while len(known) > 1 and len(f"{key}{','.join(known)}".encode()) > LABEL_MAX_BYTES:
        known.pop(0)
    return {key: ",".join(known)}


def sources(labels: Mapping[str, str]) -> Iterator[Reference]:
    """The repositories that have a blob; those of the tag `latest`, which nobody asks for."""
    for key, value in labels.items():
        if key.startswith(SOURCE):
            for repository in value.split(","):
                if repository:
                    yield Reference(host=key.removeprefix(SOURCE), repository=repository, tag="latest")


def mounts(labels: Mapping[str, str], target: Reference) -> list[str]:
    """Other repositories of the target's host that have a blob; the one with the longest path in common first."""
    found = [
        source.repository
        for source in sources(labels)
        if source.host == target.host and source.repository != target.repository
    ]
    return sorted(found, key=lambda repository: -_common(repository, target.repository))


def _common(one: str, other: str) -> int:
    count = 0
    for mine, theirs in zip(one.split("/"), other.split("/"), strict=False):
        if mine != theirs:
            break
        count += 1
    return count
