# Made from wharfie/_async/imageregistries.py by scripts/unasync.py; change that file and run it again.
"""Images from registries and to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from wharfie._sync.base import Service

if TYPE_CHECKING:
    # Each method imports what it needs: who runs a container need not wait for the types of pulls.
    from wharfie.types import pull as t
    from wharfie.types import transfer
    from wharfie.types.registry import Credential


class ImageRegistries(Service):
    """Pull, push and repair, and who refers to an image."""

    def pull(
        self,
        ref: str,
        *,
        name: str = "",
        platform: str = "",
        all_platforms: bool = False,
        unpack: bool = True,
        snapshotter: str = "",
        credentials: Mapping[str, Credential] | None = None,
        plain_http: bool = False,
        skip_verify: bool = False,
        attempts: int = 0,
        labels: Mapping[str, str] | None = None,
        on_progress: Callable[[transfer.Progress], None] | None = None,
        timeout_s: float | None = None,
    ) -> t.Pulled:
        """An image of a registry; what is here already is not fetched, and what was interrupted goes on.

        Args:
            ref: `host[:port]/path[:tag][@digest]`; `busybox` is `docker.io/library/busybox:latest`.
            name: of the image here; empty is the reference in full.
            platform: `os/arch[/variant]`; empty is this machine's.
            all_platforms: fetch the content of every platform; only `platform` is unpacked.
            unpack: make the layers ready to run.
            snapshotter: which one; empty is the daemon's default.
            credentials: by host; see `wharfie.credentials`.
            plain_http: speak http to hosts that no hosts.toml of the daemon describes.
            skip_verify: believe any certificate of such hosts.
            attempts: how often a registry that is away is asked; 0: as the daemon's configuration says.
            labels: of the image's record.
            on_progress: told what happens.
            timeout_s: for all of it.

        Raises:
            NotFound: the registry has no such image, or not for the platform.
            PermissionDenied: it wants other credentials.
            DataLoss: it sent other bytes than a digest says.
        """
        from wharfie.types import pull as t

        request = t.Pull(
            ref=ref,
            name=name,
            platform=platform,
            all_platforms=all_platforms,
            unpack=unpack,
            snapshotter=snapshotter,
            credentials=dict(credentials or {}),
            plain_http=plain_http,
            skip_verify=skip_verify,
            attempts=attempts,
            labels=dict(labels or {}),
        )
        return self._caller.follow("transfer.pull", request, t.Pulled, on_progress=on_progress, timeout_s=timeout_s)

    def push(
        self,
        image: str,
        ref: str = "",
        *,
        platform: str = "",
        credentials: Mapping[str, Credential] | None = None,
        plain_http: bool = False,
        skip_verify: bool = False,
        on_progress: Callable[[transfer.Progress], None] | None = None,
        timeout_s: float | None = None,
    ) -> t.Pushed:
        """An image of this daemon to a registry; what is there already is not sent.

        Args:
            image: its name here.
            ref: where to; empty is the image's name.
            platform: only its manifest for this platform; empty is all of it.
            credentials: by host; see `wharfie.credentials`.
            plain_http: speak http to hosts that no hosts.toml of the daemon describes.
            skip_verify: believe any certificate of such hosts.
            on_progress: told what happens.
            timeout_s: for all of it.

        Raises:
            NotFound: there is no such image.
            FailedPrecondition: not all of it is here.
            PermissionDenied: the registry wants other credentials.
        """
        from wharfie.types import pull as t

        request = t.Push(
            image=image,
            ref=ref,
            platform=platform,
            credentials=dict(credentials or {}),
            plain_http=plain_http,
            skip_verify=skip_verify,
        )
        return self._caller.follow("transfer.push", request, t.Pushed, on_progress=on_progress, timeout_s=timeout_s)

    def repair(
        self,
        blobs: Mapping[str, int],
        *,
        image: str = "",
        credentials: Mapping[str, Credential] | None = None,
        plain_http: bool = False,
        skip_verify: bool = False,
        on_progress: Callable[[transfer.Progress], None] | None = None,
        timeout_s: float | None = None,
    ) -> t.Repaired:
        """Fetch blobs whose bytes are missing or were removed as damaged (see `client.content.check`).

        Args:
            blobs: digest to size.
            image: a name that says where to look for those that have no label that does.
            credentials: by host; see `wharfie.credentials`.
            plain_http: speak http to hosts that no hosts.toml of the daemon describes.
            skip_verify: believe any certificate of such hosts.
            on_progress: told what happens.
            timeout_s: for all of it.
        """
        from wharfie.types import pull as t

        request = t.Repair(
            blobs=dict(blobs),
            image=image,
            credentials=dict(credentials or {}),
            plain_http=plain_http,
            skip_verify=skip_verify,
        )
        return self._caller.follow("transfer.repair", request, t.Repaired, on_progress=on_progress, timeout_s=timeout_s)

    def referrers(
        self,
        ref: str,
        artifact_type: str = "",
        *,
        credentials: Mapping[str, Credential] | None = None,
        plain_http: bool = False,
        skip_verify: bool = False,
        on_progress: Callable[[transfer.Progress], None] | None = None,
        timeout_s: float | None = None,
    ) -> t.ReferrersFound:
        """What refers to an image at its registry: signatures, attestations, documents. Nothing is fetched or stored.

        Args:
            ref: `host[:port]/path[:tag][@digest]`, as for `pull`; of an index, what refers to the index.
            artifact_type: only referrers of this type; empty is all.
            credentials: by host; see `wharfie.credentials`.
            plain_http: speak http to hosts that no hosts.toml of the daemon describes.
            skip_verify: believe any certificate of such hosts.
            on_progress: told what happens.
            timeout_s: for all of it.

        Raises:
            NotFound: the registry has no such image.
            PermissionDenied: it wants other credentials.
        """
        from wharfie.types import pull as t

        request = t.Referrers(
            ref=ref,
            artifact_type=artifact_type,
            credentials=dict(credentials or {}),
            plain_http=plain_http,
            skip_verify=skip_verify,
        )
        return self._caller.follow(
            "transfer.referrers", request, t.ReferrersFound, on_progress=on_progress, timeout_s=timeout_s
        )
