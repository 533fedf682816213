"""`wharfie run` and `exec` against a real daemon: exit codes, streams, signals, and what is left."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.commandline import Shell
from tests.support.wait import until


def test_the_output_and_the_exit_code_are_the_containers(shell: Shell) -> None:
    done = shell.run("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (done.code, done.out, done.err) == (3, "out\n", "err\n")


def test_more_output_than_a_pipe_holds_arrives_whole(shell: Shell) -> None:
    assert len(shell.ok("run", "--rm", "busybox", "sh", "-c", "yes 0123456789abcde | head -c 3000000")) == 3_000_000


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (("busybox", "/no/such/program"), 127, "hint: "),
        (("busybox", "no-such-program"), 127, "hint: "),
        (("busybox", "/etc"), 126, "hint: "),
        (("no-such-image", "true"), 125, "wharfie import"),
        (("--memory", "1k", "busybox", "true"), 125, "memory"),
        (("--cpus", "x", "busybox", "true"), 2, "--cpus"),
    ],
)
def test_a_run_that_cannot_be_ends_with_its_code_and_leaves_nothing(
    shell: Shell, arguments: tuple[str, ...], code: int, word: str
) -> None:
    done = shell.run("run", "--name", "never", *arguments)
    assert done.code == code, done
    assert "error: " in done.err
    assert word in done.err
    assert shell.json("ps", "-a") == []
    assert [info["name"] for info in shell.json("snapshot", "ls", "kind==active")] == []


def test_rm_removes_the_container_and_without_it_it_stays(shell: Shell) -> None:
    shell.ok("run", "--rm", "--name", "gone", "busybox", "true")
    shell.ok("run", "--name", "stays", "busybox", "true")
    assert [(found["id"], found["status"]) for found in shell.json("ps", "-a")] == [("stays", "stopped")]
    assert shell.json("ps") == []


def test_stdin_goes_to_the_container_when_asked_for(shell: Shell) -> None:
    data = b"line\n" * 100_000
    assert shell.ok("run", "--rm", "-i", "busybox", "wc", "-c", stdin=data).strip() == str(len(data))
    assert shell.ok("run", "--rm", "busybox", "wc", "-c", stdin=data).strip() == "0"


def test_the_options_reach_the_container(shell: Shell, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "file").write_text("from the host\n")
    out = shell.ok(
        *("run", "--rm", "-e", "A=b", "-w", "/tmp", "-u", "1000:1000", "-v", f"{tmp_path}:/data:ro", "--hostname", "h"),
        *("--read-only", "busybox", "sh", "-c"),
        "echo $A; pwd; id -u; id -g; cat /data/file; hostname; touch /data/x || touch /x || echo read-only",
    )
    assert out.splitlines() == ["b", "/tmp", "1000", "1000", "from the host", "h", "read-only"]


def test_a_bare_variable_is_passed_on(shell: Shell) -> None:
    done = shell.run("run", "--rm", "-e", "OURS", "busybox", "sh", "-c", "echo $OURS", env={"OURS": "here"})
    assert done.out == "here\n"


def started(shell: Shell, *arguments: str) -> subprocess.Popen[bytes]:
    """A foreground run whose container has said that it is ready."""
    process = shell.start("run", *arguments)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def ended(process: subprocess.Popen[bytes]) -> tuple[int, bytes]:
    out, _ = process.communicate(timeout=20)
    return process.returncode, out


@pytest.mark.parametrize(
    ("number", "name"), [(signal.SIGINT, "INT"), (signal.SIGTERM, "TERM"), (signal.SIGUSR1, "USR1")]
)
def test_a_signal_is_passed_on_to_the_container(shell: Shell, number: int, name: str) -> None:
    script = f"trap 'echo got; exit 5' {name}; echo ready; while :; do sleep 0.1; done"
    process = started(shell, "--rm", "busybox", "sh", "-c", script)
    process.send_signal(number)
    assert ended(process) == (5, b"got\n")
    assert shell.json("ps", "-a") == []


def test_the_second_interrupt_kills_the_container(shell: Shell) -> None:
    script = "trap 'echo once' INT; echo ready; while :; do sleep 0.1; done"
    process = started(shell, "--rm", "busybox", "sh", "-c", script)
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    assert process.stdout.readline() == b"once\n"
    process.send_signal(signal.SIGINT)
    assert ended(process) == (137, b"")
    assert shell.json("ps", "-a") == []


def test_a_reader_that_goes_away_does_not_stop_the_container(shell: Shell) -> None:
    process = started(shell, "--rm", "busybox", "sh", "-c", "echo ready; yes | head -c 1000000; exit 4")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    error = process.stderr.read()
    process.stderr.close()
    assert (process.wait(timeout=20), error) == (4, b"")


def test_detached_output_goes_to_the_log(shell: Shell) -> None:
    out = shell.ok("run", "-d", "--name", "job", "busybox", "sh", "-c", "echo one; echo two >&2; exit 9")
    assert out == "job\n"
    assert shell.ok("wait", "job") == "9\n"
    assert sorted(shell.ok("logs", "job").splitlines()) == ["one", "two"]
    assert shell.ok("logs", "--tail", "1", "job") in {"one\n", "two\n"}


def test_logs_follow_until_the_container_ends(shell: Shell) -> None:
    shell.ok("run", "-d", "--name", "job", "busybox", "sh", "-c", "echo one; sleep 0.3; echo two")
    assert shell.ok("logs", "-f", "job") == "one\ntwo\n"


def test_a_log_file_gets_the_output_and_is_used_again(shell: Shell, tmp_path: Path) -> None:
    log = tmp_path / "log"
    shell.ok("run", "-d", "--name", "job", "--log", str(log), "busybox", "echo", "hello")
    shell.ok("wait", "job")
    shell.ok("start", "job")
    shell.ok("wait", "job")
    assert log.read_text() == "hello\nhello\n"
    assert shell.run("run", "--rm", "--log", str(log), "busybox", "sh", "-c", "echo more; exit 2").code == 2
    assert log.read_text() == "hello\nhello\nmore\n"


def test_a_detached_container_with_rm_goes_when_it_has_ended(shell: Shell) -> None:
    shell.ok("run", "-d", "--rm", "--name", "job", "busybox", "sh", "-c", "sleep 0.2")
    until(lambda: shell.json("ps", "-a") == [], deadline_s=20)


def test_a_name_that_is_taken_is_refused_and_its_owner_untouched(shell: Shell) -> None:
    shell.ok("run", "-d", "--name", "web", "busybox", "sleep", "100")
    done = shell.run("run", "--rm", "--name", "web", "busybox", "true")
    assert done.code == 125
    assert [(found["id"], found["status"]) for found in shell.json("ps")] == [("web", "running")]


@pytest.fixture
def web(shell: Shell) -> str:
    shell.ok("run", "-d", "--name", "web", "-e", "BASE=1", "busybox", "sleep", "100")
    return "web"


def test_exec_has_the_commands_exit_code_and_output(shell: Shell, web: str) -> None:
    done = shell.run("exec", "-e", "A=b", "-w", "/tmp", "-u", "7", web, "sh", "-c", "echo $A $BASE; pwd; id -u; exit 6")
    assert (done.code, done.out) == (6, "b 1\n/tmp\n7\n")
    assert shell.ok("exec", "-i", web, "cat", stdin=b"typed") == "typed"


@pytest.mark.parametrize(("program", "code"), [("no-such-program", 127), ("/etc", 126)])
def test_exec_of_what_cannot_run_has_its_code(shell: Shell, web: str, program: str, code: int) -> None:
    done = shell.run("exec", web, program)
    assert done.code == code
    assert "error: " in done.err


def test_a_detached_exec_runs_on(shell: Shell, web: str) -> None:
    exec_id = shell.ok("exec", "-d", web, "sleep", "50").strip()
    assert exec_id in {process["exec_id"] for process in shell.json("task", "ps", web)}
