"""The shell with real processes: forks, deaths, hangs, stops, jobs, shims, orphans, leaks."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from linux import procfs
from supervisor.spec import ChildType, Restart
from tests.support.supervised import FAST, Supervised, scripted
from tests.support.wait import until
from wharfie.types.supervisor import Node, Stacks

SERVE = "ready serve"


def test_children_start_and_are_ready() -> None:
    with Supervised({"a": SERVE, "b": SERVE}, scripted("a"), scripted("b", "a")) as supervised:
        a, b = supervised.wait_state("a", "ready"), supervised.wait_state("b", "ready")
        assert (a.generation, a.restarts) == (1, 0)
        assert procfs.name(a.pid) == "wharfie-a"
        assert os.getsid(a.pid) == a.pid
        assert os.readlink(f"/proc/{a.pid}/fd/0") == "/dev/null"
        assert supervised.get("a").info["sigmask"] == 0
        assert a.pid != b.pid


def test_a_child_has_only_its_own_descriptors() -> None:
    with Supervised({"a": SERVE, "b": SERVE}) as supervised:
        pid = supervised.wait_state("b", "ready").pid
        links = {os.readlink(f"/proc/{pid}/fd/{fd}").split(":")[0] for fd in os.listdir(f"/proc/{pid}/fd")}
        assert len(os.listdir(f"/proc/{pid}/fd")) == 5  # 0 to 2, the channel and the stack pipe
        assert {"socket", "pipe", "/dev/null"} <= links
        assert not any("eventpoll" in link or "pidfd" in link for link in links)


def test_sigkill_worker_detected_under_50ms() -> None:
    with Supervised({"a": SERVE}) as supervised:
        times_s = []
        for generation in range(1, 21):
            pid = supervised.wait_state("a", "ready", generation=generation).pid
            begin_s = time.monotonic()
            os.kill(pid, signal.SIGKILL)
            supervised.wait_state("a", "ready", generation=generation + 1)
            times_s.append(time.monotonic() - begin_s)
        assert sorted(times_s)[10] < 0.05  # to the replacement's ready message, what is more
        assert supervised.actors()["a"].restarts == 20
        crash = supervised.crashes("a")[-1]
        assert (crash.reason, crash.signal, crash.generation, crash.oom) == ("SIGKILL", 9, 20, False)
        assert crash.peak_rss_bytes > 1_000_000


@pytest.mark.parametrize(
    ("script", "reason", "in_stack"),
    [
        ("ready exit=3", "exit code 3", ""),
        ("ready raise", "exit code 70", "RuntimeError: told to raise"),
        ("ready signal=11", "SIGSEGV", "Fatal Python error: Segmentation fault"),
        ("ready signal=6", "SIGABRT", "do_signal"),
        ("ready exit=0", "exit code 0", ""),
    ],
)
def test_crash_report_tells_how_it_ended_and_where_it_was(script: str, reason: str, in_stack: str) -> None:
    with Supervised({"a": [script, SERVE]}) as supervised:
        supervised.wait_state("a", "ready", generation=2)
        crash = supervised.crashes("a")[0]
        assert (crash.reason, crash.was_ready) == (reason, True)
        assert in_stack in crash.stack
        assert supervised.actors()["a"].last_exit == reason


def test_permanent_exit_code_leaves_the_others_serving() -> None:
    with Supervised({"a": "exit=78", "b": SERVE}, scripted("a"), scripted("b", "a")) as supervised:
        supervised.wait_state("b", "ready")
        assert supervised.actors()["a"].state == "failed"
        supervised.wait_booted()


def test_child_that_never_becomes_ready_is_ended_with_its_stack() -> None:
    spec = scripted("a", ready_timeout_s=0.2, heartbeat=FAST)
    with Supervised({"a": ["hang", SERVE]}, spec) as supervised:
        supervised.wait_state("a", "ready", generation=2)
        crash = supervised.crashes("a")[0]
        assert crash.reason == "not ready within 0.2 s (SIGABRT)"
        assert "do_hang" in crash.stack
        assert not crash.was_ready


def test_stuck_loop_detected_and_stack_dumped() -> None:
    with Supervised({"a": ["ready busy", SERVE]}, scripted("a", heartbeat=FAST)) as supervised:
        supervised.wait_state("a", "ready", generation=2)
        crash = supervised.crashes("a")[0]
        assert crash.reason == "no beat for 0.2 s (SIGABRT)"
        assert "do_busy" in crash.stack


def test_sigstop_detected() -> None:
    with Supervised({"a": SERVE}, scripted("a", heartbeat=FAST)) as supervised:
        os.kill(supervised.wait_state("a", "ready").pid, signal.SIGSTOP)
        supervised.wait_state("a", "degraded")
        supervised.wait_state("a", "ready", generation=2)
        assert supervised.crashes("a")[0].reason == "no beat for 0.2 s (SIGKILL)"


def test_a_stopped_child_that_goes_on_in_time_lives_on() -> None:
    heartbeat = FAST.__class__(interval_s=0.1, misses=2, step_s=5)
    with Supervised({"a": SERVE}, scripted("a", heartbeat=heartbeat)) as supervised:
        pid = supervised.wait_state("a", "ready").pid
        os.kill(pid, signal.SIGSTOP)
        supervised.wait_state("a", "degraded")
        os.kill(pid, signal.SIGCONT)
        assert supervised.wait_state("a", "ready").pid == pid


def test_a_supervisor_that_was_stopped_itself_does_not_blame_its_children() -> None:
    with Supervised(
        {"a": SERVE, "b": SERVE}, scripted("a", heartbeat=FAST), scripted("b", heartbeat=FAST)
    ) as supervised:
        before = {name: supervised.wait_state(name, "ready").pid for name in "ab"}
        os.kill(supervised.pid, signal.SIGSTOP)
        until(lambda: procfs.state(supervised.pid) == "T")
        end_s = time.monotonic() + 1.0
        until(lambda: time.monotonic() > end_s)
        os.kill(supervised.pid, signal.SIGCONT)
        for _ in range(5):
            assert {name: actor.pid for name, actor in supervised.actors().items()} == before


def test_child_ignoring_term_is_killed_after_timeout() -> None:
    with Supervised({"a": "ready deaf"}, scripted("a", shutdown=0.2)) as supervised:
        supervised.wait_state("a", "ready")
        begin_s = time.monotonic()
        supervised.ask("supervisor.stop", name="a")
        assert time.monotonic() - begin_s >= 0.2
        assert supervised.crashes("a")[0].reason == "stop requested, killed after its time was up"


def test_stopped_child_can_still_obey_a_stop() -> None:
    with Supervised({"a": SERVE}, scripted("a", shutdown=5.0)) as supervised:
        os.kill(supervised.wait_state("a", "ready").pid, signal.SIGSTOP)
        supervised.ask("supervisor.stop", name="a")
        assert supervised.crashes("a") == []


def test_stop_before_ready_ends_at_once() -> None:
    with Supervised({"a": "hang"}, scripted("a", shutdown=30.0)) as supervised:
        supervised.wait_state("a", "starting")
        begin_s = time.monotonic()
        supervised.ask("supervisor.stop", name="a")
        assert time.monotonic() - begin_s < 29  # less than a stop may take


def test_grandchildren_die_with_worker() -> None:
    with Supervised({"a": f"grandchild {SERVE}"}) as supervised:
        pid = supervised.wait_state("a", "ready").pid
        grandchild = supervised.get("a").info["grandchild"]
        assert procfs.is_alive(grandchild)
        os.kill(pid, signal.SIGKILL)
        until(lambda: not procfs.is_alive(grandchild))
        supervised.wait_state("a", "ready", generation=2)
        until(lambda: supervised.resources()["children"] == 1)


def test_orphans_come_home_and_are_reaped_without_taking_a_childs_status() -> None:
    with Supervised({"a": [f"session {SERVE}", SERVE], "b": [SERVE, "exit=78"]}) as supervised:
        pid = supervised.wait_state("a", "ready").pid
        orphan = supervised.get("a").info["grandchild"]
        os.kill(pid, signal.SIGKILL)
        supervised.wait_state("a", "ready", generation=2)
        assert procfs.parent(orphan) == supervised.pid
        os.kill(supervised.actors()["b"].pid, signal.SIGKILL)
        os.kill(orphan, signal.SIGKILL)
        supervised.wait_state("b", "failed")
        until(lambda: supervised.resources()["children"] == 1)
        assert [c.reason for c in supervised.crashes("b")] == ["SIGKILL", "exit code 78"]


def test_supervisor_sigkill_leaves_no_worker() -> None:
    scripts = {"a": SERVE, "b": "ready busy", "c": "hang", "d": f"job=hang {SERVE}"}
    with Supervised(scripts) as supervised:
        for name in "abd":
            supervised.wait_state(name, "ready")
        supervised.wait_state("c", "starting")
        pids = [actor.pid for actor in supervised.actors().values()] + [supervised.get("d").info["job"]]
        assert all(procfs.is_alive(pid) for pid in pids)
        os.kill(supervised.pid, signal.SIGKILL)
        until(lambda: not any(procfs.is_alive(pid) for pid in pids), deadline_s=2)


def test_supervisor_sigkill_leaves_shims_running() -> None:
    with Supervised({"a": f"shim=hang {SERVE}"}) as supervised:
        supervised.wait_state("a", "ready")
        shim = supervised.get("a").info["shim"]
        started = procfs.start_time(shim)
        until(lambda: procfs.name(shim) == "wharfie-shim")
        # 0 to 2 and the pipe that it opens to hang in: nothing of the supervisor's.
        until(lambda: len(os.listdir(f"/proc/{shim}/fd")) == 5)
        os.kill(supervised.pid, signal.SIGKILL)
        supervised.wait_exit()
        until(lambda: procfs.parent(shim) != supervised.pid)
        assert procfs.is_alive(shim, started=started)
        os.kill(shim, signal.SIGKILL)
        until(lambda: not procfs.is_alive(shim, started=started))


def test_shims_survive_the_death_of_their_worker_and_an_orderly_stop() -> None:
    with Supervised({"a": [f"shim=hang {SERVE}", SERVE]}) as supervised:
        pid = supervised.wait_state("a", "ready").pid
        shim = supervised.get("a").info["shim"]
        os.kill(pid, signal.SIGKILL)
        supervised.wait_state("a", "ready", generation=2)
        assert procfs.is_alive(shim)
        tree = supervised.ask("supervisor.tree", Node)
        assert [(n.name, n.pid, n.type) for n in tree.children[0].children] == [("shim", shim, "shim")]
        os.kill(supervised.pid, signal.SIGTERM)
        assert supervised.wait_exit() == 0
        assert procfs.is_alive(shim)
        os.kill(shim, signal.SIGKILL)


def test_a_dead_shim_is_reaped() -> None:
    with Supervised({"a": f"shim=hang {SERVE}"}) as supervised:
        supervised.wait_state("a", "ready")
        os.kill(supervised.get("a").info["shim"], signal.SIGKILL)
        until(lambda: supervised.resources()["children"] == 1)
        assert supervised.ask("supervisor.tree", Node).children[0].children == []


def test_jobs_die_with_the_worker_that_asked_for_them() -> None:
    with Supervised({"a": [f"job=grandchild+hang {SERVE}", SERVE]}) as supervised:
        pid = supervised.wait_state("a", "ready").pid
        job = supervised.get("a").info["job"]
        until(lambda: procfs.children(job))
        grandchild = procfs.children(job)[0]
        os.kill(pid, signal.SIGKILL)
        until(lambda: not procfs.is_alive(job) and not procfs.is_alive(grandchild))
        supervised.wait_state("a", "ready", generation=2)
        until(lambda: supervised.resources()["children"] == 1)


def test_orderly_stop_ends_in_reverse_order_and_with_exit_code_0(tmp_path: Path) -> None:
    log = tmp_path / "log"
    specs = (scripted("a"), scripted("b", "a"), scripted("c", "b"))
    with Supervised(dict.fromkeys("abc", SERVE), *specs, log=str(log)) as supervised:
        supervised.wait_state("c", "ready")
        os.kill(supervised.pid, signal.SIGTERM)
        assert supervised.wait_exit() == 0
    asked = [line for line in log.read_text().splitlines() if "asked to stop" in line]
    assert [line.split("actor=")[1][0] for line in asked] == ["c", "b", "a"]


def test_more_restarts_than_the_intensity_end_it_with_a_failure() -> None:
    scripts: dict[str, str | list[str]] = {"a": "exit=1", "b": SERVE}
    with Supervised(scripts, scripted("a"), scripted("b"), intensity=3) as supervised:
        assert supervised.wait_exit() == 1


def test_significant_child_ends_the_supervisor_in_order() -> None:
    significant = scripted("a", restart=Restart.TRANSIENT, significant=True)
    with Supervised({"a": "ready exit=0", "b": SERVE}, significant, scripted("b")) as supervised:
        assert supervised.wait_exit() == 0


def test_supervisor_answers_status_while_child_hangs_in_start() -> None:
    scripts: dict[str, str | list[str]] = {"hangs": "hang", "deaf": "ready deaf", "busy": "ready busy", "a": SERVE}
    specs = (scripted("hangs", ready_timeout_s=60.0), scripted("deaf", shutdown=30.0), scripted("busy"), scripted("a"))
    with Supervised(scripts, *specs) as supervised:
        supervised.wait_state("deaf", "ready")
        stop = supervised.send("supervisor.stop", name="deaf")
        supervised.wait_state("deaf", "stopping")
        times_s = []
        for _ in range(200):
            begin_s = time.monotonic()
            supervised.raw("supervisor.tree")
            times_s.append(time.monotonic() - begin_s)
        assert sorted(times_s)[100] < 0.001
        assert {n: a.state for n, a in supervised.actors().items()}["hangs"] == "starting"
        os.kill(supervised.actors()["deaf"].pid, signal.SIGKILL)
        assert supervised.reply(stop).error is None
        os.kill(supervised.actors()["busy"].pid, signal.SIGKILL)


def test_sigusr1_has_every_process_write_its_stack(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with Supervised({"a": SERVE, "b": "ready hang"}, log=str(log)) as supervised:
        supervised.wait_state("a", "ready")
        supervised.wait_state("b", "ready")
        stacks = supervised.ask("supervisor.dump", Stacks).stacks
        assert "do_serve" in stacks["a"]
        assert "do_hang" in stacks["b"]
        assert "_on_readable" in stacks["supervisor"] or "on_request" in stacks["supervisor"]
        os.kill(supervised.pid, signal.SIGUSR1)
        until(lambda: log.read_text().count("do_hang") >= 2)
        assert supervised.actors()["a"].generation == 1


def test_signals_of_children_are_not_the_supervisors() -> None:
    """A signal that reaches a child right after the fork must not come out of the supervisor's own pipe."""
    with Supervised({"a": "ready signal=15 exit=1"}, intensity=10_000) as supervised:
        supervised.wait_state("a", "starting", generation=30)
        assert not supervised.exited()


