"""The line that tells how far something is."""

from __future__ import annotations

import pytest

from cli.meter import Meter, line

MIB = 1 << 20


@pytest.mark.parametrize(
    ("done", "total", "seconds", "text"),
    [
        (0, 0, 0.0, "up  0 B"),
        (0, 100, 1.0, "up  0 B / 100 B  0 %"),
        (10 * MIB, 40 * MIB, 2.0, "up  10 MiB / 40 MiB  25 %  5 MiB/s  6 s left"),
        (40 * MIB, 40 * MIB, 4.0, "up  40 MiB / 40 MiB  100 %  10 MiB/s"),
        (50 * MIB, 40 * MIB, 5.0, "up  50 MiB / 40 MiB  100 %  10 MiB/s"),
        (10 * MIB, 0, 2.0, "up  10 MiB  5 MiB/s"),
    ],
)
def test_a_line_has_what_is_known(done: int, total: int, seconds: float, text: str) -> None:
    assert line("up", done, total, seconds) == text


def test_away_from_a_terminal_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with Meter("up", total=10) as meter:
        for done in range(10):
            meter.show(done)
    assert capsys.readouterr().err == ""


def test_on_a_terminal_the_line_is_gone_in_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    with Meter("up", total=10, is_shown=True) as meter:
        meter._next_s = 0.0
        meter.show(5)
        meter.show(6)
    shown = capsys.readouterr().err
    assert shown.count("up  ") == 1
    assert shown.endswith("\r\x1b[K")
