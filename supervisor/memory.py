"""Memory of children: a control group with a limit for each that has one, and who was killed for want of it.

Two sources tell an out-of-memory kill from any other SIGKILL: the group's own count where a child has a group, and the
kernel's log otherwise, which names the pid.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re

from linux import cgroups
from linux.oom import parse_count

log = logging.getLogger("supervisor")

_KILLED = re.compile(rb"Killed process (\d+)")
_RECORD_BYTES = 8192
_LEAF = "wharfied"


class KernelLog:
    """The kernel's messages from now on; where /dev/kmsg may not be read, nobody was ever killed."""

    def __init__(self, path: str = "/dev/kmsg") -> None:
        self._killed: set[int] = set()
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            os.lseek(self._fd, 0, os.SEEK_END)
        except OSError:
            self._fd = -1

    def killed(self, pid: int) -> bool:
        """The kernel killed this process for want of memory; asked once for each death, since pids come again."""
        while self._fd >= 0:
            try:
                record = os.read(self._fd, _RECORD_BYTES)
            except BrokenPipeError:
                continue  # records were overwritten before they were read; the next one is there
            except OSError:
                break
            if not record:
                break
            if (found := _KILLED.search(record)) is not None:
                self._killed.add(int(found[1]))
        was = pid in self._killed
        self._killed.discard(pid)
        return was

    def close(self) -> None:
        """Close the descriptor. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class MemoryGroup:
    """A control group of one incarnation, below the daemon's own. Made before the fork, removed after the death."""

    def __init__(self, directory: str) -> None:
        self.directory = directory

    @property
    def procs(self) -> str:
        """The file into which the child writes itself."""
        return f"{self.directory}/cgroup.procs"

    def oom_kills(self) -> int:
        """How many processes the kernel has killed in here."""
        for name in ("memory.events", "memory.oom_control"):
            try:
                with open(f"{self.directory}/{name}", encoding="ascii") as file:
                    return parse_count(file.read())
            except OSError:
                continue
        return 0

    def close(self) -> None:
        """End whoever is left in the group and remove it. Idempotent."""
        try:
            if cgroups.processes(self.directory):
                cgroups.kill(self.directory)
            cgroups.remove(self.directory, timeout_s=0.05)
        except OSError as error:
            log.warning("control group not removed", extra={"directory": self.directory, "error": str(error)})


def make_group(name: str, *, limit_bytes: int) -> MemoryGroup | None:
    """A group with a limit below the daemon's own; None, with a warning, where the kernel or the host forbids it."""
    try:
        own = cgroups.memory_directory(cgroups.of_process())
        if own is None:
            raise FileNotFoundError("no memory controller is mounted for this process")
        unified = os.path.exists(f"{own}/cgroup.controllers")
        if unified:
            own = _delegated(own)
        directory = f"{own}/wharfie-{os.getpid()}-{name}"
        with contextlib.suppress(FileExistsError):
            os.mkdir(directory)
        limit = f"{directory}/{'memory.max' if unified else 'memory.limit_in_bytes'}"
        with open(limit, "w", encoding="ascii") as file:
            file.write(str(limit_bytes))
    except OSError as error:
        log.warning("memory limit not set", extra={"actor": name, "error": str(error)})
        return None
    return MemoryGroup(directory)


def _delegated(own: str) -> str:
    """The v2 group below which children may have theirs; moves this process into a leaf first.

    cgroup v2 lets no group have both processes and children with controllers, the root excepted.
    """
    parent, leaf = os.path.split(own)
    if leaf == _LEAF:
        own = parent
    elif os.path.exists(f"{own}/cgroup.type"):  # the root has no such file
        os.makedirs(f"{own}/{_LEAF}", exist_ok=True)
        with open(f"{own}/{_LEAF}/cgroup.procs", "w", encoding="ascii") as file:
            file.write(str(os.getpid()))
    with open(f"{own}/cgroup.subtree_control", "w", encoding="ascii") as file:
        file.write("+memory")
    return own
