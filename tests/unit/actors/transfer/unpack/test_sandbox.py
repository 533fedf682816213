from __future__ import annotations

import gzip
import os
import resource
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from actors.transfer.unpack import sandbox
from actors.transfer.unpack.layer import unpack_layer
from actors.transfer.unpack.messages import UnpackRequest, UnpackResult, Whiteouts
from linux import capabilities, mount, mountattr, namespaces, prctl
from linux.capabilities import Capability
from tests.support import tars
from tests.support.fork import in_fork

CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")
LAYER = gzip.compress(
    tars.tar(
        [
            tars.file("f", b"x", uid=5, gid=6, mode=0o4755),
            tars.directory("d", uid=5, mode=0o2700),
            tars.file("d/f", mode=0),
            tars.node("null", b"3", major=1, minor=3),
            tars.symlink("l", "d"),
            tars.file("l/through"),
            tars.file("l/made/through"),
            tars.hardlink("h", "l/f"),
            tars.file(".wh.gone"),
            tars.file("d/.wh..wh..opq"),
        ]
    )
    + b""
)
WITH_CAPABILITY = tars.pax((b"SCHILY.xattr.security.capability", CAPABILITY), (b"SCHILY.xattr.security.selinux", b"x"))


def request(shm: str, **fields: object) -> UnpackRequest:
    return UnpackRequest(**{"blob_path": f"{shm}/blob", "target": f"{shm}/target", **fields})  # type: ignore[arg-type]


def enter(asked: UnpackRequest) -> None:
    """Give up all but what the request needs."""
    sandbox.confine(sandbox.needed_capabilities(asked))


def unpack_inside(asked: UnpackRequest, check: Callable[[UnpackResult], None] = lambda result: None) -> None:
    """Unpack as a job does: with a target that was opened before."""

    def run() -> None:
        root = os.open(asked.target, os.O_RDONLY)
        enter(asked)
        check(unpack_layer(msgspec.structs.replace(asked, target=f"/proc/self/fd/{root}")))

    in_fork(run)


@pytest.mark.parametrize(
    "fields",
    [
        {"whiteouts": Whiteouts.OVERLAY},
        {"whiteouts": Whiteouts.OVERLAY, "userxattr": True},
        {"whiteouts": Whiteouts.PLAIN},
    ],
    ids=["overlay", "userxattr", "plain"],
)
def test_a_layer_with_everything_unpacks_in_the_sandbox(shm: str, target: str, fields: dict[str, object]) -> None:
    Path(f"{shm}/blob").write_bytes(LAYER)
    asked = request(shm, **fields)

    unpack_inside(asked)
    assert os.stat(f"{target}/f").st_mode & 0o7777 == 0o4755
    assert {"f", "through", "made"} <= set(os.listdir(f"{target}/d"))


def test_it_works_on_descriptors_that_were_opened_before(shm: str, target: str) -> None:
    Path(f"{shm}/blob").write_bytes(LAYER)

    def run() -> None:
        blob, root = os.open(f"{shm}/blob", os.O_RDONLY), os.open(target, os.O_RDONLY)
        asked = request(shm, blob_path=f"/proc/self/fd/{blob}", target=f"/proc/self/fd/{root}")
        enter(asked)
        assert unpack_layer(asked).implicit_dirs == [b"d/made"]

    in_fork(run)


def test_file_capabilities_are_set_and_labels_are_left_out_without_sys_admin(shm: str, target: str) -> None:
    Path(f"{shm}/blob").write_bytes(WITH_CAPABILITY + tars.raw_file(b"ping", b"x"))
    asked = request(shm, whiteouts=Whiteouts.PLAIN)

    def check(result: UnpackResult) -> None:
        # A kernel without security modules stores their labels for anybody.
        assert result.skipped_xattrs == ("security.selinux" not in os.listxattr(f"{target}/ping"))

    unpack_inside(asked, check)
    assert os.getxattr(f"{target}/ping", "security.capability") == CAPABILITY


