"""`wharfie pull`, `push` and `run` of images that a registry has."""

from __future__ import annotations

import base64
import json
import os
import pty
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import wharfie
from tests.support import registry as registries
from tests.support.commandline import PROGRAM, Shell
from tests.support.daemon import Daemon
from tests.support.registry import Registry
from tests.support.remoteimages import Remote, publish

NAMESPACE = "cli-registries"


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    with tempfile.TemporaryDirectory(prefix="registry-", dir="/dev/shm") as directory, Registry(Path(directory)) as it:
        yield it


@pytest.fixture(scope="module")
def remote(registry: Registry) -> Remote:
    return publish(registry, "app", "1")


@pytest.fixture
def shell(daemon: Daemon) -> Iterator[Shell]:
    yield Shell(str(daemon.address), NAMESPACE)
    with wharfie.connect(str(daemon.address), namespace=NAMESPACE) as client:
        for image in client.images.list():
            client.images.delete(image.name)
        client.gc.run()


def test_pull_says_each_step_once_and_the_name_at_the_end(shell: Shell, remote: Remote) -> None:
    done = shell.run("pull", remote.ref)
    assert (done.code, done.out) == (0, f"{remote.ref} {remote.manifest.digest}\n")
    lines = done.err.splitlines()
    assert lines[0] == f"resolving {remote.ref}"
    assert lines[1] == f"resolved {remote.ref} {remote.manifest.digest}"
    layer = remote.layers[0].digest.partition(":")[2][:12]
    assert f"unpacked {layer}" in lines
    assert len(lines) == len(set(lines))
    again = shell.run("pull", remote.ref)
    assert f"exists {layer}" in again.err.splitlines()


def test_pull_is_quiet_or_speaks_json(shell: Shell, remote: Remote) -> None:
    done = shell.run("pull", "-q", remote.ref)
    assert (done.out, done.err) == (f"{remote.ref}\n", "")
    lines = [json.loads(line) for line in shell.ok("pull", "--json", remote.ref).splitlines()]
    assert lines[0]["event"] == "resolving"
    assert lines[-1]["image"]["name"] == remote.ref
    assert lines[-1]["fetched_bytes"] == 0


def test_pull_draws_a_bar_for_each_layer_on_a_terminal(shell: Shell, remote: Remote) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "wb") as terminal:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, "pull", remote.ref],
            env=shell.variables({"TERM": "xterm", "COLUMNS": "120"}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=terminal,
        )
    drawn = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:
            break
        if not piece:
            break
        drawn += piece
    os.close(ours)
    assert process.wait(40) == 0
    assert remote.layers[0].digest.partition(":")[2][:12].encode() in drawn
    assert b"unpacked" in drawn


def test_run_pulls_what_is_missing_unless_told_not_to(shell: Shell, registry: Registry, remote: Remote) -> None:
    never = shell.run("run", "--pull", "never", remote.ref, "true")
    assert never.code == 125
    assert "not found" in never.err
    done = shell.run("run", "--rm", remote.ref, "echo", "hi")
    assert (done.code, done.out) == (0, "hi\n")
    assert "resolved" in done.err
    assert "resolving" not in shell.run("run", "--rm", remote.ref, "true").err
    moved = publish(registry, "moving", "1", command=["echo", "one"])
    assert shell.ok("run", "--rm", moved.ref) == "one\n"
    publish(registry, "moving", "1", command=["echo", "two"])
    assert shell.ok("run", "--rm", moved.ref) == "one\n"
    assert shell.ok("run", "--rm", "--pull", "always", moved.ref) == "two\n"


def test_run_of_what_a_registry_does_not_have_ends_with_125_and_a_hint(shell: Shell, registry: Registry) -> None:
    for name in (f"{registry.host}/nothing:1", "127.0.0.1:1/nothing:1"):
        done = shell.run("run", "--rm", name, "true")
        assert done.code == 125
        assert "cannot be pulled" in done.err
        assert "hint: " in done.err


def test_push_to_another_name(shell: Shell, registry: Registry, remote: Remote) -> None:
    shell.ok("pull", "-q", remote.ref)
    done = shell.run("push", remote.ref, f"{registry.host}/copy:2")
    assert (done.code, done.out) == (0, f"{registry.host}/copy:2 {remote.manifest.digest}\n")
    assert f"exists {remote.layers[0].digest.partition(':')[2][:12]}" in done.err
    assert shell.ok("push", "-q", remote.ref, f"{registry.host}/copy:3") == f"{registry.host}/copy:3\n"
    last = shell.ok("push", "--json", remote.ref).splitlines()[-1]
    assert json.loads(last)["sent_bytes"] == 0


def test_credentials_come_from_the_files_of_docker(shell: Shell, remote: Remote, tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="registry-", dir="/dev/shm") as directory:
        with Registry(Path(directory)) as open_one:
            publish(open_one, "private", "1")
        with Registry(Path(directory), basic=True) as private:
            ref = f"{private.host}/private:1"
            env = {"DOCKER_CONFIG": str(tmp_path), "REGISTRY_AUTH_FILE": ""}
            refused = shell.run("pull", ref, env=env)
            assert refused.code == 1
            assert "wharfie login" in refused.err
            secret = base64.b64encode(f"{registries.USER}:{registries.PASSWORD}".encode()).decode()
            (tmp_path / "config.json").write_text(json.dumps({"auths": {private.host: {"auth": secret}}}))
            assert shell.run("pull", "-q", ref, env=env).out == f"{ref}\n"
