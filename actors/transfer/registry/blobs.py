"""Reading blobs, whole or in part; a connection that breaks is continued where it broke."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, Self

from urllib3 import exceptions

from actors.transfer.registry import digest as digests
from actors.transfer.registry import scopes
from actors.transfer.registry.answer import Answer
from actors.transfer.registry.endpoint import Ask, Endpoint
from actors.transfer.registry.policy import Policy
from actors.transfer.registry.ranges import Range
from actors.transfer.registry.route import ask_in_order
from actors.transfer.registry.transport import broken
from wharfie import errors
from wharfie.oci.descriptor import Descriptor
from wharfie.reference import Reference

FRUITLESS_MAX = 3
"""How often in a row a connection may break before it has brought anything worth the name."""

FRUIT_BYTES = 64 * 1024

SLOWEST_BYTES_S = 64
"""A host that sends less than this over the whole idle timeout counts as silent."""

_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)")
_SKIPPED_BYTES = 256 * 1024


class Opened(NamedTuple):
    """An answer with a blob's bytes from `offset` to `end`; none is needed when there are none to come."""

    answer: Answer | None
    offset: int
    end: int


class BlobReader:
    """The bytes of a blob, or of a part of it; verifies nothing but their number. For one thread; close it.

    Attributes:
        offset: of the first byte that `readinto` gives: 0 when the server ignored the range.
        size: of the whole blob, in bytes.
    """

    def __init__(
        self, opened: Opened, *, part: Range, descriptor: Descriptor, again: Callable[[Range], Opened], policy: Policy
    ) -> None:
        self._answer = opened.answer
        self._again = again
        self._policy = policy
        self._descriptor = descriptor
        self.offset = opened.offset
        self.size = descriptor.size
        self._at = opened.offset
        self._end = opened.end if opened.offset != part.offset else part.end
        self._fruitless = 0
        self._since_break = 0
        self._skip = 0
        self._slow_s = 0.0
        self._slow_bytes = 0

    @property
    def remaining(self) -> int:
        """Bytes still to come."""
        return self._end - self._at

    def readinto(self, buffer: memoryview | bytearray) -> int:
        """Fill some of the buffer; returns how many bytes, 0 only at the end.

        Raises:
            Unavailable: the connection broke, and again; `retryable`.
            DataLoss: the registry has fewer bytes than it said.
        """
        view = memoryview(buffer)[: self.remaining]
        while len(view):
            try:
                count = self._receive(view)
            except errors.Unavailable as error:
                self._continue(error)
                continue
            if count:
                self._at += count
                self._since_break += count
                if self._since_break >= FRUIT_BYTES:
                    self._fruitless = 0
                return count
            self._continue(self._short())
        return 0

    def close(self) -> None:
        """Idempotent; a part that was not read costs the connection."""
        if self._answer is not None:
            self._answer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _host(self) -> str:
        """Who sends at present: after a break it may be another mirror."""
        return self._answer.host if self._answer is not None else ""

    def _receive(self, view: memoryview) -> int:
        while self._skip:
            skipped = len(self._read1(min(self._skip, _SKIPPED_BYTES)))
            if not skipped:
                return 0
            self._skip -= skipped
        begin = time.monotonic()
        data = self._read1(len(view))
        view[: len(data)] = data
        self._watch(time.monotonic() - begin, len(data))
        return len(data)

    def _read1(self, count: int) -> bytes:
        """What one receive gives; nothing at the end."""
        answer = self._answer
        assert answer is not None
        try:
            return answer.response.read1(count)
        except (exceptions.HTTPError, OSError, ValueError) as error:
            raise broken(error, answer.url) from error

    def _watch(self, took_s: float, count: int) -> None:
        """Only the time spent waiting for the host counts, not the time in which nobody read."""
        self._slow_s += took_s
        self._slow_bytes += count
        if self._slow_s < self._policy.idle_timeout_s:
            return
        slow = self._slow_bytes < SLOWEST_BYTES_S * self._policy.idle_timeout_s
        self._slow_s, self._slow_bytes = 0.0, 0
        if slow and self.remaining > count:
            raise errors.Unavailable(
                f"registry '{self._host}' sends blob '{self._descriptor.digest}' too slowly to ever end",
                details={"reason": "registry_timeout", "host": self._host},
                retryable=True,
            )

    def _continue(self, error: errors.WharfieError) -> None:
        self.close()
        self._fruitless += 1
        self._since_break = 0
        if self._fruitless > FRUITLESS_MAX:
            raise error
        opened = self._again(Range(self._at, self.remaining))
        self._answer = opened.answer
        # A server without ranges: what is here already comes once more.
        self._skip = self._at - opened.offset

    def _short(self) -> errors.WharfieError:
        return errors.DataLoss(
            f"blob '{self._descriptor.digest}' from registry '{self._host}' ends after {self._at} of {self.size} bytes",
            details={"reason": "registry_size", "host": self._host},
            retryable=True,
        )