@pytest.mark.parametrize("whiteouts", list(Whiteouts))
def test_only_what_is_needed_is_kept(shm: str, whiteouts: Whiteouts) -> None:
    asked = request(shm, whiteouts=whiteouts)
    needed = sandbox.needed_capabilities(asked)
    assert (Capability.SYS_ADMIN in needed) == (whiteouts is Whiteouts.OVERLAY)

    def run() -> None:
        enter(asked)
        bits = capabilities.mask(needed)
        assert capabilities.get() == capabilities.CapabilitySets(effective=bits, permitted=bits, inheritable=0)
        assert prctl.prctl(prctl.PR_GET_NO_NEW_PRIVS) == 1
        assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)

    in_fork(run)


@pytest.mark.parametrize(
    "family", [socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, socket.AF_NETLINK, socket.AF_PACKET]
)
def test_no_socket_of_any_family_can_be_opened(shm: str, family: socket.AddressFamily) -> None:
    def run() -> None:
        with socket.socket(family, socket.SOCK_RAW if family == socket.AF_PACKET else socket.SOCK_DGRAM):
            pass
        enter(request(shm))
        with pytest.raises(PermissionError):
            socket.socket(family, socket.SOCK_STREAM)
        with pytest.raises(PermissionError):
            socket.socketpair()

    in_fork(run)


def test_a_socket_that_was_opened_before_still_speaks_but_connects_to_nobody(shm: str) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as spare:
        address = server.getsockname()

        def run() -> None:
            enter(request(shm))
            theirs.sendall(b"done")
            with pytest.raises(PermissionError):
                spare.connect(address)

        in_fork(run)
        assert ours.recv(10) == b"done"


def test_its_network_is_its_own_and_not_even_the_loopback_is_up(shm: str) -> None:
    host = os.readlink("/proc/self/ns/net")

    def run() -> None:
        enter(request(shm))
        assert os.readlink("/proc/self/ns/net") != host
        devices = Path("/proc/self/net/dev").read_text().splitlines()[2:]
        assert [line.partition(":")[0].strip() for line in devices] == ["lo"]

    in_fork(run)


def test_nothing_that_is_not_open_can_be_written(shm: str, target: str) -> None:
    places = [shm, target, "/tmp", "/dev/shm", "/run", "/proc/sys/kernel", "/sys"]

    def run() -> None:
        root = os.open(target, os.O_RDONLY)
        enter(request(shm))
        for place in places:
            with pytest.raises(OSError, match=r"Read-only|denied|not permitted|No such file"):
                os.close(os.open(f"{place}/new", os.O_WRONLY | os.O_CREAT))
        for path in (f"{shm}/host", "/proc/sys/kernel/hostname", "/etc/passwd"):
            with pytest.raises(OSError, match="Read-only"):
                os.close(os.open(path, os.O_WRONLY))
            with pytest.raises(OSError, match="Read-only"):
                os.chmod(path, 0o777)
        os.mkdir("here", dir_fd=root)

    Path(f"{shm}/host").write_bytes(b"")
    in_fork(run)
    assert os.listdir(target) == ["here"]


def test_its_mounts_are_its_own_and_it_can_make_none(shm: str, target: str) -> None:
    host = os.readlink("/proc/self/ns/mnt")

    def run() -> None:
        enter(request(shm))
        assert os.readlink("/proc/self/ns/mnt") != host
        with pytest.raises(PermissionError):
            mount.mount("none", target, fstype="tmpfs")
        with pytest.raises(PermissionError):
            mount.mount("none", "/", flags=mount.MS_REMOUNT | mount.MS_BIND)
        with pytest.raises(PermissionError):
            mountattr.change("/", remove=mountattr.RDONLY | mountattr.NODEV, recursive=True)
        with pytest.raises(PermissionError):
            namespaces.unshare(namespaces.CLONE_NEWUSER)

    in_fork(run)


def test_a_mount_that_was_made_for_it_stays_writable(shm: str, target: str) -> None:
    def run() -> None:
        sandbox.isolate()
        mount.mount("none", target, fstype="tmpfs")
        sandbox.seal(writable=[target])
        Path(f"{target}/f").write_bytes(b"x")
        with pytest.raises(OSError, match="Read-only"):
            Path(f"{shm}/f").write_bytes(b"x")

    in_fork(run)
    assert not mount.is_mountpoint(target)


