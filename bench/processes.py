"""What /proc says of processes: memory and CPU."""

from __future__ import annotations

import os


def pss_mib(pid: int) -> float:
    """Proportional set size; 0 when the process is gone."""
    try:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("Pss:")) / 1024
    except (OSError, StopIteration):
        return 0.0


def descendants(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            children = [int(child) for child in file.read().split()]
    except OSError:
        return []
    for child in children:
        found += descendants(child)
    return found


def procname(pid: int) -> str:
    """The command name of a process."""
    with open(f"/proc/{pid}/comm") as file:
        return file.read().strip()


def named(name: str) -> list[int]:
    """Pids of processes by their command name (cut at 15 characters, as the kernel does)."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/comm") as file:
                    if file.read().strip() == name[:15]:
                        found.append(int(entry))
            except OSError:
                continue
    return found
