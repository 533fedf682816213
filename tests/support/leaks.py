"""What a test must not leave behind: descriptors, threads, processes, mounts, control groups, files on tmpfs.

`isolate` gives the test run a mount namespace and a /dev/shm of its own. So every mount and every file there is ours,
and so is every process in that namespace, however it was orphaned: nothing that others do on the machine is blamed on a
test. Control groups are the machine's; they are looked at only while no other run of these tests is under way.
"""

from __future__ import annotations

import fcntl
import gc
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

from linux import mount, mountinfo, namespaces
from tests.support.wait import until

SHM = "/dev/shm"
LOCK = "/tmp/wharfie-tests.lock"
GRACE_S = 5.0
"""How long the end of what a test has stopped may take."""


class Process(NamedTuple):
    pid: int
    started: int
    parent: int
    name: str
    state: str

    def __str__(self) -> str:
        return f"{self.name}[{self.pid}]{' (zombie)' if self.state == 'Z' else ''}"


class Snapshot(NamedTuple):
    """Everything that counts, at one moment."""

    descriptors: Counter[str]
    threads: Counter[str]
    processes: dict[tuple[int, int], Process]
    mounts: Counter[str]
    groups: frozenset[str]
    files: frozenset[str]


class Isolation:
    """The run's own namespace and its lock; see the module."""

    def __init__(self) -> None:
        self.own_namespace = ""
        self._lock = -1

    def isolate(self) -> None:
        """Enter a mount namespace with a fresh /dev/shm; without the right to, only descendants are ours."""
        self._lock = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        fcntl.flock(self._lock, fcntl.LOCK_SH)
        if os.geteuid() != 0:
            return
        try:
            namespaces.unshare_mounts()
            mount.mount("shm", SHM, fstype="tmpfs", data="mode=1777")
        except PermissionError:
            return
        self.own_namespace = os.readlink("/proc/self/ns/mnt")

    def alone(self) -> bool:
        """No other run holds the lock."""
        if self._lock < 0:
            return False
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # A failed conversion may have given up the shared lock.
            fcntl.flock(self._lock, fcntl.LOCK_SH)
            return False
        fcntl.flock(self._lock, fcntl.LOCK_SH)
        return True


isolation = Isolation()


def take() -> Snapshot:
    return Snapshot(
        descriptors=Counter(_descriptors()),
        threads=Counter(_threads()),
        processes=_processes(),
        mounts=Counter(entry.mountpoint for entry in mountinfo.read()) if isolation.own_namespace else Counter(),
        groups=frozenset(_groups()),
        files=frozenset(_files()),
    )


def leaked(before: Snapshot, *, inside: bool = True, grace_s: float = GRACE_S) -> list[str]:
    """What is there now and was not before, a sentence each, after a grace for what is just ending.

    Args:
        before: an earlier snapshot.
        inside: also look at this process's own descriptors and threads.
        grace_s: how long to wait for the difference to go away.
    """
    if not (sentences := _difference(before, inside=inside)):
        return []
    gc.collect()

    def clean() -> bool:
        nonlocal sentences
        _stop_zero_copy()
        sentences = _difference(before, inside=inside)
        return not sentences

    try:
        until(clean, deadline_s=grace_s)
    except AssertionError:
        return sentences
    return []


def _difference(before: Snapshot, *, inside: bool) -> list[str]:
    now = take()
    sentences = []
    if inside:
        sentences += [
            f"descriptor of {what} ({count})" for what, count in (now.descriptors - before.descriptors).items()
        ]
        sentences += [f"thread {name} ({count})" for name, count in (now.threads - before.threads).items()]
    sentences += [f"process {process}" for process in _orphans(before.processes, now.processes)]
    sentences += [f"mount on {path}" for path in now.mounts - before.mounts]
    sentences += [f"file {path}" for path in sorted(now.files - before.files)]
    groups = sorted(now.groups - before.groups)
    if groups and isolation.alone():
        sentences += [f"control group {path}" for path in groups]
    return sentences


def _stop_zero_copy() -> None:
    """pyzmq counts references of frames sent without a copy in a thread of its own, one for the whole process."""
    if "zmq" in sys.modules:
        from zmq.utils import garbage

        # With references it is still needed; they go when the messages have been sent.
        if not garbage.gc.refs:
            garbage.gc.stop()


def _orphans(before: dict[tuple[int, int], Process], now: dict[tuple[int, int], Process]) -> Iterator[Process]:
    """New processes that no process from before has started and still answers for (a wider fixture's daemon)."""
    alive = {process.pid: process for process in now.values()}
    known = {process.pid for key, process in before.items() if key in now and process.pid != os.getpid()}
    for key, process in now.items():
        if key in before:
            continue
        ancestor: Process | None = process
        while ancestor is not None and ancestor.pid not in known:
            ancestor = alive.get(ancestor.parent)
        if ancestor is None:
            yield process


def _descriptors() -> Iterator[str]:
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            continue  # the one that listed them
        yield target if target.startswith("/") else target.partition(":[")[0]


def _threads() -> Iterator[str]:
    for task in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{task}/comm") as file:
                yield file.read().strip()
        except (FileNotFoundError, ProcessLookupError):
            continue


def _processes() -> dict[tuple[int, int], Process]:
    everyone = {process.pid: process for process in _everyone()}
    own = isolation.own_namespace
    ours: dict[int, bool] = {os.getpid(): True}

    def is_ours(pid: int) -> bool:
        chain = []
        while pid not in ours and pid in everyone:
            chain.append(pid)
            if own and _namespace(pid) == own:
                ours[pid] = True
                break
            pid = everyone[pid].parent
        verdict = ours.get(pid, False)
        ours.update(dict.fromkeys(chain, verdict))
        return verdict

    return {
        (process.pid, process.started): process
        for process in everyone.values()
        if process.pid != os.getpid() and is_ours(process.pid)
    }


def _namespace(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/mnt")
    except OSError:
        return ""


def _everyone() -> Iterator[Process]:
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                head, _, rest = file.read().rpartition(b")")
        except (FileNotFoundError, ProcessLookupError):
            continue
        fields = rest.split()
        comm = head.partition(b"(")[2].decode("utf-8", "replace")
        yield Process(int(name), int(fields[19]), int(fields[1]), comm, fields[0].decode())


def _groups() -> Iterator[str]:
    """Groups of containers (`wharfie/NAMESPACE/ID`) and of workers (`wharfie-PID-NAME`), in every hierarchy."""
    roots = ["/sys/fs/cgroup", *(entry.path for entry in os.scandir("/sys/fs/cgroup") if entry.is_dir())]
    for root in roots:
        yield from _named(root, lambda name: name.startswith("wharfie-"))
        for namespace in _named(f"{root}/wharfie", lambda _: True):
            yield from _named(namespace, lambda _: True)


def _named(directory: str, accept: Callable[[str], bool]) -> Iterator[str]:
    try:
        with os.scandir(directory) as entries:
            yield from [entry.path for entry in entries if entry.is_dir() and accept(entry.name)]
    except FileNotFoundError:
        return


def _files() -> Iterator[str]:
    for name in os.listdir(SHM):
        # pytest's own, which it clears itself; without a /dev/shm of our own, only what has our name.
        if not name.startswith("pytest-of-") and (isolation.own_namespace or name.startswith("wharfie")):
            yield f"{SHM}/{name}"
