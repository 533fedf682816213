"""Devices of a container: which ones its cgroup lets it open and which nodes it finds in /dev.

The runtime itself makes null, zero, full, random, urandom, tty and ptmx in every container; what is here are the
cgroup's rules for them, and for a privileged container the nodes of the host.
"""

from __future__ import annotations

from typing import Any

import msgspec

_DEFAULT_RULES = (
    # Making nodes is harmless without the right to open them, and package managers do it.
    ("c", None, None, "m"),
    ("b", None, None, "m"),
    ("c", 1, 3, "rwm"),  # null
    ("c", 1, 5, "rwm"),  # zero
    ("c", 1, 7, "rwm"),  # full
    ("c", 1, 8, "rwm"),  # random
    ("c", 1, 9, "rwm"),  # urandom
    ("c", 5, 0, "rwm"),  # tty
    ("c", 5, 1, "rwm"),  # console
    ("c", 5, 2, "rwm"),  # ptmx
    ("c", 136, None, "rwm"),  # pts/*
)


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A device node: type is `c` or `b`, mode the permission bits."""

    path: str
    type: str
    major: int
    minor: int
    mode: int = 0o660
    uid: int = 0
    gid: int = 0


def default_rules() -> list[dict[str, Any]]:
    """The device cgroup of an ordinary container: nothing but the harmless ones."""
    rules: list[dict[str, Any]] = [{"allow": False, "access": "rwm"}]
    for kind, major, minor, access in _DEFAULT_RULES:
        rule: dict[str, Any] = {"allow": True, "type": kind, "access": access}
        if major is not None:
            rule["major"] = major
        if minor is not None:
            rule["minor"] = minor
        rules.append(rule)
    return rules


def privileged_rules() -> list[dict[str, Any]]:
    """The device cgroup of a privileged container: everything."""
    return [{"allow": True, "access": "rwm"}]


def device_nodes(devices: tuple[Device, ...]) -> list[dict[str, Any]]:
    """The specification's `devices` list."""
    return [
        {
            "path": device.path,
            "type": device.type,
            "major": device.major,
            "minor": device.minor,
            "fileMode": device.mode,
            "uid": device.uid,
            "gid": device.gid,
        }
        for device in devices
    ]
