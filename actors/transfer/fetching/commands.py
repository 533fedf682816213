"""What the fetcher does for each command. Runs in its threads; a command knows nothing of the others."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import BinaryIO, Protocol

from actors.transfer.fetching import messages as m
from actors.transfer.fetching.download import Download, joined
from actors.transfer.fetching.pieces import Open, Reader, in_order
from actors.transfer.registry import digest as digests
from actors.transfer.registry.client import Registry
from wharfie import failpoint, protocol
from wharfie._sync.client import Client
from wharfie.errors import Internal, ResourceExhausted
from wharfie.oci.descriptor import Descriptor
from wharfie.reference import Reference
from wharfie.types.base import Empty, Message

REFERRERS_BYTES_MAX = protocol.MAX_MESSAGE_BYTES // 2
"""How much a list of referrers may take: it goes to the client in one message."""


class Saying(Protocol):
    """Where answers go."""

    def say(self, message: m.Answer) -> None:
        """Send one."""


class Commands:
    """Works on commands, any number at once."""

    def __init__(self, request: m.FetcherJob, registry: Registry, client: Client) -> None:
        self._request = request
        self._registry = registry
        self._client = client

    def work(self, command: m.Said, given: Sequence[int], said: Saying) -> Message:
        """Do it; returns its result, tells on the way.

        Raises:
            WharfieError: what the registry or the daemon refused.
        """
        match command:
            case m.Resolve():
                return m.Found(descriptor=self._registry.resolve(Reference.parse(command.reference)))
            case m.FindReferrers():
                return self._referrers(command)
            case m.GetDocument():
                return self._document(command)
            case m.GetBlob():
                return self._blob(command, said)
            case m.PushBlob():
                return self._push_blob(command, given[0], said)
            case m.PushDocument():
                failpoint.hit("transfer.push.before-document")
                self._registry.push_manifest(Reference.parse(command.reference), command.descriptor, command.data)
                return m.Sent(bytes=len(command.data))
        raise Internal(f"the fetcher does not know the command {type(command).__name__}")

    def _referrers(self, command: m.FindReferrers) -> m.FoundReferrers:
        reference = Reference.parse(command.reference)
        found = self._registry.referrers(reference, command.digest, command.artifact_type)
        result = m.FoundReferrers(referrers=found)
        if len(protocol.encode(result)) > REFERRERS_BYTES_MAX:
            raise ResourceExhausted(
                f"the {len(found)} referrers of '{command.digest}' in '{reference.repository}' take more than"
                f" {REFERRERS_BYTES_MAX} bytes; ask for those of one artifact_type",
                details={"reason": "registry_referrers", "digest": command.digest, "host": reference.host},
            )
        return result

    def _document(self, command: m.GetDocument) -> m.Document:
        reference = Reference.parse(command.reference)
        if command.is_manifest:
            return m.Document(data=self._registry.manifest(reference, command.descriptor))
        descriptor = command.descriptor
        pieces = in_order(self._opener(reference, descriptor), offset=0, size=descriptor.size, note=_unheard)
        data = joined(pieces)
        digests.check(data, descriptor.digest, what=f"blob '{descriptor.digest}'", host=reference.host)
        return m.Document(data=data)

    def _blob(self, command: m.GetBlob, said: Saying) -> Empty:
        reference = Reference.parse(command.reference)

        Download(
            self._client,
            command.descriptor,
            open_at=self._opener(reference, command.descriptor),
            ranges=self._request.ranges,
            range_bytes=self._request.range_bytes,
            arrived=lambda count: said.say(m.Arrived(id=command.id, count=count)),
            note=lambda reason: said.say(m.Noted(id=command.id, event="retry", detail=reason)),
        ).run(command.ref, command.labels)
        return Empty()

    def _push_blob(self, command: m.PushBlob, fd: int, said: Saying) -> m.Sent:
        def open_at(offset: int) -> BinaryIO:
            file = os.fdopen(os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC), "rb")
            file.seek(offset)
            return file

        failpoint.hit("transfer.push.before-blob")
        is_sent = self._registry.push_blob(
            Reference.parse(command.reference),
            command.descriptor,
            open_at,
            command.mount_from,
            lambda count: said.say(m.Arrived(id=command.id, count=count)),
        )
        return m.Sent(bytes=command.descriptor.size if is_sent else 0)

    def _opener(self, reference: Reference, descriptor: Descriptor) -> Open:
        def open_at(offset: int, length: int | None) -> AbstractContextManager[Reader]:
            return self._registry.fetch(reference, descriptor, offset=offset, length=length)

        return open_at


def _unheard(_reason: str) -> None:
    """A small document: nobody waits for it long."""