def test_no_device_can_be_opened_not_even_one_that_it_makes(shm: str, target: str) -> None:
    """Who can make any device could else write to the host's disks."""
    os.mkdir(f"{shm}/place")
    asked = request(shm)

    def run() -> None:
        os.close(os.open("/dev/null", os.O_RDWR))
        given = os.open(target, os.O_RDONLY)
        sandbox.isolate()
        root = sandbox.bound(given, f"{shm}/place")
        sandbox.seal(sandbox.needed_capabilities(asked), writable=[sandbox.tree(f"{shm}/place")])
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(given)
        os.mknod("null", stat.S_IFCHR | 0o666, os.makedev(1, 3), dir_fd=root)
        os.mknod("disk", stat.S_IFBLK | 0o666, os.makedev(7, 0), dir_fd=root)
        for path in ("/dev/null", f"/proc/self/fd/{root}/null", f"/proc/self/fd/{root}/disk", f"{target}/null"):
            for flags in (os.O_RDONLY, os.O_WRONLY):
                with pytest.raises(PermissionError):
                    os.open(path, flags)
        unpack_layer(msgspec.structs.replace(asked, target=f"/proc/self/fd/{root}"))

    Path(f"{shm}/blob").write_bytes(LAYER)
    in_fork(run)
    assert {"null", "disk", "f", "d"} <= set(os.listdir(target))
    assert os.stat(f"{target}/null").st_rdev == os.makedev(1, 3)
    assert os.listdir(f"{shm}/place") == []


def test_a_directory_that_was_moved_meanwhile_is_not_taken_for_another(shm: str, target: str) -> None:
    os.mkdir(f"{shm}/place")

    def run() -> None:
        given = os.open(target, os.O_RDONLY)
        sandbox.isolate()
        os.rmdir(target)
        with pytest.raises(FileNotFoundError):
            sandbox.bound(given, f"{shm}/place")

    in_fork(run)


def test_it_cannot_kill_others_become_them_or_look_into_them(shm: str) -> None:
    parent = os.getpid()

    def run() -> None:
        enter(request(shm))
        with pytest.raises(PermissionError):
            os.setuid(1)
        with pytest.raises(PermissionError):
            os.chroot("/")
        with pytest.raises(PermissionError):
            os.listdir(f"/proc/{parent}/root")
        with pytest.raises(PermissionError):
            os.readlink(f"/proc/{parent}/fd/0")

    in_fork(run)


def test_it_cannot_start_a_program(shm: str) -> None:
    def run() -> None:
        enter(request(shm))
        with pytest.raises(PermissionError):
            os.execv("/bin/true", ["true"])

    in_fork(run)


def test_in_a_user_namespace_it_works_without_devices_and_with_its_own_marks(shm: str, target: str) -> None:
    members = [
        tars.directory("d"),
        tars.file("d/.wh..wh..opq"),
        tars.file("d/f", b"x"),
        tars.file(".wh.gone"),
        tars.node("null", b"3", major=1, minor=3),
        tars.node("pipe", b"6"),
    ]
    Path(f"{shm}/blob").write_bytes(tars.tar(members))
    asked = request(shm, userxattr=True, skip_devices=True)

    def run() -> None:
        root = os.open(target, os.O_RDONLY)
        namespaces.unshare(namespaces.CLONE_NEWUSER)
        for name, text in (("setgroups", "deny"), ("uid_map", "0 0 1"), ("gid_map", "0 0 1")):
            Path(f"/proc/self/{name}").write_text(text)
        assert namespaces.in_user_namespace()
        enter(asked)
        unpack_layer(msgspec.structs.replace(asked, target=f"/proc/self/fd/{root}"))

    assert not namespaces.in_user_namespace()
    in_fork(run)
    assert sorted(os.listdir(target)) == ["d", "gone", "pipe"]
    assert os.getxattr(f"{target}/d", "user.overlay.opaque") == b"y"
    assert os.stat(f"{target}/gone").st_rdev == 0
