from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable

import pytest

from config.unit import Unit, install, uninstall, unit_text

Write = Callable[[str, str], str]

UNIT = Unit(command=("/opt/wharfie/bin/wharfied", "--config", "/etc/wharfie/config.toml"))


def test_the_unit_has_every_line_that_containers_depend_on() -> None:
    lines = unit_text(UNIT).splitlines()
    for line in (
        "Type=notify",
        "NotifyAccess=main",
        "ExecStartPre=-/sbin/modprobe overlay",
        "ExecStart=/opt/wharfie/bin/wharfied --config /etc/wharfie/config.toml",
        "ExecReload=/bin/kill -HUP $MAINPID",
        "Restart=always",
        "RestartSec=1",
        "WatchdogSec=30",
        "KillMode=process",
        "Delegate=yes",
        "OOMScoreAdjust=-999",
        "LimitNOFILE=infinity",
        "LimitNPROC=infinity",
        "LimitCORE=infinity",
        "TasksMax=infinity",
        "WantedBy=multi-user.target",
    ):
        assert lines.count(line) == 1, line


@pytest.mark.parametrize(
    ("word", "quoted"),
    [
        ("plain", "plain"),
        ("a b", '"a b"'),
        ("", '""'),
        ("100%", "100%%"),
        ("$HOME", "$$HOME"),
        ('say "x"', '"say \\"x\\""'),
        ("back\\slash", '"back\\\\slash"'),
        (";", '";"'),
    ],
)
def test_a_word_of_the_command_stays_one_word(word: str, quoted: str) -> None:
    assert f"\nExecStart=/bin/w {quoted}\n" in unit_text(Unit(command=("/bin/w", word)))


@pytest.mark.parametrize("command", [(), ("wharfied",), ("/bin/w", "a\nExecStart=/evil")])
def test_a_command_that_systemd_would_misread_is_refused(command: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"not an absolute path|line break"):
        unit_text(Unit(command=command))


def test_without_systemd_the_file_is_written_and_the_next_step_is_told(shm: str) -> None:
    directory = f"{shm}/etc/systemd/system"
    done = install(UNIT, directory=directory, booted=f"{shm}/none")
    path = f"{directory}/wharfied.service"
    with open(path, encoding="utf-8") as file:
        assert file.read() == unit_text(UNIT)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o644
    assert os.listdir(directory) == ["wharfied.service"]
    assert done == (
        f"wrote {path}",
        "systemd does not run here; enable it there with: systemctl enable --now wharfied.service",
    )
    assert install(UNIT, directory=directory, booted=f"{shm}/none")[0] == f"replaced {path}"
    assert uninstall(directory=directory, booted=f"{shm}/none") == (f"removed {path}",)
    assert os.listdir(directory) == []
    assert "nothing to do" in uninstall(directory=directory, booted=f"{shm}/none")[0]


@pytest.fixture
def systemctl(write: Write, shm: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """A systemctl first on PATH that writes down how it was called, and fails for what is named in `refuse`."""
    script = f'#!/bin/sh\necho "$@" >> {shm}/calls\n! grep -qsx "$1" {shm}/refuse\n'
    os.chmod(write("bin/systemctl", script), 0o755)
    os.mkdir(f"{shm}/booted")
    monkeypatch.setenv("PATH", f"{shm}/bin:{os.environ['PATH']}")

    def calls() -> list[str]:
        with open(f"{shm}/calls", encoding="utf-8") as file:
            return file.read().splitlines()

    return calls


def test_where_systemd_runs_the_unit_is_enabled_and_started(shm: str, systemctl: Callable[[], list[str]]) -> None:
    done = install(UNIT, directory=f"{shm}/units", booted=f"{shm}/booted")
    assert systemctl() == ["daemon-reload", "enable --now wharfied.service"]
    assert done[1:] == ("reloaded systemd", "enabled and started wharfied.service")


def test_where_systemd_runs_the_unit_is_stopped_before_it_is_removed(
    shm: str, systemctl: Callable[[], list[str]]
) -> None:
    install(UNIT, directory=f"{shm}/units", booted=f"{shm}/booted")
    done = uninstall(directory=f"{shm}/units", booted=f"{shm}/booted")
    assert systemctl()[2:] == ["disable --now wharfied.service", "daemon-reload"]
    assert done == (
        "stopped and disabled wharfied.service",
        f"removed {shm}/units/wharfied.service",
        "reloaded systemd",
    )


def test_a_systemctl_that_fails_is_an_error_and_the_unit_is_kept(
    shm: str, systemctl: Callable[[], list[str]], write: Write
) -> None:
    write("refuse", "enable\ndisable\n")
    with pytest.raises(subprocess.CalledProcessError):
        install(UNIT, directory=f"{shm}/units", booted=f"{shm}/booted")
    with pytest.raises(subprocess.CalledProcessError):
        uninstall(directory=f"{shm}/units", booted=f"{shm}/booted")
    assert os.listdir(f"{shm}/units") == ["wharfied.service"]
    assert systemctl()[-1] == "disable --now wharfied.service"
