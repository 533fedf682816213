"""How a container fares, in words."""

from __future__ import annotations

import os
import time

import pytest

from cli.ps import command_text, status_text
from cli.uptime import started_at_ns
from wharfie.types.tasks import Process, Status

NOW_NS = 1_000_000_000_000_000_000


def process(status: Status, *, exit_status: int = 0, exited_s_ago: int = 0) -> Process:
    exited = NOW_NS - exited_s_ago * 10**9 if exited_s_ago else 0
    return Process(container_id="a", pid=1, status=status, exit_status=exit_status, exited_at_ns=exited)


@pytest.mark.parametrize(
    ("task", "text"),
    [
        (None, "Created"),
        (process(Status.CREATED), "Created"),
        (process(Status.RUNNING), "Up 3 minutes"),
        (process(Status.PAUSED), "Up 3 minutes (Paused)"),
        (process(Status.STOPPED, exited_s_ago=5), "Exited (0) 5 seconds ago"),
        (process(Status.STOPPED, exit_status=137, exited_s_ago=7200), "Exited (137) 2 hours ago"),
        (process(Status.STOPPED, exit_status=1), "Exited (1)"),
        (process(Status.UNKNOWN), "Unknown"),
    ],
)
def test_every_state_has_its_words(task: Process | None, text: str) -> None:
    assert status_text(task, started_ns=NOW_NS - 180 * 10**9, now_ns=NOW_NS) == text


def test_a_process_of_unknown_age_is_just_up() -> None:
    assert status_text(process(Status.RUNNING), started_ns=0, now_ns=NOW_NS) == "Up"


def test_a_command_is_quoted_and_shortened() -> None:
    spec: dict[str, object] = {"process": {"args": ["sh", "-c", "echo hello; sleep 1000000"]}}
    assert command_text(spec, whole=True) == "sh -c 'echo hello; sleep 1000000'"
    assert command_text(spec, whole=False) == "sh -c 'echo hello; sleep 10…"
    assert command_text({}, whole=False) == ""


def test_the_age_of_our_own_process_is_a_matter_of_minutes() -> None:
    age_s = (time.time_ns() - started_at_ns(os.getpid())) / 1e9
    assert -1 < age_s < 3600
    assert started_at_ns(0) == 0
