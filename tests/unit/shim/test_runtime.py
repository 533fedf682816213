from __future__ import annotations

import os

import pytest

from shim.runtime import Runtime, classify, last_error, read_error, read_pid, spawn
from tests.support.bundle import temporary_directory

RUNC = Runtime("/usr/sbin/runc", "/run/r")


def test_command_lines() -> None:
    start = "/usr/sbin/runc --root /run/r --log /b/log.json --log-format json"
    create = f"{start} create --bundle /b --pid-file /b/init.pid --no-pivot --no-new-keyring c"
    assert " ".join(RUNC.create("c", "/b", no_pivot=True, no_new_keyring=True)) == create
    assert " ".join(RUNC.start("c", "/b")) == f"{start} start c"
    assert " ".join(RUNC.delete("c", "/b", force=True)) == f"{start} delete --force c"
    exec_ = "--log /b/e.log.json --log-format json exec --detach --process /b/e.process.json --pid-file /b/e.pid c"
    assert " ".join(RUNC.exec("c", "e", "/b")) == f"/usr/sbin/runc --root /run/r {exec_}"
    assert "--systemd-cgroup" in Runtime("runc", "/r", systemd_cgroup=True).start("c", "/b")


@pytest.mark.parametrize(
    ("text", "code", "reason"),
    [
        ('exec: "nope": executable file not found in $PATH: unknown', "not_found", "executable_not_found"),
        (
            'runc create failed: exec: "/nope": stat /nope: no such file or directory',
            "not_found",
            "executable_not_found",
        ),
        ("executable file `nope` not found in $PATH: No such file or directory", "not_found", "executable_not_found"),
        ('unable to start container process: exec: "/etc/x": permission denied', "permission_denied", "not_executable"),
        ('exec: "/etc": is a directory: unknown', "permission_denied", "not_executable"),
        ("open executable: Permission denied", "permission_denied", "not_executable"),
        (
            'chdir to cwd ("/x") set in config.json failed: no such file or directory',
            "failed_precondition",
            "runtime_failed",
        ),
        ('error mounting "/a": mount /a:/b: permission denied', "failed_precondition", "runtime_failed"),
        ("", "failed_precondition", "runtime_failed"),
    ],
)
def test_what_the_runtimes_words_mean(text: str, code: str, reason: str) -> None:
    failure = classify(text)
    assert (failure.code, failure.reason) == (code, reason)
    assert failure.message


def test_the_newest_error_counts() -> None:
    log = b'{"level":"error","msg":"old"}\n{"level":"warning","msg":"w"}\n{"level":"error","msg":"new"}\n{"level":"info","msg":"i"}\n{'
    assert last_error(log) == "new"
    assert last_error(b"") == last_error(b"text\n{broken\n") == ""
    assert len(last_error(b'{"level":"error","msg":"' + b"x" * 5000 + b'"}')) == 2000


def test_files_that_are_not_there_are_no_error() -> None:
    assert read_pid("/nonexistent/pid") == 0
    assert read_error("/nonexistent/log").reason == "runtime_failed"
    with temporary_directory() as directory:
        with open(f"{directory}/pid", "w", encoding="ascii") as file:
            file.write("12")
        assert read_pid(f"{directory}/pid") == 12
        assert not Runtime("runc", directory).knows("c")
        os.mkdir(f"{directory}/c")
        assert Runtime("runc", directory).knows("c")


def test_a_program_gets_its_streams_and_default_signals() -> None:
    import signal

    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    read_end, write_end = os.pipe()
    null = os.open("/dev/null", os.O_RDWR)
    try:
        pid = spawn(["/bin/busybox", "grep", "SigIgn", "/proc/self/status"], [null, write_end, null])
        assert os.waitpid(pid, 0)[1] == 0
        ignored = int(os.read(read_end, 100).split()[1], 16)
        assert ignored & (1 << 0 | 1 << 12 | 1 << 14) == 0
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        for fd in (read_end, write_end, null):
            os.close(fd)


def test_a_program_that_is_not_there_raises() -> None:
    with pytest.raises(FileNotFoundError):
        spawn(["/nonexistent"])
