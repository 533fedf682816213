"""What the tests of the command line share: one daemon with busybox in it, a clean namespace for each test."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import pytest

import wharfie
from tests.support import busybox
from tests.support.commandline import Shell
from tests.support.daemon import Daemon
from tests.support.wait import until

NAMESPACE = "cli"


@pytest.fixture(scope="package")
def archive() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="cli-", dir="/dev/shm") as directory:
        yield str(busybox.archive(f"{directory}/busybox.tar"))


@pytest.fixture(scope="package")
def daemon(archive: str) -> Iterator[Daemon]:
    with Daemon() as daemon:
        with wharfie.connect(str(daemon.address), namespace=NAMESPACE) as client:
            client.images.import_(archive)
        yield daemon


@pytest.fixture
def shell(daemon: Daemon) -> Iterator[Shell]:
    yield Shell(str(daemon.address), NAMESPACE)
    with wharfie.connect(str(daemon.address), namespace=NAMESPACE, timeout_s=30) as client:
        for container in client.containers.list():
            container.delete(force=True)
        until(lambda: not client.tasks.list())
