"""Asking a registry what refers to an image: signatures, attestations, documents. Nothing is fetched or stored."""

from __future__ import annotations

from actors.call import Call
from actors.transfer.fetching import messages as m
from actors.transfer.fetching.fetcher import Fetchers
from actors.transfer.operations import Report
from wharfie.oci.descriptor import Descriptor
from wharfie.reference import Reference
from wharfie.types import base
from wharfie.types.pull import Referrer, Referrers, ReferrersFound
from wharfie.types.transfer import Progress


class ReferrersFinder:
    """Finds the referrers of what a reference stands for."""

    def __init__(self, fetchers: Fetchers) -> None:
        self._fetchers = fetchers

    async def run(self, call: Call, request: Referrers, report: Report) -> ReferrersFound:
        """See `wharfie.types.pull.Referrers`. Changes nothing, here or at the registry; needs no lease.

        Raises:
            NotFound: the registry has no such image.
            InvalidArgument: the reference is none, or the registry's list is malformed.
            ResourceExhausted: the list is too long for one message.
            WharfieError: what else the registry refused.
        """
        reference = Reference.parse(request.ref)
        async with self._fetchers.of(request, namespace=call.namespace, threads=1) as fetcher:
            report(Progress(event="resolving", name=reference.name))
            subject = (await fetcher.ask(m.Resolve(reference=reference.name), m.Found)).descriptor
            report(Progress(event="resolved", name=reference.name, detail=subject.digest))
            # By digest from here on: the tag may be given to another image meanwhile.
            ask = m.FindReferrers(reference=reference.name, digest=subject.digest, artifact_type=request.artifact_type)
            found = (await fetcher.ask(ask, m.FoundReferrers)).referrers
        return ReferrersFound(
            subject=base.Descriptor(media_type=subject.media_type, digest=subject.digest, size=subject.size),
            referrers=[referrer_of(descriptor) for descriptor in found],
        )


def referrer_of(descriptor: Descriptor) -> Referrer:
    """A descriptor of a registry's list as it goes to clients. Pure."""
    return Referrer(
        media_type=descriptor.media_type,
        digest=descriptor.digest,
        size=descriptor.size,
        annotations=descriptor.annotations or {},
        artifact_type=descriptor.artifact_type or "",
    )
