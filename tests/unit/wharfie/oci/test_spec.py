from __future__ import annotations

import json
from typing import Any

import pytest

from wharfie.errors import InvalidArgument
from wharfie.oci.capabilities import ALL_CAPABILITIES, DEFAULT_CAPABILITIES
from wharfie.oci.devices import Device
from wharfie.oci.host import HostFacts, fit_process, fit_spec, user_to_resolve
from wharfie.oci.image_config import ContainerConfig, ImageConfig
from wharfie.oci.mounts import parse_volume
from wharfie.oci.options import Network, SpecOptions
from wharfie.oci.spec import build_spec
from wharfie.oci.user import User

IMAGE = ImageConfig(config=ContainerConfig(cmd=("sh",), env=("A=1",), working_dir="/srv", user="app"))
HOST = HostFacts(capabilities=tuple(c for c in ALL_CAPABILITIES if c != "CAP_SYS_RESOURCE"))


def spec(image: ImageConfig = IMAGE, **options: Any) -> dict[str, Any]:
    return build_spec(image, SpecOptions(**options), container_id="c1", namespace="ns")


def namespaces(document: dict[str, Any]) -> set[str]:
    return {entry["type"] for entry in document["linux"]["namespaces"]}


def test_the_default_keeps_the_container_apart() -> None:
    document = spec()
    assert namespaces(document) == {"pid", "ipc", "uts", "mount", "network"}
    assert document["process"]["noNewPrivileges"] is True
    assert set(document["process"]["capabilities"]["bounding"]) == set(DEFAULT_CAPABILITIES)
    assert document["process"]["rlimits"] == [{"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 1024}]
    assert "/proc/kcore" in document["linux"]["maskedPaths"]
    assert "/proc/sys" in document["linux"]["readonlyPaths"]
    assert document["linux"]["resources"]["devices"][0] == {"allow": False, "access": "rwm"}
    assert document["linux"]["seccomp"]["defaultAction"] == "SCMP_ACT_ERRNO"
    assert document["linux"]["cgroupsPath"] == "/wharfie/ns/c1"
    assert document["hostname"] == "c1"


def test_the_images_wishes_are_in_it() -> None:
    process = spec()["process"]
    assert process["args"] == ["sh"]
    assert process["cwd"] == "/srv"
    assert process["env"] == ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "A=1"]


def test_a_variable_of_the_caller_can_remove_even_the_default_path() -> None:
    assert spec(env=("PATH", "B=2"))["process"]["env"] == ["A=1", "B=2"]


def test_every_option_arrives() -> None:
    document = spec(
        args=("ls",),
        user="5:6",
        volumes=(parse_volume("/host:/data:ro"),),
        readonly=True,
        hostname="box",
        tty=True,
        memory_bytes=64 << 20,
        cpus=1.5,
        pids_limit=10,
        cap_drop=("ALL",),
        new_privileges=True,
        seccomp=False,
        annotations={"k": "v"},
    )
    assert document["root"] == {"path": "rootfs", "readonly": True}
    assert document["hostname"] == "box"
    assert document["process"]["terminal"] is True
    assert "TERM=xterm" in document["process"]["env"]
    assert document["process"]["user"] == {"uid": 5, "gid": 6, "additionalGids": [6]}
    assert document["process"]["capabilities"] == {"bounding": []}
    assert document["process"]["noNewPrivileges"] is False
    assert document["mounts"][-1]["destination"] == "/data"
    resources = document["linux"]["resources"]
    assert resources["memory"] == {"limit": 64 << 20}
    assert resources["cpu"] == {"quota": 150_000, "period": 100_000}
    assert resources["pids"] == {"limit": 10}
    assert "seccomp" not in document["linux"]
    assert document["annotations"] == {"k": "v"}


def test_the_hosts_network_is_shared_with_the_files_that_make_names_resolve() -> None:
    document = spec(network=Network.HOST)
    assert "network" not in namespaces(document)
    assert "hostname" not in document
    bound = {mount["destination"]: mount["options"] for mount in document["mounts"] if mount["type"] == "bind"}
    assert set(bound) == {"/etc/hosts", "/etc/resolv.conf"}
    assert all("ro" in options for options in bound.values())


def test_privileged_gives_up_what_its_docstring_says() -> None:
    document = spec(privileged=True, user="0:0")
    assert set(document["process"]["capabilities"]["effective"]) == set(ALL_CAPABILITIES)
    assert "seccomp" not in document["linux"]
    assert document["linux"]["maskedPaths"] == document["linux"]["readonlyPaths"] == []
    assert document["linux"]["resources"]["devices"] == [{"allow": True, "access": "rwm"}]
    assert {m["destination"]: m["options"][-1] for m in document["mounts"]}["/sys"] == "rw"
    fitted = fit_spec(
        document,
        HostFacts(capabilities=("CAP_CHOWN",), devices=(Device(path="/dev/kvm", type="c", major=10, minor=232),)),
        container_id="c1",
        namespace="ns",
    )
    assert [device["path"] for device in fitted["linux"]["devices"]] == ["/dev/kvm"]
    assert fitted["process"]["capabilities"]["effective"] == ["CAP_CHOWN"]


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("memory", {"memory_bytes": 1024}),
        ("memory", {"memory_bytes": -1}),
        ("cpus", {"cpus": 0.001}),
        ("cpus", {"cpus": -1.0}),
        ("cpus", {"cpus": float("nan")}),
        ("pids_limit", {"pids_limit": -1}),
        ("hostname", {"hostname": "-x"}),
        ("hostname", {"hostname": "a" * 65}),
        ("workdir", {"workdir": "x"}),
        ("args", {"args": ("a\0b",)}),
        ("capabilities", {"cap_add": ("NONE",)}),
    ],
)
def test_a_wrong_option_is_refused_by_its_name(field: str, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument) as caught:
        spec(**options)
    assert caught.value.details == {"field": field}


