"""What the daemon does to its own process before it forks: descriptors, OOM score, control group, environment."""

from __future__ import annotations

import logging
import os
import resource

from config.settings import Settings
from linux import mountinfo

log = logging.getLogger("supervisor")


def apply(settings: Settings) -> None:
    """Raise the descriptor limit, set the OOM score, join the control group, export TMPDIR.

    What the host forbids is a warning: a container that can run without it should run.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if settings.temp:
        os.environ["TMPDIR"] = settings.temp
    try:
        if settings.oom_score:
            with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
                file.write(str(settings.oom_score))
    except OSError as error:
        log.warning("oom_score not set", extra={"value": settings.oom_score, "error": str(error)})
    if settings.cgroup.path:
        join_cgroup(settings.cgroup.path)


def join_cgroup(path: str, *, pid: int | None = None) -> list[str]:
    """Move a process (this one) into the control group `path` of every hierarchy, making it where it is missing.

    Returns: the directories joined. A hierarchy that refuses is a warning.
    """
    joined: list[str] = []
    for mount in mountinfo.read():
        if mount.fstype not in {"cgroup", "cgroup2"} or mount.root != "/":
            continue
        directory = f"{mount.mountpoint}/{path.strip('/')}"
        try:
            os.makedirs(directory, exist_ok=True)
            with open(f"{directory}/cgroup.procs", "w", encoding="ascii") as file:
                file.write(str(pid or os.getpid()))
        except OSError as error:
            log.warning("control group not joined", extra={"directory": directory, "error": str(error)})
            continue
        joined.append(directory)
    return joined
