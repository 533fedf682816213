"""The static list of commands against the commands, and what a start imports."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys

import click
import pytest

from cli.catalog import ALIASES, COMMANDS, VERBS
from cli.group import Command
from cli.main import top


def loaded(name: str) -> click.Command:
    command = top.get_command(click.Context(top), name)
    assert command is not None
    return command


@pytest.mark.parametrize("name", COMMANDS)
def test_a_line_of_the_catalog_is_the_first_line_of_the_commands_help(name: str) -> None:
    command = loaded(name)
    assert command.help is not None
    assert command.help.partition("\n\n")[0].replace("\n", " ") == COMMANDS[name].help


@pytest.mark.parametrize("alias", ALIASES)
def test_an_alias_names_a_command(alias: str) -> None:
    assert ALIASES[alias] in COMMANDS
    assert alias not in COMMANDS


def every_command() -> list[tuple[str, click.Command]]:
    found: list[tuple[str, click.Command]] = []
    for name in COMMANDS:
        command = loaded(name)
        found.append((name, command))
        if isinstance(command, click.Group):
            found += [(f"{name} {verb}", inner) for verb, inner in command.commands.items()]
    return found


@pytest.mark.parametrize(("name", "command"), every_command())
def test_every_command_takes_the_global_options_and_shows_examples(name: str, command: click.Command) -> None:
    options = {option for param in command.params for option in param.opts}
    assert {"--address", "--namespace", "--timeout", "--json"} <= options
    if not isinstance(command, click.Group):
        assert isinstance(command, Command)
        assert "wharfie " in command.examples


@pytest.mark.parametrize(("name", "command"), every_command())
def test_no_option_is_declared_twice(name: str, command: click.Command) -> None:
    options = [option for param in command.params for option in (*param.opts, *param.secondary_opts)]
    assert len(options) == len(set(options))


def test_the_nouns_have_the_verbs_that_users_of_ctr_know() -> None:
    for noun in ("namespace", "container", "task", "image", "content", "snapshot", "plugin", "actor"):
        group = loaded(noun)
        assert isinstance(group, click.Group)
        assert {"ls", "inspect"} <= set(group.commands)
        for alias, verb in VERBS.items():
            if verb in group.commands:
                assert group.get_command(click.Context(group), alias) is group.commands[verb]


def test_the_actor_noun_has_every_verb_of_the_supervisor() -> None:
    group = loaded("actor")
    assert isinstance(group, click.Group)
    wanted = {"ls", "tree", "inspect", "restart", "stop", "start", "log-level", "dead-letters"}
    assert wanted <= set(group.commands)


def modules_after(*arguments: str) -> set[str]:
    program = (
        "import sys, json, io; real = sys.stdout; sys.stdout = io.StringIO()\n"
        "from cli.main import invoke\n"
        f"invoke({list(arguments)!r})\n"
        "real.write(json.dumps(sorted(sys.modules)))"
    )
    output = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    return set(json.loads(output))


def test_the_help_imports_neither_a_command_nor_the_client() -> None:
    modules = modules_after("--help")
    commands = {f"cli.{entry.module}" for entry in COMMANDS.values()}
    assert not modules & (commands | {"zmq", "msgspec", "msgpack", "rich", "asyncio", "wharfie._sync"})


def test_a_command_imports_its_own_module_and_no_others_noun() -> None:
    modules = modules_after("ps", "--help")
    assert "cli.ps" in modules
    assert not modules & {"cli.run", "cli.actor", "zmq", "msgspec"}


def test_a_call_of_the_daemon_imports_nothing_heavy() -> None:
    modules = modules_after("-a", "/nonexistent/socket", "--timeout", "10ms", "ps")
    assert "wharfie.connection" in modules
    assert not modules & {"asyncio", "rich", "urllib3", "psutil", "hashlib", "tempfile", "subprocess", "zmq"}


def test_the_modules_of_the_catalog_exist() -> None:
    for entry in COMMANDS.values():
        assert hasattr(importlib.import_module(f"cli.{entry.module}"), entry.attribute)
