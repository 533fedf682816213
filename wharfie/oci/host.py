"""Fitting a specification to the host that runs it.

A client, perhaps on another machine, made the specification; what only the host or the image's files know is filled in
here, by the daemon, from facts that it read. Still pure: the facts come in, a new specification goes out.
"""

from __future__ import annotations

from typing import Any

import msgspec

from wharfie.oci.capabilities import process_capabilities
from wharfie.oci.devices import Device, device_nodes
from wharfie.oci.process import process_user
from wharfie.oci.spec import PRIVILEGED_ANNOTATION, cgroups_path
from wharfie.oci.user import User


class HostFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the daemon knows of its host.

    Attributes:
        capabilities: the daemon's own bounding set; nobody can give what he does not have.
        unified_cgroups: cgroup v2 alone is mounted.
        devices: the nodes below /dev, for privileged containers.

    """

    capabilities: tuple[str, ...]
    unified_cgroups: bool = False
    devices: tuple[Device, ...] = ()


def user_to_resolve(spec: dict[str, Any]) -> str | None:
    """The user text that has to be looked up in the image's files; None when the specification has numbers only."""
    text = spec.get("process", {}).get("user", {}).get("username")
    return text if isinstance(text, str) and text else None


def fit_spec(
    spec: dict[str, Any], host: HostFacts, *, container_id: str, namespace: str, user: User | None = None
) -> dict[str, Any]:
    """The specification as it will be written to the bundle; the one given is not changed.

    - the user's numbers replace its name, and its capabilities follow from them;
    - capabilities that the host cannot give are left out;
    - the control group is ours when the specification names none;
    - a private cgroup namespace where cgroup v2 makes that sensible;
    - the devices of the host for a privileged container.

    Args:
        spec: as the container's record has it.
        host: facts of this host.
        container_id: for the control group.
        namespace: for the control group.
        user: what `user_to_resolve` turned out to be.

    """
    fitted = dict(spec)
    fitted["process"] = fit_process(spec.get("process", {}), host, user=user)
    section = dict(spec.get("linux", {}))
    section.setdefault("cgroupsPath", cgroups_path(namespace, container_id))
    kinds = [namespace_["type"] for namespace_ in section.get("namespaces", ())]
    if host.unified_cgroups and "cgroup" not in kinds and "mount" in kinds:
        section["namespaces"] = [*section["namespaces"], {"type": "cgroup"}]
    if spec.get("annotations", {}).get(PRIVILEGED_ANNOTATION) == "true":
        present = {device["path"] for device in section.get("devices", ())}
        added = tuple(device for device in host.devices if device.path not in present)
        section["devices"] = [*section.get("devices", ()), *device_nodes(added)]
    fitted["linux"] = section
    return fitted


def fit_process(process: dict[str, Any], host: HostFacts, *, user: User | None = None) -> dict[str, Any]:
    """The `process` object alone: of the container, or of an exec."""
    fitted = dict(process)
    capabilities = {
        kind: [name for name in names if name in host.capabilities]
        for kind, names in process.get("capabilities", {}).items()
    }
    if user is not None:
        fitted["user"] = process_user(user)
        if "bounding" in capabilities:
            capabilities = process_capabilities(capabilities["bounding"], is_root=user.uid == 0)
    elif "username" in process.get("user", {}):
        fitted["user"] = {key: value for key, value in process["user"].items() if key != "username"}
    if capabilities:
        fitted["capabilities"] = capabilities
    return fitted
