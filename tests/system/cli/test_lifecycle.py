"""`wharfie ps, stop, start, kill, wait, rm, inspect` against a real daemon."""

from __future__ import annotations

import time

import pytest

from tests.support.commandline import Shell
from tests.support.wait import until


def background(shell: Shell, name: str, script: str = "sleep 100") -> str:
    shell.ok("run", "-d", "--name", name, "busybox", "sh", "-c", script)
    return name


def states(shell: Shell) -> dict[str, str]:
    return {found["id"]: found["status"] for found in shell.json("ps", "-a")}


def test_ps_shows_what_runs_and_with_all_the_rest(shell: Shell) -> None:
    background(shell, "up")
    background(shell, "over", "exit 3")
    shell.ok("container", "create", "--name", "new", "busybox", "true")
    shell.ok("wait", "over")
    lines = shell.ok("ps").splitlines()
    assert lines[0].split("   ")[0] == "CONTAINER ID"
    assert [line.split()[0] for line in lines[1:]] == ["up"]
    text = shell.ok("ps", "-a")
    assert "Exited (3)" in text
    assert "Created" in text
    assert "Up " in text
    assert shell.ok("ps", "-q") == "up\n"
    assert shell.ok("ps", "-q", "--status", "stopped") == "over\n"
    assert shell.ok("ps", "-aq", "--filter", "id==new") == "new\n"
    assert states(shell) == {"up": "running", "over": "stopped", "new": "created"}


def test_a_long_id_is_shortened_and_its_beginning_names_it(shell: Shell) -> None:
    id_ = shell.ok("run", "-d", "busybox", "sleep", "100").strip()
    assert len(id_) == 64
    assert shell.ok("ps").splitlines()[1].startswith(f"{id_[:12]} ")
    assert shell.ok("ps", "--no-trunc").splitlines()[1].startswith(id_)
    assert shell.json("inspect", id_[:8])[0]["container"]["id"] == id_
    assert shell.ok("rm", "-f", id_[:8]) == f"{id_}\n"


def test_an_ambiguous_beginning_is_refused(shell: Shell) -> None:
    background(shell, "twin-1")
    background(shell, "twin-2")
    done = shell.run("stop", "twin")
    assert done.code == 1
    assert "twin-1, twin-2" in done.err
    assert set(states(shell).values()) == {"running"}


def test_stop_asks_first_and_kills_after_the_grace(shell: Shell) -> None:
    background(shell, "polite", "trap 'exit 4' TERM; while :; do sleep 0.05; done")
    background(shell, "stubborn", "trap '' TERM; while :; do sleep 0.05; done")
    until(lambda: "sh" in shell.ok("exec", "polite", "sh", "-c", "echo sh"))
    begun_s = time.monotonic()
    assert shell.ok("stop", "-t", "500ms", "polite", "stubborn") == "polite\nstubborn\n"
    assert time.monotonic() - begun_s < 15
    assert shell.ok("wait", "polite", "stubborn").split() == ["4", "137"]
    assert shell.ok("stop", "polite") == "polite\n"


def test_start_runs_a_container_again_and_keeps_its_log_and_files(shell: Shell) -> None:
    background(shell, "job", "ls /mark 2>/dev/null || echo first; touch /mark")
    shell.ok("wait", "job")
    assert shell.ok("start", "job") == "job\n"
    shell.ok("wait", "job")
    assert shell.ok("logs", "job") == "first\n/mark\n"


def test_start_attached_has_the_output_and_the_exit_code(shell: Shell) -> None:
    shell.ok("container", "create", "--name", "job", "busybox", "sh", "-c", "echo hello; exit 5")
    done = shell.run("start", "--attach", "job")
    assert (done.code, done.out) == (5, "hello\n")


def test_starting_what_runs_is_refused_and_harmless(shell: Shell) -> None:
    background(shell, "web")
    done = shell.run("start", "web")
    assert done.code == 1
    assert "running already" in done.err
    assert states(shell) == {"web": "running"}


@pytest.mark.parametrize(("arguments", "code"), [((), "137"), (("-s", "USR1"), "9"), (("--signal", "10"), "9")])
def test_kill_sends_the_signal(shell: Shell, arguments: tuple[str, ...], code: str) -> None:
    background(shell, "web", "trap 'exit 9' USR1; echo ready; while :; do sleep 0.05; done")
    until(lambda: shell.ok("logs", "web") == "ready\n")
    shell.ok("kill", *arguments, "web")
    assert shell.ok("wait", "web") == f"{code}\n"


def test_rm_refuses_what_runs_unless_forced(shell: Shell) -> None:
    background(shell, "web")
    done = shell.run("rm", "web")
    assert done.code == 1
    assert "wharfie rm -f" in done.err
    assert shell.ok("rm", "-f", "web") == "web\n"
    assert states(shell) == {}
    assert shell.ok("rm", "-f", "web") == ""


def test_one_that_is_missing_does_not_keep_the_others(shell: Shell) -> None:
    background(shell, "a", "true")
    background(shell, "b", "true")
    shell.ok("wait", "a", "b")
    done = shell.run("rm", "a", "missing", "b")
    assert (done.code, done.out) == (1, "a\nb\n")
    assert done.err.splitlines()[0].startswith("error: container 'missing' not found")


def test_inspect_shows_record_task_and_snapshot(shell: Shell) -> None:
    background(shell, "web")
    (found,) = shell.json("inspect", "web")
    assert found["container"]["spec"]["process"]["args"] == ["sh", "-c", "sleep 100"]
    assert found["task"]["status"] == "running"
    assert found["snapshot"]["kind"] == "active"
    (image,) = shell.json("inspect", "busybox")
    assert image["image"]["name"] == "busybox:latest"
    assert shell.run("inspect", "neither").code == 1


def test_wait_within_a_time_that_was_given(shell: Shell) -> None:
    background(shell, "web")
    done = shell.run("wait", "--timeout", "200ms", "web")
    assert done.code == 1
    assert "error: " in done.err
