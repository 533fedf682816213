"""Id-mapped mounts, by the kernel: of one directory, and of an overlay's lower directories."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from linux import idmap, mount, mountinfo, mountoptions, procfs
from linux.idmap import Range

MAPPINGS = ("uidmap=0:100000:65536", "gidmap=0:200000:65536")


def test_mappings_are_read() -> None:
    assert idmap.parse("0:1000:1") == (Range(0, 1000, 1),)
    assert idmap.parse("0:1000:10,10:5000:20") == (Range(0, 1000, 10), Range(10, 5000, 20))


@pytest.mark.parametrize(
    "text",
    ["", "0", "0:1", "0:1:0", "0:1:2:3", "a:b:c", "-1:0:1", "0:4294967295:1", "0:0:10,5:100:10", "0:0:10,20:5:10"],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"INSIDE:OUTSIDE:SIZE|beyond|overlap"):
        idmap.parse(text)


def test_more_ranges_than_the_kernel_takes_are_refused() -> None:
    with pytest.raises(ValueError, match="more than 340"):
        idmap.parse(",".join(f"{number}:{number}:1" for number in range(341)))


def test_ids_are_seen_as_others_and_those_without_a_range_as_nobodys() -> None:
    ranges = idmap.parse("0:1000:10,100:5000:20")
    assert [idmap.outside(number, ranges) for number in (0, 9, 10, 100, 119, 120)] == [
        1000,
        1009,
        idmap.NOBODY,
        5000,
        5019,
        idmap.NOBODY,
    ]


def test_a_namespace_is_made_and_no_process_stays() -> None:
    before = procfs.children(os.getpid())
    with idmap.user_namespace(idmap.parse("0:100000:10"), idmap.parse("0:200000:10")) as fd:
        assert os.readlink(f"/proc/self/fd/{fd}").startswith("user:[")
        assert os.readlink(f"/proc/self/fd/{fd}") != os.readlink("/proc/self/ns/user")
    assert procfs.children(os.getpid()) == before


def test_two_threads_make_namespaces_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    fork, both = os.fork, threading.Barrier(2)

    def fork_together() -> int:
        # Each child gets the other one's pipes.
        both.wait(10)
        return fork()

    def make() -> str:
        with idmap.user_namespace(idmap.parse("0:100000:10"), idmap.parse("0:200000:10")) as fd:
            return os.readlink(f"/proc/self/fd/{fd}")

    monkeypatch.setattr(os, "fork", fork_together)
    with ThreadPoolExecutor(2) as pool:
        one, other = [made.result(10) for made in [pool.submit(make) for _ in range(2)]]
    assert one != other


@pytest.fixture
def layers(shm: str) -> Iterator[str]:
    """Two layers, an upper and a work directory, and a place to mount at."""
    with idmap.user_namespace(idmap.parse("0:1:1"), idmap.parse("0:1:1")) as userns:
        try:
            os.close(idmap.clone(shm, userns))
        except OSError as error:
            pytest.skip(f"tmpfs cannot be mapped in this kernel: {error.strerror}")
    for name in ("one", "two", "upper", "work", "place"):
        os.mkdir(f"{shm}/{name}")
    for layer, name, owner in (("one", "a", 0), ("one", "shared", 5), ("two", "b", 7), ("two", "shared", 7)):
        with open(f"{shm}/{layer}/{name}", "w") as file:
            file.write(layer)
        os.chown(f"{shm}/{layer}/{name}", owner, owner)
    os.chown(f"{shm}/upper", 100000, 200000)
    before = mountinfo.read()
    yield shm
    mount.unmount_beneath(shm)
    assert mountinfo.read() == before


def owners(place: str) -> dict[str, tuple[int, int]]:
    found = {name: os.stat(f"{place}/{name}") for name in sorted(os.listdir(place))}
    return {name: (status.st_uid, status.st_gid) for name, status in found.items()}


@pytest.mark.parametrize("access", ["rw", "ro"])
def test_a_bind_mount_has_other_owners(layers: str, access: str) -> None:
    mount.mount_one(f"{layers}/one", f"{layers}/place", fstype="bind", options=["rbind", access, *MAPPINGS])
    assert owners(f"{layers}/place") == {"a": (100000, 200000), "shared": (100005, 200005)}
    assert bool(os.statvfs(f"{layers}/place").f_flag & os.ST_RDONLY) is (access == "ro")


def options(layers: str) -> list[str]:
    return [
        *MAPPINGS,
        f"lowerdir={layers}/two:{layers}/one",
        f"upperdir={layers}/upper",
        f"workdir={layers}/work",
    ]


EXPECTED = {"a": (100000, 200000), "b": (100007, 200007), "shared": (100007, 200007)}


def test_an_overlay_has_lower_layers_with_other_owners(layers: str) -> None:
    mount.mount_one("overlay", f"{layers}/place", fstype="overlay", options=options(layers))
    assert owners(f"{layers}/place") == EXPECTED
    os.chmod(f"{layers}/place/a", 0o640)
    # What is copied up is stored as it was seen.
    assert owners(f"{layers}/upper") == {"a": (100000, 200000)}


def test_kernels_whose_overlay_wants_layers_that_are_mounted_get_them_so(layers: str) -> None:
    parsed = mountoptions.parse(options(layers))
    with idmap.user_namespace(*map(idmap.parse, parsed.mappings)) as userns:
        mount.mount_mapped_overlay("overlay", f"{layers}/place", parsed=parsed, userns=userns, attached=True)
    assert owners(f"{layers}/place") == EXPECTED


def test_many_layers_are_mapped(layers: str) -> None:
    for number in range(128):
        os.mkdir(f"{layers}/layer-{number}-{'x' * 40}")
        with open(f"{layers}/layer-{number}-{'x' * 40}/{number}", "w"):
            pass
    lower = ":".join(f"{layers}/layer-{number}-{'x' * 40}" for number in range(128))
    mount.mount_one("overlay", f"{layers}/place", fstype="overlay", options=[*MAPPINGS, f"lowerdir={lower}"])
    assert set(owners(f"{layers}/place").values()) == {(100000, 200000)}
    assert len(os.listdir(f"{layers}/place")) == 128


@pytest.mark.parametrize("half", MAPPINGS)
def test_users_and_groups_are_mapped_together(layers: str, half: str) -> None:
    with pytest.raises(ValueError, match="only go together"):
        mount.mount_one(f"{layers}/one", f"{layers}/place", fstype="bind", options=["rbind", half])


def test_a_file_system_of_another_kind_is_refused(layers: str) -> None:
    with pytest.raises(ValueError, match="not supported for file system 'tmpfs'"):
        mount.mount_one("tmpfs", f"{layers}/place", fstype="tmpfs", options=MAPPINGS)
    assert not mount.is_mountpoint(f"{layers}/place")
