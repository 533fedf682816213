from __future__ import annotations

import ctypes
import errno
import subprocess
import sys
from pathlib import Path

import pytest

from linux import syscall

MODULES = sorted(path.stem for path in Path(syscall.__file__).parent.glob("*.py"))


def test_numbers_of_the_supported_machines_are_complete_and_differ_only_for_old_calls() -> None:
    x86, arm = syscall.numbers("x86_64"), syscall.numbers("aarch64")
    assert x86.keys() == arm.keys()
    assert x86["openat2"] == arm["openat2"] == 437
    assert (x86["capset"], arm["capset"]) == (126, 91)


def test_an_unknown_machine_has_the_common_numbers_only() -> None:
    assert "capset" not in syscall.numbers("pdp11")
    assert syscall.numbers("pdp11")["openat2"] == 437


def test_a_call_without_a_number_here_is_enosys_and_named() -> None:
    with pytest.raises(OSError, match="no_such_call") as caught:
        syscall.syscall("no_such_call")
    assert caught.value.errno == errno.ENOSYS


def test_a_failure_names_the_errno_and_the_path() -> None:
    ctypes.set_errno(errno.ENOENT)
    with pytest.raises(FileNotFoundError) as caught:
        syscall.check(-1, "/some/where")
    assert caught.value.filename == "/some/where"


def test_a_success_is_handed_through() -> None:
    assert syscall.check(7) == 7


@pytest.mark.parametrize("module", MODULES)
def test_each_module_can_be_imported_alone_and_pulls_in_nothing_of_ours_but_linux(module: str) -> None:
    name = "linux" if module == "__init__" else f"linux.{module}"
    code = (
        f"import sys; sys.path.insert(0, '.'); import {name}\n"
        "ours = {'wharfie', 'config', 'shim', 'actors', 'supervisor', 'cli'}\n"
        "heavy = {'asyncio', 'subprocess', 'logging', 'zmq', 'msgspec', 'tempfile', 'inspect'}\n"
        "print(sorted(m for m in sys.modules if m.split('.')[0] in ours | heavy))"
    )
    root = Path(syscall.__file__).parent.parent
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
