"""The systemd unit of the daemon: its text, its installation and its removal.

What the unit promises, line by line: containers survive every restart (KillMode=process: only the daemon is killed;
Delegate=yes: systemd leaves the control groups below to us), the daemon is back after every end (Restart=always) and
after a hang (WatchdogSec), and the kernel takes it last when memory is short (OOMScoreAdjust).
"""

from __future__ import annotations

import contextlib
import os
import subprocess

import msgspec

UNIT_NAME = "wharfied.service"
UNIT_DIRECTORY = "/etc/systemd/system"

# sd_booted(3): this directory exists exactly when systemd is the running init.
BOOTED = "/run/systemd/system"


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """What is in the unit: the command line, absolute, and three times in seconds."""

    command: tuple[str, ...]
    restart_s: int = 1
    watchdog_s: int = 30
    stop_s: int = 90


def unit_text(unit: Unit) -> str:
    """Return the unit file. Pure. Raises: ValueError when the command's program is not an absolute path."""
    if not unit.command or not os.path.isabs(unit.command[0]):
        raise ValueError(f"program {unit.command[:1]} of the unit is not an absolute path; name it in full")
    return f"""\
[Unit]
Description=Wharfie container daemon
After=network.target dbus.service local-fs.target

[Service]
Type=notify
NotifyAccess=main
ExecStartPre=-/sbin/modprobe overlay
ExecStart={" ".join(_quoted(word) for word in unit.command)}
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec={unit.restart_s}
WatchdogSec={unit.watchdog_s}
TimeoutStopSec={unit.stop_s}
KillMode=process
Delegate=yes
OOMScoreAdjust=-999
LimitNOFILE=infinity
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity

[Install]
WantedBy=multi-user.target
"""


def install(unit: Unit, *, directory: str = UNIT_DIRECTORY, booted: str = BOOTED) -> tuple[str, ...]:
    """Write the unit, and enable and start it where systemd runs.

    Idempotent; the file is replaced atomically and survives a loss of power. Without systemd the file is written and
    nothing else happens, so that an image can be built.
    Returns: what was done, a sentence each. Raises: OSError; subprocess.CalledProcessError from systemctl.
    """
    path = f"{directory}/{UNIT_NAME}"
    text = unit_text(unit)
    os.makedirs(directory, exist_ok=True)
    done = [f"{'replaced' if os.path.lexists(path) else 'wrote'} {path}"]
    _write(directory, text)
    if not os.path.isdir(booted):
        return (*done, f"systemd does not run here; enable it there with: systemctl enable --now {UNIT_NAME}")
    _systemctl("daemon-reload")
    _systemctl("enable", "--now", UNIT_NAME)
    return (*done, "reloaded systemd", f"enabled and started {UNIT_NAME}")


def uninstall(*, directory: str = UNIT_DIRECTORY, booted: str = BOOTED) -> tuple[str, ...]:
    """Stop and disable the unit where systemd runs, and remove its file; containers go on running.

    Idempotent: a unit that is not there is said to be so.
    Returns: what was done, a sentence each. Raises: OSError; subprocess.CalledProcessError from systemctl.
    """
    path = f"{directory}/{UNIT_NAME}"
    if not os.path.lexists(path):
        return (f"{path} does not exist: nothing to do",)
    done = []
    runs = os.path.isdir(booted)
    if runs:
        _systemctl("disable", "--now", UNIT_NAME)
        done.append(f"stopped and disabled {UNIT_NAME}")
    os.unlink(path)
    done.append(f"removed {path}")
    if runs:
        _systemctl("daemon-reload")
        done.append("reloaded systemd")
    return tuple(done)


def _write(directory: str, text: str) -> None:
    temporary = f"{directory}/.{UNIT_NAME}.{os.getpid()}"
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, f"{directory}/{UNIT_NAME}")
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _systemctl(*arguments: str) -> None:
    subprocess.run(["systemctl", *arguments], check=True)


def _quoted(word: str) -> str:
    """Quote a word for ExecStart=: systemd.syntax(7) unquotes like C, and `%` and `$` would be expanded."""
    if "\n" in word or "\0" in word:
        raise ValueError(f"word {word!r} of the unit's command holds a line break or NUL; leave it out")
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    plain = word and not set(escaped) & set(" \t'\"\\;")
    return escaped if plain else f'"{escaped}"'
