"""The default seccomp profile: which system calls a container may make.

An allow-list, equivalent to the one that Docker and containerd ship: everything else fails with EPERM as if the
kernel refused it, and `clone3` with ENOSYS so that the C library falls back to `clone`, whose flags a filter can see.
A capability that the container holds brings the calls that only make sense with it.

Names are stored as a few long strings and split when a profile is built: a process that is done building keeps no four
hundred small objects. Names that the kernel or the library at hand does not know are ignored by the runtime,
so calls of all architectures and of newer kernels stand here together.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

_ALLOW = "SCMP_ACT_ALLOW"
_ERRNO = "SCMP_ACT_ERRNO"
_EPERM = 1
_ENOSYS = 38

# Every architecture costs the runtime milliseconds at each start, because it compiles the filter anew (measured with
# runc 1.1.5: none 14 ms, x86_64 19, with x86 22, with x32 too 27). 32-bit programs are real; x32 ones are not, and
# kernels are built without them: a call of that kind is refused along with those of foreign architectures.
_ARCHITECTURES = {
    "x86_64": ("SCMP_ARCH_X86_64", "SCMP_ARCH_X86"),
    "aarch64": ("SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"),
}

# By what they are about, so that a reader can find one.
_FILES = """
    access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2
    fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl
    fcntl64 fdatasync fgetxattr flistxattr flock fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64
    fsync ftruncate ftruncate64 futimesat getcwd getdents getdents64 getxattr getxattrat inotify_add_watch
    inotify_init inotify_init1 inotify_rm_watch ioctl lchown lchown32 lgetxattr link linkat listmount listxattr
    listxattrat llistxattr _llseek lremovexattr lseek lsetxattr lstat lstat64 mkdir mkdirat mknod mknodat
    name_to_handle_at newfstatat open openat openat2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead
    readlink readlinkat readv removexattr removexattrat rename renameat renameat2 rmdir sendfile sendfile64 setxattr
    setxattrat splice stat stat64 statfs statfs64 statmount statx symlink symlinkat sync sync_file_range syncfs tee
    truncate truncate64 umask unlink unlinkat utime utimensat utimensat_time64 utimes vmsplice write writev
"""
_WAITING = """
    epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd
    eventfd2 _newselect pause pipe pipe2 poll ppoll ppoll_time64 pselect6 pselect6_time64 select signalfd signalfd4
    io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit
"""
_MEMORY = """
    brk cachestat madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock
    mlock2 mlockall mmap mmap2 mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free
    pkey_mprotect process_mrelease remap_file_pages
"""
_PROCESSES = """
    alarm capget capset execve execveat exit exit_group fork futex futex_requeue futex_time64 futex_wait futex_waitv
    futex_wake getcpu get_robust_list get_thread_area getitimer getpgid getpgrp getpid getppid getpriority getrlimit
    getrusage getsid gettid ioprio_get ioprio_set kill landlock_add_rule landlock_create_ruleset
    landlock_restrict_self lsm_get_self_attr lsm_list_modules pidfd_open pidfd_send_signal prctl prlimit64
    process_vm_readv process_vm_writev ptrace restart_syscall rseq rt_sigaction rt_sigpending rt_sigprocmask
    rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo
    sched_getaffinity sched_getattr sched_getparam sched_get_priority_max sched_get_priority_min sched_getscheduler
    sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam
    sched_setscheduler sched_yield seccomp set_robust_list set_thread_area set_tid_address setitimer setpgid
    setpriority setrlimit setsid sigaltstack sigprocmask sigreturn sysinfo tgkill times tkill ugetrlimit uname
    uretprobe vfork wait4 waitid waitpid
"""
_IDENTITY = """
    getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getresgid getresgid32 getresuid
    getresuid32 getuid getuid32 setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32
    setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setuid setuid32
