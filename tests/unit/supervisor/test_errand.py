"""Errands of the boot: a result, an error, a hang, a crash; and the leftovers that one unmounts."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from linux import mount, mountinfo, procfs
from supervisor import errand, preparation
from supervisor.loop import Loop, Signals
from tests.support.fork import in_private_mounts
from wharfie.errors import Internal, NotFound


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


def run(loop: Loop, function: object, timeout_s: float = 5.0) -> object:
    return errand.run(loop, function, name="errand", timeout_s=timeout_s)  # type: ignore[arg-type]


def test_the_result_comes_back_and_was_made_elsewhere(loop: Loop) -> None:
    assert run(loop, lambda: {"pid": os.getppid(), "big": "x" * 300_000}) == {"pid": os.getpid(), "big": "x" * 300_000}


def test_a_typed_error_comes_back_as_it_is(loop: Loop) -> None:
    def fail() -> NoReturn:
        raise NotFound("it is not there", details={"a": 1})

    with pytest.raises(NotFound, match="not there") as caught:
        run(loop, fail)
    assert caught.value.details == {"a": 1}


def test_a_crash_is_an_internal_error(loop: Loop) -> None:
    with pytest.raises(Internal, match="without a result"):
        run(loop, lambda: os.kill(os.getpid(), signal.SIGKILL))


def test_a_hang_is_ended_after_its_time(loop: Loop) -> None:
    begin_s = loop.now_s()
    with pytest.raises(TimeoutError, match=r"errand took longer than 0\.05 s"):
        run(loop, signal.pause, timeout_s=0.05)
    assert loop.now_s() - begin_s < 2


def test_a_signal_interrupts_it(loop: Loop) -> None:
    class Interrupted(Exception):
        pass

    def interrupt(_number: int) -> None:
        raise Interrupted

    signals = Signals(loop, (signal.SIGUSR2,), interrupt)
    before = procfs.children(os.getpid())

    def ask_parent_and_hang() -> None:
        os.kill(os.getppid(), signal.SIGUSR2)
        signal.pause()

    with pytest.raises(Interrupted):
        run(loop, ask_parent_and_hang, timeout_s=30)
    signals.close()
    assert procfs.children(os.getpid()) == before, "the errand is neither ended nor reaped"


def test_leftovers_are_unmounted_deepest_first_and_each_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    outer, inner = tmp_path / "m1", tmp_path / "m1" / "inner"

    def check() -> None:
        outer.mkdir()
        mount.mount("tmpfs", str(outer), fstype="tmpfs")
        inner.mkdir()
        mount.mount("tmpfs", str(inner), fstype="tmpfs")
        loop = Loop()
        preparation.unmount_leftovers(loop, str(tmp_path), timeout_s=5)
        assert mountinfo.beneath(mountinfo.read(), str(tmp_path)) == []
        told = [record.__dict__["mountpoint"] for record in caplog.records if "unmounted" in record.message]
        assert told == [str(inner), str(outer)]

    in_private_mounts(check)


def test_a_busy_leftover_stays_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def check() -> None:
        mounted = tmp_path / "m"
        mounted.mkdir()
        mount.mount("tmpfs", str(mounted), fstype="tmpfs")
        fd = os.open(mounted, os.O_RDONLY)
        preparation.unmount_leftovers(Loop(), str(tmp_path), timeout_s=5)
        os.close(fd)
        assert [r.__dict__["error"] for r in caplog.records if "stays mounted" in r.message] == [
            "Device or resource busy"
        ]

    in_private_mounts(check)


def test_the_servers_id_stays_and_a_broken_one_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "uuid"
    first = preparation.server_id(str(path))
    assert preparation.server_id(str(path)) == first
    path.write_text("half")
    assert preparation.server_id(str(path)) != first
