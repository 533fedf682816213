"""The OCI runtime, runc or crun: its command lines, its programs' starts, and the meaning of its errors."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from shim.rawsignal import SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM, SIGXFSZ

_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}

# The shim or Python ignores them, and an ignored signal would stay ignored in the container.
_RESET_SIGNALS = (SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGTERM, SIGXFSZ)

MAX_ERROR_BYTES = 64 * 1024
MAX_MESSAGE_CHARACTERS = 2000


class Runtime(NamedTuple):
    """Where the runtime is and what it is always told."""

    path: str
    root: str
    systemd_cgroup: bool = False

    def _global(self, log: str) -> list[str]:
        options = [self.path, "--root", self.root, "--log", log, "--log-format", "json"]
        if self.systemd_cgroup:
            options.append("--systemd-cgroup")
        return options

    def create(
        self, container_id: str, bundle: str, *, no_pivot: bool = False, no_new_keyring: bool = False
    ) -> list[str]:
        """Create a container; its pid goes to `<bundle>/init.pid`."""
        command = [*self._global(f"{bundle}/log.json"), "create", "--bundle", bundle]
        command += ["--pid-file", f"{bundle}/init.pid"]
        if no_pivot:
            command.append("--no-pivot")
        if no_new_keyring:
            command.append("--no-new-keyring")
        return [*command, container_id]

    def start(self, container_id: str, bundle: str) -> list[str]:
        """Let a created container run."""
        return [*self._global(f"{bundle}/log.json"), "start", container_id]

    def exec(self, container_id: str, exec_id: str, bundle: str) -> list[str]:
        """Start another process; its pid goes to `<bundle>/<exec_id>.pid`."""
        command = [*self._global(f"{bundle}/{exec_id}.log.json"), "exec", "--detach"]
        command += ["--process", f"{bundle}/{exec_id}.process.json", "--pid-file", f"{bundle}/{exec_id}.pid"]
        return [*command, container_id]

    def delete(self, container_id: str, bundle: str, *, force: bool = False) -> list[str]:
        """Remove a stopped container, with `force` one in any state."""
        command = [*self._global(f"{bundle}/log.json"), "delete"]
        if force:
            command.append("--force")
        return [*command, container_id]

    def knows(self, container_id: str) -> bool:
        """Whether the runtime has state of this container: both keep it in a directory of that name."""
        return os.path.isdir(f"{self.root}/{container_id}")


def spawn(command: list[str], fds: Sequence[int] = ()) -> int:
    """Start a program with these descriptors as 0, 1, 2, or ours; return its pid.

    Raises:
        OSError: it cannot be started.

    """
    actions = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(fds)]
    return os.posix_spawn(
        command[0], command, _ENVIRONMENT, file_actions=actions, setsigmask=(), setsigdef=_RESET_SIGNALS
    )


class RuntimeFailure(NamedTuple):
    """What went wrong, in our terms: a code of `wharfie.errors`, a sentence, and a reason for programs or nothing."""

    code: str
    message: str
    reason: str = ""


class _LogLine(msgspec.Struct, gc=False):
    level: str = ""
    msg: str = ""


_decode_line = msgspec.json.Decoder(_LogLine).decode


def last_error(log: bytes) -> str:
    """The newest error in a runtime's JSON log; empty when there is none. Pure."""
    for line in reversed(log.split(b"\n")):
        if not line.startswith(b"{"):
            continue
        try:
            found = _decode_line(line)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
        if found.level in {"error", "fatal"} or (not found.level and found.msg):
            return found.msg[:MAX_MESSAGE_CHARACTERS]
    return ""


def classify(text: str) -> RuntimeFailure:
    """What a runtime's error means. Pure.

    The runtimes have only texts, so this is the one place where a text decides: whether the program to run was not
    found (a shell's 127) or cannot be executed (126). Both runtimes name the failing step `exec`.
    """
    message = text or "the runtime failed and said nothing"
    if "executable file" in text and "not found" in text:
        return RuntimeFailure("not_found", message, "executable_not_found")
    _, found, tail = text.partition('exec: "')
    if not found:
        _, found, tail = text.partition("open executable")
    if found:
        lowered = tail.lower()
        if "no such file or directory" in lowered:
            return RuntimeFailure("not_found", message, "executable_not_found")
        if "permission denied" in lowered or "is a directory" in lowered or "not a directory" in lowered:
            return RuntimeFailure("permission_denied", message, "not_executable")
    return RuntimeFailure("failed_precondition", message, "runtime_failed")


def read_error(path: str) -> RuntimeFailure:
    """The classified error that a runtime left in its log file."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - MAX_ERROR_BYTES))
            return classify(last_error(file.read()))
    except OSError:
        return classify("")


def read_pid(path: str) -> int:
    """The pid in a pid file; 0 when the runtime did not get as far as writing it."""
    try:
        with open(path, "rb") as file:
            return int(file.read(16) or b"0")
    except (OSError, ValueError):
        return 0
