"""The supervisor's methods, asked of a real supervisor with real children."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from linux import procfs
from supervisor.crash import Crashes
from supervisor.events import Exit, Report
from supervisor.incarnation import Departed
from supervisor.spec import ChildType
from tests.support.supervised import FAST, Supervised, scripted
from tests.support.wait import until
from wharfie.types.supervisor import Actor, Node, Stacks

SERVE = "ready serve"


def error(supervised: Supervised, method: str, **body: Any) -> dict[str, Any]:
    reply = supervised.raw(method, **body)
    assert reply.error is not None
    return reply.error


def test_list_has_what_the_command_line_shows() -> None:
    with Supervised({"b": SERVE, "a": SERVE}, scripted("b", "a"), scripted("a")) as supervised:
        supervised.wait_state("b", "ready")
        until(lambda: supervised.actors()["a"].handled > 0)
        actors = supervised.actors()
        assert list(actors) == ["a", "b"]
        a = actors["a"]
        assert (a.generation, a.state, a.restarts, a.queue, a.in_flight, a.type) == (1, "ready", 0, 1, 2, "worker")
        assert 0 < a.uptime_s < 60
        assert a.rss_bytes > 1_000_000
        assert procfs.name(a.pid) == "wharfie-a"


def test_tree_shows_the_supervisor_actors_jobs_and_shims() -> None:
    scripts = {"a": f"job=hang shim=hang {SERVE}", "r": SERVE}
    with Supervised(scripts, scripted("a"), scripted("r", type=ChildType.ROUTER)) as supervised:
        supervised.wait_state("a", "ready")
        root = supervised.ask("supervisor.tree", Node)
        assert (root.name, root.pid, root.type, root.state) == ("supervisor", supervised.pid, "supervisor", "ready")
        a, r = root.children
        assert (r.name, r.type) == ("r", "router")
        assert [(node.name, node.type) for node in a.children] == [("unpack", "job"), ("shim", "shim")]
        info = supervised.get("a").info
        assert [node.pid for node in a.children] == [info["job"], info["shim"]]
        os.kill(info["shim"], signal.SIGKILL)


def test_get_has_the_specification_and_the_crash_reports() -> None:
    with Supervised({"a": ["ready exit=1", SERVE]}, scripted("a", heartbeat=FAST, shutdown="infinity")) as supervised:
        supervised.wait_state("a", "ready", generation=2)
        found = supervised.get("a")
        assert (found.start, found.restart, found.shutdown) == ("tests.support.child:main", "permanent", "infinity")
        assert (found.heartbeat_interval_s, found.heartbeat_misses) == (0.1, 2)
        assert found.pss_bytes > 100_000
        assert [report.generation for report in found.crash_reports] == [1]
        assert found.info["pid"] == found.actor.pid


def test_an_unknown_actor_is_not_found_and_the_known_ones_are_named() -> None:
    with Supervised({"a": SERVE, "b": SERVE}) as supervised:
        for method in ("get", "start", "stop", "restart", "crash_reports"):
            found = error(supervised, f"supervisor.{method}", name="x")
            assert found["code"] == "not_found"
            assert "there are a, b" in found["message"]


def test_bad_requests_get_a_typed_error_that_names_the_field() -> None:
    with Supervised({"a": SERVE}) as supervised:
        found = error(supervised, "supervisor.get", name=7)
        assert found["code"] == "invalid_argument"
        assert "name" in found["message"]
        assert error(supervised, "supervisor.get")["code"] == "invalid_argument"
        assert error(supervised, "supervisor.nonsense")["code"] == "unimplemented"
        assert error(supervised, "supervisor.log_level", level="loud")["details"] == {"field": "level"}


def test_stop_start_and_restart_answer_when_it_is_done() -> None:
    with Supervised({"a": f"delay=50 {SERVE}"}) as supervised:
        supervised.wait_state("a", "ready")
        stopped = supervised.ask("supervisor.stop", Actor, name="a")
        assert (stopped.state, stopped.pid) == ("absent", 0)
        started = supervised.ask("supervisor.start", Actor, name="a")
        assert (started.state, started.generation) == ("ready", 2)
        restarted = supervised.ask("supervisor.restart", Actor, name="a")
        assert (restarted.state, restarted.generation, restarted.restarts) == ("ready", 3, 0)
        again = supervised.ask("supervisor.start", Actor, name="a")
        assert again.generation == 3


def test_start_of_one_that_fails_for_good_is_answered_with_that() -> None:
    with Supervised({"a": "exit=78"}) as supervised:
        supervised.wait_state("a", "failed")
        answer = supervised.ask("supervisor.start", Actor, name="a")
        assert (answer.state, answer.generation) == ("failed", 2)


def test_a_waiting_command_is_answered_when_the_daemon_stops() -> None:
    with Supervised({"a": "hang"}, scripted("a", ready_timeout_s=60.0)) as supervised:
        waiting = supervised.send("supervisor.start", name="a")
        supervised.wait_state("a", "starting")
        os.kill(supervised.pid, signal.SIGTERM)
        assert supervised.reply(waiting).error is None


def test_log_level_reaches_one_or_all(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with Supervised({"a": SERVE}, log=str(log)) as supervised:
        supervised.wait_state("a", "ready")
        assert "actor forked" in log.read_text()
        supervised.ask("supervisor.log_level", name="supervisor", level="error")
        size = log.stat().st_size
        supervised.ask("supervisor.restart", name="a")
        assert log.stat().st_size == size
        supervised.ask("supervisor.log_level", name="a", level="debug")
        supervised.ask("supervisor.log_level", level="info")
        supervised.ask("supervisor.restart", name="a")
        assert "actor is ready" in log.read_text()[size:]
        supervised.ask("supervisor.stop", name="a")
        assert error(supervised, "supervisor.log_level", name="a", level="info")["code"] == "failed_precondition"


def test_dump_has_an_empty_text_for_a_process_that_cannot_answer() -> None:
    with Supervised({"a": SERVE, "b": SERVE}) as supervised:
        supervised.wait_state("a", "ready")
        os.kill(supervised.wait_state("b", "ready").pid, signal.SIGSTOP)
        stacks = supervised.ask("supervisor.dump", Stacks).stacks
        assert stacks["b"] == ""
        assert "do_serve" in stacks["a"]


def test_in_flight_methods_are_added_to_the_report_of_that_generation_and_old_reports_go() -> None:
    crashes = Crashes(keep=2)
    for generation in (1, 2, 3):
        report = Report(
            child="a",
            generation=generation,
            pid=9,
            exit=Exit(signal=9),
            cause="SIGKILL",
            uptime_s=1.0,
            was_ready=True,
        )
        crashes.add(report, Departed(stack="here"))
    crashes.was_working_on("a", 3, ["images.list"])
    crashes.was_working_on("a", 1, ["images.get"])
    crashes.was_working_on("b", 1, ["images.get"])
    assert [(c.generation, c.in_flight) for c in crashes.of("a")] == [(2, []), (3, ["images.list"])]
    assert crashes.all() == crashes.of("a")


def test_a_request_that_comes_again_with_its_key_gets_the_first_answer() -> None:
    with Supervised(
        {"a": f"delay=50 {SERVE}", "r": SERVE}, scripted("a"), scripted("r", type=ChildType.ROUTER)
    ) as supervised:
        supervised.wait_state("a", "ready")
        first, again = (supervised.send("supervisor.restart", key="k1", name="a") for _ in range(2))
        assert supervised.reply(first).body == supervised.reply(again).body
        late = supervised.send("supervisor.restart", key="k1", name="a")
        assert supervised.reply(late).error is None
        assert supervised.actors()["a"].generation == 2
        for _ in range(2):
            supervised.reply(supervised.send("supervisor.restart", key="k2", name="r"))
        assert supervised.wait_state("r", "ready", generation=2).generation == 2
        for _ in range(2):
            assert supervised.reply(supervised.send("supervisor.restart", key="k3", name="x")).error is not None
