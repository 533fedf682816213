"""What a caller may ask of a container beyond what its image says."""

from __future__ import annotations

import re
from enum import StrEnum

import msgspec

from wharfie.errors import InvalidArgument
from wharfie.oci.mounts import Volume

MIN_MEMORY_BYTES = 6 * 1024 * 1024
"""Below this the runtime's own set-up is killed for memory, with an error that helps nobody."""

_HOSTNAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,62}[A-Za-z0-9])?")


class Network(StrEnum):
    """The container's network: its own empty one, or the host's."""

    NONE = "none"
    HOST = "host"


class SpecOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Options of `build_spec`; each default means what the image says, or containerd's default.

    Attributes:
        args: the command; empty means the image's.
        entrypoint: replaces the image's entrypoint and drops its command.
        env: `NAME=value` sets, a bare `NAME` removes.
        workdir: absolute.
        user: `user`, `uid`, `user:group`, `uid:gid`.
        hostname: empty means the container's id.
        readonly: the root file system is mounted read-only.
        tty: the process gets a terminal.
        privileged: gives up what keeps the container apart: it has every capability and device of the host, no seccomp
            profile, no masked or read-only path, may write /sys and its cgroup, and may gain privileges by set-uid
            programs.
        new_privileges: set-uid programs work (Docker's default; containerd's and ours is that they do not).
        cap_add: capabilities added to the default set, `ALL` for every one.
        cap_drop: capabilities dropped first, `ALL` for every one.
        seccomp: false runs without the default profile.
        memory_bytes: 0 is no limit.
        cpus: share of processors, 1.5 is one and a half; 0 is no limit.
        pids_limit: most processes and threads; 0 is no limit.
        annotations: passed on in the specification.

    """

    args: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    env: tuple[str, ...] = ()
    workdir: str = ""
    user: str = ""
    volumes: tuple[Volume, ...] = ()
    network: Network = Network.NONE
    hostname: str = ""
    readonly: bool = False
    tty: bool = False
    privileged: bool = False
    new_privileges: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    seccomp: bool = True
    memory_bytes: int = 0
    cpus: float = 0.0
    pids_limit: int = 0
    annotations: dict[str, str] = {}


def check_options(options: SpecOptions) -> None:
    """Refuse what the runtime would only refuse later, and less clearly.

    Raises:
        InvalidArgument: `details["field"]` names the option.

    """
    if options.memory_bytes and options.memory_bytes < MIN_MEMORY_BYTES:
        raise _invalid("memory", f"{options.memory_bytes} bytes is less than {MIN_MEMORY_BYTES}")
    # The kernel's quota is in microseconds of a 100 ms period and at least 1 ms; NaN fails both comparisons.
    if options.cpus and not 0.01 <= options.cpus <= 8192:
        raise _invalid("cpus", f"{options.cpus} is not between 0.01 and 8192")
    if options.pids_limit < 0:
        raise _invalid("pids_limit", f"{options.pids_limit} is negative, leave it out for no limit")
    if options.hostname and not _HOSTNAME.fullmatch(options.hostname):
        raise _invalid("hostname", f"'{options.hostname}' is not a host name")


def _invalid(field: str, why: str) -> InvalidArgument:
    return InvalidArgument(f"option '{field}': {why}", details={"field": field})
