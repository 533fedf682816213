"""Endings: exit codes, error lines and hints."""

from __future__ import annotations

import click
import pytest

from cli.failure import Terminated, exit_code, report
from cli.hint import hint_for
from wharfie import errors


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.NotFound("x"), 1),
        (errors.NotFound("x", details={"reason": "executable_not_found"}), 127),
        (errors.FailedPrecondition("x", details={"reason": "not_executable"}), 126),
        (click.UsageError("x"), 2),
        (click.BadParameter("x"), 2),
        (click.exceptions.Exit(7), 7),
        (click.Abort(), 130),
        (KeyboardInterrupt(), 130),
        (Terminated(15), 143),
        (FileNotFoundError(2, "No such file or directory", "a.tar"), 1),
        (SystemExit(3), 3),
        (ValueError("x"), 70),
        (OSError(5, "Input/output error"), 70),
    ],
)
def test_every_ending_has_its_exit_code(error: BaseException, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert report(error) == code


def test_a_coded_error_is_one_line_and_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    report(errors.NotFound("image 'x'\nnot found", details={"kind": "image"}))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "error: image 'x' not found"
    assert lines[1].startswith("hint: ")
    assert "wharfie import" in lines[1]
    assert len(lines) == 2


def test_a_bug_shows_its_traceback_and_asks_for_a_report(capsys: pytest.CaptureFixture[str]) -> None:
    report(ZeroDivisionError("division by zero"))
    text = capsys.readouterr().err
    assert "ZeroDivisionError" in text
    assert "please report" in text


def test_a_file_of_the_user_is_no_bug(capsys: pytest.CaptureFixture[str]) -> None:
    report(PermissionError(13, "Permission denied", "a.tar"))
    assert capsys.readouterr().err == "error: a.tar: permission denied\n"


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (errors.Unavailable("x", details={"reason": "no_daemon"}), "wharfied"),
        (errors.PermissionDenied("x", details={"reason": "socket_denied"}), "sudo"),
        (errors.NotFound("x", details={"kind": "container"}), "wharfie ps -a"),
        (errors.FailedPrecondition("x", details={"kind": "running"}), "rm -f"),
        (errors.ResourceExhausted("x"), "df"),
        (errors.DeadlineExceeded("x"), "--timeout"),
        (errors.Poisoned("x", details={"poisoned": True}), "actor inspect"),
        (errors.Internal("x"), "report"),
    ],
)
def test_the_hint_follows_from_code_and_details(error: errors.WharfieError, word: str) -> None:
    assert word in hint_for(error)


def test_an_error_that_says_it_all_has_no_hint() -> None:
    assert hint_for(errors.InvalidArgument("x")) == ""


def test_other_codes_may_be_the_daemons_fault() -> None:
    assert exit_code(errors.NotFound("x"), otherwise=125) == 125
