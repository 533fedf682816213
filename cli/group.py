"""The shapes that all commands share: `Command` and `Noun` take the global options at any place, `Top` loads lazily."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import click

from cli.catalog import ALIASES, COMMANDS, VERBS
from cli.duration import parse_seconds
from cli.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.shell_completion import CompletionItem

CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def _keep(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Put a global option where every command finds it; the place nearest to the command wins."""
    settings = ctx.ensure_object(Settings)
    if value is not None and value is not False:
        assert param.name is not None
        setattr(settings, param.name, value)


def seconds(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    """Callback of an option: `90`, `1.5`, `500ms` or `2m` as seconds."""
    try:
        return None if value is None else parse_seconds(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _keep_seconds(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    _keep(ctx, param, seconds(ctx, param, value))


def global_options(*, taken: frozenset[str] = frozenset(), hidden: bool = False) -> list[Option]:
    """The options that every command takes, before and after its name.

    Args:
        taken: short names that the command itself uses.
        hidden: leave them out of the help; the top shows them.
    """

    def names(*declarations: str) -> list[str]:
        return [name for name in declarations if name not in taken]

    return [
        Option(
            names("-a", "--address", "address"),
            metavar="SOCKET",
            help="The daemon's socket.  [env: WHARFIE_ADDRESS; default: /run/wharfie/wharfie.sock]",
            expose_value=False,
            callback=_keep,
            hidden=hidden,
        ),
        Option(
            names("-n", "--namespace", "namespace"),
            metavar="NAME",
            help="The namespace to work in.  [env: WHARFIE_NAMESPACE; default: default]",
            expose_value=False,
            callback=_keep,
            hidden=hidden,
        ),
        Option(
            ["--lease", "lease"],
            metavar="ID",
            help="The lease that holds what the command makes.  [env: WHARFIE_LEASE]",
            expose_value=False,
            callback=_keep,
            hidden=hidden,
        ),
        Option(
            ["--timeout", "timeout_s"],
            metavar="DURATION",
            help="Give up a call to the daemon after this time; 0 never.  [default: 60s]",
            expose_value=False,
            callback=_keep_seconds,
            hidden=hidden,
        ),
        Option(
            ["--json", "json"],
            is_flag=True,
            help="Print JSON.",
            expose_value=False,
            callback=_keep,
            hidden=hidden,
        ),
    ]


class Option(click.Option):
    """An option whose help is taken as it is: click would load `inspect` only to strip its indentation."""

    def __init__(self, *args: Any, help: str | None = None, **attrs: Any) -> None:
        super().__init__(*args, **attrs)
        self.help = help


def option(*names: str, **attrs: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator: an `Option`."""
    return click.option(*names, cls=Option, **attrs)


class Helpful(click.Command):
    """A command whose `--help` is an `Option` of ours."""

    _help: Option | None = None

    def get_help_option(self, ctx: click.Context) -> Option | None:
        """The option that shows the help; made once."""
        names = self.get_help_option_names(ctx)
        if names and self.add_help_option and self._help is None:
            self._help = Option(
                names,
                is_flag=True,
                is_eager=True,
                expose_value=False,
                callback=_show_help,
                help="Show this message and exit.",
            )
        return self._help


def _show_help(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        click.echo(ctx.get_help())
        ctx.exit()


class Command(Helpful):
    """A command with the global options.

    Args:
        examples: command lines for the help, one a line.
    """

    def __init__(self, *args: Any, examples: str = "", **kwargs: Any) -> None:
        kwargs["context_settings"] = {**CONTEXT, **(kwargs.get("context_settings") or {})}
        super().__init__(*args, **kwargs)
        self.examples = examples
        own = frozenset(name for param in self.params for name in (*param.opts, *param.secondary_opts))
        self.params += global_options(taken=own, hidden=True)

    def format_epilog(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The examples, and where the rest of the options is told."""
        if self.examples:
            with formatter.section("Examples"):
                formatter.write("".join(f"  {line.strip()}\n" for line in self.examples.strip().splitlines()))
        formatter.write_paragraph()
        formatter.write_text(
            "Global options (see 'wharfie --help'): --address, --namespace, --lease, --timeout, --json."
        )


class Noun(Helpful, click.Group):
    """A group of verbs for one noun."""

    command_class = Command

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["context_settings"] = {**CONTEXT, **(kwargs.get("context_settings") or {})}
        super().__init__(*args, **kwargs)
        self.params += global_options(hidden=True)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A verb, by any of its names."""
        found = super().get_command(ctx, cmd_name)
        return found or super().get_command(ctx, VERBS.get(cmd_name, cmd_name))


class Top(Helpful, click.Group):
    """`wharfie` itself: imports the module of a command when that command is invoked."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """The names in the order of the catalog."""
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command by any of its names, loaded now."""
        entry = COMMANDS.get(ALIASES.get(cmd_name, cmd_name))
        if entry is None:
            return None
        command = getattr(importlib.import_module(f"cli.{entry.module}"), entry.attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands below their headings, from the catalog alone."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for name, entry in COMMANDS.items():
            sections.setdefault(entry.section, []).append((name, entry.help))
        for section, rows in sections.items():
            with formatter.section(section):
                formatter.write_dl(rows)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The names of commands from the catalog; the options as always."""
        from click.shell_completion import CompletionItem

        rows = [
            CompletionItem(name, help=entry.help) for name, entry in COMMANDS.items() if name.startswith(incomplete)
        ]
        return rows + click.Command.shell_complete(self, ctx, incomplete)


def command(name: str, *, examples: str = "", **attrs: Any) -> Callable[[Callable[..., Any]], Command]:
    """Decorator: a `Command` of this name."""
    return click.command(name, cls=Command, examples=examples, **attrs)
