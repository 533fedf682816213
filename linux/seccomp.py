"""A filter that refuses system calls for the rest of a process's life: seccomp(2) with a classic BPF program.

For processes that run our own code on a stranger's data: what that code never does, nobody who takes it over can do.
Calls are refused by their number; a call in another architecture's convention (32 bit, x32) ends the process.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterable

from linux.syscall import check, libc

_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2
_RET_KILL_PROCESS = 0x80000000
_RET_ERRNO = 0x00050000
_RET_ALLOW = 0x7FFF0000

_LD_W_ABS = 0x20
_JEQ = 0x15
_JGE = 0x35
_RET = 0x06
_OFFSET_NUMBER = 0
_OFFSET_ARCHITECTURE = 4
_X32_BIT = 0x40000000

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

_COMMON = {
    "pidfd_getfd": 438,
    "pidfd_send_signal": 424,
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "mount_setattr": 442,
}
_X86_64 = {
    "socket": 41,
    "connect": 42,
    "accept": 43,
    "bind": 49,
    "listen": 50,
    "socketpair": 53,
    "execve": 59,
    "ptrace": 101,
    "personality": 135,
    "pivot_root": 155,
    "acct": 163,
    "chroot": 161,
    "settimeofday": 164,
    "mount": 165,
    "umount2": 166,
    "swapon": 167,
    "swapoff": 168,
    "reboot": 169,
    "sethostname": 170,
    "setdomainname": 171,
    "iopl": 172,
    "ioperm": 173,
    "init_module": 175,
    "delete_module": 176,
    "quotactl": 179,
    "clock_settime": 227,
    "kexec_load": 246,
    "add_key": 248,
    "request_key": 249,
    "keyctl": 250,
    "unshare": 272,
    "accept4": 288,
    "perf_event_open": 298,
    "open_by_handle_at": 304,
    "setns": 308,
    "process_vm_readv": 310,
    "process_vm_writev": 311,
    "finit_module": 313,
    "kexec_file_load": 320,
    "bpf": 321,
    "execveat": 322,
    "userfaultfd": 323,
}
_AARCH64 = {
    "socket": 198,
    "connect": 203,
    "accept": 202,
    "bind": 200,
    "listen": 201,
    "socketpair": 199,
    "execve": 221,
    "ptrace": 117,
    "personality": 92,
    "pivot_root": 41,
    "acct": 89,
    "chroot": 51,
    "settimeofday": 170,
    "mount": 40,
    "umount2": 39,
    "swapon": 224,
    "swapoff": 225,
    "reboot": 142,
    "sethostname": 161,
    "setdomainname": 162,
    "init_module": 105,
    "delete_module": 106,
    "quotactl": 60,
    "clock_settime": 112,
    "kexec_load": 104,
    "add_key": 217,
    "request_key": 218,
    "keyctl": 219,
    "unshare": 97,
    "accept4": 242,
    "perf_event_open": 241,
    "open_by_handle_at": 265,
    "setns": 268,
    "process_vm_readv": 270,
    "process_vm_writev": 271,
    "finit_module": 273,
    "kexec_file_load": 294,
    "bpf": 280,
    "execveat": 281,
    "userfaultfd": 282,
}
_NUMBERS = {"x86_64": {**_COMMON, **_X86_64}, "aarch64": {**_COMMON, **_AARCH64}}

NETWORK = frozenset({"socket", "socketpair", "connect", "accept", "accept4", "bind", "listen"})
"""What makes sockets and connects them; those that are open still send and receive."""

PRIVILEGED = frozenset(_COMMON.keys() | _X86_64.keys()) - NETWORK
"""Other programs, other processes, mounts, namespaces, the kernel itself, and ways around this filter."""


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def program(names: Iterable[str], machine: str) -> bytes:
    """Return the BPF program that has these calls fail with EPERM. Pure; empty for a machine that is not known."""
    known = _NUMBERS.get(machine)
    if known is None:
        return b""
    numbers = sorted({known[name] for name in names if name in known})
    code = [
        _statement(_LD_W_ABS, _OFFSET_ARCHITECTURE),
        _jump(_JEQ, _ARCHITECTURES[machine], true=1),
        _statement(_RET, _RET_KILL_PROCESS),
        _statement(_LD_W_ABS, _OFFSET_NUMBER),
    ]
    if machine == "x86_64":
        code += [_jump(_JGE, _X32_BIT, false=1), _statement(_RET, _RET_KILL_PROCESS)]
    for number in numbers:
        code += [_jump(_JEQ, number, false=1), _statement(_RET, _RET_ERRNO | errno.EPERM)]
    code.append(_statement(_RET, _RET_ALLOW))
    return b"".join(code)


def _statement(code: int, value: int) -> bytes:
    return struct.pack("HBBI", code, 0, 0, value)


def _jump(code: int, value: int, *, true: int = 0, false: int = 0) -> bytes:
    return struct.pack("HBBI", code, true, false, value)


def deny(names: Iterable[str]) -> None:
    """Have these system calls fail with EPERM, in this thread and all that come of it, for good.

    Needs `no_new_privs` or CAP_SYS_ADMIN. On a machine whose numbers are not known it does nothing.
    Raises `OSError` when the kernel takes no filter.
    """
    code = program(names, os.uname().machine)
    if code:
        loaded = _Program(len(code) // 8, code)
        check(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(loaded), 0, 0))
