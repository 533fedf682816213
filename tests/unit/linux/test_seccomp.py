"""The filter of system calls, in real processes."""

from __future__ import annotations

import os
import socket
import struct
import threading

import pytest

from linux import prctl, seccomp
from tests.support.fork import in_fork


def test_what_is_denied_fails_and_the_rest_goes_on() -> None:
    def run() -> None:
        prctl.set_no_new_privs()
        seccomp.deny(["socket"])
        with pytest.raises(PermissionError):
            socket.socket()
        socket.socketpair()[0].close()
        assert os.getpid() > 0

    in_fork(run)


def test_it_holds_in_threads_and_children_too() -> None:
    def run() -> None:
        prctl.set_no_new_privs()
        seccomp.deny(["socket"])
        refused: list[OSError] = []

        def ask() -> None:
            try:
                socket.socket()
            except OSError as error:
                refused.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
        assert [type(error) for error in refused] == [PermissionError]

        def child() -> None:
            with pytest.raises(PermissionError):
                socket.socket()

        in_fork(child)

    in_fork(run)


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_every_name_has_a_number_on_machines_that_are_known(machine: str) -> None:
    known = seccomp._NUMBERS[machine]
    only_x86 = {"iopl", "ioperm"}
    assert set(known) >= (seccomp.NETWORK | seccomp.PRIVILEGED) - (only_x86 if machine == "aarch64" else set())
    assert len(set(known.values())) == len(known)


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_jumps_of_the_program_stay_in_it(machine: str) -> None:
    code = seccomp.program(seccomp.NETWORK | seccomp.PRIVILEGED, machine)
    steps = list(struct.iter_unpack("HBBI", code))
    for place, (_, true, false, _) in enumerate(steps):
        assert place + 1 + max(true, false) < len(steps) or place == len(steps) - 1
    assert steps[-1][0] == 0x06


def test_a_machine_that_is_not_known_has_no_program() -> None:
    assert seccomp.program(["socket"], "vax") == b""
