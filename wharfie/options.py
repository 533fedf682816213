"""What a Python program may say when it makes a container: the keywords of `client.run` and `containers.create`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

from wharfie.errors import InvalidArgument
from wharfie.oci.mounts import parse_volume
from wharfie.oci.options import Network, SpecOptions


class RunOptions(TypedDict, total=False):
    """The keywords; what is left out is the image's or the daemon's default.

    Attributes:
        entrypoint: replaces the image's.
        env: variables; a mapping, or `NAME=value` strings.
        workdir: absolute.
        user: `user`, `uid`, `user:group` or `uid:gid`.
        volumes: `SRC:DST[:ro]` strings.
        net: `none` (its own empty network) or `host`.
        hostname: empty is the container's id.
        read_only: the root file system cannot be written.
        privileged: gives up what keeps the container apart (see docs/operations.md).
        memory_bytes: limit; 0 is none.
        cpus: 1.5 is one and a half processors; 0 is no limit.
        pids_limit: most processes and threads; 0 is no limit.
        annotations: for the runtime specification.
    """

    entrypoint: Sequence[str] | None
    env: Mapping[str, str] | Sequence[str]
    workdir: str
    user: str
    volumes: Sequence[str]
    net: str
    hostname: str
    read_only: bool
    privileged: bool
    memory_bytes: int
    cpus: float
    pids_limit: int
    annotations: Mapping[str, str]


def spec_options(args: Sequence[str], options: RunOptions) -> SpecOptions:
    """The keywords as options of a specification.

    Raises:
        InvalidArgument: a value is malformed; `details["field"]` names the keyword.
    """
    env = options.get("env", ())
    entrypoint = options.get("entrypoint")
    net = options.get("net", "none")
    if net not in list(Network):
        raise InvalidArgument(f"network '{net}' is not one of none, host", details={"field": "net"})
    return SpecOptions(
        args=tuple(args),
        entrypoint=None if entrypoint is None else tuple(entrypoint),
        env=tuple(f"{key}={value}" for key, value in env.items()) if isinstance(env, Mapping) else tuple(env),
        workdir=options.get("workdir", ""),
        user=options.get("user", ""),
        volumes=tuple(parse_volume(text) for text in options.get("volumes", ())),
        network=Network(net),
        hostname=options.get("hostname", ""),
        readonly=options.get("read_only", False),
        privileged=options.get("privileged", False),
        memory_bytes=options.get("memory_bytes", 0),
        cpus=options.get("cpus", 0.0),
        pids_limit=options.get("pids_limit", 0),
        annotations=dict(options.get("annotations", {})),
    )
