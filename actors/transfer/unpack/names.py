"""Names in an archive, made into paths below the root of the layer. Pure; bytes, because names need not be UTF-8."""

from __future__ import annotations


def clean(name: bytes) -> bytes:
    """Return the path relative to the root, with neither `.` nor `..` nor empty components; `b""` is the root itself.

    `..` takes back a component of the name and never leaves the root, as in containerd: `../../x` is `x`.
    """
    if name.endswith(b"/"):
        name = name.rstrip(b"/")
    if name.startswith(b"./"):
        name = name[2:]
    # Nearly every name ends here.
    if b"/." not in name and b"//" not in name and name[:1] not in (b".", b"/"):
        return name
    components: list[bytes] = []
    for component in name.split(b"/"):
        if component == b"..":
            if components:
                components.pop()
        elif component not in (b"", b"."):
            components.append(component)
    return b"/".join(components)


def split(path: bytes) -> tuple[bytes, bytes]:
    """Return the directory and the last component; the directory of a single component is `b""`."""
    directory, _, base = path.rpartition(b"/")
    return directory, base


def join(directory: bytes, base: bytes) -> bytes:
    """Return the path of `base` in `directory`, which may be the root."""
    return directory + b"/" + base if directory else base


def ancestors(path: bytes) -> list[bytes]:
    """Return the path and the directories above it, the root excluded, deepest first."""
    found = []
    while path:
        found.append(path)
        path = path.rpartition(b"/")[0]
    return found