"""
_MESSAGES = """
    accept accept4 bind connect getpeername getsockname getsockopt ipc listen mq_getsetattr mq_notify mq_open
    mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink msgctl msgget msgrcv msgsnd recv
    recvfrom recvmmsg recvmmsg_time64 recvmsg semctl semget semop semtimedop semtimedop_time64 send sendmmsg sendmsg
    sendto setsockopt shmat shmctl shmdt shmget shutdown socketcall socketpair
"""
_TIME = """
    adjtimex clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64
    clock_nanosleep clock_nanosleep_time64 getrandom gettimeofday nanosleep time timer_create timer_delete
    timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime
    timerfd_gettime64 timerfd_settime timerfd_settime64
"""

_BY_MACHINE = {
    "x86_64": "arch_prctl modify_ldt",
    "aarch64": "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls",
}

_BY_CAPABILITY = {
    "CAP_BPF": "bpf",
    "CAP_DAC_READ_SEARCH": "open_by_handle_at",
    "CAP_PERFMON": "perf_event_open",
    "CAP_SYSLOG": "syslog",
    "CAP_SYS_ADMIN": (
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr move_mount"
        " open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare"
    ),
    "CAP_SYS_BOOT": "reboot",
    "CAP_SYS_CHROOT": "chroot",
    "CAP_SYS_MODULE": "delete_module finit_module init_module",
    "CAP_SYS_NICE": "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    "CAP_SYS_PACCT": "acct",
    "CAP_SYS_PTRACE": "kcmp pidfd_getfd process_madvise",
    "CAP_SYS_RAWIO": "ioperm iopl",
    "CAP_SYS_TIME": "clock_settime clock_settime64 settimeofday stime",
    "CAP_SYS_TTY_CONFIG": "vhangup",
}

_PERSONALITIES = (
    0x0,  # Linux
    0x0008,  # Linux, 32 bit
    0x20000,  # uname as 2.6
    0x20008,
    0xFFFFFFFF,  # only asks
)
_NAMESPACE_FLAGS = 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET."""

_AF_VSOCK = 40
"""Reaches the hypervisor without passing any network namespace."""


def default_profile(capabilities: Collection[str], *, machine: str = "x86_64") -> dict[str, Any]:
    """The specification's `seccomp` object for a container that holds these capabilities.

    Args:
        capabilities: the bounding set, names with `CAP_`.
        machine: `uname -m` of the host; one that is not known here gets the profile without a list of architectures,
            which means the host's own.

    """
    names = f"{_FILES} {_WAITING} {_MEMORY} {_PROCESSES} {_IDENTITY} {_MESSAGES} {_TIME}".split()
    names += _BY_MACHINE.get(machine, "").split()
    for capability, added in _BY_CAPABILITY.items():
        if capability in capabilities:
            names += added.split()
    rules: list[dict[str, Any]] = [
        {"names": sorted(set(names)), "action": _ALLOW},
        {"names": ["socket"], "action": _ALLOW, "args": [_argument(0, "SCMP_CMP_NE", _AF_VSOCK)]},
    ]
    rules += [
        {"names": ["personality"], "action": _ALLOW, "args": [_argument(0, "SCMP_CMP_EQ", value)]}
        for value in _PERSONALITIES
    ]
    if "CAP_SYS_ADMIN" not in capabilities:
        without_namespaces = _argument(0, "SCMP_CMP_MASKED_EQ", _NAMESPACE_FLAGS) | {"valueTwo": 0}
        rules.append({"names": ["clone"], "action": _ALLOW, "args": [without_namespaces]})
        rules.append({"names": ["clone3"], "action": _ERRNO, "errnoRet": _ENOSYS})
    profile: dict[str, Any] = {"defaultAction": _ERRNO, "defaultErrnoRet": _EPERM, "syscalls": rules}
    if machine in _ARCHITECTURES:
        profile["architectures"] = list(_ARCHITECTURES[machine])
    return profile


def _argument(index: int, operator: str, value: int) -> dict[str, Any]:
    return {"index": index, "value": value, "op": operator}
