"""Jobs of a worker, forked by a real supervisor."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from actors.jobs import CRASHED, KILLED
from tests.support.jobchild import Ask, Found
from tests.support.supervised import Supervised, scripted
from tests.support.wait import until


def run(directory: Path, *asks: Ask) -> list[Found]:
    """What became of these jobs, all asked for at once."""
    path = directory / "found"
    script = [str(path), *(msgspec.json.encode(ask).decode() for ask in asks)]
    spec = msgspec.structs.replace(scripted("jobs"), start="tests.support.jobchild:main")
    with Supervised({"jobs": script}, spec) as supervised:
        until(path.exists)
        assert supervised.actors()["jobs"].restarts == 0
    return msgspec.msgpack.decode(path.read_bytes(), type=list[Found])


def only(directory: Path, ask: Ask) -> Found:
    (found,) = run(directory, ask)
    return found


def error_of(directory: Path, do: str) -> dict[str, Any]:
    found = only(directory, Ask(do=do))
    assert found.answer is None
    assert found.error is not None
    return found.error


def test_a_job_answers_with_its_result(tmp_path: Path) -> None:
    found = only(tmp_path, Ask(do="hello"))
    assert found.error is None
    assert found.answer is not None
    assert found.answer.text == "hello"


def test_a_result_may_be_larger_than_a_packet(tmp_path: Path) -> None:
    found = only(tmp_path, Ask(do="big", size=3_000_000))
    assert found.answer is not None
    assert len(found.answer.data) == 3_000_000


def test_descriptors_arrive_in_their_order(tmp_path: Path) -> None:
    found = only(tmp_path, Ask(do="fds"))
    assert found.answer is not None
    assert found.answer.data == b"onetwo"


def test_progress_comes_in_order_and_not_too_often(tmp_path: Path) -> None:
    assert only(tmp_path, Ask(do="progress", size=20)).progress == list(range(20))


def test_many_jobs_run_at_once_and_leave_no_descriptor(tmp_path: Path) -> None:
    found = run(tmp_path, *(Ask(do=str(number)) for number in range(30)))
    assert [one.answer.text for one in found if one.answer is not None] == [str(number) for number in range(30)]
    # One at work has a socket; the last one to end sees what is left.
    assert min(one.descriptors for one in found) < max(one.descriptors for one in found)


@pytest.mark.parametrize(
    ("do", "code", "details"),
    [
        ("error", "not_found", {"what": "it"}),
        ("full", "resource_exhausted", {"reason": "enospc"}),
        ("memory", "resource_exhausted", {"reason": "oom"}),
        ("bug", "internal", {"reason": CRASHED}),
        ("exit", "internal", {"reason": CRASHED, "exit_code": 3}),
        ("SIGSEGV", "internal", {"reason": CRASHED, "signal": int(signal.SIGSEGV)}),
        ("SIGKILL", "aborted", {"reason": KILLED}),
        ("no target", "internal", {"reason": CRASHED, "exit_code": 70}),
    ],
)
def test_a_job_that_ends_without_a_result_is_a_typed_error(
    tmp_path: Path, do: str, code: str, details: dict[str, Any]
) -> None:
    error = error_of(tmp_path, do)
    assert (error["code"], error["details"]) == (code, details)
    assert error["retryable"] is (code == "aborted")


def test_a_job_that_says_what_no_job_says_is_not_believed(tmp_path: Path) -> None:
    error = error_of(tmp_path, "garbage")
    assert error["code"] == "internal"


def test_a_caller_that_is_cancelled_takes_its_job_along(tmp_path: Path) -> None:
    found = only(tmp_path, Ask(do="cancel"))
    assert found.cancelled
    assert not found.alive
