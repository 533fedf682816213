"""The reference page of the command line, `docs/cli.md`, made from the commands' own help.

    python -m cli.reference > docs/cli.md

A test (`tests/unit/cli/test_reference.py`) holds the page against this.
"""

from __future__ import annotations

import sys

import click

from cli.catalog import COMMANDS
from cli.group import CONTEXT
from cli.main import top

INTRODUCTION = """\
# The command line

`wharfie` talks to the daemon `wharfied`. This page is made from `--help` by `python -m cli.reference`.

    wharfie import busybox.tar
    wharfie run --rm busybox echo hello
    wharfie run -d --name web busybox httpd -f
    wharfie ps
    wharfie rm -f web

**Names.** A container is named by its id or any beginning of it that is unique; an image by its name, the tag
`latest` is meant when none is given.

**Options at any place.** `--address`, `--namespace`, `--timeout` and `--json` stand before the command or behind it;
`-a` and `-n` are short for the first two, unless a command uses them itself (`ps -a`). Behind the image of `run`,
`exec` and `container create` everything belongs to the container's command.

**JSON.** With `--json` every command that prints prints JSON: lists are lists of objects with every field, streams
(`events`, `logs`) are one object a line. Times are nanoseconds since the epoch (`…_at_ns`), sizes are bytes.

**Exit codes.**

| code | meaning |
|---|---|
| 0 | done |
| 1 | the daemon refused or could not; one line `error: …` says what, `hint: …` what to do |
| 2 | the command line is wrong |
| 70 | a bug: a traceback follows; please report it |
| 125, 126, 127 | `run`: the daemon refused; the command cannot be executed; the command is not there |
| 128 + n | `run`, `exec`: the command was ended by signal n |
| 130 | interrupted (Ctrl-C) before a container was there to get the signal |
| others | `run`, `exec`, `start --attach`: the exit code of the command |

**Signals.** In the foreground, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2 are passed on to the container; a
second Ctrl-C kills it. As in every container, the first process there gets only the signals that it handles.

**Detached containers** write into the daemon's log of them (`wharfie logs`), or into the file of `--log`. `run -d --rm`
leaves a small process behind that waits for the container and removes it.

**Completion.** `wharfie completion bash|zsh|fish` prints a script; names of containers and images come from the daemon.
"""


def page() -> str:
    """The whole page: every command at the top; of a noun its verbs, whose options '--help' tells."""
    context = _context(top, "wharfie", None)
    parts = [INTRODUCTION, _block(context)]
    section = ""
    for name, entry in COMMANDS.items():
        if entry.section != section:
            section = entry.section
            parts.append(f"## {section}\n")
        command = top.get_command(context, name)
        assert command is not None
        parts += [f"### wharfie {name}\n", _block(_context(command, name, context))]
    return "\n".join(parts)


def _context(command: click.Command, name: str, parent: click.Context | None) -> click.Context:
    """As on a terminal of 100 columns, whatever this one has."""
    return click.Context(
        command, info_name=name, parent=parent, terminal_width=100, help_option_names=CONTEXT["help_option_names"]
    )


def _block(context: click.Context) -> str:
    text = context.command.get_help(context).partition("\n\nGlobal options (see")[0]
    return "```\n" + "".join(f"{line.rstrip()}\n" for line in text.splitlines()) + "```\n"


if __name__ == "__main__":
    sys.stdout.write(page())
