"""Every setting of the daemon, declared once: name, type, default and what `config/table.py` needs to know of it.

A field is `name: Annotated[type, Key(kind, help, …)] = default`. Adding a setting is adding a field here, and nothing
else: its validation, its line in the default file, in `config dump` and in docs/configuration.md come from it. A key
stands here only when some process honours it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated

import msgspec

from config import kind
from config.kind import GIB, KIB, MIB, Kind
from config.timeout import LONGEST_WAIT_S, SHORTEST_WAIT_S, TIMEOUTS

VERSION = 1
DEFAULT_FILE = "/etc/wharfie/config.toml"
LOG_LEVELS = ("trace", "debug", "info", "warn", "error", "fatal", "panic")

_WAIT = kind.duration(SHORTEST_WAIT_S, LONGEST_WAIT_S)
_COUNT = (1, 1 << 31)


class Key(msgspec.Struct, frozen=True):
    """What the table knows of a field beside its name, type and default."""

    kind: Kind
    help: str
    flag: str = ""
    env: str = ""
    reloadable: bool = False
    aliases: tuple[str, ...] = ()


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A table of the file; a subclass's first line of documentation is its heading."""


class Cgroup(Section, frozen=True, kw_only=True):
    """The daemon's own control group."""

    path: Annotated[str, Key(kind.text(), "control group that the daemon joins at start; empty: stays where it is")] = (
        ""
    )


class Log(Section, frozen=True, kw_only=True):
    """What is logged, and how; the log goes to standard error."""

    level: Annotated[
        str,
        Key(
            kind.choice(*LOG_LEVELS),
            "least severe level that is logged",
            flag="--log-level",
            env="WHARFIED_LOG_LEVEL",
            reloadable=True,
            aliases=("debug.level",),
        ),
    ] = "info"
    format: Annotated[
        str,
        Key(
            kind.choice("text", "json"),
            "one line of key=value pairs, or one JSON object a line",
            reloadable=True,
            aliases=("debug.format",),
        ),
    ] = "text"


class Router(Section, frozen=True, kw_only=True):
    """The sockets that clients connect to, and the limits on what they send."""

    address: Annotated[
        str,
        Key(
            kind.socket_address(),
            "path of the clients' Unix socket; empty: wharfie.sock in the state directory",
            flag="--address",
            env="WHARFIED_ADDRESS",
            aliases=("grpc.address",),
        ),
    ] = ""
    uid: Annotated[
        int, Key(kind.integer(-1, 0x7FFFFFFF), "owner of the socket; -1: the daemon's", aliases=("grpc.uid",))
    ] = -1
    gid: Annotated[
        int, Key(kind.integer(-1, 0x7FFFFFFF), "group of the socket; -1: the daemon's", aliases=("grpc.gid",))
    ] = -1
    mode: Annotated[int, Key(kind.mode(), "permission bits of the socket")] = 0o660
    tcp_address: Annotated[
        str, Key(kind.tcp_address(), "address for remote clients; empty: none; needs the two CURVE keys below")
    ] = ""
    curve_server_key_file: Annotated[
        str, Key(kind.path(), "file with the router's CURVE secret key, readable by its owner only")
    ] = ""
    curve_allowed_clients_dir: Annotated[
        str, Key(kind.path(), "directory with the CURVE public keys of the clients that may connect, one file each")
    ] = ""
    max_message_bytes: Annotated[
        int,
        Key(
            kind.size(64 * KIB, GIB),
            "largest message, all its frames together",
            aliases=("grpc.max_recv_message_size",),
        ),
    ] = 16 * MIB
    max_header_bytes: Annotated[int, Key(kind.size(KIB, 16 * MIB), "largest header of a message")] = 64 * KIB
    max_depth: Annotated[int, Key(kind.integer(4, 500), "deepest nesting of maps and arrays in a header or a body")] = (
        32
    )
    max_outstanding_per_client: Annotated[
        int, Key(kind.integer(*_COUNT), "requests that one client may have unanswered; one more is refused")
    ] = 1024
    max_outstanding_per_worker: Annotated[
        int, Key(kind.integer(*_COUNT), "requests that may wait for one worker; one more is refused")
    ] = 4096
    dead_letters: Annotated[
        int, Key(kind.integer(1, 1_000_000), "undeliverable messages that are kept for inspection")
    ] = 1000


class Shim(Section, frozen=True, kw_only=True):
    """The process beside each container."""

    address: Annotated[str, Key(kind.path(), "directory of the shims' sockets; empty: s in the state directory")] = ""
    runtime: Annotated[str, Key(kind.program(), "the OCI runtime, a name on PATH or an absolute path")] = "runc"
    runc_root: Annotated[
        str,
        Key(
            kind.path(),
            "the OCI runtime's own state, a directory for each namespace; empty: runc in the state directory",
        ),
    ] = ""


