"""The registry's client: the one door to this package."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import BinaryIO, Self

from actors.transfer.registry import blobs, manifests, referrers
from actors.transfer.registry.authorizer import Authorizer
from actors.transfer.registry.blobs import BlobReader
from actors.transfer.registry.endpoint import Ask, Endpoint
from actors.transfer.registry.host import Capability
from actors.transfer.registry.hosts import hosts_for
from actors.transfer.registry.policy import Policy
from actors.transfer.registry.proxies import Proxies
from actors.transfer.registry.ranges import Range
from actors.transfer.registry.transport import Transport
from actors.transfer.registry.uploads import Upload
from wharfie import errors
from wharfie.identifiers import check_digest
from wharfie.oci.descriptor import INDEX_TYPES, MANIFEST_TYPES, Descriptor
from wharfie.reference import Reference
from wharfie.types.registry import Credential


class Registry:
    """All registries, for one pull or push: hosts, tokens and connections are kept as long as it is open.

    Blocking and thread-safe; close it, or use it in a `with` statement. Every error is of `wharfie.errors`;
    that of a host that refused, failed or could not be reached has `details["host"]` and a `details["reason"]`. What
    may succeed later is tried again in here first: `details["attempts"]` tells how often.
    A descriptor may be a stranger's: a digest that is none is `InvalidArgument` and never part of a URL.

    Args:
        hosts_dir: directories with a `hosts.toml` for each registry, colons between them; empty is none.
        credentials: by host as it stands in a reference; each is sent to that host and the token server it names.
        user_agent: how we call ourselves.
        policy: attempts, waits, timeouts.
        environment: where the proxies stand; None is this process's.
        plain_http: speak http to hosts that no file describes.
        skip_verify: believe any certificate of hosts that no file describes.
    """

    def __init__(
        self,
        hosts_dir: str,
        credentials: Mapping[str, Credential],
        user_agent: str,
        *,
        policy: Policy | None = None,
        environment: Mapping[str, str] | None = None,
        plain_http: bool = False,
        skip_verify: bool = False,
    ) -> None:
        self._policy = policy or Policy()
        self._directories = [path for path in hosts_dir.split(":") if path]
        self._plain_http = plain_http
        self._skip_verify = skip_verify
        self._user_agent = user_agent
        self._closing = threading.Event()
        self._transport = Transport(self._policy, Proxies(os.environ if environment is None else environment))
        self._authorizer = Authorizer(
            credentials,
            transport=self._transport,
            user_agent=user_agent,
        )
        self._lock = threading.Lock()
        self._endpoints: dict[str, list[Endpoint]] = {}

    def resolve(self, ref: Reference) -> Descriptor:
        """What a reference names now.

        Raises:
            NotFound: no host has it.
            InvalidArgument: it is of schema 1, or larger than 4 MiB.
            DataLoss: the registry has something else below this digest.
        """
        return manifests.resolve(self._able(ref, Capability.RESOLVE), ref)

    def manifest(self, ref: Reference, descriptor: Descriptor) -> bytes:
        """A manifest's or an index's bytes, verified, at most 4 MiB.

        Raises:
            NotFound: no host has it.
            DataLoss: its digest or size is another.
        """
        check_digest(descriptor.digest)
        return manifests.read(self._able(ref, Capability.PULL), ref, descriptor)

    def fetch(self, ref: Reference, descriptor: Descriptor, offset: int = 0, length: int | None = None) -> BlobReader:
        """Begin to read a blob, or a part of it; the reader continues by itself when a connection breaks.

        Args:
            ref: the repository.
            descriptor: digest and size.
            offset: of the first byte wanted; look at the reader's own, it is 0 when the server knows no ranges.
            length: in bytes; None is to the end.

        Raises:
            NotFound: no host has it.
            OutOfRange: the offset lies beyond its end.
            DataLoss: the registry has another size or digest below this name.
        """
        check_digest(descriptor.digest)
        if not 0 <= offset <= descriptor.size:
            raise errors.OutOfRange(f"blob '{descriptor.digest}' has {descriptor.size} bytes, none at {offset}")
        rest = descriptor.size - offset
        part = Range(offset, rest if length is None else min(length, rest))
        return blobs.fetch(self._able(ref, Capability.PULL), ref, descriptor, part, self._policy)

    def referrers(self, ref: Reference, digest: str, artifact_type: str = "") -> list[Descriptor]:
        """The manifests whose subject is `digest`, of one type or of all."""
        check_digest(digest)
        return referrers.find(self._able(ref, Capability.REFERRERS), ref, digest, artifact_type)

    def exists(self, ref: Reference, descriptor: Descriptor) -> bool:
        """Whether the repository that is pushed to has it; of a manifest, below the reference's tag if it has one."""
        check_digest(descriptor.digest)
        endpoints = [self._pushed(ref)]
        if descriptor.media_type in MANIFEST_TYPES | INDEX_TYPES:
            return manifests.exists(endpoints, ref, descriptor)
        return blobs.exists(endpoints, ref, descriptor.digest)

    def push_blob(
        self,
        ref: Reference,
        descriptor: Descriptor,
        open_at: Callable[[int], BinaryIO],
        mount_from: Sequence[str] = (),
        progress: Callable[[int], None] | None = None,
    ) -> bool:
        """Bring a blob into a repository: it is there, it is mounted, or its bytes are sent. Idempotent.

        Args:
            ref: the repository.
            descriptor: digest and size.
            open_at: gives a new binary stream of the bytes from an offset to the end; closed in here.
            mount_from: repositories of the same registry that may have it, the likeliest first.
            progress: called with how many bytes the registry has so far; may go back after a failure.

        Returns:
            Whether bytes were sent.
        """
        check_digest(descriptor.digest)
        upload = Upload(
            self._pushed(ref),
            ref,
            descriptor,
            open_at=open_at,
            progress=progress or _unheard,
            policy=self._policy,
        )
        return upload.run(mount_from)

    def push_manifest(self, ref: Reference, descriptor: Descriptor, data: bytes) -> None:
        """Put a manifest below the reference's tag, or its digest; what it names has to be there. Idempotent.

        One that refers to a subject is also listed below the subject's fallback tag, when the registry does not say
        that it has understood.
        """
        check_digest(descriptor.digest)
        endpoint = self._pushed(ref)
        if not manifests.put(endpoint, ref, descriptor, data):
            referrers.record(endpoint, ref, descriptor, data)

    def login(self, host: str) -> str:
        """Check the credential of a host against its registry.

        Returns:
            An identity token to keep in the password's place; empty when the registry gives none.

        Raises:
            PermissionDenied: the registry does not accept it.
        """
        ref = Reference(host=host, repository="login")
        endpoint = self._all(ref)[-1]
        ask = Ask(method="GET", url=f"{endpoint.host.url}/", what="a login")
        endpoint.call(ask).close()
        return self._authorizer.refresh_token(endpoint.host)

    def close(self) -> None:
        """End waits and further attempts, close what is idle. Idempotent; from any thread."""
        self._closing.set()
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _able(self, ref: Reference, capability: Capability) -> list[Endpoint]:
        able = [endpoint for endpoint in self._all(ref) if capability in endpoint.host.capabilities]
        if not able:
            raise errors.FailedPrecondition(
                f"no host of registry '{ref.host}' can {capability}; add it to 'capabilities' in its hosts.toml",
                details={"reason": "registry_capability", "host": ref.host},
            )
        return able

    def _pushed(self, ref: Reference) -> Endpoint:
        """Where pushes go: the first host that takes them."""
        return self._able(ref, Capability.PUSH)[0]

    def _all(self, ref: Reference) -> list[Endpoint]:
        with self._lock:
            found = self._endpoints.get(ref.host)
            if found is None:
                found = self._endpoints[ref.host] = self._made(ref.host)
            return found

    def _made(self, name: str) -> list[Endpoint]:
        hosts = hosts_for(name, self._directories, plain_http=self._plain_http, skip_verify=self._skip_verify)
        return [
            Endpoint(
                host,
                transport=self._transport,
                authorizer=self._authorizer,
                policy=self._policy,
                user_agent=self._user_agent,
                closing=self._closing,
            )
            for host in hosts
        ]


def _unheard(_count: int) -> None:
    """Nobody wants to know."""
