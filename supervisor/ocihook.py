"""`wharfied oci-hook`: a program run with the container's state filled into its arguments and its environment.

The OCI runtime gives a hook the container's state as JSON on standard input. Programs that know nothing of this take
arguments; this fills them in: `{{id}}`, `{{bundle}}`, `{{rootfs}}` (absolute), `{{pid}}`, `{{status}}` and
`{{annotation "KEY"}}`, which is empty for an annotation that is not there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

import msgspec

_FIELD = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)
_ANNOTATION = re.compile(r'annotation\s+(?:"((?:[^"\\]|\\.)*)"|`([^`]*)`)')


class BadHook(Exception):
    """The command or the state cannot be used; the sentence says why."""


class State(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a container as the runtime tells it (runtime-spec, runtime.md)."""

    id: str
    bundle: str
    status: str = ""
    pid: int = 0
    annotations: dict[str, str] = {}


class _Root(msgspec.Struct, frozen=True):
    path: str = "rootfs"


class _Spec(msgspec.Struct, frozen=True):
    root: _Root = _Root()


def run(argv: Sequence[str], *, state: bytes, environ: Mapping[str, str] | None = None) -> None:
    """Fill in and run in the place of this process; returns only by an exception.

    Raises: BadHook; OSError when the program cannot be run.
    """
    if not argv:
        raise BadHook("no command is given; write it behind oci-hook --")
    values = fields(state)
    variables = {name: fill(value, values) for name, value in (os.environ if environ is None else environ).items()}
    command = [fill(word, values) for word in argv]
    os.execvpe(command[0], command, variables)


def fields(state: bytes) -> dict[str, str]:
    """What may be filled in, from the state's JSON and the bundle that it names. Raises: BadHook."""
    try:
        container = msgspec.json.decode(state, type=State)
    except msgspec.DecodeError as error:
        raise BadHook(f"standard input is not the state of a container: {error}") from None
    path = f"{container.bundle}/config.json"
    try:
        with open(path, "rb") as file:
            spec = msgspec.json.decode(file.read(), type=_Spec)
    except (OSError, msgspec.DecodeError) as error:
        raise BadHook(f"bundle file '{path}' cannot be read: {error}") from None
    return {
        "id": container.id,
        "bundle": container.bundle,
        "rootfs": os.path.normpath(os.path.join(container.bundle, spec.root.path)),
        "pid": str(container.pid),
        "status": container.status,
        **{f"annotation {key}": value for key, value in container.annotations.items()},
    }


def fill(text: str, values: Mapping[str, str]) -> str:
    """Replace every field of a text. Pure. Raises: BadHook for a field that does not exist."""

    def value(match: re.Match[str]) -> str:
        name = match[1]
        annotation = _ANNOTATION.fullmatch(name)
        if annotation is not None:
            quoted, raw = annotation.groups()
            key = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else raw
            return values.get(f"annotation {key}", "")
        if name not in values or name.startswith("annotation"):
            raise BadHook(f'field {match[0]!r} is none of id, bundle, rootfs, pid, status, annotation "KEY"')
        return values[name]

    return _FIELD.sub(value, text)
