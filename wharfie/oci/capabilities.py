"""Capability names and the sets given to containers.

The default set is the one that Docker gives: enough for package managers and servers on low ports, nothing that
reaches the host. `CAP_` names are those of linux/capability.h.
"""

from __future__ import annotations

from collections.abc import Iterable

from wharfie.errors import InvalidArgument

DEFAULT_CAPABILITIES = (
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
)

_NAMES = """
    CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
    NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN
    SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE
    MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
"""

ALL_CAPABILITIES = tuple(f"CAP_{name}" for name in _NAMES.split())
"""Every capability, at the index that is its number in the kernel."""


def names_of_mask(mask: int) -> tuple[str, ...]:
    """The capabilities of a kernel mask such as the `CapEff` line of /proc/self/status; unknown bits are dropped."""
    return tuple(name for number, name in enumerate(ALL_CAPABILITIES) if mask >> number & 1)


def canonical_name(name: str) -> str:
    """`net_admin`, `NET_ADMIN` and `CAP_NET_ADMIN` are one capability.

    Raises:
        InvalidArgument: no such capability.

    """
    upper = name.upper()
    full = upper if upper.startswith("CAP_") else f"CAP_{upper}"
    if full not in ALL_CAPABILITIES:
        raise InvalidArgument(f"capability '{name}' does not exist", details={"field": "capabilities"})
    return full


def capability_set(
    *, add: Iterable[str] = (), drop: Iterable[str] = (), base: Iterable[str] = DEFAULT_CAPABILITIES
) -> tuple[str, ...]:
    """The base set with some dropped and then some added, sorted; `ALL` stands for every capability.

    Adding wins over dropping, so that `drop=["ALL"], add=["CHOWN"]` gives exactly one.
    """
    dropped = list(drop)
    chosen = set() if _has_all(dropped) else set(base) - {canonical_name(name) for name in dropped}
    added = list(add)
    chosen |= set(ALL_CAPABILITIES) if _has_all(added) else {canonical_name(name) for name in added}
    return tuple(sorted(chosen))


def process_capabilities(names: Iterable[str], *, is_root: bool) -> dict[str, list[str]]:
    """The specification's `capabilities` object.

    A process that is not root holds none, but a set-uid program may gain up to the bounding set: what `execve` does
    anyway. Nothing is inheritable or ambient, so a set-uid program gains nothing unexpected.
    """
    listed = list(names)
    if is_root:
        return {"bounding": listed, "effective": listed, "permitted": listed}
    return {"bounding": listed}


def _has_all(names: Iterable[str]) -> bool:
    return any(name.upper() == "ALL" for name in names)
