"""The nouns against a real daemon: images, content, snapshots, namespaces, plugins, actors, events."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import time
from pathlib import Path

import pytest

from tests.support.commandline import Shell
from tests.support.daemon import Daemon
from tests.support.wait import until


def test_an_archive_is_imported_from_a_file_and_from_a_stream(shell: Shell, archive: str) -> None:
    other = Shell(shell.address, "imports")
    done = other.run("import", archive)
    assert done.code == 0
    assert done.out.startswith("busybox:latest sha256:")
    assert "saved busybox:latest" in done.err
    other.ok("rmi", "busybox")
    with open(archive, "rb") as file:
        assert other.run("import", "-", "--name", "mine:2", stdin=file.read()).out.startswith("mine:2 ")
    assert other.ok("images", "-q") == "mine:2\n"
    assert other.ok("run", "--rm", "mine:2", "echo", "runs") == "runs\n"


def test_an_archive_that_is_missing_is_named(shell: Shell) -> None:
    done = shell.run("import", "/no/such/archive.tar")
    assert (done.code, done.err) == (1, "error: /no/such/archive.tar: no such file or directory\n")


def test_images_are_listed_tagged_labelled_and_removed(shell: Shell) -> None:
    header, *rows = shell.ok("images").splitlines()
    assert header.split() == ["NAME", "DIGEST", "PLATFORM", "CREATED", "SIZE"]
    assert any(row.startswith("busybox:latest") and "linux/" in row and "iB" in row for row in rows)
    assert shell.ok("tag", "busybox", "mine:1", "mine:2") == "mine:1\nmine:2\n"
    assert shell.ok("image", "label", "mine:1", "a=1", "b=2") == "a=1\nb=2\n"
    assert shell.json("image", "label", "mine:1", "a=") == {"b": "2"}
    sizes = {image["name"]: image["size"] for image in shell.json("images")}
    assert sizes["mine:1"] == sizes["busybox:latest"] > 100_000
    assert shell.ok("rmi", "mine:1", "mine:2") == "mine:1\nmine:2\n"
    assert shell.ok("images", "-q") == "busybox:latest\n"
    assert shell.run("rmi", "mine:1").code == 1


def test_blobs_are_ingested_read_labelled_and_forgotten(shell: Shell) -> None:
    data = os.urandom(3 << 20)
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert shell.ok("content", "ingest", "--expected-digest", digest, "up-1", stdin=data) == f"{digest}\n"
    process = shell.start("content", "get", "--offset", "1000", "--size", "500", digest)
    assert process.communicate(timeout=20)[0] == data[1000:1500]
    assert shell.json("content", "label", digest, "k=v") == {"k": "v"}
    assert digest in shell.ok("content", "ls", "-q", "labels.k==v")
    assert shell.json("content", "inspect", digest)[0]["size"] == len(data)
    wrong = shell.run("content", "ingest", "--expected-digest", "sha256:" + "0" * 64, "up-2", stdin=b"other")
    assert wrong.code == 1
    assert "up-2" in shell.ok("content", "active")
    shell.ok("content", "abort", "up-2")
    shell.ok("content", "rm", digest)
    assert digest not in shell.ok("content", "ls", "-q")


def test_a_snapshot_goes_through_its_life(shell: Shell) -> None:
    mounts = shell.json("snapshot", "prepare", "work")
    assert mounts == shell.json("snapshot", "mounts", "work")
    shell.ok("snapshot", "commit", "base", "work")
    shell.ok("snapshot", "view", "look", "base")
    assert "base (committed)\n  look (view)\n" in shell.ok("snapshot", "tree")
    assert shell.run("snapshot", "rm", "base").code == 1
    shell.ok("snapshot", "prepare", "loose")
    shell.ok("snapshot", "commit", "--parent", "base", "upper", "loose")
    assert shell.json("snapshot", "info", "upper")[0]["parent"] == "base"
    shell.ok("snapshot", "rm", "upper")
    assert shell.json("snapshot", "usage", "look")[0]["key"] == "look"
    assert shell.json("snapshot", "label", "look", "a=1") == {"a": "1"}
    assert shell.ok("snapshot", "rm", "look", "base") == "look\nbase\n"
    assert shell.json("snapshot", "ls", "name==base") == []


def test_an_image_is_unpacked_for_another_snapshotter(shell: Shell) -> None:
    (image,) = shell.json("image", "ls")
    chain = shell.ok("snapshot", "unpack", "--snapshotter", "native", image["name"]).strip()
    assert chain in shell.ok("snapshot", "ls", "-q", "--snapshotter", "native").split()
    assert shell.json("snapshot", "unpack", "--snapshotter", "native", image["name"])["chain_id"] == chain


def test_a_namespace_is_made_labelled_and_removed(shell: Shell) -> None:
    assert shell.ok("namespace", "create", "mine", "a=1") == "mine\n"
    assert shell.ok("ns", "label", "mine", "b=2") == "a=1\nb=2\n"
    assert "mine" in shell.ok("namespaces", "list", "-q").split()
    assert shell.run("namespace", "create", "mine").code == 1
    assert shell.ok("namespace", "rm", "mine") == "mine\n"
    assert shell.run("namespace", "rm", "cli").code == 1


def test_the_namespace_of_the_command_line_wins_over_the_environment(shell: Shell) -> None:
    assert shell.json("-n", "empty", "images") == []
    assert shell.json("images", "--namespace", "empty") == []
    assert len(shell.json("images")) == 1


def test_actors_are_listed_with_the_promised_fields(shell: Shell, daemon: Daemon) -> None:
    actors = shell.json("actor", "ls")
    assert {actor["name"] for actor in actors} == {"router", "metadata", "content", "snapshot", "runtime", "transfer"}
    for actor in actors:
        assert {"name", "pid", "generation", "state", "restarts", "uptime_s", "queue"} <= set(actor)
        assert actor["state"] == "ready"
    assert {actor["pid"] for actor in actors} <= set(daemon.descendants())
    tree = shell.json("actor", "tree")
    assert tree["pid"] == daemon.pid
    assert {child["name"] for child in tree["children"]} >= {actor["name"] for actor in actors}


def generation(shell: Shell, name: str) -> int:
    return next(int(actor["generation"]) for actor in shell.json("actor", "ls") if actor["name"] == name)


def test_an_actor_is_restarted_stopped_started_and_inspected(shell: Shell) -> None:
    before = generation(shell, "transfer")
    assert shell.ok("actor", "restart", "transfer") == "transfer\n"
    assert generation(shell, "transfer") == before + 1
    shell.ok("actor", "stop", "transfer")
    assert shell.json("actor", "inspect", "transfer")["actor"]["pid"] == 0
    shell.ok("actor", "start", "transfer")
    found = shell.json("actor", "inspect", "transfer")
    assert found["actor"]["state"] == "ready"
    assert "Depends on:" in shell.ok("actor", "inspect", "transfer")
    assert shell.ok("actor", "log-level", "debug", "transfer") == "transfer debug\n"
    shell.ok("actor", "log-level", "info", "transfer")
    assert "transfer" in shell.json("actor", "dump")
    done = shell.run("actor", "restart", "nobody")
    assert done.code == 1
    assert "error: " in done.err


def test_a_crash_is_told(shell: Shell) -> None:
    victim = next(actor for actor in shell.json("actor", "ls") if actor["name"] == "transfer")
    os.kill(victim["pid"], 9)
    until(lambda: shell.json("actor", "crashes", "transfer"))
    assert shell.json("actor", "crashes", "transfer")[-1]["pid"] == victim["pid"]
    assert f"pid {victim['pid']}" in shell.ok("actor", "inspect", "transfer")
    until(lambda: shell.json("actor", "inspect", "transfer")["actor"]["state"] == "ready")
    assert isinstance(shell.json("actor", "dead-letters"), list)


def test_plugins_are_listed(shell: Shell) -> None:
    plugins = shell.json("plugin", "ls")
    assert {plugin["status"] for plugin in plugins} <= {"ok", "skip", "error"}
    chosen = plugins[0]
    assert shell.json("plugin", "inspect", chosen["type"], chosen["id"]) == chosen
    assert shell.run("plugin", "inspect", "no", "such").code == 1


def test_version_and_info_tell_of_the_daemon(shell: Shell, daemon: Daemon) -> None:
    assert shell.json("version")["server"]["protocol"] == "W1"
    assert "Server:" in shell.ok("version")
    info = shell.json("info")
    assert info["server"]["pid"] == daemon.pid
    assert info["namespace"] == "cli"
    assert str(daemon.root) in shell.ok("info")


def test_events_are_printed_as_they_happen(shell: Shell) -> None:
    process = shell.start("-n", "cli", "--json", "events", "--after", "0", "topic~=^/(tasks|containers)/")
    try:
        shell.ok("run", "--rm", "--name", "eventful", "busybox", "true")
        assert process.stdout is not None
        topics: list[str] = []
        while "/containers/delete" not in topics:
            event = json.loads(process.stdout.readline())
            assert event["namespace"] == "cli"
            if "eventful" in (event["event"].get("id"), event["event"].get("container_id")):
                topics.append(event["topic"])
        assert topics[0] == "/containers/create"
        assert topics.index("/tasks/start") < topics.index("/tasks/exit") < topics.index("/tasks/delete")
    finally:
        process.send_signal(2)
        process.communicate(timeout=10)
    assert process.returncode == 130


def test_no_daemon_is_an_error_with_a_hint_in_little_time(tmp_path: Path) -> None:
    begun_s = time.monotonic()
    done = Shell(str(tmp_path / "sock"), "cli").run("--timeout", "1", "ps")
    assert done.code == 1
    assert done.err.startswith("error: no daemon answers at ")
    assert "\nhint: " in done.err
    assert time.monotonic() - begun_s < 8


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")
def test_a_socket_of_somebody_else_is_a_matter_of_permission(tmp_path: Path) -> None:
    directory = tmp_path / "d"
    directory.mkdir(mode=0o711)
    for parent in (tmp_path, *tmp_path.parents[:3]):
        parent.chmod(parent.stat().st_mode | 0o011)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(directory / "s"))
        (directory / "s").chmod(0o660)
        reader = os.fork()
        if reader == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            from cli.main import invoke

            os._exit(invoke(["-a", str(directory / "s"), "ps"]))
        assert os.waitstatus_to_exitcode(os.waitpid(reader, 0)[1]) == 1


def test_completion_knows_the_containers(shell: Shell) -> None:
    shell.ok("container", "create", "--name", "completed", "busybox", "true")
    variables = {"_WHARFIE_COMPLETE": "bash_complete", "COMP_WORDS": "wharfie rm comp", "COMP_CWORD": "2"}
    assert shell.run(env=variables).out == "plain,completed\n"


def test_a_reader_that_goes_away_ends_the_command_quietly(shell: Shell) -> None:
    process = shell.start("events", "--after", "0")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    shell.ok("namespace", "create", "noise")
    shell.ok("namespace", "rm", "noise")
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(timeout=10) == 141
