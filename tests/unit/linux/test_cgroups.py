from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from linux import cgroups, mountinfo, prctl, procfs
from linux.cgroups import Layout
from tests.support.wait import until

LEGACY = b"""\
33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
"""
UNIFIED = b"41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n"
HYBRID = LEGACY + b"41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
IN_CONTAINER = b"35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
PLAIN = b"22 27 0:21 / /proc rw,relatime - proc proc rw\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [(LEGACY, Layout.LEGACY), (HYBRID, Layout.HYBRID), (UNIFIED, Layout.UNIFIED), (PLAIN, Layout.ABSENT)],
)
def test_layout_is_told_from_the_mounts(text: bytes, expected: Layout) -> None:
    assert cgroups.layout(mountinfo.parse(PLAIN + text)) is expected


@pytest.mark.parametrize(
    ("mounts", "membership", "expected"),
    [
        (
            LEGACY,
            "4:cpu,cpuacct:/a\n3:memory:/a/b\n1:name=systemd:/\n",
            {
                "cpu": "/sys/fs/cgroup/cpu,cpuacct/a",
                "cpuacct": "/sys/fs/cgroup/cpu,cpuacct/a",
                "memory": "/sys/fs/cgroup/memory/a/b",
                "name=systemd": "/sys/fs/cgroup/systemd",
            },
        ),
        (UNIFIED, "0::/user.slice/x:y\n", {"": "/sys/fs/cgroup/user.slice/x:y"}),
        (HYBRID, "3:memory:/m\n0::/u\n", {"memory": "/sys/fs/cgroup/memory/m", "": "/sys/fs/cgroup/unified/u"}),
        (IN_CONTAINER, "3:memory:/docker/abc/sub\n", {"memory": "/sys/fs/cgroup/memory/sub"}),
        (IN_CONTAINER, "3:memory:/docker/abc\n", {"memory": "/sys/fs/cgroup/memory"}),
        (IN_CONTAINER, "3:memory:/docker/other\n", {}),
        (LEGACY + IN_CONTAINER, "3:memory:/docker/abc\n", {"memory": "/sys/fs/cgroup/memory/docker/abc"}),
        (UNIFIED, "9:pids:/p\n", {}),
    ],
)
def test_the_directories_of_a_process(mounts: bytes, membership: str, expected: dict[str, str]) -> None:
    assert cgroups.directories(mountinfo.parse(mounts), membership) == expected


def test_a_line_of_something_else_is_refused() -> None:
    with pytest.raises(ValueError, match="hello"):
        cgroups.parse_membership("hello\n")


def test_our_own_directories_exist_and_hold_us() -> None:
    found = cgroups.of_process()
    assert found
    assert all(os.getpid() in cgroups.processes(path) for path in found.values())


def test_a_process_that_is_gone_is_an_error() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    with pytest.raises(ProcessLookupError):
        cgroups.of_process(pid)


def controllers() -> list[str]:
    return [name for name in ("", "pids", "freezer") if name in cgroups.of_process(os.getpid())]


@pytest.fixture(params=controllers())
def group(request: pytest.FixtureRequest) -> Iterator[str]:
    path = f"{cgroups.of_process()[request.param]}/wharfie-test-{os.getpid()}"
    os.mkdir(path)
    yield path
    cgroups.kill(path)
    cgroups.remove(path, timeout_s=10)


def spawn(group: str) -> int:
    pid = os.fork()
    if pid == 0:
        prctl.set_pdeathsig(signal.SIGKILL)
        signal.pause()
    with open(group + "/cgroup.procs", "w", encoding="ascii") as file:
        file.write(str(pid))
    return pid


def test_kill_ends_every_process_in_the_tree_and_remove_takes_the_tree(group: str) -> None:
    os.mkdir(group + "/sub")
    pids = [spawn(group), spawn(group + "/sub"), spawn(group + "/sub")]
    assert sorted(cgroups.processes(group, recursive=True)) == sorted(pids)
    assert cgroups.processes(group) == pids[:1]
    with pytest.raises(OSError, match="busy"):
        cgroups.remove(group)
    cgroups.kill(group)
    for pid in pids:
        assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
    cgroups.remove(group, timeout_s=10)
    assert not os.path.exists(group)


def test_kill_and_remove_of_a_group_that_is_gone_are_no_ops(group: str) -> None:
    cgroups.kill(group + "/absent")
    cgroups.remove(group + "/absent")
    assert cgroups.processes(group + "/absent") == []


@pytest.mark.skipif("freezer" not in cgroups.of_process(), reason="no v1 freezer on this machine")
def test_kill_reaches_frozen_processes_on_v1() -> None:
    path = f"{cgroups.of_process()['freezer']}/wharfie-test-frozen-{os.getpid()}"
    os.mkdir(path)
    pid = spawn(path)
    with open(path + "/freezer.state", "w", encoding="ascii") as file:
        file.write("FROZEN")
    until(lambda: procfs.state(pid) in ("D", "T"))
    cgroups.kill(path)
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
    cgroups.remove(path, timeout_s=10)
