"""Changes to an image's configuration, as instructions of a Dockerfile. Pure.

`CMD`, `ENTRYPOINT`, `ENV`, `EXPOSE`, `LABEL`, `STOPSIGNAL`, `USER`, `VOLUME` and `WORKDIR`, as `docker commit
--change` has them. Source: Dockerfile reference of Docker; fields of the OCI image specification, config.md.
"""

from __future__ import annotations

import json
import posixpath
import re
import shlex
from collections.abc import Callable
from typing import Any

from wharfie.errors import InvalidArgument

Config = dict[str, Any]
"""The `config` object of an image configuration."""

_PORT = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?")
_MAX_PORT = 65535


def apply(config: Config, instruction: str) -> None:
    """Carry one instruction out on a configuration.

    Raises:
        InvalidArgument: it is none of the known ones, or malformed.
    """
    words = instruction.split(maxsplit=1)
    change = _KNOWN.get(words[0].upper()) if words else None
    rest = words[1].strip() if len(words) > 1 else ""
    if change is None:
        raise _malformed(instruction, f"only {', '.join(sorted(_KNOWN))} can be changed")
    if not rest:
        raise _malformed(instruction, "it says nothing")
    try:
        change(config, rest)
    except ValueError as error:
        raise _malformed(instruction, str(error)) from None


def _malformed(instruction: str, why: str) -> InvalidArgument:
    return InvalidArgument(f"change '{instruction[:128]}' is malformed: {why}", details={"field": "changes"})


def _list(text: str) -> list[str] | None:
    """A list of JSON strings; None when it is no list."""
    if not text.startswith("["):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise ValueError("a list holds texts only")
    return found


def _command(text: str) -> list[str]:
    found = _list(text)
    return ["/bin/sh", "-c", text] if found is None else found


def _cmd(config: Config, text: str) -> None:
    config["Cmd"] = _command(text)


def _entrypoint(config: Config, text: str) -> None:
    config["Entrypoint"] = _command(text)
    # A command was meant for the entry point that it came with.
    config.pop("Cmd", None)


def _pairs(text: str) -> list[tuple[str, str]]:
    """`KEY=VALUE …` with quotes, or `KEY VALUE` as in old files."""
    first = text.split(maxsplit=1)
    if "=" not in first[0]:
        if len(first) == 1:
            raise ValueError(f"'{text[:64]}' has no value")
        return [(first[0], first[1])]
    pairs = []
    for word in shlex.split(text):
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise ValueError(f"'{word[:64]}' is not KEY=VALUE")
        pairs.append((key, value))
    return pairs


def _env(config: Config, text: str) -> None:
    known = [str(item) for item in config.get("Env") or []]
    for key, value in _pairs(text):
        entry = f"{key}={value}"
        places = [place for place, item in enumerate(known) if item.partition("=")[0] == key]
        if places:
            known[places[0]] = entry
        else:
            known.append(entry)
    config["Env"] = known


def _label(config: Config, text: str) -> None:
    config["Labels"] = {**(config.get("Labels") or {}), **dict(_pairs(text))}


def _expose(config: Config, text: str) -> None:
    ports = dict(config.get("ExposedPorts") or {})
    for word in text.split():
        found = _PORT.fullmatch(word)
        if found is None or not 0 < int(found[1]) <= int(found[2] or found[1]) <= _MAX_PORT:
            raise ValueError(f"'{word[:64]}' is not PORT[/tcp|/udp|/sctp]")
        for port in range(int(found[1]), int(found[2] or found[1]) + 1):
            ports[f"{port}/{found[3] or 'tcp'}"] = {}
    config["ExposedPorts"] = ports


def _user(config: Config, text: str) -> None:
    if len(text.split()) != 1:
        raise ValueError("a user is one word, USER[:GROUP]")
    config["User"] = text


def _stop_signal(config: Config, text: str) -> None:
    if len(text.split()) != 1:
        raise ValueError("a signal is one word")
    config["StopSignal"] = text


def _volume(config: Config, text: str) -> None:
    found = _list(text)
    paths = shlex.split(text) if found is None else found
    if not all(path.strip() for path in paths):
        raise ValueError("a volume has an empty path")
    config["Volumes"] = {**(config.get("Volumes") or {}), **{path: {} for path in paths}}


def _workdir(config: Config, text: str) -> None:
    path = posixpath.normpath(posixpath.join("/", config.get("WorkingDir") or "/", text))
    config["WorkingDir"] = "/" + path.lstrip("/")


_KNOWN: dict[str, Callable[[Config, str], None]] = {
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "LABEL": _label,
    "STOPSIGNAL": _stop_signal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}