def test_the_router_may_ask_and_the_answer_comes_back_to_it() -> None:
    with Supervised({"r": SERVE}, scripted("r", type=ChildType.ROUTER)) as supervised:
        supervised.wait_state("r", "ready")
        reply = supervised.raw("supervisor.stop", name="r")
        assert reply.error is not None
        assert reply.error["code"] == "failed_precondition"
        supervised.ask("supervisor.restart", name="r")
        supervised.wait_state("r", "ready", generation=2)


def restart_often(count: int) -> None:
    scripts: dict[str, str | list[str]] = {"a": f"leak=5 {SERVE}", "b": SERVE}
    with Supervised(scripts, intensity=count + 10) as supervised:
        supervised.wait_state("a", "ready")
        supervised.wait_state("b", "ready")
        before = supervised.resources()
        for generation in range(1, count + 1):
            pid = supervised.wait_state("a", "ready", generation=generation).pid
            os.kill(pid, signal.SIGKILL if generation % 2 else signal.SIGSEGV)
        supervised.wait_state("a", "ready", generation=count + 1)
        until(lambda: supervised.resources()["timers"] <= before["timers"] + 5)
        after = supervised.resources()
        assert {k: after[k] for k in ("fds", "threads", "children")} == {
            k: before[k] for k in ("fds", "threads", "children")
        }
        assert after["threads"] == 1
        assert len(supervised.crashes("a")) <= 20


def test_no_fd_thread_zombie_leak_after_150_restarts() -> None:
    restart_often(150)


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_no_fd_thread_zombie_leak_after_1000_restarts() -> None:
    restart_often(1000)
