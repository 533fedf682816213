from __future__ import annotations

from typing import Any

import pytest

from wharfie.oci import seccomp
from wharfie.oci.capabilities import ALL_CAPABILITIES, DEFAULT_CAPABILITIES
from wharfie.oci.seccomp import default_profile

SECTIONS = {"_FILES", "_WAITING", "_MEMORY", "_PROCESSES", "_IDENTITY", "_MESSAGES", "_TIME"}


def allowed(profile: dict[str, Any]) -> set[str]:
    """Calls that are allowed whatever their arguments are."""
    rules = profile["syscalls"]
    return {
        name for rule in rules if rule["action"] == "SCMP_ACT_ALLOW" and not rule.get("args") for name in rule["names"]
    }


def test_what_is_not_listed_fails_with_eperm() -> None:
    profile = default_profile(DEFAULT_CAPABILITIES)
    assert (profile["defaultAction"], profile["defaultErrnoRet"]) == ("SCMP_ACT_ERRNO", 1)


@pytest.mark.parametrize(
    "name",
    [
        "mount",
        "umount2",
        "bpf",
        "keyctl",
        "add_key",
        "kexec_load",
        "init_module",
        "reboot",
        "setns",
        "unshare",
        "swapon",
        "io_uring_setup",
        "userfaultfd",
        "pivot_root",
        "perf_event_open",
        "open_by_handle_at",
        "settimeofday",
        "nfsservctl",
        "syslog",
    ],
)
def test_calls_that_reach_the_host_are_not_allowed(name: str) -> None:
    assert name not in allowed(default_profile(DEFAULT_CAPABILITIES))


@pytest.mark.parametrize(
    "name",
    [
        "read",
        "write",
        "openat",
        "execve",
        "fork",
        "vfork",
        "futex",
        "mmap",
        "clock_gettime",
        "epoll_wait",
        "chroot",
        "ptrace",
        "statx",
        "rseq",
    ],
)
def test_calls_that_programs_need_are_allowed(name: str) -> None:
    assert name in allowed(default_profile(DEFAULT_CAPABILITIES))


@pytest.mark.parametrize(("capability", "names"), seccomp._BY_CAPABILITY.items())
def test_a_capability_brings_its_calls_and_only_it_does(capability: str, names: str) -> None:
    without = allowed(default_profile(set(ALL_CAPABILITIES) - {capability, "CAP_SYS_ADMIN"}))
    with_it = allowed(default_profile({capability}))
    assert set(names.split()) <= with_it
    assert "mount" not in without


def test_clone_may_not_make_namespaces_without_sys_admin() -> None:
    rules = {
        rule["names"][0]: rule for rule in default_profile(DEFAULT_CAPABILITIES)["syscalls"] if len(rule["names"]) == 1
    }
    argument = rules["clone"]["args"][0]
    flags = {
        "NS": 0x20000,
        "CGROUP": 0x2000000,
        "UTS": 0x4000000,
        "IPC": 0x8000000,
        "USER": 0x10000000,
        "PID": 0x20000000,
    }
    for flag in (*flags.values(), 0x40000000):
        assert argument["value"] & flag
    assert (argument["op"], argument["valueTwo"]) == ("SCMP_CMP_MASKED_EQ", 0)
    assert argument["value"] & 0x11200011 == 0x10000000  # threads and SIGCHLD stay possible
    assert rules["clone3"] == {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}
    assert {"clone", "clone3"} <= allowed(default_profile(ALL_CAPABILITIES))


def test_a_socket_to_the_hypervisor_is_not_allowed() -> None:
    [rule] = [rule for rule in default_profile(DEFAULT_CAPABILITIES)["syscalls"] if rule["names"] == ["socket"]]
    assert rule["args"] == [{"index": 0, "value": 40, "op": "SCMP_CMP_NE"}]


def test_each_machine_gets_its_own_architectures() -> None:
    assert default_profile((), machine="aarch64")["architectures"] == ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]
    assert "arch_prctl" in allowed(default_profile((), machine="x86_64"))
    assert "arch_prctl" not in allowed(default_profile((), machine="aarch64"))
    assert "architectures" not in default_profile((), machine="riscv64")


def test_no_call_stands_twice_in_the_table() -> None:
    parts = [value for name, value in vars(seccomp).items() if name in SECTIONS]
    assert len(parts) == len(SECTIONS)
    names = " ".join(parts).split()
    assert len(names) == len(set(names))
    assert not set(names) & {"socket", "personality", "clone", "clone3"}