def test_a_user_by_name_waits_for_the_images_files() -> None:
    document = spec()
    assert user_to_resolve(document) == "app"
    assert user_to_resolve(spec(user="5:6")) is None
    fitted = fit_spec(
        document, HOST, container_id="c1", namespace="ns", user=User(uid=5, gid=6, additional_gids=(6, 7))
    )
    assert fitted["process"]["user"] == {"uid": 5, "gid": 6, "additionalGids": [6, 7]}
    assert set(fitted["process"]["capabilities"]) == {"bounding"}
    assert user_to_resolve(document) == "app", "the one given is not changed"


def test_an_image_without_a_user_runs_as_root_with_roots_groups() -> None:
    assert user_to_resolve(spec(ImageConfig(config=ContainerConfig(cmd=("sh",))))) == "0"


def test_capabilities_that_the_host_lacks_are_left_out() -> None:
    fitted = fit_process({"capabilities": {"bounding": ["CAP_CHOWN", "CAP_SYS_RESOURCE"]}}, HOST)
    assert fitted["capabilities"] == {"bounding": ["CAP_CHOWN"]}


def test_a_cgroup_namespace_where_only_cgroup_v2_is_mounted() -> None:
    unified = HostFacts(capabilities=(), unified_cgroups=True)
    assert "cgroup" in namespaces(fit_spec(spec(), unified, container_id="c1", namespace="ns"))
    assert "cgroup" not in namespaces(fit_spec(spec(), HOST, container_id="c1", namespace="ns"))


def test_a_foreign_specification_gets_our_control_group_and_keeps_its_own() -> None:
    assert fit_spec({}, HOST, container_id="c", namespace="n")["linux"]["cgroupsPath"] == "/wharfie/n/c"
    kept = fit_spec({"linux": {"cgroupsPath": "/mine"}}, HOST, container_id="c", namespace="n")
    assert kept["linux"]["cgroupsPath"] == "/mine"


def test_it_is_json() -> None:
    assert json.loads(json.dumps(spec())) == spec()
