"""Since when a process of this machine runs, from the kernel."""

from __future__ import annotations

import os


def started_at_ns(pid: int) -> int:
    """When a process started, nanoseconds since the epoch; 0 when there is none (or it runs on another machine)."""
    if pid <= 0:
        return 0
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            ticks = int(file.read().rpartition(b")")[2].split()[19])
        with open("/proc/stat", "rb") as file:
            booted_s = next(int(line.split()[1]) for line in file if line.startswith(b"btime "))
    except (OSError, ValueError, IndexError, StopIteration):
        return 0
    return booted_s * 1_000_000_000 + ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
