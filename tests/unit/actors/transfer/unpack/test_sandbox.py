from __future__ import annotations

import gzip
import os
import resource
import socket
from pathlib import Path

import pytest

from actors.transfer.unpack import sandbox
from actors.transfer.unpack.layer import unpack_layer
from actors.transfer.unpack.messages import UnpackRequest, Whiteouts
from linux import capabilities, mount, prctl
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

    def run() -> None:
        sandbox.enter(asked)
        unpack_layer(asked)

    in_fork(run)
    assert os.stat(f"{target}/f").st_mode & 0o7777 == 0o4755
    assert {"f", "through", "made"} <= set(os.listdir(f"{target}/d"))


def test_it_works_on_descriptors_that_were_opened_before(shm: str, target: str) -> None:
    Path(f"{shm}/blob").write_bytes(LAYER)

    def run() -> None:
        blob, root = os.open(f"{shm}/blob", os.O_RDONLY), os.open(target, os.O_RDONLY)
        asked = request(shm, blob_path=f"/proc/self/fd/{blob}", target=f"/proc/self/fd/{root}")
        sandbox.enter(asked)
        assert unpack_layer(asked).implicit_dirs == [b"d/made"]

    in_fork(run)


def test_file_capabilities_are_set_and_labels_are_left_out_without_sys_admin(shm: str, target: str) -> None:
    Path(f"{shm}/blob").write_bytes(WITH_CAPABILITY + tars.raw_file(b"ping", b"x"))
    asked = request(shm, whiteouts=Whiteouts.PLAIN)

    def run() -> None:
        sandbox.enter(asked)
        skipped = unpack_layer(asked).skipped_xattrs
        # A kernel without security modules stores their labels for anybody.
        assert skipped == ("security.selinux" not in os.listxattr(f"{target}/ping"))

    in_fork(run)
    assert os.getxattr(f"{target}/ping", "security.capability") == CAPABILITY


@pytest.mark.parametrize("whiteouts", list(Whiteouts))
def test_only_what_is_needed_is_kept(shm: str, whiteouts: Whiteouts) -> None:
    asked = request(shm, whiteouts=whiteouts)
    needed = sandbox.needed_capabilities(asked)
    assert (Capability.SYS_ADMIN in needed) == (whiteouts is Whiteouts.OVERLAY)

    def run() -> None:
        sandbox.enter(asked)
        bits = capabilities.mask(needed)
        assert capabilities.get() == capabilities.CapabilitySets(effective=bits, permitted=bits, inheritable=0)
        assert prctl.prctl(prctl.PR_GET_NO_NEW_PRIVS) == 1
        assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)

    in_fork(run)


def test_there_is_no_network_not_even_the_loopback(shm: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()

        def run() -> None:
            sandbox.enter(request(shm))
            with pytest.raises(OSError, match="unreachable"):
                socket.create_connection(address, timeout=5)

        in_fork(run)


def test_mounts_made_inside_are_seen_by_nobody_else(shm: str, target: str) -> None:
    def run() -> None:
        sandbox.enter(request(shm))
        mount.mount("none", target, fstype="tmpfs")
        assert mount.is_mountpoint(target)

    in_fork(run)
    assert not mount.is_mountpoint(target)


def test_it_cannot_kill_others_or_become_them(shm: str) -> None:
    def run() -> None:
        sandbox.enter(request(shm))
        with pytest.raises(PermissionError):
            os.setuid(1)
        with pytest.raises(PermissionError):
            os.chroot("/")

    in_fork(run)
