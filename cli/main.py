"""`wharfie`: reads the command line, runs one command, and turns every ending into an exit code."""

from __future__ import annotations

import gc

# A start makes many objects and drops none: collecting while importing is time for nothing. A command that stays
# (events, logs -f) turns it on again.
gc.disable()

from cli.postpone import postpone  # noqa: E402

postpone()

import os  # noqa: E402
import sys  # noqa: E402
from typing import TYPE_CHECKING  # noqa: E402

import click  # noqa: E402

from cli.failure import report  # noqa: E402
from cli.group import CONTEXT, Option, Top, global_options  # noqa: E402
from cli.settings import Settings  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Sequence


COMPLETE_VARIABLE = "_WHARFIE_COMPLETE"
"""Set by the scripts of `wharfie completion`."""


def _version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from wharfie.version import __version__

        click.echo(f"wharfie {__version__}")
        ctx.exit()


top = Top(
    "wharfie",
    params=[
        *global_options(),
        Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_version,
            help="Show the version of this program and exit.",
        ),
    ],
    help="Run and look after containers: the client of the Wharfie daemon.",
    epilog="Options of this page may also stand behind the command: 'wharfie ps --json'.",
    no_args_is_help=True,
    context_settings=CONTEXT,
)


def invoke(arguments: Sequence[str] | None = None) -> int:
    """Run one command line in this process; returns its exit code, never raises.

    Args:
        arguments: without the program's name; None takes those of the process.
    """
    settings = Settings()
    try:
        if COMPLETE_VARIABLE in os.environ:
            return _complete(settings)
        # Not `top.main`: it has its own mind about broken pipes.
        with top.make_context("wharfie", list(sys.argv[1:] if arguments is None else arguments), obj=settings) as ctx:
            code = top.invoke(ctx)
        result = code if isinstance(code, int) else 0
        sys.stdout.flush()
    except BaseException as error:  # the outermost frame: everything becomes an exit code
        result = _flushed(report(error))
    finally:
        settings.close()
    return result


def _complete(settings: Settings) -> int:
    """What a shell's completion script asked for."""
    from click.shell_completion import shell_complete

    return shell_complete(top, {"obj": settings}, "wharfie", COMPLETE_VARIABLE, os.environ[COMPLETE_VARIABLE])


def _flushed(code: int) -> int:
    """The exit code after what was printed before an error has gone out, too."""
    try:
        sys.stdout.flush()
    except BrokenPipeError as error:
        return report(error)
    except (OSError, ValueError):
        return code
    return code


def main() -> int:
    """The entry point of the console script."""
    code = invoke()
    # The interpreter's last collections would walk all that was ever imported, to free what the kernel frees anyway.
    gc.freeze()
    return code