def fetch(
    endpoints: Sequence[Endpoint], ref: Reference, descriptor: Descriptor, part: Range, policy: Policy
) -> BlobReader:
    """Begin to read a blob.

    Raises:
        NotFound: no host has it.
        DataLoss: the registry has a blob of another size below this digest.
        OutOfRange: it ends before the part begins.
    """

    def again(rest: Range) -> Opened:
        return _open(endpoints, ref, descriptor, rest)

    return BlobReader(again(part), part=part, descriptor=descriptor, again=again, policy=policy)


def exists(endpoints: Sequence[Endpoint], ref: Reference, digest: str) -> bool:
    """Whether the repository has the blob."""

    def question(endpoint: Endpoint) -> Ask:
        url = endpoint.host.address(f"{ref.repository}/blobs/{digest}")
        return Ask(method="HEAD", url=url, what=described(ref, digest), scopes=scopes.pull(ref))

    try:
        ask_in_order(endpoints, question).answer.close()
    except errors.NotFound:
        return False
    return True


def described(ref: Reference, digest: str) -> str:
    """A blob, for sentences."""
    return f"blob '{digest}' of '{ref.repository}'"


def _open(endpoints: Sequence[Endpoint], ref: Reference, descriptor: Descriptor, part: Range) -> Opened:
    what = described(ref, descriptor.digest)
    if not part.length and descriptor.size:
        return Opened(None, part.offset, part.end)
    whole = part.offset == 0 and part.end >= descriptor.size
    headers = {} if whole else {"Range": f"bytes={part.offset}-{part.end - 1}"}

    def question(endpoint: Endpoint) -> Ask:
        return Ask(
            method="GET",
            url=endpoint.host.address(f"{ref.repository}/blobs/{descriptor.digest}"),
            what=what,
            scopes=scopes.pull(ref),
            expect=frozenset({200, 206}),
            headers=headers,
        )

    try:
        answer = ask_in_order(endpoints, question).answer
    except errors.NotFound:
        answer = _elsewhere(endpoints[-1], descriptor, what, headers)
    try:
        return _opened(answer, descriptor, part, what)
    except BaseException:
        answer.close()
        raise


def _elsewhere(endpoint: Endpoint, descriptor: Descriptor, what: str, headers: dict[str, str]) -> Answer:
    """Ask where the descriptor says that its bytes are, if it does: layers that registries may not hand out.

    Raises:
        NotFound: they are nowhere.
    """
    for url in descriptor.urls or ():
        if not url.startswith(("https://", "http://")):
            continue
        try:
            return endpoint.call(Ask(method="GET", url=url, what=what, expect=frozenset({200, 206}), headers=headers))
        except errors.NotFound:
            continue
    raise errors.NotFound(
        f"{what} not found in registry '{endpoint.host.authority}'",
        details={"reason": "registry_not_found", "host": endpoint.host.authority},
    )


def _opened(answer: Answer, descriptor: Descriptor, part: Range, what: str) -> Opened:
    told = digests.valid_or_empty(answer.headers.get("Docker-Content-Digest"))
    digests.check_told(told, descriptor.digest, what=what, host=answer.host)
    if answer.status == 200:
        _check_total(answer.length, descriptor, what, answer.host)
        return Opened(answer, 0, descriptor.size)
    found = _CONTENT_RANGE.match(answer.headers.get("Content-Range", ""))
    if found is None or int(found[1]) != part.offset or int(found[2]) >= part.end:
        raise errors.FailedPrecondition(
            f"registry '{answer.host}' answers {what} with other bytes than it was asked for",
            details={"reason": "registry_protocol", "host": answer.host},
        )
    _check_total(int(found[3]) if found[3] != "*" else None, descriptor, what, answer.host)
    return Opened(answer, part.offset, int(found[2]) + 1)


def _check_total(total: int | None, descriptor: Descriptor, what: str, host: str) -> None:
    if total is not None and total != descriptor.size:
        raise errors.DataLoss(
            f"{what} has {total} bytes in registry '{host}', its descriptor says {descriptor.size}",
            details={"reason": "registry_size", "host": host},
        )
