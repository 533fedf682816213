"""What a shim and the runtime worker say to each other.

One message is one packet of a Unix SEQPACKET socket (`linux.unixsocket`: a larger one travels as a memfd), a msgpack
map whose `t` says what it is.

To the shim: `request` {id, method, key, body} and `ack` {container_id, seq}. From the shim: `reply` {id, body} or
`error` {id, code, message, details} for each request, in any order, and, on a connection that has sent `connect`,
`event` {container_id, seq, time_ns, topic, event}: first those that nobody acknowledged, then new ones as they
happen. An event is in the journal before it is sent, and is sent again to each new connection until it is
acknowledged: an ack of `seq` covers all up to it.

| method | body | reply |
|---|---|---|
| `connect` | - | `Connected` |
| `create` | `Create` | `Pid` |
| `start` | `Target` | `Pid` |
| `state` | `Target` | `ProcessState` |
| `exec` | `Exec`; the caller has written the OCI `process` object to `<bundle>/<exec_id>.process.json` | - |
| `kill` | `Kill` | - |
| `delete` | `Target` | `Exit`; what the runtime has to tidy up goes on |
| `pids` | `Target` | `Pids` |
| `close_io` | `Target` | - |
| `shutdown` | - | - when all is tidied up, and then the shim ends; refused while there is a container |

A `create`, `start`, `exec`, `kill` or `delete` with a `key` is done once: a copy gets the first one's answer, also
while it is being worked on. Only processes of the shim's own user are listened to.

Error codes are those of `wharfie.errors`; `details["reason"]` tells apart what a command line shows by its exit code:
`executable_not_found` (127), `not_executable` (126).
"""

from __future__ import annotations

from typing import Any

import msgspec

VERSION = 1
"""Rises when an older worker could not talk to a newer shim, or the other way round."""


class Body(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """The body of a request or a reply, and what they are made of."""


class Message(msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="t", gc=False):
    """One packet."""


# --- what the supervisor's fork gets ---------------------------------------------------------------------------


class ShimStart(Body, kw_only=True):
    """The `args` of `shim.main:main`; `fds[0]` is the listening socket.

    Attributes:
        namespace: Wharfie's; only for the log.
        id: the container or the group; only for the log.
        runtime: absolute path of runc or crun.
        runtime_root: its `--root`, one for each namespace.
        log: file that the shim appends its own words to.
        systemd_cgroup: passed on to the runtime.

    """

    namespace: str
    id: str
    runtime: str
    runtime_root: str
    log: str
    systemd_cgroup: bool = False


# --- bodies ------------------------------------------------------------------------------------------------------


class Mount(Body, kw_only=True):
    """One mount of the root file system, in order; an empty target is the root itself."""

    type: str
    source: str
    target: str = ""
    options: list[str] = []


class Stdio(Body, kw_only=True):
    """Where the streams go: a FIFO's path, `file:///path` (appended to), or empty for nothing."""

    stdin: str = ""
    stdout: str = ""
    stderr: str = ""
    terminal: bool = False


class Create(Body, kw_only=True):
    """A container, not yet running.

    Attributes:
        bundle: directory with `config.json` and `rootfs`; the shim adds its journal, logs and pid files.
        rootfs: mounted onto `<bundle>/rootfs`; empty when something is there already.
        mounted: the caller has mounted `rootfs` itself; it is unmounted here all the same.
        memory_cgroup: directory to watch for out-of-memory kills; empty: none.
        cgroup: directory with the `cgroup.procs` of the container.
        cgroups: its directories in every hierarchy, when nothing but them and the runtime's own files is left of it in
            the end: no hook runs after its stop, and no other manager keeps its groups. Else empty.
        private_pids: it has a pid namespace of its own, so nothing survives its first process.
        no_pivot: passed on to the runtime.
        no_new_keyring: passed on to the runtime.

    """

    container_id: str
    bundle: str
    rootfs: list[Mount] = []
    mounted: bool = False
    stdio: Stdio = msgspec.field(default_factory=Stdio)
    memory_cgroup: str = ""
    cgroup: str = ""
    cgroups: list[str] = []
    private_pids: bool = True
    no_pivot: bool = False
    no_new_keyring: bool = False


class Target(Body, kw_only=True):
    """A process: an empty `exec_id` is the container's first one."""

    container_id: str
    exec_id: str = ""


class Exec(Target, kw_only=True):
    """Another process of a running container, registered and not started."""

    stdio: Stdio = msgspec.field(default_factory=Stdio)


class Kill(Target, kw_only=True):
    """A signal by its number; `all` sends it to every process of the container."""

    signal: int
    all: bool = False


class Pid(Body, kw_only=True):
    """A process id on the host."""

    pid: int


class Exit(Body, kw_only=True):
    """How a process ended: its code, or 128 + signal."""

    pid: int
    exit_status: int
    exited_at_ns: int
    oom: bool = False


class ProcessState(Body, kw_only=True):
    """A process as the shim knows it; `status` is `created`, `running` or `stopped`."""

    container_id: str
    exec_id: str = ""
    pid: int = 0
    status: str = ""
    exit_status: int = 0
    exited_at_ns: int = 0
    oom: bool = False
    stdio: Stdio = msgspec.field(default_factory=Stdio)


class ContainerState(Body, kw_only=True):
    """A container and its processes, its first one first; `seq` is that of its newest event.

    One without any process has been deleted, and has events that nobody acknowledged or is being tidied up.
    """

    container_id: str
    bundle: str
    seq: int
    processes: list[ProcessState]


class Connected(Body, kw_only=True):
    """Who answers, and all that it has. Unacknowledged events follow as `event`s."""

    shim_pid: int
    version: int
    containers: list[ContainerState]


class PidInfo(Body, kw_only=True):
    """A process id on the host, with the exec it was started by."""

    pid: int
    exec_id: str = ""


class Pids(Body, kw_only=True):
    """Every process of a container."""

    processes: list[PidInfo]


# --- packets -----------------------------------------------------------------------------------------------------


class Request(Message, tag="request", kw_only=True):
    """A call; `id` is the caller's, unique on its connection."""

    id: int
    method: str
    key: str = ""
    body: msgspec.Raw = msgspec.Raw(b"\x80")


class Ack(Message, tag="ack", kw_only=True):
    """All events of this container up to `seq` are stored elsewhere."""

    container_id: str
    seq: int


class Reply(Message, tag="reply", kw_only=True):
    """The answer to a request."""

    id: int
    body: msgspec.Raw = msgspec.Raw(b"\x80")


class Failure(Message, tag="error", kw_only=True):
    """The refusal of a request."""

    id: int
    code: str
    message: str
    details: dict[str, Any] = {}


class Event(Message, tag="event", kw_only=True):
    """Something that happened; `topic` and `event` are containerd's."""

    container_id: str
    seq: int
    time_ns: int
    topic: str
    event: dict[str, Any]


encode = msgspec.msgpack.Encoder().encode
"""Any of the above to bytes."""

decode_to_shim: msgspec.msgpack.Decoder[Request | Ack] = msgspec.msgpack.Decoder(Request | Ack)
decode_from_shim: msgspec.msgpack.Decoder[Reply | Failure | Event] = msgspec.msgpack.Decoder(Reply | Failure | Event)
