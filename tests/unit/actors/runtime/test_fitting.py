from __future__ import annotations

import os
from pathlib import Path

import pytest

from actors.runtime import fitting
from actors.runtime.fitting import Groups, Hierarchies, groups_of, hierarchies, layers_of, user_of_image, user_of_root
from linux.mountinfo import MountInfo, read
from wharfie.errors import InvalidArgument
from wharfie.oci.user import User
from wharfie.types.base import Mount


def mounted(fstype: str, mountpoint: str, *options: str) -> MountInfo:
    return MountInfo(1, 1, "0:1", "/", mountpoint, ("rw",), (), fstype, "x", options)


HYBRID = (
    mounted("tmpfs", "/sys/fs/cgroup"),
    mounted("cgroup", "/c/pids", "rw", "pids"),
    mounted("cgroup", "/c/memory", "rw", "memory"),
    mounted("cgroup2", "/c/unified"),
)


def test_control_groups_are_found_on_each_layout() -> None:
    assert hierarchies(HYBRID) == Hierarchies("/c/memory", "/c/pids", ("/c/pids", "/c/memory", "/c/unified"))
    assert hierarchies([mounted("cgroup2", "/c")]) == Hierarchies("/c", "/c", ("/c",))
    assert hierarchies([mounted("cgroup", "/c/memory", "memory")]).processes == "/c/memory"
    assert hierarchies([]) == Hierarchies("", "", ())


def test_the_groups_of_a_container() -> None:
    spec = {"linux": {"cgroupsPath": "/wharfie/n/c"}}
    assert groups_of(spec, hierarchies(HYBRID)) == Groups(
        memory="/c/memory/wharfie/n/c",
        processes="/c/pids/wharfie/n/c",
        every=("/c/pids/wharfie/n/c", "/c/memory/wharfie/n/c", "/c/unified/wharfie/n/c"),
        is_plain=True,
    )
    assert not groups_of({**spec, "hooks": {"poststop": [{"path": "/x"}]}}, hierarchies(HYBRID)).is_plain
    assert groups_of({"linux": {"cgroupsPath": "system.slice:wharfie:c"}}, hierarchies(HYBRID)) == Groups()
    assert groups_of({}, hierarchies(HYBRID)) == Groups()


def test_the_hosts_facts_are_its_own() -> None:
    facts = fitting.host_facts(read())
    assert "CAP_CHOWN" in facts.capabilities
    assert facts.devices == ()
    assert "/dev/null" in {device.path for device in fitting.with_devices(facts).devices}


def test_layers_come_topmost_first() -> None:
    overlay = Mount(type="overlay", source="overlay", options=["upperdir=/u", "workdir=/w", "lowerdir=/2:/1"])
    assert layers_of([overlay]) == ["/u", "/2", "/1"]
    assert layers_of([Mount(type="bind", source="/b", options=["rbind"])]) == ["/b"]


def image(path: Path, text: str) -> str:
    (path / "etc").mkdir(parents=True, exist_ok=True)
    (path / "etc/passwd").write_text(text)
    return str(path)


def test_a_user_comes_from_the_topmost_layer_that_has_the_file(tmp_path: Path) -> None:
    lower = image(tmp_path / "1", "app:x:1:1::/:/bin/sh\n")
    upper = image(tmp_path / "2", "app:x:2:2::/:/bin/sh\n")
    mounts = [Mount(type="overlay", source="overlay", options=[f"lowerdir={upper}:{lower}"])]
    assert user_of_image("app", mounts) == User(uid=2, gid=2, additional_gids=(2,))


def test_a_removed_file_is_not_read_from_below(tmp_path: Path) -> None:
    lower = image(tmp_path / "1", "app:x:1:1::/:/bin/sh\n")
    (tmp_path / "2/etc").mkdir(parents=True)
    os.mknod(tmp_path / "2/etc/passwd", 0o020000, os.makedev(0, 0))
    mounts = [Mount(type="overlay", source="overlay", options=[f"lowerdir={tmp_path}/2:{lower}"])]
    with pytest.raises(InvalidArgument, match="'app' not found"):
        user_of_image("app", mounts)


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../../../../etc/passwd", "/proc/self/root/etc/passwd"])
def test_a_link_out_of_the_image_is_not_followed(tmp_path: Path, target: str) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").symlink_to(target)
    with pytest.raises(InvalidArgument, match="not found in the image's /etc/passwd"):
        user_of_root("root", str(tmp_path))


def test_a_fifo_in_the_place_of_a_file_does_not_hang(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    os.mkfifo(tmp_path / "etc/passwd")
    assert user_of_root("5:6", str(tmp_path)) == User(uid=5, gid=6, additional_gids=(6,))


def test_only_what_cannot_hang_is_mounted_here(tmp_path: Path) -> None:
    root = str(tmp_path)
    assert not fitting.mount_quickly([Mount(type="nfs", source="h:/x")], root)
    assert not fitting.mount_quickly([Mount(type="bind", source="/a"), Mount(type="bind", source="/b")], root)
    assert not fitting.mount_quickly([Mount(type="bind", source="/a", target="/sub")], root)
    assert not fitting.mount_quickly([], root)


def test_private_pids() -> None:
    assert fitting.has_private_pids({"linux": {"namespaces": [{"type": "pid"}]}})
    assert not fitting.has_private_pids({"linux": {"namespaces": [{"type": "pid", "path": "/proc/1/ns/pid"}]}})
    assert not fitting.has_private_pids({})
