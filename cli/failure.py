"""How a command ends that does not end well: its lines on stderr and its exit code.

User's mistakes and the daemon's refusals are one line and a hint; only what nobody foresaw shows a traceback.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from cli.hint import hint_for

if TYPE_CHECKING:
    from wharfie.errors import WharfieError

EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_BUG = 70
"""EX_SOFTWARE of sysexits.h."""
EXIT_DAEMON = 125
EXIT_NOT_EXECUTABLE = 126
EXIT_NOT_FOUND = 127
EXIT_INTERRUPTED = 130

_BY_REASON = {"executable_not_found": EXIT_NOT_FOUND, "not_executable": EXIT_NOT_EXECUTABLE}


class Terminated(BaseException):
    """SIGTERM or its like came before a container was there to get it; carries the signal's number."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def exit_code(error: WharfieError, *, otherwise: int = EXIT_ERROR) -> int:
    """The exit code of an error: 126 and 127 for programs that cannot be started, else `otherwise`."""
    return _BY_REASON.get(str(error.details.get("reason", "")), otherwise)


def complain(message: str, hint: str = "") -> None:
    """An error on stderr, in one line, and its hint in another. A stderr that is gone is no further error."""
    try:
        sys.stderr.write(f"error: {_one_line(message)}\n" + (f"hint: {hint}\n" if hint else ""))
        sys.stderr.flush()
    except OSError:
        pass


def report(error: BaseException) -> int:
    """Say what went wrong on stderr; returns the exit code."""
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, click.UsageError):
        return _usage(error)
    if isinstance(error, click.ClickException):
        complain(error.format_message())
        return error.exit_code
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return EXIT_INTERRUPTED
    if isinstance(error, Terminated):
        return 128 + error.number
    if isinstance(error, BrokenPipeError):
        return _quiet()
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else EXIT_ERROR
    return _coded(error)


def _coded(error: BaseException) -> int:
    from wharfie.errors import WharfieError

    if isinstance(error, WharfieError):
        complain(error.message, hint_for(error))
        return exit_code(error)
    if isinstance(error, OSError) and error.filename is not None:
        # A file that the user named; everything else of the system is a bug of ours.
        complain(f"{error.filename}: {(error.strerror or str(error)).lower()}")
        return EXIT_ERROR
    import traceback

    traceback.print_exception(error)
    complain("this is a bug in wharfie", "please report it with the lines above and the output of 'wharfie version'")
    return EXIT_BUG


def _usage(error: click.UsageError) -> int:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return EXIT_USAGE
    hint = f"try '{error.ctx.command_path} --help'" if error.ctx is not None else ""
    complain(error.format_message().rstrip("."), hint)
    return EXIT_USAGE


def _quiet() -> int:
    """Nobody reads any more: end as a program does that SIGPIPE ends, and let the interpreter find nothing to flush."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
    return 141


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line[:1].lower() + line[1:] if line[1:2].islower() else line
