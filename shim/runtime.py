"""The OCI runtime, runc or crun: its command lines, its programs' starts, and the meaning of its errors."""

from __future__ import annotations

import os
from collections.abc import Sequence
from os import close as close_fd
from os import fstat, listdir, posix_spawn, pread, rmdir, stat, unlink
from os import open as open_fd
from os import read as read_fd
from typing import NamedTuple

import msgspec

from shim.rawsignal import SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM, SIGXFSZ

_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}

# The shim or Python ignores them, and an ignored signal would stay ignored in the container.
_RESET_SIGNALS = (SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGTERM, SIGXFSZ)

_DUP2 = os.POSIX_SPAWN_DUP2
_READ_FLAGS = os.O_RDONLY | os.O_CLOEXEC
_GATE_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW

MAX_ERROR_BYTES = 64 * 1024
MAX_MESSAGE_CHARACTERS = 2000


class Runtime:
    """Where the runtime is and what it is always told."""

    __slots__ = ("_is_runc", "path", "root", "systemd_cgroup")

    def __init__(self, path: str, root: str, *, systemd_cgroup: bool = False) -> None:
        self.path = path
        self.root = root
        self.systemd_cgroup = systemd_cgroup
        self._is_runc = path.endswith("/runc")

    def open_gate(self, container_id: str) -> int:
        """Let a created container run without starting a program for it; -1 where that is not possible.

        runc's init waits until somebody opens the other end of a FIFO, then writes one byte into it and goes on. `runc
        start` opens it, reads the byte and unlinks it: 4 ms for three system calls. The returned descriptor becomes
        readable when the container has passed the gate; `close_gate` follows.
        """
        if not self._is_runc:
            return -1
        try:
            return open_fd(f"{self.root}/{container_id}/exec.fifo", _GATE_FLAGS)
        except OSError:
            return -1

    def close_gate(self, container_id: str, fd: int) -> bool:
        """Tell whether the container has passed the gate, and take it away: runc calls it running from then on."""
        try:
            has_passed = read_fd(fd, 1) != b""
        except BlockingIOError:
            has_passed = False
        close_fd(fd)
        if has_passed:
            unlink(f"{self.root}/{container_id}/exec.fifo")
        return has_passed

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

    def forget(self, container_id: str, cgroups: Sequence[str]) -> bool:
        """Do what runc's `delete` does for a stopped container, without starting a program for it; whether it is done.

        That is: its control groups and its state file go. Anything out of the ordinary (a group that is busy or has
        groups below it, another file beside the state) is left to the program. It takes 5 ms of two processors, and
        a container's whole life 40.
        """
        if not self._is_runc or not cgroups:
            return False
        directory = f"{self.root}/{container_id}"
        try:
            if listdir(directory) != ["state.json"]:
                return False
            for group in cgroups:
                try:
                    rmdir(group)
                except FileNotFoundError:
                    continue
            unlink(f"{directory}/state.json")
            rmdir(directory)
        except OSError:
            return False
        return True

    def knows(self, container_id: str) -> bool:
        """Whether the runtime has state of this container: both keep it in a directory of that name."""
        try:
            stat(f"{self.root}/{container_id}")
        except OSError:
            return False
        return True


def spawn(command: list[str], fds: Sequence[int] = ()) -> int:
    """Start a program with these descriptors as 0, 1, 2, or ours; return its pid.

    Raises:
        OSError: it cannot be started.

    """
    actions = []
    for number in range(len(fds)):
        actions.append((_DUP2, fds[number], number))  # noqa: PERF401  # a comprehension makes a function, and its pages
    return posix_spawn(command[0], command, _ENVIRONMENT, file_actions=actions, setsigmask=(), setsigdef=_RESET_SIGNALS)


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
    return classify(last_error(_read_end(path, MAX_ERROR_BYTES)))


def read_pid(path: str) -> int:
    """The pid in a pid file; 0 when the runtime did not get as far as writing it."""
    text = _read_end(path, 16)
    return int(text) if text.isdigit() else 0


def _read_end(path: str, size: int) -> bytes:
    """The last bytes of a file; none when there is no such file. Not by `open`: file objects cost memory here."""
    try:
        fd = open_fd(path, _READ_FLAGS)
    except OSError:
        return b""
    try:
        return pread(fd, size, max(0, fstat(fd).st_size - size))
    finally:
        close_fd(fd)
