from __future__ import annotations

import os

import pytest

from linux import namespaces
from tests.support.fork import in_fork


def test_unshare_gives_new_namespaces_and_setns_goes_back() -> None:
    def run() -> None:
        before = os.readlink("/proc/self/ns/net")
        with open("/proc/self/ns/net", "rb") as old:
            namespaces.unshare(namespaces.CLONE_NEWNET)
            assert os.readlink("/proc/self/ns/net") != before
            namespaces.setns(old.fileno(), namespaces.CLONE_NEWNET)
        assert os.readlink("/proc/self/ns/net") == before

    in_fork(run)


def test_setns_with_the_wrong_kind_is_refused() -> None:
    with open("/proc/self/ns/net", "rb") as file, pytest.raises(OSError, match="Invalid argument"):
        namespaces.setns(file.fileno(), namespaces.CLONE_NEWUTS)
