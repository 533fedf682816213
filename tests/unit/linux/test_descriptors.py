from __future__ import annotations

import os

from linux import descriptors
from tests.support.fork import in_fork


def test_close_all_except_keeps_what_it_is_told_and_the_standard_streams() -> None:
    def run() -> None:
        fds = [os.open("/dev/null", os.O_RDONLY) for _ in range(20)]
        kept = {fds[0], fds[7], fds[8], fds[19]}
        report = os.dup2(fds[3], 200)
        # The fork's report pipe goes too: success is then the exit status alone.
        descriptors.close_all_except({*kept, report})
        assert set(descriptors.opened()) - {0, 1, 2} == kept | {report}

    in_fork(run)


def test_close_all_except_nothing_closes_all_above_the_standard_streams() -> None:
    def run() -> None:
        os.open("/dev/null", os.O_RDONLY)
        descriptors.close_all_except(())
        assert [fd for fd in descriptors.opened() if fd > 2] == []

    in_fork(run)


def test_close_range_can_mark_close_on_exec_instead() -> None:
    def run() -> None:
        fd = os.open("/dev/null", os.O_RDONLY)
        os.set_inheritable(fd, True)
        descriptors.close_range(fd, fd, descriptors.CLOSE_RANGE_CLOEXEC)
        assert not os.get_inheritable(fd)

    in_fork(run)
