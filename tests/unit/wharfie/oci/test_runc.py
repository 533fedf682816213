"""Specifications as made here, run by the real runc."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.bundle import GROUP, PASSWD, has_runc, make_rootfs, remove_cgroups, temporary_directory
from wharfie.oci.capabilities import ALL_CAPABILITIES, names_of_mask
from wharfie.oci.host import HostFacts, fit_spec, user_to_resolve
from wharfie.oci.image_config import ImageConfig
from wharfie.oci.mounts import parse_volume
from wharfie.oci.options import Network, SpecOptions
from wharfie.oci.spec import build_spec
from wharfie.oci.user import resolve_user

pytestmark = pytest.mark.skipif(not has_runc(), reason="needs root, runc and busybox")


@pytest.fixture(scope="module")
def directory() -> Iterator[str]:
    with temporary_directory() as path:
        make_rootfs(f"{path}/rootfs")
        yield path
    remove_cgroups("oci-test")


def bounding() -> tuple[str, ...]:
    with open("/proc/self/status", encoding="ascii") as file:
        return names_of_mask(next(int(line.split()[1], 16) for line in file if line.startswith("CapBnd")))


def run(directory: str, script: str, **options: Any) -> str:
    """What a shell script printed in a container with these options."""
    container_id = f"oci-{uuid.uuid4().hex[:8]}"
    made = build_spec(
        ImageConfig(),
        SpecOptions(args=("sh", "-c", script), **options),
        container_id=container_id,
        namespace="oci-test",
    )
    text = user_to_resolve(made)
    user = resolve_user(text, passwd=PASSWD, group=GROUP) if text else None
    fitted = fit_spec(
        made, HostFacts(capabilities=bounding()), container_id=container_id, namespace="oci-test", user=user
    )
    fitted["root"]["path"] = f"{directory}/rootfs"
    bundle = f"{directory}/{container_id}"
    os.mkdir(bundle)
    with open(f"{bundle}/config.json", "w", encoding="utf-8") as file:
        json.dump(fitted, file)
    command = ["runc", "--root", f"{directory}/runc", "run", "--bundle", bundle, container_id]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False, timeout=30)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout.strip()


def test_the_default_specification_runs(directory: str) -> None:
    out = run(
        directory, "hostname; pwd; grep -E 'Seccomp:|NoNewPrivs|CapEff' /proc/self/status; ls /sys/fs/cgroup | wc -l"
    )
    hostname, cwd, *rest = out.splitlines()
    assert hostname.startswith("oci-")
    assert cwd == "/"
    assert dict(line.split()[:2] for line in rest[:3]) == {
        "CapEff:": "00000000a80425fb",
        "NoNewPrivs:": "1",
        "Seccomp:": "2",
    }


def test_the_filter_refuses_what_the_profile_leaves_out(directory: str) -> None:
    script = "unshare -U true 2>&1 && echo may"
    assert "Operation not permitted" in run(directory, f"{script}; true")
    assert run(directory, script, seccomp=False) == "may"


def test_a_user_of_the_image_gets_its_groups(directory: str) -> None:
    out = run(directory, "id -u; id -g; id -G; grep CapEff /proc/self/status", user="app")
    assert out.splitlines() == ["1000", "1001", "1001 10 50", "CapEff:\t0000000000000000"]


def test_volumes_and_a_read_only_root(directory: str) -> None:
    os.makedirs(f"{directory}/volume", exist_ok=True)
    script = "touch /x 2>/dev/null && echo root; touch /v/x && echo volume; touch /r/x 2>/dev/null && echo ro; true"
    volumes = (parse_volume(f"{directory}/volume:/v"), parse_volume(f"{directory}/volume:/r:ro"))
    assert run(directory, script, readonly=True, volumes=volumes) == "volume"


def test_limits_reach_the_control_group(directory: str) -> None:
    script = "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us pids/pids.max 2>/dev/null || cat memory.max"
    values = run(directory, script, memory_bytes=64 << 20, cpus=0.5, pids_limit=50).split()
    assert str(64 << 20) in values
    if len(values) == 3:
        assert values == [str(64 << 20), "50000", "50"]


def test_privileged_holds_what_the_daemon_holds(directory: str) -> None:
    out = run(directory, "grep -E 'CapEff|Seccomp:' /proc/self/status; touch /proc/sys/x 2>&1; true", privileged=True)
    held = sum(1 << number for number, name in enumerate(ALL_CAPABILITIES) if name in bounding())
    assert f"CapEff:\t{held:016x}" in out
    assert "Seccomp:\t0" in out
    assert "Read-only" not in out


def test_the_hosts_network(directory: str) -> None:
    out = run(directory, "cat /etc/hosts; readlink /proc/self/ns/net", network=Network.HOST)
    assert os.readlink("/proc/self/ns/net") in out
