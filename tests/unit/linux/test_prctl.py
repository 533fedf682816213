from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys

import pytest

from linux import prctl, procfs
from linux.syscall import libc
from tests.support.fork import in_fork


def test_the_name_is_cut_to_15_bytes() -> None:
    def run() -> None:
        prctl.set_name("wharfie-snapshotter")
        assert procfs.name(os.getpid()) == "wharfie-snapsho"

    in_fork(run)


def test_the_title_replaces_name_and_command_line_and_spares_the_environment() -> None:
    def run() -> None:
        getenv = libc.getenv
        getenv.restype = ctypes.c_char_p
        before = getenv(b"PATH")
        prctl.set_title("wharfie-shim")
        assert procfs.name(os.getpid()) == "wharfie-shim"
        assert procfs.command_line(os.getpid()) == ["wharfie-shim"]
        shown = subprocess.run(
            ["ps", "-o", "args=", "-p", str(os.getpid())], capture_output=True, text=True, check=True
        )
        assert shown.stdout.strip() == "wharfie-shim"
        assert getenv(b"PATH") == before

    in_fork(run)


def test_a_title_longer_than_the_command_line_is_cut_and_a_second_one_fits() -> None:
    code = (
        "import sys, os; sys.path.insert(0, '.'); from linux import prctl, procfs\n"
        "room = len(open('/proc/self/cmdline', 'rb').read())\n"
        "prctl.set_title('x' * 10000); [line] = procfs.command_line(os.getpid()); assert line == 'x' * (room - 1)\n"
        "prctl.set_title('short'); assert procfs.command_line(os.getpid()) == ['short']\n"
    )
    root = os.path.dirname(os.path.dirname(prctl.__file__))
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


def test_a_child_gets_its_signal_when_the_parent_dies() -> None:
    def run() -> None:
        prctl.set_child_subreaper()
        read_end, write_end = os.pipe()
        parent = os.fork()
        if parent == 0:
            child = os.fork()
            if child == 0:
                prctl.set_pdeathsig(signal.SIGUSR1)
                os.write(write_end, b"%d" % os.getpid())
                signal.pause()
            os.close(write_end)
            os.read(read_end, 20)
            signal.pause()
        os.close(write_end)
        # The parent is killed once the child is ready; whichever reads first, the pid is in procfs too.
        while not (found := procfs.children(parent)):
            pass
        while procfs.name(found[0]) and os.get_blocking(read_end) and "pause" not in wchan(found[0]):
            pass
        os.kill(parent, signal.SIGKILL)
        statuses = dict(os.waitpid(pid, 0) for pid in (parent, found[0]))
        assert os.WTERMSIG(statuses[found[0]]) == signal.SIGUSR1

    def wchan(pid: int) -> str:
        with open(f"/proc/{pid}/syscall", encoding="ascii") as file:
            # pause(2) is 34 on x86_64; elsewhere Python's pause is ppoll or similar: state S is close enough.
            return "pause" if file.read().split()[0] in ("34", "73") else ""

    in_fork(run)


def test_a_parent_that_is_gone_already_is_noticed() -> None:
    def run() -> None:
        with pytest.raises(ProcessLookupError, match="gone"):
            prctl.set_pdeathsig(signal.SIGKILL, parent_pid=1 << 30)

    in_fork(run)


def test_orphans_go_to_the_subreaper() -> None:
    def run() -> None:
        prctl.set_child_subreaper()
        read_end, write_end = os.pipe()
        parent = os.fork()
        if parent == 0:
            if os.fork() == 0:
                os.read(read_end, 1)
            os._exit(0)
        os.waitpid(parent, 0)
        [orphan] = procfs.children(os.getpid())
        os.write(write_end, b"x")
        assert os.waitpid(-1, 0) == (orphan, 0)

    in_fork(run)


def test_no_new_privs_and_dumpable_stick() -> None:
    def run() -> None:
        prctl.set_no_new_privs()
        assert prctl.prctl(prctl.PR_GET_NO_NEW_PRIVS) == 1
        prctl.set_dumpable(False)
        assert prctl.prctl(prctl.PR_GET_DUMPABLE) == 0

    in_fork(run)
