"""Names of images from what an archive says. Pure.

Names are kept as the archive has them: no registry is put in front of `busybox`. In a docker archive a name without a
tag means `:latest` and gets it; in an OCI layout the annotation is the name. Who looks for `busybox` tries that and
then `busybox:latest`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

IMAGE_NAME = "io.containerd.image.name"
REF_NAME = "org.opencontainers.image.ref.name"

_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


def is_tag(text: str) -> bool:
    """Whether this is a tag alone."""
    return _TAG.fullmatch(text) is not None


def with_tag(name: str) -> str:
    """A docker reference with the tag that it means."""
    last = name.rpartition("/")[2]
    return name if ":" in last or "@" in last else f"{name}:latest"


def from_annotations(annotations: Mapping[str, str], *, base_name: str) -> str:
    """The name of an entry of an OCI layout; empty when it has none.

    A reference that is a tag alone becomes `base_name:tag` when there is a base name, else it stays as it is.
    """
    full = annotations.get(IMAGE_NAME, "")
    if full:
        return full
    ref = annotations.get(REF_NAME, "")
    if ref and base_name and is_tag(ref):
        return f"{base_name}:{ref}"
    return ref


def of_entries(entries: Sequence[Mapping[str, str]], *, base_name: str) -> list[str]:
    """The names of the entries of an index, from their annotations; empty for one that has none.

    Tools that know only OCI's annotation copy containerd's from the image that they changed. So where several entries
    have one full name and different tags, the tags count.
    """
    names = [from_annotations(entry, base_name=base_name) for entry in entries]
    times = Counter(names)
    found = []
    for name, entry in zip(names, entries, strict=True):
        ref = entry.get(REF_NAME, "")
        is_copied = name == entry.get(IMAGE_NAME) and times[name] > 1
        found.append(f"{repository(name)}:{ref}" if is_copied and is_tag(ref) else name)
    return found


def repository(name: str) -> str:
    """A reference without its tag and digest."""
    bare = name.partition("@")[0]
    head, slash, last = bare.rpartition("/")
    return head + slash + last.partition(":")[0]


def with_digest(name: str, digest: str, *, base_name: str) -> str:
    """`REPOSITORY@DIGEST`; empty when nothing tells the repository."""
    known = ("" if is_tag(name) else repository(name)) or base_name
    return f"{known}@{digest}" if known else ""
