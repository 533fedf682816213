"""The labels that say which repositories have a blob: `containerd.io/distribution.source.HOST` = `REPO,REPO`.

A push mounts blobs from there instead of sending them; a repair fetches them from there again.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from wharfie.identifiers import LABEL_MAX_BYTES
from wharfie.reference import Reference
from wharfie.types import content
from wharfie.types.base import Labels

if TYPE_CHECKING:
    # Who only reads the labels, such as a command line, needs no worker.
    from actors.worker import Worker

SOURCE = "containerd.io/distribution.source."


def with_source(labels: Mapping[str, str], reference: Reference) -> Labels:
    """The label to set on a blob that came from there: the repositories that are known, and this one. Pure.

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


async def remember(
    worker: Worker, namespace: str, digest: str, labels: Mapping[str, str], reference: Reference
) -> None:
    """Have a blob's labels say that this repository has it. Idempotent.

    Args:
        worker: asks metadata.
        namespace: that names the blob.
        digest: of the blob.
        labels: that it has; when they say so already, nothing is done.
        reference: of the repository.

    Raises:
        NotFound: the namespace does not name the blob any more.
    """
    if more := with_source(labels, reference):
        update = content.Update(digest=digest, labels=more, mask=[f"labels.{key}" for key in more])
        key = f"source/{digest}/{uuid.uuid4().hex}"
        await worker.call("content.update", update, content.Info, namespace=namespace, key=key)


def sources(labels: Mapping[str, str]) -> Iterator[Reference]:
    """The repositories that have a blob; those of the tag `latest`, which nobody asks for. Pure."""
    for key, value in labels.items():
        if key.startswith(SOURCE):
            for repository in value.split(","):
                if repository:
                    yield Reference(host=key.removeprefix(SOURCE), repository=repository, tag="latest")


def mounts(labels: Mapping[str, str], target: Reference) -> list[str]:
    """Other repositories of the target's host that have a blob; the longest path in common first. Pure."""
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
