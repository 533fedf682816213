"""`wharfied`: the command line. Parses, loads the configuration, and hands over; each sub-command imports only its own.

Exit codes: 0 for an orderly end, 1 for a failure, 2 for a wrong command line, 78 (EX_CONFIG) for a configuration that
cannot be used.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from config.error import ConfigError
from config.settings import DEFAULT_FILE, LOG_LEVELS

if TYPE_CHECKING:
    from config.load import Loaded

EX_CONFIG = 78

_DESCRIPTION = """\
The container daemon. Without a sub-command it runs in the foreground until SIGTERM or SIGINT; SIGHUP reloads the
configuration, SIGUSR1 writes the stack of every process into the log. Containers survive its end."""

_EXAMPLES = """\
examples:
  wharfied --root /srv/wharfie --state /run/wharfie     run with other directories
  wharfied config default > /etc/wharfie/config.toml    begin a configuration
  wharfied --config my.toml config check                check one before it is used
  wharfied service install                              run it under systemd from now on"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `wharfied`; return its exit code."""
    started_s = time.monotonic()
    arguments = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] | None = getattr(arguments, "command", None)
    try:
        if command is not None:
            return command(arguments)
        return _run(arguments, started_s)
    except ConfigError as error:
        for problem in error.problems:
            _complain(str(problem))
        return EX_CONFIG
    except BrokenPipeError:
        # The reader of our output has had enough; that concerns nobody.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0


def _complain(text: str) -> None:
    sys.stderr.write(f"wharfied: {text}\n")


