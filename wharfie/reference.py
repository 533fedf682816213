"""References to images in registries: `host[:port]/path[:tag][@digest]`, with the habits of docker.

Pure, and about registries only: the *name* of an image in the daemon is any text (`identifiers.check_name`), and is
never changed behind its owner's back. What a registry is asked for is a reference, and there `busybox` means
`docker.io/library/busybox:latest`. Source of the grammar: the distribution project's reference package and the OCI
distribution specification 1.1 (`<name>` and `<reference>`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from wharfie.errors import InvalidArgument
from wharfie.identifiers import is_digest

DEFAULT_HOST = "docker.io"
DEFAULT_TAG = "latest"
NAME_MAX_LENGTH = 255
"""Of host and repository together, with the slash."""

TAG_MAX_LENGTH = 128

_OFFICIAL = "library/"
_ALIASES = {"index.docker.io": DEFAULT_HOST, "registry-1.docker.io": DEFAULT_HOST}
_LABEL = r"(?:[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9])"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?")
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_SHOWN = 80
_TEXT_MAX_LENGTH = 1024


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What to ask which registry for.

    Attributes:
        host: `docker.io`, `localhost:5000`, `[::1]:5000`; as the user means it, see `api_host`.
        repository: `library/busybox`.
        tag: empty when there is a digest and no tag.
        digest: empty, or `sha256:…`; with a tag beside it the digest is what counts.
    """

    host: str
    repository: str
    tag: str = ""
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read a reference as docker does.

        The first part is a host when it has a dot, a colon or a capital letter, or is `localhost`; else the host is
        `docker.io`, where a repository of one part lies in `library/`. Without tag and digest the tag is `latest`.

        Raises:
            InvalidArgument: it is none; the sentence says which part and why.
        """
        if len(text) > _TEXT_MAX_LENGTH:
            raise _wrong(text, f"is longer than {_TEXT_MAX_LENGTH} characters")
        if "://" in text:
            raise _wrong(text, "is a URL; leave out what stands before the host")
        rest, _, digest = text.partition("@")
        if "@" in text and not is_digest(digest):
            raise _wrong(text, "has no valid digest after '@', such as 'sha256:' and 64 hexadecimal digits")
        host, path = _split_host(rest)
        repository, colon, tag = path.partition(":")
        if colon and not _TAG.fullmatch(tag):
            raise _wrong(text, f"has the tag '{tag[:_SHOWN]}': only letters, digits, '_', '.' and '-' can be in one")
        if len(tag) > TAG_MAX_LENGTH:
            raise _wrong(text, f"has a tag of {len(tag)} characters, more than {TAG_MAX_LENGTH}")
        if not _HOST.fullmatch(host):
            raise _wrong(text, f"has the host '{host[:_SHOWN]}', which is none")
        host = _ALIASES.get(host, host)
        if host == DEFAULT_HOST and "/" not in repository:
            repository = f"{_OFFICIAL}{repository}"
        _check_repository(text, host, repository)
        if not tag and not digest:
            tag = DEFAULT_TAG
        return cls(host=host, repository=repository, tag=tag, digest=digest)

    @property
    def locator(self) -> str:
        """Host and repository: `docker.io/library/busybox`."""
        return f"{self.host}/{self.repository}"

    @property
    def name(self) -> str:
        """The whole of it; `parse(name)` gives the same reference."""
        return self.locator + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    @property
    def familiar(self) -> str:
        """The shortest text that means the same, for people: `busybox:latest`."""
        if self.host != DEFAULT_HOST:
            return self.name
        short = self.name.removeprefix(f"{DEFAULT_HOST}/")
        official = short.removeprefix(_OFFICIAL)
        if "/" not in official:
            return official
        # A repository such as `localhost/x` would be read as a host.
        return short if _split_host(short)[0] == DEFAULT_HOST else self.name

    @property
    def object(self) -> str:
        """What the registry is asked for below `manifests/`: the digest, or the tag when there is none."""
        return self.digest or self.tag

    def with_digest(self, digest: str) -> Reference:
        """The same repository, by digest alone."""
        return replace(self, tag="", digest=digest)

    def __str__(self) -> str:
        return self.name


def api_host(host: str) -> str:
    """The host that answers for a reference's: `docker.io` has its registry at `registry-1.docker.io`."""
    return "registry-1.docker.io" if host == DEFAULT_HOST else host


def _split_host(text: str) -> tuple[str, str]:
    first, slash, rest = text.partition("/")
    if slash and (first == "localhost" or any(char in ".:[" or char.isupper() for char in first)):
        return first, rest
    return DEFAULT_HOST, text


def _check_repository(text: str, host: str, repository: str) -> None:
    if not _REPOSITORY.fullmatch(repository):
        hint = "write it in lower case" if repository.lower() != repository else "see 'host/path:tag@digest'"
        raise _wrong(text, f"has the repository '{repository[:_SHOWN]}', which is none; {hint}")
    if len(host) + 1 + len(repository) > NAME_MAX_LENGTH:
        raise _wrong(text, f"has a host and repository of more than {NAME_MAX_LENGTH} characters")


def _wrong(text: str, why: str) -> InvalidArgument:
    before, at, after = text.rpartition("@")
    if at and ":" in before and not after.startswith(("sha", "md5")):
        # Somebody has put a user and a password before the host.
        text = f"…@{after}"
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    return InvalidArgument(f"reference '{shown}' {why}", details={"field": "ref"})
