"""The check that runs after every test does find what is left behind."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from linux import mount
from tests.support import leaks


@contextmanager
def descriptor() -> Iterator[str]:
    fd = os.open("/dev/null", os.O_RDONLY)
    yield "descriptor of /dev/null"
    os.close(fd)


@contextmanager
def thread() -> Iterator[str]:
    end = threading.Event()
    running = threading.Thread(target=end.wait)
    running.start()
    yield "thread"
    end.set()
    running.join()


@contextmanager
def child() -> Iterator[str]:
    pid = os.fork()
    if pid == 0:
        signal.pause()
    yield "process"
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


@contextmanager
def orphan() -> Iterator[str]:
    """A grandchild in a session of its own whose parent is gone, as a shim is."""
    read, write = os.pipe()
    middle = os.fork()
    if middle == 0:
        os.setsid()
        if (pid := os.fork()) == 0:
            signal.pause()
        os.write(write, str(pid).encode())
        os._exit(0)
    os.waitpid(middle, 0)
    pid = int(os.read(read, 16))
    os.close(read)
    os.close(write)
    yield f"[{pid}]"
    os.kill(pid, signal.SIGKILL)


@contextmanager
def mounted() -> Iterator[str]:
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        mount.mount("left", directory, fstype="tmpfs")
        yield f"mount on {directory}"
        mount.umount(directory)


@contextmanager
def file() -> Iterator[str]:
    with tempfile.NamedTemporaryFile(prefix="wharfie-left-", dir="/dev/shm") as left:
        yield f"file {left.name}"


@contextmanager
def group() -> Iterator[str]:
    if not leaks.isolation.alone():
        pytest.skip("another run of the tests is under way: control groups are not looked at")
    path = f"/sys/fs/cgroup/{'pids/' if os.path.isdir('/sys/fs/cgroup/pids') else ''}wharfie-left"
    os.mkdir(path)
    yield f"control group {path}"
    os.rmdir(path)


@pytest.mark.root
@pytest.mark.parametrize("leave", [descriptor, thread, child, orphan, mounted, file, group])
def test_what_is_left_behind_is_named(leave: Callable[[], AbstractContextManager[str]]) -> None:
    before = leaks.take()
    with leave() as named:
        assert any(named in sentence for sentence in leaks.leaked(before, grace_s=0.0))
    assert leaks.leaked(before) == []


def test_nothing_left_behind_is_nothing_said() -> None:
    assert leaks.leaked(leaks.take()) == []