# --- the command line -------------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="wharfied",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--config", "-c", metavar="FILE", help=f"configuration file (default: {DEFAULT_FILE}, if any)")
    parser.add_argument("--log-level", "-l", metavar="LEVEL", choices=LOG_LEVELS, help=", ".join(LOG_LEVELS))
    parser.add_argument("--address", "-a", metavar="PATH", help="the clients' socket (default: STATE/wharfie.sock)")
    parser.add_argument("--root", metavar="DIR", help="what outlives a reboot (default: /var/lib/wharfie)")
    parser.add_argument("--state", metavar="DIR", help="what does not (default: /run/wharfie)")
    parser.add_argument("--version", "-v", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(title="sub-commands", metavar="")
    _config_parser(commands)
    _publish_parser(commands)
    _hook_parser(commands)
    _service_parser(commands)
    return parser


class _Version(argparse.Action):
    """`--version`; the number is looked up when somebody asks."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from wharfie.version import REVISION, __version__

        sys.stdout.write(f"wharfied {__version__}{f' {REVISION}' if REVISION else ''}\n")
        parser.exit()


def _config_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("config", help="print or check the configuration", description="The configuration.")
    actions = parser.add_subparsers(title="actions", metavar="", required=True)
    for name, function, text in (
        ("default", _config_default, "print every key with its help and its default"),
        ("dump", _config_dump, "print the effective configuration: file, imports and flags merged"),
        ("migrate", _config_dump, "print the configuration in the newest version of its format"),
        ("check", _config_check, "check the configuration; the exit code is 0 when it can be used"),
    ):
        actions.add_parser(name, help=text, description=text).set_defaults(command=function)


def _publish_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "publish",
        help="publish an event that is read from standard input",
        description="Publish an event: a JSON object on standard input.",
        epilog='example: echo \'{"id": "web"}\' | wharfied publish --namespace ci --topic /backup/done',
    )
    parser.add_argument("--namespace", "-n", default="default", metavar="NAME", help="default: default")
    parser.add_argument("--topic", "-t", required=True, metavar="TOPIC", help="such as /backup/done")
    parser.set_defaults(command=_publish)


def _hook_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "oci-hook",
        help="run a hook with the container's state filled in",
        description="Read the container's state from standard input, fill it into COMMAND, its arguments and the"
        " environment, and run it in our place. In them {{id}}, {{bundle}}, {{rootfs}}, {{pid}}, {{status}} and"
        ' {{annotation "KEY"}} stand for what the state says.',
        epilog="example, as a createRuntime hook: wharfied oci-hook -- ip link set veth0 netns {{pid}}",
    )
    parser.add_argument("argv", nargs=argparse.REMAINDER, metavar="COMMAND …", help="program and its arguments")
    parser.set_defaults(command=_hook)


def _service_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("service", help="install or remove the systemd unit", description="The systemd unit.")
    actions = parser.add_subparsers(title="actions", metavar="", required=True)
    for name, function, text in (
        ("install", _service_install, "write the unit with the flags given now; enable and start it"),
        ("uninstall", _service_uninstall, "stop, disable and remove the unit; containers go on running"),
    ):
        actions.add_parser(name, help=text, description=text).set_defaults(command=function)


# --- what the sub-commands do -----------------------------------------------------------------------------------


def _load(arguments: argparse.Namespace) -> Loaded:
    from config.load import load

    flags = {
        "log.level": arguments.log_level,
        "router.address": arguments.address,
        "root": arguments.root,
        "state": arguments.state,
    }
    return load(arguments.config or DEFAULT_FILE, explicit=arguments.config is not None, flags=flags)


def _run(arguments: argparse.Namespace, started_s: float) -> int:
    from config import log
    from supervisor.daemon import Daemon, Refused

    # Relative paths of flags are those of the start, also for a later reload.
    for name in ("config", "root", "state", "address"):
        value = getattr(arguments, name)
        if value:
            setattr(arguments, name, os.path.abspath(value))
    loaded = _load(arguments)
    log.configure(loaded.settings.log.level, loaded.settings.log.format)
    try:
        return Daemon(loaded, read=lambda: _load(arguments), started_s=started_s).run()
    except Refused as error:
        _complain(str(error))
        return 1


def _config_default(_arguments: argparse.Namespace) -> int:
    from config.render import default_toml

    sys.stdout.write(default_toml())
    return 0


def _config_dump(arguments: argparse.Namespace) -> int:
    from config.render import dump_toml

    loaded = _load(arguments)
    _warn(loaded)
    sys.stdout.write(dump_toml(loaded))
    return 0


def _config_check(arguments: argparse.Namespace) -> int:
    loaded = _load(arguments)
    _warn(loaded)
    files = ", ".join(loaded.files) or "the defaults"
    sys.stdout.write(f"{files}: can be used\n")
    return 0


def _warn(loaded: Loaded) -> None:
    for warning in loaded.warnings:
        _complain(f"warning: {warning}")


def _publish(arguments: argparse.Namespace) -> int:
    from supervisor.publish import BadEvent, publish
    from wharfie.errors import WharfieError

    try:
        publish(
            sys.stdin.buffer.read(),
            address=_load(arguments).settings.router.address,
            namespace=arguments.namespace,
            topic=arguments.topic,
        )
    except (BadEvent, WharfieError) as error:
        _complain(f"event not published: {error}")
        return 1
    return 0


def _hook(arguments: argparse.Namespace) -> int:
    from supervisor.ocihook import BadHook, run

    argv = arguments.argv[1:] if arguments.argv[:1] == ["--"] else arguments.argv
    try:
        run(argv, state=sys.stdin.buffer.read())
    except (BadHook, OSError) as error:
        _complain(f"oci-hook: {error}")
    return 1


def _service_install(arguments: argparse.Namespace) -> int:
    from config import unit

    _load(arguments)  # a unit that cannot start is not installed
    command = [*_program()]
    for flag, value in (
        ("--config", arguments.config),
        ("--root", arguments.root),
        ("--state", arguments.state),
        ("--address", arguments.address),
    ):
        command += [flag, os.path.abspath(value)] if value else []
    command += ["--log-level", arguments.log_level] if arguments.log_level else []
    return _service(lambda: unit.install(unit.Unit(command=tuple(command))))


def _service_uninstall(_arguments: argparse.Namespace) -> int:
    from config import unit

    return _service(unit.uninstall)


def _service(action: Callable[[], tuple[str, ...]]) -> int:
    import subprocess

    try:
        for sentence in action():
            sys.stdout.write(f"{sentence}\n")
    except (OSError, subprocess.CalledProcessError) as error:
        _complain(str(error))
        return 1
    return 0


def _program() -> tuple[str, ...]:
    """How this very program is started again, as absolute paths."""
    program = os.path.abspath(sys.argv[0])
    return (sys.executable, program) if program.endswith(".py") else (program,)


if __name__ == "__main__":
    sys.exit(main())
