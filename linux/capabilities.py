"""Capabilities: which this process has, and giving them up. Source: capabilities(7)."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from enum import IntEnum
from typing import NamedTuple

from linux.prctl import prctl
from linux.syscall import check, libc, syscall

_PR_CAPBSET_READ = 23
_PR_CAPBSET_DROP = 24
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_VERSION_3 = 0x20080522


class Capability(IntEnum):
    """The numbers of linux/capability.h."""

    CHOWN = 0
    DAC_OVERRIDE = 1
    DAC_READ_SEARCH = 2
    FOWNER = 3
    FSETID = 4
    KILL = 5
    SETGID = 6
    SETUID = 7
    SETPCAP = 8
    LINUX_IMMUTABLE = 9
    NET_BIND_SERVICE = 10
    NET_BROADCAST = 11
    NET_ADMIN = 12
    NET_RAW = 13
    IPC_LOCK = 14
    IPC_OWNER = 15
    SYS_MODULE = 16
    SYS_RAWIO = 17
    SYS_CHROOT = 18
    SYS_PTRACE = 19
    SYS_PACCT = 20
    SYS_ADMIN = 21
    SYS_BOOT = 22
    SYS_NICE = 23
    SYS_RESOURCE = 24
    SYS_TIME = 25
    SYS_TTY_CONFIG = 26
    MKNOD = 27
    LEASE = 28
    AUDIT_WRITE = 29
    AUDIT_CONTROL = 30
    SETFCAP = 31
    MAC_OVERRIDE = 32
    MAC_ADMIN = 33
    SYSLOG = 34
    WAKE_ALARM = 35
    BLOCK_SUSPEND = 36
    AUDIT_READ = 37
    PERFMON = 38
    BPF = 39
    CHECKPOINT_RESTORE = 40


class CapabilitySets(NamedTuple):
    """Bit masks: bit N is capability N."""

    effective: int
    permitted: int
    inheritable: int


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def mask(capabilities: Iterable[int]) -> int:
    """Return the bit mask of these capabilities."""
    bits = 0
    for capability in capabilities:
        bits |= 1 << capability
    return bits


def get() -> CapabilitySets:
    """Return the sets of this thread."""
    data = (_Data * 2)()
    syscall("capget", ctypes.byref(_Header(_VERSION_3, 0)), data)
    low, high = data
    return CapabilitySets(
        effective=low.effective | high.effective << 32,
        permitted=low.permitted | high.permitted << 32,
        inheritable=low.inheritable | high.inheritable << 32,
    )


def put(sets: CapabilitySets) -> None:
    """Set the sets of this thread; a permitted capability once given up does not come back."""
    data = (_Data * 2)()
    for index, shift in ((0, 0), (1, 32)):
        for name, bits in sets._asdict().items():
            setattr(data[index], name, bits >> shift & 0xFFFFFFFF)
    syscall("capset", ctypes.byref(_Header(_VERSION_3, 0)), data)


def last() -> int:
    """Return the highest capability that this kernel knows."""
    with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as file:
        return int(file.read())


def drop_bounding(keep: Iterable[int]) -> None:
    """Remove every capability but `keep` from the bounding set: no exec from here on can gain them."""
    kept = frozenset(keep)
    for capability in range(last() + 1):
        if capability not in kept and prctl(_PR_CAPBSET_READ, capability):
            prctl(_PR_CAPBSET_DROP, capability)


def limit_to(keep: Iterable[int]) -> None:
    """Give up every capability but those of `keep`, in all sets and for good; none is gained.

    Works on this thread: call it before the first other one starts.
    """
    kept = frozenset(keep)
    drop_bounding(kept)
    check(libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0))
    bits = mask(kept) & get().permitted
    put(CapabilitySets(effective=bits, permitted=bits, inheritable=0))