class Supervisor(Section, frozen=True, kw_only=True):
    """When a process is restarted, and when it counts as hung."""

    intensity: Annotated[
        int,
        Key(
            kind.integer(0, 1_000_000),
            "restarts within `period_s` that are borne; one more ends the daemon",
            reloadable=True,
        ),
    ] = 20
    period_s: Annotated[float, Key(_WAIT, "the time over which restarts are counted", reloadable=True)] = 10.0
    heartbeat_interval_s: Annotated[float, Key(_WAIT, "time between two heartbeats of a process", reloadable=True)] = (
        1.0
    )
    heartbeat_misses: Annotated[
        int,
        Key(
            kind.integer(1, 1000),
            "heartbeats in a row that may be missed before a process counts as hung",
            reloadable=True,
        ),
    ] = 5
    ready_timeout_s: Annotated[
        float,
        Key(
            _WAIT,
            "from fork to ready message, of a process without a timeout of its own in [timeouts]",
            reloadable=True,
        ),
    ] = 10.0
    backoff_first_s: Annotated[
        float, Key(_WAIT, "wait before the first restart of a process that never became ready", reloadable=True)
    ] = 0.1
    backoff_factor: Annotated[
        float, Key(kind.number(1, 100), "by how much each further wait is longer", reloadable=True)
    ] = 2.0
    backoff_max_s: Annotated[float, Key(_WAIT, "longest wait before a restart", reloadable=True)] = 30.0
    backoff_jitter: Annotated[
        float,
        Key(
            kind.number(0, 0.99),
            "share of a wait that is random, so that processes do not restart in step",
            reloadable=True,
        ),
    ] = 0.2
    backoff_reset_after_s: Annotated[
        float, Key(_WAIT, "a process ready for this long starts again with the first wait", reloadable=True)
    ] = 60.0
    memory_max_bytes: Annotated[
        int, Key(kind.size(0), "memory limit of each worker's control group; 0: none", reloadable=True)
    ] = 0
    crash_reports: Annotated[
        int, Key(kind.integer(0, 10_000), "crash reports that are kept for each process", reloadable=True)
    ] = 20


class Events(Section, frozen=True, kw_only=True):
    """What is kept of past events, for subscribers that reconnect."""

    retention_count: Annotated[int, Key(kind.integer(0, 10_000_000), "events that are kept at most")] = 10_000
    retention_age_s: Annotated[float, Key(kind.duration(0), "age at which an event is dropped")] = 3600.0


class Gc(Section, frozen=True, kw_only=True):
    """When garbage is collected, and what is spared; the first five are containerd's."""

    pause_threshold: Annotated[
        float, Key(kind.number(0.0001, 0.5), "largest share of its time that the metadata worker collects")
    ] = 0.02
    deletion_threshold: Annotated[
        int,
        Key(
            kind.integer(0, 1 << 31),
            "deletions that make a collection run at once; 0: one deletion makes the next one that is due run",
        ),
    ] = 0
    mutation_threshold: Annotated[
        int,
        Key(
            kind.integer(0, 1 << 31),
            "changes that make the next collection that is due run without a deletion; 0: none do",
        ),
    ] = 100
    schedule_delay_s: Annotated[
        float,
        Key(kind.duration(0), "from what makes a collection run to its start", aliases=("gc.schedule_delay",)),
    ] = 0.0
    startup_delay_s: Annotated[
        float,
        Key(kind.duration(0), "from the worker's start to the first collection", aliases=("gc.startup_delay",)),
    ] = 0.1
    default_lease_s: Annotated[
        float,
        Key(kind.duration(0), "how long what was uploaded or prepared without a lease is held at least; 0: not at all"),
    ] = 24 * 3600.0


class Content(Section, frozen=True, kw_only=True):
    """The store of blobs."""

    read_chunk_bytes: Annotated[int, Key(kind.size(4 * KIB, 16 * MIB), "bytes in one item of a blob that is read")] = (
        MIB
    )
    sharing_policy: Annotated[
        str,
        Key(
            kind.choice("shared", "isolated"),
            "how a namespace gets a blob that another one has; isolated: by sending all of its bytes",
        ),
    ] = "shared"


class Snapshot(Section, frozen=True, kw_only=True):
    """The file systems of containers."""

    snapshotter: Annotated[str, Key(kind.text(), "snapshotter that is used when a request names none")] = "overlayfs"
    flush: Annotated[
        str,
        Key(
            kind.choice("filesystem", "none"),
            "what is on disk before a snapshot counts as committed; none: a power failure may cost a new image files",
        ),
    ] = "filesystem"
    mount_options: Annotated[
        tuple[str, ...],
        Key(kind.strings("a mount option"), 'added to every overlay mount of a container, such as "volatile"'),
    ] = ()
    slow_chown: Annotated[
        bool,
        Key(
            kind.boolean(),
            "for user namespaces: copy an image's files and change their owners where the kernel cannot show them so",
        ),
    ] = False
    sync_remove: Annotated[
        bool, Key(kind.boolean(), "a removed snapshot's space is free when the removal is answered, and not soon after")
    ] = False
    upperdir_label: Annotated[
        bool,
        Key(
            kind.boolean(),
            "tell a snapshot's own directory in the label containerd.io/snapshot/overlay.upperdir (overlayfs)",
        ),
    ] = False


