"""`wharfie actor`: the daemon's processes, and a hand on them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from cli import complete
from cli.duration import spoken as spoken_time
from cli.duration import timestamp
from cli.each import do
from cli.group import Noun, command, option
from cli.output import fields, json_text, plain, print_json, print_lines, print_table
from cli.settings import Settings, pass_settings
from cli.size import spoken

if TYPE_CHECKING:
    from collections.abc import Callable

    from wharfie._sync.supervisor import Supervisor
    from wharfie.types.supervisor import CrashReport, Inspection, Node

LEVELS = ("trace", "debug", "info", "warning", "error")

names_argument = click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=complete.actors)


@click.group("actor", cls=Noun)
def actor() -> None:
    """Actors: the daemon's processes.

    The router and the workers; each is restarted when it dies, and nobody's request is lost with it.
    """


@command(
    "ls",
    examples="""
    wharfie actor ls
    wharfie actor ls --json
    """,
)
@option("-q", "--quiet", is_flag=True, help="Only the names.")
@pass_settings
def ls(settings: Settings, /, *, quiet: bool) -> None:
    """List actors and how they fare."""
    actors = settings.client().supervisor.list()
    if settings.json:
        print_json(plain(actors))
    elif quiet:
        print_lines(found.name for found in actors)
    else:
        print_table(
            ("NAME", "PID", "GENERATION", "STATE", "RESTARTS", "UPTIME", "QUEUE", "IN FLIGHT", "RSS", "LAST EXIT"),
            (
                (
                    found.name,
                    found.pid or "-",
                    found.generation,
                    found.state,
                    found.restarts,
                    spoken_time(found.uptime_s) if found.pid else "-",
                    found.queue,
                    found.in_flight,
                    spoken(found.rss_bytes) if found.rss_bytes else "-",
                    found.last_exit or "-",
                )
                for found in actors
            ),
        )


@command(
    "tree",
    examples="""
    wharfie actor tree
    """,
)
@pass_settings
def tree(settings: Settings, /) -> None:
    """Show the supervisor and every process below it, jobs and shims too."""
    root = settings.client().supervisor.tree()
    if settings.json:
        print_json(plain(root))
    else:
        print_lines(tree_lines(root))


def tree_lines(node: Node, first: str = "", rest: str = "") -> list[str]:
    """A process and those below it, drawn."""
    facts = [str(node.type)] if str(node.type) != node.name else []
    facts += [f"pid {node.pid}"] if node.pid else []
    facts += [node.state] if node.state else []
    facts += [f"generation {node.generation}"] if node.generation else []
    lines = [f"{first}{node.name} ({', '.join(facts)})"]
    for number, child in enumerate(node.children, 1):
        last = number == len(node.children)
        lines += tree_lines(child, rest + ("└─ " if last else "├─ "), rest + ("   " if last else "│  "))
    return lines


@command(
    "inspect",
    examples="""
    wharfie actor inspect content
    """,
)
@click.argument("name", shell_complete=complete.actors)
@pass_settings
def inspect(settings: Settings, /, name: str) -> None:
    """Show one actor: its specification, what it said of itself, its last crashes."""
    found = settings.client().supervisor.get(name)
    if settings.json:
        print_json(plain(found))
    else:
        sys.stdout.write(inspection_text(found))


def inspection_text(found: Inspection) -> str:
    """An actor on a page."""
    who = found.actor
    beat = f"every {found.heartbeat_interval_s:g} s, {found.heartbeat_misses} misses" if found.heartbeat_misses else "-"
    text = fields(
        (
            ("Name", who.name),
            ("Type", who.type),
            ("State", who.state),
            ("PID", who.pid or "-"),
            ("Generation", who.generation),
            ("Restarts", who.restarts),
            ("Uptime", spoken_time(who.uptime_s) if who.pid else "-"),
            ("Queue", who.queue),
            ("In flight", who.in_flight),
            ("Handled", who.handled),
            ("RSS", spoken(who.rss_bytes) if who.rss_bytes else "-"),
            ("PSS", spoken(found.pss_bytes) if found.pss_bytes else "-"),
            ("Memory limit", spoken(found.memory_max_bytes) if found.memory_max_bytes else "-"),
            ("Start", found.start),
            ("Restart", found.restart),
            ("Group", f"{found.group} ({found.strategy})" if found.group else f"- ({found.strategy})"),
            ("Depends on", ", ".join(found.depends_on) or "-"),
            ("Shutdown", found.shutdown or "-"),
            ("Ready within", f"{found.ready_timeout_s:g} s" if found.ready_timeout_s else "-"),
            ("Heartbeat", beat),
            ("Last exit", who.last_exit or "-"),
            *((f"Said {key}", json_text(value, indent=False)) for key, value in sorted(found.info.items())),
        )
    )
    for child in found.children:
        text += "".join(f"{line}\n" for line in tree_lines(child, "  "))
    for report in found.crash_reports:
        text += "\n" + crash_text(report)
    return text


def crash_text(report: CrashReport) -> str:
    """A death on a few lines, its stack below."""
    text = fields(
        (
            ("Crash", timestamp(report.at_ns)),
            ("Actor", f"{report.name}#{report.generation} (pid {report.pid})"),
            ("Reason", report.reason + (" (out of memory)" if report.oom else "")),
            ("Uptime", spoken_time(report.uptime_s) + ("" if report.was_ready else ", never ready")),
            ("In flight", ", ".join(report.in_flight) or "-"),
            ("RSS", f"{spoken(report.rss_bytes)}, at most {spoken(report.peak_rss_bytes)}"),
        )
    )
    return text + "".join(f"  {line}\n" for line in report.stack.splitlines())


def _each(settings: Settings, names: tuple[str, ...], act: Callable[[Supervisor, str], object]) -> int:
    """Do something to each actor by name."""
    supervisor = settings.client().supervisor

    def one(name: str) -> str:
        act(supervisor, name)
        return name

    return do(settings, names, one, "name")


@command(
    "restart",
    examples="""
    wharfie actor restart content
    """,
)
@names_argument
@pass_settings
def restart(settings: Settings, /, names: tuple[str, ...]) -> int:
    """Stop actors in order and start them anew; requests wait meanwhile."""
    return _each(settings, names, lambda supervisor, name: supervisor.restart(name))


@command(
    "stop",
    examples="""
    wharfie actor stop transfer
    """,
)
@names_argument
@pass_settings
def stop(settings: Settings, /, names: tuple[str, ...]) -> int:
    """Stop actors until they are started again; requests for them wait."""
    return _each(settings, names, lambda supervisor, name: supervisor.stop(name))


@command(
    "start",
    examples="""
    wharfie actor start transfer
    """,
)
@names_argument
@pass_settings
def start(settings: Settings, /, names: tuple[str, ...]) -> int:
    """Start actors that were stopped or have failed."""
    return _each(settings, names, lambda supervisor, name: supervisor.start(name))


@command(
    "log-level",
    examples="""
    wharfie actor log-level debug content
    wharfie actor log-level info
    """,
)
@click.argument("level", type=click.Choice(LEVELS))
@click.argument("name", default="", shell_complete=complete.actors)
@pass_settings
def log_level(settings: Settings, /, level: str, name: str) -> None:
    """Log from LEVEL upwards, in one actor or in all, until it ends."""
    settings.client().supervisor.log_level(level, name)
    if settings.json:
        print_json({"name": name or "all", "level": level})
    else:
        click.echo(f"{name or 'all'} {level}")


@command(
    "dead-letters",
    examples="""
    wharfie actor dead-letters
    """,
)
@pass_settings
def dead_letters(settings: Settings, /) -> None:
    """List messages that nobody took, oldest first."""
    letters = settings.client().supervisor.dead_letters()
    if settings.json:
        print_json(letters)
        return
    columns = list(dict.fromkeys(key for letter in letters for key in letter))
    print_table(
        [key.upper().replace("_", " ") for key in columns] or ["DEAD LETTERS"],
        ([_letter_cell(key, letter.get(key, "-")) for key in columns] for letter in letters),
    )


def _letter_cell(key: str, value: Any) -> Any:
    return timestamp(value) if key.endswith("_ns") and isinstance(value, int) else value


@command(
    "crashes",
    examples="""
    wharfie actor crashes
    wharfie actor crashes content
    """,
)
@click.argument("name", default="", shell_complete=complete.actors)
@pass_settings
def crashes(settings: Settings, /, name: str) -> None:
    """Show the last deaths of one actor or of all, oldest first."""
    reports = settings.client().supervisor.crash_reports(name)
    if settings.json:
        print_json(plain(reports))
    else:
        sys.stdout.write("\n".join(crash_text(report) for report in reports))


@command(
    "dump",
    examples="""
    wharfie actor dump
    """,
)
@pass_settings
def dump(settings: Settings, /) -> None:
    """Show what every process does at this moment; it goes into the daemon's log, too."""
    stacks = settings.client().supervisor.dump()
    if settings.json:
        print_json(stacks)
    else:
        print_lines(f"== {name}\n{stack or '(no answer in time)'}" for name, stack in sorted(stacks.items()))


for _verb in (ls, tree, inspect, restart, stop, start, log_level, dead_letters, crashes, dump):
    actor.add_command(_verb)
