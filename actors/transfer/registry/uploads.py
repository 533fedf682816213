"""Sending blobs: not at all when they are there, mounted from another repository, in one piece or in several.

A large blob goes in pieces (`PATCH`), and what the registry has of it, it says itself (`Range`): after a failure the
sending goes on from there. Where a registry cannot go on, it begins anew.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from typing import BinaryIO
from urllib.parse import quote

from actors.transfer.registry import blobs, scopes
from actors.transfer.registry import digest as digests
from actors.transfer.registry.answer import Answer
from actors.transfer.registry.endpoint import Ask, Endpoint
from actors.transfer.registry.host import target_of
from actors.transfer.registry.policy import Policy
from wharfie import errors
from wharfie.oci.descriptor import Descriptor
from wharfie.reference import Reference

OpenAt = Callable[[int], BinaryIO]
Progress = Callable[[int], None]

_RANGE = re.compile(r"(?:bytes=)?0-(\d{1,19})")
_MOVED = frozenset({400, 404, 409, 416})
"""An upload that is not where it was thought to be, or not any more."""


class Piece(io.RawIOBase):
    """A part of a stream as a body of its own; closes the stream.

    Args:
        stream: at the part's beginning.
        length: of the part.
        what: the blob, for the error of a stream that ends before.
    """

    def __init__(self, stream: BinaryIO, length: int, *, what: str) -> None:
        super().__init__()
        self._what = what
        self._stream = stream
        self._left = length

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes of what is left of the part."""
        wanted = self._left if size < 0 else min(size, self._left)
        data = self._stream.read(wanted) if wanted else b""
        self._left -= len(data)
        if wanted and not data:
            self.close()
            raise errors.DataLoss(f"{self._what} ends {self._left} bytes before its descriptor says so")
        if not self._left:
            self.close()
        return data

    def close(self) -> None:
        """Idempotent."""
        self._stream.close()
        super().close()


