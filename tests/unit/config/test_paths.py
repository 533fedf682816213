from __future__ import annotations

import os
import socket
import stat

import pytest

from config.load import load
from config.paths import SHIM_SOCKET_NAME_BYTES, Paths, create_top_directories
from tests.support.fork import in_fork


def paths_in(directory: str, **flags: object) -> Paths:
    given = {"root": f"{directory}/root", "state": f"{directory}/state", **flags}
    return Paths.of(load(None, flags=given, environ={}).settings)


def modes(paths: Paths) -> dict[str, int]:
    names = ("root", "state", "temporary_mounts", "internal", "shim_sockets", "tasks", "runc_root")
    return {name: stat.S_IMODE(os.stat(getattr(paths, name)).st_mode) for name in names}


MODES = {
    "root": 0o700,
    "state": 0o711,
    "temporary_mounts": 0o700,
    "internal": 0o700,
    "shim_sockets": 0o700,
    "tasks": 0o711,
    "runc_root": 0o700,
}


def test_top_directories_have_their_modes_whatever_the_umask(shm: str) -> None:
    def run() -> None:
        os.umask(0o077)
        paths = paths_in(shm)
        assert create_top_directories(paths) == ()
        assert modes(paths) == MODES

    in_fork(run)


def test_creating_them_again_narrows_what_is_too_wide_and_keeps_what_is_inside(shm: str) -> None:
    paths = paths_in(shm)
    create_top_directories(paths)
    with open(f"{paths.root}/kept", "w", encoding="utf-8"):
        pass
    for name in MODES:
        os.chmod(getattr(paths, name), 0o777)
    assert create_top_directories(paths) == ()
    assert modes(paths) == MODES
    assert os.path.exists(f"{paths.root}/kept")


def test_a_directory_of_another_user_keeps_its_mode_with_a_warning(shm: str) -> None:
    paths = paths_in(shm)
    create_top_directories(paths)
    os.chmod(paths.root, 0o755)

    def run() -> None:
        os.chown(shm, 1234, 1234)
        for name in MODES:
            os.chown(getattr(paths, name), 1234, 1234)
        os.chown(paths.root, 0, 0)
        os.seteuid(1234)
        (warning,) = create_top_directories(paths)
        assert f"'{paths.root}'" in warning
        assert "0o700" in warning

    in_fork(run)
    assert stat.S_IMODE(os.stat(paths.root).st_mode) == 0o755


def test_root_may_be_a_symbolic_link_but_what_lies_in_it_may_not(shm: str) -> None:
    os.mkdir(f"{shm}/disk")
    os.symlink("disk", f"{shm}/root")
    paths = paths_in(shm)
    create_top_directories(paths)
    assert stat.S_IMODE(os.stat(f"{shm}/disk").st_mode) == 0o700
    os.mkdir(f"{shm}/victim", 0o755)
    os.rmdir(paths.internal)
    os.symlink(f"{shm}/victim", paths.internal)
    with pytest.raises(OSError, match=r"Not a directory|symbolic") as caught:
        create_top_directories(paths)
    assert caught.value.filename == paths.internal
    assert stat.S_IMODE(os.stat(f"{shm}/victim").st_mode) == 0o755


def test_a_file_in_the_place_of_a_directory_is_named(shm: str) -> None:
    with open(f"{shm}/root", "w", encoding="utf-8"):
        pass
    with pytest.raises(OSError, match="exists") as caught:
        create_top_directories(paths_in(shm))
    assert caught.value.filename == f"{shm}/root"


def test_directories_outside_of_root_and_state_are_made_too(shm: str) -> None:
    settings = load(None, flags={"root": f"{shm}/r", "state": f"{shm}/s"}, environ={}).settings
    paths = paths_in(shm, **{"router.address": f"{shm}/other/place/w.sock"})
    assert create_top_directories(paths) == ()
    assert stat.S_IMODE(os.stat(f"{shm}/other/place").st_mode) == 0o711
    assert Paths.of(settings).socket == f"{shm}/s/wharfie.sock"


def test_names_of_bundles_snapshots_and_shims(shm: str) -> None:
    paths = paths_in(shm)
    assert paths.bundle("ci", "c1") == f"{shm}/state/tasks/ci/c1"
    assert paths.snapshotter("overlayfs") == f"{shm}/root/snapshots/overlayfs"
    one = paths.shim_socket(namespace="a", group="bc")
    assert one == paths.shim_socket(namespace="a", group="bc")
    assert one != paths.shim_socket(namespace="ab", group="c")
    assert os.path.dirname(one) == f"{shm}/state/s"
    assert len(os.path.basename(one)) == SHIM_SOCKET_NAME_BYTES


def test_the_longest_directory_of_shims_that_is_allowed_can_be_bound(shm: str) -> None:
    directory = f"{shm}/" + "x" * (82 - len(shm) - 1)
    os.mkdir(directory)
    state = f"{shm}/state"
    settings = load(None, flags={"state": state, "root": f"{shm}/root", "shim.address": directory}, environ={}).settings
    path = Paths.of(settings).shim_socket(namespace="default", group="g")
    assert len(path) == 107
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(path)
