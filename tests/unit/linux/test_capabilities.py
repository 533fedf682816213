from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from linux import capabilities
from linux.capabilities import Capability
from tests.support.fork import in_fork


def shown() -> dict[str, int]:
    found = re.findall(r"^Cap(\w+):\s+(\w+)$", Path("/proc/self/status").read_text(encoding="ascii"), re.MULTILINE)
    return {name: int(value, 16) for name, value in found}


def test_the_sets_are_what_proc_shows() -> None:
    sets = capabilities.get()
    assert (sets.effective, sets.permitted, sets.inheritable) == (shown()["Eff"], shown()["Prm"], shown()["Inh"])


def test_limit_to_leaves_only_what_is_kept_in_every_set() -> None:
    def run() -> None:
        keep = {Capability.CHOWN, Capability.SETFCAP}
        capabilities.limit_to(keep)
        bits = capabilities.mask(keep)
        assert shown() == {"Inh": 0, "Prm": bits, "Eff": bits, "Bnd": bits, "Amb": 0}

    in_fork(run)


def test_a_capability_given_up_is_missed_and_does_not_come_back(shm: str) -> None:
    def run() -> None:
        capabilities.limit_to({Capability.DAC_OVERRIDE})
        with pytest.raises(PermissionError):
            os.chown(shm, 1, 1)
        with pytest.raises(PermissionError):
            bits = capabilities.mask({Capability.CHOWN})
            capabilities.put(capabilities.CapabilitySets(bits, bits, 0))

    in_fork(run)


def test_limit_to_gains_nothing() -> None:
    def run() -> None:
        capabilities.limit_to({Capability.CHOWN, Capability.FOWNER, Capability.SETPCAP})
        capabilities.limit_to({Capability.CHOWN, Capability.KILL})
        assert capabilities.get().effective == capabilities.mask({Capability.CHOWN})

    in_fork(run)


def test_the_numbers_go_as_far_as_this_kernel_knows_them() -> None:
    assert max(Capability) <= capabilities.last()
