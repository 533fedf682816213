"""The daemon's life with scripted actors: boot order, signals, lock, notifications, giving up, its own death."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import time
import uuid
from pathlib import Path

import pytest

from linux import mount, procfs
from supervisor.main import EX_CONFIG
from tests.support.daemon import REPOSITORY, Daemon
from tests.support.wait import until

SERVE = "ready serve"
ALL = dict.fromkeys(("router", "metadata", "content", "snapshot", "runtime", "transfer"), SERVE)
FEW = {"router": SERVE, "metadata": SERVE}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def messages(daemon: Daemon) -> list[str]:
    lines = [json.loads(line) for line in daemon.log().splitlines() if line.startswith("{")]
    return [f"{line['msg']} {line['actor']}" if "generation" in line else line["msg"] for line in lines]


JSON_LOG = '[log]\nformat = "json"\nlevel = "info"\n'


def test_boot_goes_in_order_and_says_when_it_is_done() -> None:
    with Daemon(scripts=ALL, config=JSON_LOG) as daemon:
        daemon.wait_log("successfully booted in ")
        said = messages(daemon)
        assert said[0] == "starting wharfied"
        ready = [line.removeprefix("actor is ready ") for line in said if line.startswith("actor is ready")]
        assert set(ready) == set(ALL)
        assert ready.index("metadata") < ready.index("content") < ready.index("transfer")
        assert ready.index("metadata") < ready.index("snapshot") < ready.index("runtime")
        assert said[-1].startswith("successfully booted in ")
        assert "STATUS=ready" in daemon.notified
        assert (mode(daemon.root), mode(daemon.state)) == (0o700, 0o711)
        assert mode(daemon.root / "tmpmounts") == 0o700
        assert uuid.UUID((daemon.root / "uuid").read_text().strip())
        names = set(daemon.children())
        assert names == {f"wharfie-{name}"[:15] for name in ALL}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_goes_in_reverse_order_and_ends_with_0(number: signal.Signals) -> None:
    with Daemon(scripts=ALL, config=JSON_LOG) as daemon:
        pids = list(daemon.children().values())
        assert daemon.stop(number) == 0
        assert not any(procfs.is_alive(pid) for pid in pids)
        lines = [json.loads(line) for line in daemon.log().splitlines()]
        stopped = [line["actor"] for line in lines if line["msg"] == "actor is asked to stop"]
        assert set(stopped) == set(ALL)
        assert stopped.index("transfer") < stopped.index("content") < stopped.index("metadata")
        assert "STOPPING=1" in daemon.take_notified()


def test_actors_are_not_hit_by_the_interrupt_key_of_a_terminal() -> None:
    with Daemon(scripts=FEW) as daemon:
        pids = daemon.children().values()
        assert all(os.getpgid(pid) == pid for pid in pids)


def test_a_second_daemon_on_the_same_root_is_refused_at_once_and_the_first_is_not_disturbed() -> None:
    with Daemon(scripts=FEW) as daemon:
        before = daemon.children()
        begin_s = time.monotonic()
        second = subprocess.run(
            daemon.command(), env=daemon.variables(), cwd=REPOSITORY, capture_output=True, timeout=10, check=False
        )
        took_s = time.monotonic() - begin_s
        assert second.returncode == 1
        assert f"in use by process {daemon.pid}" in second.stderr.decode()
        assert took_s < 1.5
        assert daemon.children() == before
        assert daemon.running()


def test_the_root_can_be_taken_over_at_once_when_the_daemon_was_killed() -> None:
    with Daemon(scripts=FEW) as daemon:
        children = list(daemon.children().values())
        daemon.kill()
        daemon.start()
        daemon.wait_notified("READY=1")
        assert not any(procfs.is_alive(pid) for pid in children)


@pytest.mark.parametrize("hanging", ["router", "metadata", "content"])
def test_a_boot_that_hangs_in_an_actor_is_interrupted(hanging: str) -> None:
    daemon = Daemon(scripts={**FEW, "content": SERVE, hanging: "hang"})
    try:
        daemon.start()
        until(lambda: f"wharfie-{hanging}"[:15] in daemon.children())
        begin_s = time.monotonic()
        assert daemon.stop() == 0
        # Not the time that a start may take, which is 10 s.
        assert time.monotonic() - begin_s < 9
        assert "READY=1" not in daemon.take_notified()
        assert "successfully booted" not in daemon.log()
    finally:
        daemon.__exit__(None, None, None)


@pytest.mark.parametrize("after_ms", [0, 40, 80, 120, 160, 200, 240, 280])
def test_a_boot_is_interrupted_at_any_point_and_leaves_nothing(after_ms: int) -> None:
    daemon = Daemon(scripts=FEW)
    try:
        begin_s = time.monotonic()
        daemon.start()
        until(lambda: time.monotonic() - begin_s >= after_ms / 1000)
        code = daemon.stop()
        # Before Python has come as far as our own code, SIGTERM does what it always does.
        assert code == 0 or (code == -signal.SIGTERM and "starting wharfied" not in daemon.log())
    finally:
        daemon.__exit__(None, None, None)


def test_leftover_mounts_of_an_earlier_run_are_unmounted_with_a_warning_each() -> None:
    daemon = Daemon(scripts=FEW)
    try:
        left = [daemon.root / "tmpmounts" / name for name in ("1", "1/inner", "2")]
        for path in left:
            path.mkdir(parents=True)
            mount.mount("tmpfs", str(path), fstype="tmpfs")
        daemon.start()
        daemon.wait_notified("READY=1")
        for path in left:
            assert f'msg="leftover of an earlier run unmounted" logger=supervisor mountpoint={path}' in daemon.log()
    finally:
        daemon.__exit__(None, None, None)


def test_a_permanent_failure_of_one_actor_leaves_a_degraded_daemon() -> None:
    with Daemon(scripts={**FEW, "content": "exit=78"}) as daemon:
        assert "STATUS=degraded: content failed" in daemon.notified
        assert set(daemon.children()) == {"wharfie-router", "wharfie-metadat"}


def test_a_required_plugin_that_does_not_load_ends_the_boot() -> None:
    daemon = Daemon(scripts={**FEW, "snapshot": "exit=78"}, config='required_plugins = ["snapshotter.v1.overlayfs"]\n')
    try:
        daemon.start()
        assert daemon.wait() == 1
        assert "a required plugin of actor 'snapshot' did not load" in daemon.log()
        assert "READY=1" not in daemon.take_notified()
    finally:
        daemon.__exit__(None, None, None)


def test_a_required_plugin_that_does_not_exist_is_refused() -> None:
    daemon = Daemon(scripts=FEW, config='required_plugins = ["snapshotter.v1.zfs"]\n')
    try:
        daemon.start()
        assert daemon.wait() == 1
        assert "snapshotter.v1.zfs" in daemon.log()
    finally:
        daemon.__exit__(None, None, None)


def test_a_socket_path_that_is_too_long_is_refused() -> None:
    daemon = Daemon("--address", "/tmp/" + "x" * 120, scripts=FEW)
    try:
        daemon.start()
        assert daemon.wait() == EX_CONFIG
        assert "107" in daemon.log()
    finally:
        daemon.__exit__(None, None, None)


def test_reload_takes_over_what_may_change_and_tells_the_rest() -> None:
    config = '[log]\nlevel = "info"\n[supervisor]\nintensity = 5\n'
    with Daemon(scripts=FEW, config=config) as daemon:
        daemon.config.write_text('[log]\nlevel = "debug"\n[supervisor]\nintensity = 0\n[router]\nmode = "0600"\n')
        daemon.send_signal(signal.SIGHUP)
        daemon.wait_notified("READY=1", count=2)
        assert any(line.startswith("MONOTONIC_USEC=") for line in daemon.notified)
        assert daemon.notified.index("RELOADING=1") < len(daemon.notified) - 1
        daemon.wait_log("configuration reloaded")
        assert '"log.level"' in daemon.log() or "log.level" in daemon.log()
        assert "router.mode" in daemon.log()
        os.kill(daemon.children()["wharfie-metadat"], signal.SIGKILL)  # the new intensity bears no restart at all
        assert daemon.wait() == 1


def test_a_reload_of_a_bad_configuration_changes_nothing() -> None:
    with Daemon(scripts=FEW) as daemon:
        daemon.config.write_text('[log]\nlevel = "loud"\n')
        daemon.send_signal(signal.SIGHUP)
        daemon.wait_log("configuration not reloaded")
        daemon.wait_notified("READY=1", count=2)
        assert daemon.running()


def test_sigusr1_dumps_every_stack() -> None:
    with Daemon(scripts=FEW) as daemon:

        def both_seen_at_work() -> bool:
            # An actor that has only just said that it is ready is seen saying so: then once more.
            dumps = daemon.log().count("stack dump")
            daemon.send_signal(signal.SIGUSR1)
            until(lambda: daemon.log().count("stack dump") >= dumps + 3)
            return daemon.log().count("do_serve") >= 2

        until(both_seen_at_work, deadline_s=30)
        daemon.wait_log("actor=supervisor")
        assert daemon.running()


def test_orphans_of_a_dead_actor_come_home_to_the_daemon() -> None:
    with Daemon(scripts={**FEW, "content": f"session {SERVE}"}) as daemon:
        content = daemon.children()["wharfie-content"]
        orphan = procfs.children(content)[0]
        os.kill(content, signal.SIGKILL)
        until(lambda: procfs.parent(orphan) == daemon.pid)
        os.kill(orphan, signal.SIGKILL)
        until(lambda: orphan not in procfs.children(daemon.pid))
        daemon.wait_log("actor is ready", count=len(FEW) + 2)
        for pid in procfs.children(daemon.children()["wharfie-content"]):
            os.kill(pid, signal.SIGKILL)


def test_sigpipe_is_ignored() -> None:
    with Daemon(scripts=FEW) as daemon:
        daemon.send_signal(signal.SIGPIPE)
        daemon.send_signal(signal.SIGHUP)
        daemon.wait_notified("READY=1", count=2)


HEARTBEAT = "[supervisor]\nheartbeat_interval_s = 0.1\nheartbeat_misses = 2\n"


def test_the_watchdog_is_fed_while_all_is_healthy_and_not_while_an_actor_is_silent() -> None:
    config = f'{HEARTBEAT}[timeouts]\n"hang.step" = "2s"\n'
    with Daemon(scripts=FEW, config=config, watchdog_s=0.2) as daemon:
        daemon.wait_notified("WATCHDOG=1", count=3)
        pid = daemon.children()["wharfie-metadat"]
        os.kill(pid, signal.SIGSTOP)
        daemon.wait_log("actor is signalled")
        fed = daemon.take_notified().count("WATCHDOG=1")
        end_s = time.monotonic() + 0.5
        until(lambda: time.monotonic() > end_s)
        assert daemon.take_notified().count("WATCHDOG=1") <= fed + 1
        os.kill(pid, signal.SIGCONT)
        daemon.wait_notified("WATCHDOG=1", count=fed + 3)


def test_giving_up_dumps_the_state_and_fails() -> None:
    scripts = {"router": SERVE, "metadata": SERVE, "content": "ready exit=1"}
    daemon = Daemon(scripts=scripts, config="[supervisor]\nintensity = 2\n")
    try:
        daemon.start()
        assert daemon.wait() == 1
        dump = json.loads((daemon.state / "gave-up.json").read_text())
        assert "more than 2 restarts in 10 s, the last of child 'content': exit code 1" in dump["reason"]
        assert {actor["name"] for actor in dump["actors"]} == set(scripts)
        assert [report["exit_code"] for report in dump["crash_reports"]] == [1, 1, 1][: len(dump["crash_reports"])]
        assert mode(daemon.state / "gave-up.json") == 0o600
    finally:
        daemon.__exit__(None, None, None)


def test_temp_oom_score_and_descriptor_limit_are_those_of_the_settings() -> None:
    daemon = Daemon(scripts=FEW)
    daemon.config.write_text(f'temp = "{daemon.directory}/temp"\noom_score = 321\n')
    with daemon:
        pid = daemon.children()["wharfie-metadat"]
        assert Path(f"/proc/{pid}/oom_score_adj").read_text().strip() == "321"
        assert mode(daemon.directory / "temp") == 0o700
        limits = Path(f"/proc/{pid}/limits").read_text()
        soft, hard = next(line for line in limits.splitlines() if line.startswith("Max open files")).split()[3:5]
        assert soft == hard
