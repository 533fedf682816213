"""The runtime specification (`config.json`) of a container.

`build_spec` is what a client calls: an image's configuration and the caller's options become a whole specification that
says nothing of the host it will run on. `fit_spec` in `host` completes it on that host. Where nothing else is said, the
values are containerd's defaults.
"""

from __future__ import annotations

from typing import Any

from wharfie.oci.capabilities import ALL_CAPABILITIES, capability_set, process_capabilities
from wharfie.oci.devices import default_rules, privileged_rules
from wharfie.oci.image_config import ContainerConfig, ImageConfig
from wharfie.oci.mounts import Volume, merge_mounts, system_mounts, volume_mounts
from wharfie.oci.options import Network, SpecOptions, check_options
from wharfie.oci.process import DEFAULT_PATH, merge_args, merge_env, process_user, working_directory
from wharfie.oci.user import numeric_user

OCI_VERSION = "1.0.2"
"""The specification's version: 1.0.2 is what runc 1.1 and crun 1.8 both accept."""

PRIVILEGED_ANNOTATION = "io.wharfie.privileged"
"""Tells `fit_spec` to add the devices of the host."""

NOFILE_LIMIT = 1024
"""Open files of a process, as containerd sets it; without it the daemon's own limit would be inherited."""

CPU_PERIOD_US = 100_000

HOST_FILES = ("/etc/hosts", "/etc/resolv.conf")

MASKED_PATHS = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
"""What tells of or reaches the host's hardware."""

READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
"""What would change the host's kernel."""


def cgroups_path(namespace: str, container_id: str) -> str:
    """The container's control group, below the root of each hierarchy (cgroupfs driver)."""
    return f"/wharfie/{namespace}/{container_id}"


def build_spec(
    image: ImageConfig,
    options: SpecOptions,
    *,
    container_id: str,
    namespace: str,
    machine: str = "x86_64",
) -> dict[str, Any]:
    """A whole specification; nothing in it depends on this host.

    A user given by name stays in `process.user.username` for `fit_spec`, since only the image's own files know it.

    Args:
        image: the image's configuration; `ImageConfig()` when there is none.
        options: the caller's wishes.
        container_id: names the control group and, when nothing else does, the host name.
        namespace: Wharfie's namespace; names the control group.
        machine: `uname -m` of the host that will run it, for the seccomp profile.

    Raises:
        InvalidArgument: an option is wrong or there is nothing to run; `details["field"]` names it.

    """
    check_options(options)
    defaults = image.config or ContainerConfig()
    capabilities = (
        ALL_CAPABILITIES if options.privileged else capability_set(add=options.cap_add, drop=options.cap_drop)
    )
    spec: dict[str, Any] = {
        "ociVersion": OCI_VERSION,
        "process": _process(defaults, options, capabilities),
        "root": {"path": "rootfs", "readonly": options.readonly},
        "mounts": merge_mounts(system_mounts(writable=options.privileged), _volumes(options)),
        "linux": _linux(options, cgroup=cgroups_path(namespace, container_id)),
    }
    hostname = options.hostname or (container_id[:63] if options.network is Network.NONE else "")
    if hostname:
        spec["hostname"] = hostname
    annotations = dict(options.annotations)
    if options.privileged:
        annotations[PRIVILEGED_ANNOTATION] = "true"
    elif options.seccomp:
        # Here and not on top: a process that never builds an ordinary specification does not load the profile.
        from wharfie.oci.seccomp import default_profile

        spec["linux"]["seccomp"] = default_profile(capabilities, machine=machine)
    if annotations:
        spec["annotations"] = annotations
    return spec


def _process(defaults: ContainerConfig, options: SpecOptions, capabilities: tuple[str, ...]) -> dict[str, Any]:
    env = merge_env(defaults.env or (), ())
    if not any(entry.startswith("PATH=") for entry in env):
        env.insert(0, DEFAULT_PATH)
    if options.tty and not any(entry.startswith("TERM=") for entry in env):
        env.append("TERM=xterm")
    text = options.user or defaults.user or "0"
    user = numeric_user(text)
    return {
        "terminal": options.tty,
        "user": process_user(user) if user else {"uid": 0, "gid": 0, "username": text},
        "args": merge_args(defaults, args=options.args, entrypoint=options.entrypoint),
        "env": merge_env(env, options.env),
        "cwd": working_directory(defaults, options.workdir or None),
        "capabilities": process_capabilities(capabilities, is_root=user is None or user.uid == 0),
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": NOFILE_LIMIT, "hard": NOFILE_LIMIT}],
        "noNewPrivileges": not (options.privileged or options.new_privileges),
    }


def _linux(options: SpecOptions, *, cgroup: str) -> dict[str, Any]:
    kinds = ["pid", "ipc", "uts", "mount"]
    if options.network is Network.NONE:
        kinds.append("network")
    return {
        "cgroupsPath": cgroup,
        "namespaces": [{"type": kind} for kind in kinds],
        "resources": _resources(options),
        "maskedPaths": [] if options.privileged else list(MASKED_PATHS),
        "readonlyPaths": [] if options.privileged else list(READONLY_PATHS),
    }


def _resources(options: SpecOptions) -> dict[str, Any]:
    resources: dict[str, Any] = {"devices": privileged_rules() if options.privileged else default_rules()}
    if options.memory_bytes:
        resources["memory"] = {"limit": options.memory_bytes}
    if options.cpus:
        resources["cpu"] = {"quota": round(options.cpus * CPU_PERIOD_US), "period": CPU_PERIOD_US}
    if options.pids_limit:
        resources["pids"] = {"limit": options.pids_limit}
    return resources


def _volumes(options: SpecOptions) -> list[dict[str, Any]]:
    """The caller's volumes, and with the host's network the files that make its names resolve."""
    volumes = list(options.volumes)
    if options.network is Network.HOST:
        taken = {volume.target for volume in volumes}
        volumes += [Volume(source=path, target=path, readonly=True) for path in HOST_FILES if path not in taken]
    return volume_mounts(volumes)