class Upload:
    """One blob on its way to one repository. Each request is sent once: `run` has the patience for all of them.

    Args:
        endpoint: the registry.
        ref: the repository.
        descriptor: digest and size.
        open_at: a new stream of the blob's bytes from an offset; closed by the upload.
        progress: called with how many bytes the registry has; may go back.
        policy: attempts, and the size of a piece.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        ref: Reference,
        descriptor: Descriptor,
        *,
        open_at: OpenAt,
        progress: Progress,
        policy: Policy,
    ) -> None:
        self._endpoint = endpoint
        self._ref = ref
        self._descriptor = descriptor
        self._open_at = open_at
        self._progress = progress
        self._policy = policy
        self._what = blobs.described(ref, descriptor.digest)
        self._scopes = scopes.push(ref)
        self._piece_bytes = policy.upload_chunk_bytes
        self._location = ""
        self._is_fresh = False

    def run(self, mount_from: Sequence[str] = ()) -> bool:
        """Bring the blob there. Idempotent.

        Args:
            mount_from: repositories of the same registry that may have it.

        Returns:
            Whether its bytes had to be sent.

        Raises:
            WharfieError: as `failure` has them, from the last of several attempts.
        """
        if blobs.exists([self._endpoint], self._ref, self._descriptor.digest) or self._mounted(mount_from):
            self._progress(self._descriptor.size)
            return False
        attempt = 1
        while True:
            try:
                self._send_all()
            except errors.WharfieError as error:
                if attempt >= self._policy.attempts or not self._worth_another(error):
                    error.details["attempts"] = attempt
                    raise
                if blobs.exists([self._endpoint], self._ref, self._descriptor.digest):
                    # Only the answer was lost.
                    break
                self._endpoint.pause(attempt, error)
                attempt += 1
            else:
                break
        self._progress(self._descriptor.size)
        return True

    def _worth_another(self, error: errors.WharfieError) -> bool:
        return error.retryable or error.details.get("status") in _MOVED

    def _mounted(self, mount_from: Sequence[str]) -> bool:
        for source in mount_from:
            if source == self._ref.repository:
                continue
            try:
                answer = self._begin(source)
            except errors.Cancelled:
                raise
            except errors.WharfieError:
                # Not ours to read, not known there, or away: then without it; the upload has the patience.
                continue
            with answer:
                if answer.status == 201:
                    return True
                self._abandon()
                self._location = self._next(answer)
                self._is_fresh = True
        return False

    def _begin(self, source: str = "") -> Answer:
        path = f"{self._ref.repository}/blobs/uploads/"
        mount = (("mount", self._descriptor.digest), ("from", source)) if source else ()
        return self._endpoint.call(
            Ask(
                method="POST",
                url=self._endpoint.host.address(path, query=mount),
                what=self._what,
                scopes=scopes.push(self._ref, source) if source else self._scopes,
                expect=frozenset({201, 202}) if source else frozenset({202}),
                headers={"Content-Length": "0"},
                attempts=1,
            )
        )

    def _send_all(self) -> None:
        offset = 0
        if self._location and not self._is_fresh:
            offset = self._resumed()
        if not self._location:
            with self._begin() as answer:
                self._location = self._next(answer)
            offset = 0
        self._is_fresh = False
        size = self._descriptor.size
        while size - offset > self._piece_bytes:
            offset = self._patch(offset, self._piece_bytes)
        self._put(offset)

    def _patch(self, offset: int, length: int) -> int:
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(length),
            "Content-Range": f"{offset}-{offset + length - 1}",
        }
        with self._once("PATCH", self._location, headers, offset, length, expect=frozenset({202})) as answer:
            self._location = self._next(answer)
            held = _held(answer, offset + length)
        if not offset < held <= offset + length:
            raise errors.Unavailable(
                f"registry '{self._endpoint.host.authority}' has {held} bytes of {self._what} after it was sent those "
                f"from {offset} to {offset + length}",
                details={"reason": "registry_protocol", "host": self._endpoint.host.authority},
                retryable=True,
            )
        self._progress(held)
        return held

    def _put(self, offset: int) -> None:
        length = self._descriptor.size - offset
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(length)}
        if offset:
            headers["Content-Range"] = f"{offset}-{self._descriptor.size - 1}"
        url = self._location + ("&" if "?" in self._location else "?")
        url += f"digest={quote(self._descriptor.digest, safe=':')}"
        try:
            with self._once("PUT", url, headers, offset, length, expect=frozenset({201, 204})) as answer:
                stored = digests.valid_or_empty(answer.headers.get("Docker-Content-Digest"))
        except errors.InvalidArgument:
            # The registry may have counted otherwise than we: not from there.
            self._location = ""
            raise
        digests.check_told(stored, self._descriptor.digest, what=self._what, host=self._endpoint.host.authority)

    def _once(
        self, method: str, url: str, headers: dict[str, str], offset: int, length: int, *, expect: frozenset[int]
    ) -> Answer:
        """One request with bytes of the blob: sent once, since what arrived of it is for the registry to say."""

        def body() -> bytes | BinaryIO:
            return Piece(self._open_at(offset), length, what=self._what) if length else b""  # type: ignore[return-value]

        return self._endpoint.call(
            Ask(
                method=method,
                url=url,
                what=self._what,
                scopes=self._scopes,
                expect=expect,
                headers=headers,
                body=body,
                attempts=1,
                slow=method == "PUT",
            )
        )

    def _resumed(self) -> int:
        """How much the registry has; without a location when it has given the upload up."""
        ask = Ask(
            method="GET",
            url=self._location,
            what=self._what,
            scopes=self._scopes,
            expect=frozenset({204, 200}),
            attempts=1,
        )
        try:
            with self._endpoint.call(ask) as answer:
                offset = _held(answer, 0)
                self._location = self._next(answer) if answer.headers.get("Location") else self._location
        except (errors.NotFound, errors.InvalidArgument, errors.OutOfRange, errors.Unimplemented):
            self._location = ""
            offset = 0
        if offset > self._descriptor.size:
            self._abandon()
            offset = 0
        self._progress(offset)
        return offset

    def _abandon(self) -> None:
        """Tell the registry that an upload is not needed; what it makes of that is its business."""
        location, self._location = self._location, ""
        if not location:
            return
        ask = Ask(
            method="DELETE",
            url=location,
            what=self._what,
            scopes=self._scopes,
            expect=frozenset({200, 202, 204, 404}),
            attempts=1,
        )
        try:
            self._endpoint.call(ask).close()
        except errors.WharfieError:
            return

    def _next(self, answer: Answer) -> str:
        """Where the upload goes on; each answer may name another place."""
        location = answer.headers.get("Location", "")
        target = target_of(answer.url, location) if location else ""
        smallest = answer.headers.get("OCI-Chunk-Min-Length", "")
        if smallest.isascii() and smallest.isdigit():
            self._piece_bytes = max(self._piece_bytes, int(smallest[:12]))
        if not target:
            raise errors.FailedPrecondition(
                f"registry '{answer.host}' began an upload of {self._what} without saying where it goes",
                details={"reason": "registry_protocol", "host": answer.host},
            )
        return target


def _held(answer: Answer, otherwise: int) -> int:
    """How many bytes a registry has, from `Range: 0-99`; `0-0` is none, since that is how an empty upload is told."""
    found = _RANGE.fullmatch(answer.headers.get("Range", "").strip())
    if found is None:
        return otherwise
    last = int(found[1])
    return last + 1 if last else 0