class Transfer(Section, frozen=True, kw_only=True):
    """Images from registries and archives; the limits guard against archives made to fill the disk."""

    hosts_dir: Annotated[str, Key(kind.path(), "directory of the registries' settings: HOST/hosts.toml")] = (
        "/etc/wharfie/hosts.d"
    )
    max_concurrent_downloads: Annotated[
        int, Key(kind.integer(1, 64), "blobs of one pull that are fetched at the same time")
    ] = 3
    max_concurrent_uploads: Annotated[
        int, Key(kind.integer(1, 64), "blobs of one push that are sent at the same time")
    ] = 3
    ranges: Annotated[
        int,
        Key(kind.integer(1, 16), "parts of one large blob that are fetched at the same time; 1: it is not divided"),
    ] = 1
    range_bytes: Annotated[int, Key(kind.size(64 * KIB, 64 * MIB), "how long such a part is")] = 4 * MIB

    max_concurrent_unpacks: Annotated[
        int, Key(kind.integer(0, 1024), "layers that are unpacked at the same time; 0: one for each processor")
    ] = 0
    max_unpacked_bytes: Annotated[int, Key(kind.size(MIB), "largest size of one layer when unpacked")] = 64 * GIB
    max_entries: Annotated[int, Key(kind.integer(*_COUNT), "most files, directories and links in one layer")] = (
        2_000_000
    )
    max_ratio: Annotated[
        float, Key(kind.number(1, 1_000_000), "largest ratio of a layer's unpacked to its packed size")
    ] = 1000.0


class Registry(Section, frozen=True, kw_only=True):
    """How patient the daemon is with registries; which hosts stand for one is in its hosts.toml."""

    attempts: Annotated[
        int, Key(kind.integer(1, 100), "times that a request is sent at most while the registry fails or is away")
    ] = 5
    backoff_first_s: Annotated[
        float, Key(_WAIT, "wait before the second attempt; each further one is twice as long")
    ] = 0.25
    backoff_max_s: Annotated[float, Key(_WAIT, "longest such wait")] = 10.0
    retry_after_max_s: Annotated[
        float,
        Key(kind.duration(0, LONGEST_WAIT_S), "longest wait that a registry may ask for; a longer one is an error"),
    ] = 60.0
    connect_timeout_s: Annotated[float, Key(_WAIT, "for the connection to one address of a host")] = 10.0
    idle_timeout_s: Annotated[float, Key(_WAIT, "how long a registry may be silent")] = 30.0
    upload_chunk_bytes: Annotated[
        int, Key(kind.size(64 * KIB, GIB), "a larger blob is sent in pieces of this size, and resumed between them")
    ] = 32 * MIB


class Settings(Section, frozen=True, kw_only=True):
    """The whole configuration, typed, complete and immutable: what a process reads."""

    version: Annotated[int, Key(kind.integer(1, VERSION), "version of this file's format")] = VERSION
    root: Annotated[
        str, Key(kind.path(relative=True), "directory of what outlives a reboot", flag="--root", env="WHARFIED_ROOT")
    ] = "/var/lib/wharfie"
    state: Annotated[
        str, Key(kind.path(relative=True), "directory of what does not", flag="--state", env="WHARFIED_STATE")
    ] = "/run/wharfie"
    temp: Annotated[str, Key(kind.path(), "directory of temporary files, exported as TMPDIR; empty: the system's")] = ""
    imports: Annotated[
        tuple[str, ...],
        Key(
            kind.strings("a path or a pattern"),
            "files merged over this one, in order; relative to this file's directory",
        ),
    ] = ("/etc/wharfie/conf.d/*.toml",)
    required_plugins: Annotated[
        tuple[str, ...],
        Key(kind.strings("a plugin's full id", dotted=True), "plugins without which the daemon does not start"),
    ] = ()
    disabled_plugins: Annotated[
        tuple[str, ...], Key(kind.strings("a plugin's full id", dotted=True), "plugins that are not loaded")
    ] = ()
    plugin_dir: Annotated[
        str, Key(kind.path(), "directory of additional plugins, one Python file each; empty: none")
    ] = ""
    oom_score: Annotated[int, Key(kind.integer(-1000, 1000), "the daemon's oom_score_adj; 0: left as it is")] = 0
    cgroup: Cgroup = Cgroup()
    log: Log = Log()
    router: Router = Router()
    shim: Shim = Shim()
    supervisor: Supervisor = Supervisor()
    events: Events = Events()
    gc: Gc = Gc()
    content: Content = Content()
    snapshot: Snapshot = Snapshot()
    transfer: Transfer = Transfer()
    registry: Registry = Registry()
    timeouts: Mapping[str, float] = MappingProxyType({name: entry.default_s for name, entry in TIMEOUTS.items()})
    plugins: Mapping[str, Mapping[str, object]] = MappingProxyType({})
